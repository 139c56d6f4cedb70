"""The ladder at the start of a real daemon: each rung serves where the ones above are gone, and an alert names it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.builders.daemon import ENVIRONMENT, ROOT, Daemon, Session, reject_all, until
from tidegate.live import Barred, Quarantine, write_quarantine

SOAK = {"soak": "0.5s", "soak_messages": 3}
BASELINE = ROOT / "policies" / "baseline"
SABOTAGE = ROOT / "tests" / "builders" / "sabotage"


def proven(daemon: Daemon, rule: str) -> None:
    """Let a policy serve until it is on record."""
    known = len(daemon.status().get("ladder", {}).get("proven", ()))
    daemon.policy(reject_all(rule=rule))
    until(lambda: by(daemon, rule), f"{rule} is in force")
    until(lambda: daemon.message() and len(daemon.status()["ladder"]["proven"]) > known, f"{rule} is proven")


def by(daemon: Daemon, rule: str) -> bool:
    """Does this rule stop the message?"""
    return daemon.message().startswith(f"550 5.7.1 stopped by {rule}")


def rung(daemon: Daemon) -> str:
    return str(daemon.status()["ladder"]["rung"])


def test_rung_by_rung(folder: Path) -> None:
    """The candidate; its last valid texts; the newest proven; the one before; nothing, and mail is deferred."""
    with Daemon(folder, **SOAK) as daemon:
        daemon.policy(reject_all(rule="older"))
        daemon.start()
        proven(daemon, "older")
        proven(daemon, "newer")
        daemon.stop()

        shutil.rmtree(daemon.policies)
        daemon.start()
        assert (True, "candidate") == (by(daemon, "newer"), rung(daemon))
        daemon.stop()

        (daemon.state / "accepted").unlink()
        daemon.start()
        assert (True, "proven") == (by(daemon, "newer"), rung(daemon))
        assert {"proven-serves", "nothing-readable"} <= daemon.alerts()
        daemon.stop()

        newest = max((daemon.state / "proven").iterdir())
        newest.write_bytes(newest.read_bytes()[:-1])
        daemon.start()
        assert (True, "proven") == (by(daemon, "older"), rung(daemon))
        assert {"proven-serves", "proven-unusable"} <= daemon.alerts()
        daemon.stop()

        shutil.rmtree(daemon.state / "proven")
        daemon.start()
        assert daemon.message().startswith("451")
        assert "none" == rung(daemon)
        assert "no-generation" in daemon.alerts()

        daemon.policies.mkdir()
        daemon.policy(reject_all(rule="repaired"))
        until(lambda: by(daemon, "repaired"), "the candidate serves")
        assert "candidate" == rung(daemon)
        until(lambda: not daemon.alerts(), "nothing is wrong any more")


class Sabotaged(Daemon):
    """Its loads die as long as `trap` is there."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.trap = folder / "trap"
        paths = f"PYTHONPATH={SABOTAGE}:{ROOT / 'milter'}"
        prefix = ("env", paths, f"TIDEGATE_SABOTAGE={self.trap}")
        super().__init__(folder, prefix=prefix, **{"baseline": BASELINE, **SOAK, **settings})


def to_many(daemon: Daemon) -> str:
    """The reply to a notification for two."""
    session = Session(daemon.socket)
    try:
        session.greet()
        return session.envelope(sender="", recipients=("a@example.net", "b@example.net")) or session.content()
    finally:
        session.close()


def test_a_load_that_dies_costs_the_candidate_alone(folder: Path) -> None:
    """The loader runs out of memory without a culprit: what is proven serves, though nobody has touched a file."""
    with Sabotaged(folder) as daemon:
        daemon.policy(reject_all(rule="first"))
        daemon.start()
        proven(daemon, "first")
        daemon.policy(reject_all(rule="second"))
        until(lambda: by(daemon, "second"), "second is in force")
        daemon.stop()
        daemon.trap.touch()
        daemon.start()
        assert (True, "proven") == (by(daemon, "first"), rung(daemon))
        assert {"loader-failed", "proven-serves"} <= daemon.alerts()
        daemon.trap.unlink()
        daemon.signal(signal.SIGHUP)
        until(lambda: by(daemon, "second"), "the candidate serves")
        until(lambda: set() == daemon.alerts(), "no alert stands")


