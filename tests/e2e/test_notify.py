"""What systemd is told, on a socket that the test opens in its place (sd_notify(3), Type=notify-reload)."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.builders.daemon import Daemon, reject_all, until


class Manager:
    """systemd's end: every datagram is a set of lines."""

    def __init__(self, address: str) -> None:
        self._link = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._link.bind(address.replace("@", "\0", 1))
        self._link.setblocking(False)
        self.told: list[str] = []

    def heard(self, word: str) -> list[str]:
        """All lines so far that begin with `word`."""
        while True:
            try:
                self.told += self._link.recv(4096).decode().splitlines()
            except BlockingIOError:
                return [line for line in self.told if line.startswith(word)]


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_what_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """READY when it serves, RELOADING with the clock and READY again for HUP, STOPPING for TERM, and it lives."""
    address = str(tmp_path / "notify") if kind == "path" else f"@tidegate-test-{os.getpid()}"
    manager = Manager(address)
    environment = {**os.environ, "NOTIFY_SOCKET": address, "WATCHDOG_USEC": "400000"}
    monkeypatch.setattr("tests.builders.daemon.ENVIRONMENT", {**environment, "PYTHONPATH": "milter"})
    with Daemon(tmp_path) as daemon:
        daemon.policy(reject_all())
        daemon.start()
        until(lambda: manager.heard("READY=1"), "READY")
        assert [f"MAINPID={daemon.pid}"] == manager.heard("MAINPID=")
        until(lambda: manager.heard("STATUS=generation 1: 1 active; 0 alerts"), "the status")
        until(lambda: len(manager.heard("WATCHDOG=1")) > 2, "the watchdog is fed")
        earlier = time.monotonic_ns() // 1000
        ready = len(manager.heard("READY=1"))
        daemon.policy(reject_all().replace("when:", "wenn:"))
        daemon.signal(signal.SIGHUP)
        until(lambda: len(manager.heard("READY=1")) > ready, "READY after the reload")
        assert 1 == len(manager.heard("RELOADING=1"))
        until(lambda: [one for one in manager.heard("STATUS=") if ": 1 stale; " in one], "the status of a broken edit")
        moment = int(manager.heard("MONOTONIC_USEC=")[0].partition("=")[2])
        assert earlier <= moment <= time.monotonic_ns() // 1000
        daemon.stop()
        assert 1 == len(manager.heard("STOPPING=1"))


def test_a_manager_that_does_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket that is full, or gone, holds nothing up."""
    address = str(tmp_path / "notify")
    manager = Manager(address)
    monkeypatch.setattr(
        "tests.builders.daemon.ENVIRONMENT",
        {**os.environ, "PYTHONPATH": "milter", "NOTIFY_SOCKET": address, "WATCHDOG_USEC": "2000"},
    )
    with Daemon(tmp_path) as daemon:
        daemon.start()
        os.unlink(address)
        daemon.policy(reject_all())
        until(lambda: "550" in daemon.message(), "the edit is in force")
        assert manager.heard("READY=1")
        assert daemon.stop() < 5.0
