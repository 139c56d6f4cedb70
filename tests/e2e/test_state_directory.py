"""Whatever became of the state directory: the daemon says so, runs, and judges mail."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.builders.daemon import ENVIRONMENT, Daemon, reject_all, until
from tidegate import records

SOAK = {"soak": "0.5s", "soak_messages": 3}


@pytest.fixture
def disk(folder: Path) -> Iterator[Path]:
    """A state directory that is a file system of its own, of 256 KiB."""
    path = folder / "state"
    path.mkdir()
    if mount("-t", "tmpfs", "-o", "size=256k,mode=0750", "tidegate-test", str(path)):
        pytest.skip("a file system can't be mounted here")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def mount(*arguments: str) -> int:
    return subprocess.run(["mount", *arguments], check=False, capture_output=True).returncode


def judged(daemon: Daemon, rule: str = "stop") -> bool:
    return daemon.message().startswith(f"550 5.7.1 stopped by {rule}")


def raised(daemon: Daemon) -> set[str]:
    """The codes of all alerts in the log: of a daemon without a control socket it is all that tells."""
    return {line["code"] for line in daemon.lines("alert raised")}


@pytest.mark.parametrize("before", [True, False], ids=["with records", "from the first start"])
def test_read_only(folder: Path, disk: Path, before: bool) -> None:
    """Nothing can be recorded and nobody can ask; what is on record holds, and no second daemon runs beside it."""
    with Daemon(folder) as daemon:
        daemon.policy(reject_all())
        if before:
            daemon.start()
            daemon.stop()
            daemon.policy(reject_all().replace("when:", "whenn:"))
        assert mount("-o", "remount,ro", str(disk)) == 0
        daemon.start()
        assert judged(daemon)
        assert {"record-unwritable", "control-unavailable"} <= raised(daemon)
        second = subprocess.run(
            [sys.executable, "-m", "tidegate", "run", "--config", str(daemon.config)],
            env=ENVIRONMENT,
            capture_output=True,
            check=False,
            timeout=30,
        )
        assert second.returncode == 75
        daemon.stop()


@pytest.mark.parametrize("before", [True, False], ids=["with records", "from the first start"])
def test_full(folder: Path, disk: Path, before: bool) -> None:
    """No record can be written: the policy goes on; once there is space the next load writes it, and the alert ends."""
    with Daemon(folder, **SOAK) as daemon:
        daemon.policy(reject_all())
        if before:
            daemon.start()
            daemon.stop()
        fill = disk / "fill"
        with fill.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
        daemon.start()
        assert judged(daemon)
        until(lambda: daemon.message() and "proven-unwritable" in daemon.alerts(), "the alert of what is proven")
        daemon.policy(reject_all(rule="other"))
        until(lambda: judged(daemon, "other"), "an edit is in force")
        assert "record-unwritable" in daemon.alerts()
        fill.unlink()
        until(lambda: daemon.message() and daemon.status()["ladder"]["proven"], "it is proven")
        daemon.policy(reject_all(rule="third"))
        until(lambda: set() == daemon.alerts(), "no alert stands")


def garbage(path: Path) -> None:
    path.write_bytes(os.urandom(3000))


def nothing(path: Path) -> None:
    path.write_bytes(b"")


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def another_version(path: Path) -> None:
    """Whole, with a format that only a later release knows."""
    path.unlink()
    records.write(path, json.dumps({"format": 99}).encode() + b"\n{}\nimage")


@pytest.mark.parametrize("spoil", [garbage, nothing, a_folder, another_version], ids=lambda spoil: spoil.__name__)
@pytest.mark.parametrize("policies", [True, False], ids=["policies are there", "and the policies are gone"])
def test_spoilt(folder: Path, spoil: Callable[[Path], None], policies: bool) -> None:
    """Every record: each is told and set aside, and the policies serve; without policies mail waits."""
    with Daemon(folder, **SOAK) as daemon:
        daemon.policy(reject_all())
        daemon.start()
        until(lambda: daemon.message() and daemon.status()["ladder"]["proven"], "it is proven")
        daemon.stop()
        records.write(daemon.state / "quarantine", b"{}")
        for path in [one for one in daemon.state.rglob("*") if one.is_file() and one.name not in ("lock", "control")]:
            spoil(path)
        if not policies:
            shutil.rmtree(daemon.policies)
        daemon.start()
        assert judged(daemon) if policies else daemon.message().startswith("451")
        assert "record-corrupt" in daemon.alerts()
        assert ("no-generation" in daemon.alerts()) != policies
        assert policies or "proven-unusable" in daemon.alerts()
        daemon.stop()
