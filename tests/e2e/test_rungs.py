"""The ladder at the start of a real daemon: each rung serves where the ones above are gone, and an alert names it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders.daemon import Daemon, reject_all, until

SOAK = {"soak": "0.5s", "soak_messages": 3}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: a socket's name has 107 bytes."""
    path = Path("/tmp") / f"tg-{os.getpid()}-{time.monotonic_ns() % 1_000_000}"
    path.mkdir(mode=0o755)
    yield path
    shutil.rmtree(path)


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
        assert set() == daemon.alerts()