def test_the_baseline(folder: Path) -> None:
    """Nothing is proven, every source was read: what is wrong everywhere is deferred, the rest goes its way."""
    with Sabotaged(folder) as daemon:
        daemon.policy(reject_all(rule="mine"))
        daemon.trap.touch()
        daemon.start()
        until(lambda: rung(daemon) == "baseline", "the baseline serves")
        assert "accept" == daemon.message()
        assert to_many(daemon).startswith("451 4.7.1 A notification has one recipient")
        assert {"loader-died", "loader-failed", "baseline-serves"} == daemon.alerts()
        assert () == tuple(daemon.status()["ladder"]["proven"])
        daemon.trap.unlink()
        daemon.signal(signal.SIGHUP)
        until(lambda: by(daemon, "mine"), "the candidate serves")
        until(lambda: set() == daemon.alerts(), "no alert stands")


@pytest.mark.parametrize("missing", ["a file", "the baseline", "the setting"])
def test_no_baseline(folder: Path, missing: str) -> None:
    """A source that was not read may hold a rule that stops mail: all mail waits."""
    setting = {"the setting": "off", "the baseline": folder / "nowhere"}.get(missing, BASELINE)
    with Sabotaged(folder, baseline=setting) as daemon:
        daemon.policy(reject_all(rule="mine"))
        daemon.trap.touch()
        if missing == "a file":
            (daemon.policies / "20.yaml").symlink_to("nowhere")
        daemon.start()
        until(lambda: "no-generation" in daemon.alerts(), "the alert")
        assert "none" == rung(daemon)
        assert daemon.message().startswith("451")


def test_a_first_load_that_takes_long(folder: Path) -> None:
    """What is proven serves meanwhile, without an alert; the candidate takes its place when it is there."""
    with Sabotaged(folder) as daemon:
        daemon.policy(reject_all(rule="first"))
        daemon.start()
        proven(daemon, "first")
        daemon.stop()
        daemon.policy(reject_all(rule="second"))
        daemon.trap.write_text("stop")
        began = time.monotonic()
        daemon.start()
        assert time.monotonic() - began < 10.0
        assert (True, "proven") == (by(daemon, "first"), rung(daemon))
        assert set() == daemon.alerts()
        os.kill(stopped_child(daemon), signal.SIGCONT)
        until(lambda: by(daemon, "second"), "the candidate serves")
        assert "candidate" == rung(daemon)


def stopped_child(daemon: Daemon) -> int:
    """The loader that has stopped itself (proc(5): state T)."""
    children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()
    return int(next(pid for pid in children if Path(f"/proc/{pid}/stat").read_text().split()[2] == "T"))


def test_quarantine_over_a_restart(folder: Path) -> None:
    """With the bad file still in place the proven generation serves, until a person says that it is meant."""
    with Daemon(folder, **SOAK) as daemon:
        daemon.policy(reject_all(rule="good"))
        daemon.start()
        proven(daemon, "good")
        daemon.policy(reject_all(rule="harmful"))
        until(lambda: by(daemon, "harmful"), "the harmful one is in force")
        digest = daemon.status()["generation"]["digest"]
        daemon.stop()
        barred = Barred(digest, "", 2, "another release", "it refused everybody", time.time())
        write_quarantine(str(daemon.state), Quarantine((barred,)))
        for _ in range(2):
            daemon.start()
            assert (True, "proven") == (by(daemon, "good"), rung(daemon))
            assert {"generation-quarantined", "proven-serves"} == daemon.alerts()
            daemon.stop()
        daemon.start()
        command = [sys.executable, "-m", "tidegate", "confirm", "--quarantine", "--config", str(daemon.config)]
        said = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=60)
        assert (0, "") == (said.returncode, said.stderr), said.stdout
        assert by(daemon, "harmful")
        assert set() == daemon.alerts()
