"""How a daemon starts its own successor. tests/e2e/test_daemon.py does it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import cast

import pytest

from tidegate.supervisor.conditions import Conditions
from tidegate.supervisor.successor import Successor, command, environment


class Alerts:
    """What stands of the daemon's own alerts."""

    def __init__(self) -> None:
        self.standing: dict[str, str] = {}

    def raise_(self, code: str, text: str) -> None:
        self.standing[code] = text

    def settle(self, code: str) -> None:
        self.standing.pop(code, None)


@pytest.mark.parametrize("again", [[], ["--takeover"]], ids=["started plainly", "a successor itself"])
def test_a_script_is_started_as_itself(tmp_path: Path, again: list[str]) -> None:
    """So the process keeps its name; `--takeover` stands once."""
    script = tmp_path / "tidegate"
    script.touch(0o755)
    assert [str(script), "run", "--config", "x", "--takeover"] == command([str(script), "run", *again, "--config", "x"])


def test_a_module_is_started_by_the_interpreter(tmp_path: Path) -> None:
    """`python3 -m tidegate run`: its __main__.py is no program."""
    module = tmp_path / "__main__.py"
    module.touch(0o644)
    assert [sys.executable, "-m", "tidegate", "run", "--takeover"] == command([str(module), "run"])


def test_the_watchdog_goes_over() -> None:
    """systemd's watchdog is bound to no process any more; all else stays."""
    own = {"WATCHDOG_PID": "7", "WATCHDOG_USEC": "30000000", "NOTIFY_SOCKET": "/run/systemd/notify"}
    assert {"WATCHDOG_USEC": "30000000", "NOTIFY_SOCKET": "/run/systemd/notify"} == environment(own)


def test_a_successor_that_ends_is_an_alert_until_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its exit status is told; another process's end is somebody else's; a new start clears it."""
    pids = iter((4711, 4712))
    monkeypatch.setattr(os, "fork", lambda: next(pids))
    alerts = Alerts()
    successor = Successor(cast(Conditions, alerts), lambda: None)
    successor.start()
    successor.start()
    assert (False, {}) == (successor.reaped(4712, 0), alerts.standing)
    assert successor.reaped(4711, 75 << 8)
    assert {"successor-failed": "the successor ended with status 75"} == alerts.standing
    successor.start()
    assert {} == alerts.standing
