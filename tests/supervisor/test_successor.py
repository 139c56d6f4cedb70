"""How a daemon starts its own successor. tests/e2e/test_daemon.py does it."""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import sys
from pathlib import Path
from typing import cast

import pytest

from tidegate.supervisor import successor as module
from tidegate.supervisor.conditions import Conditions
from tidegate.supervisor.successor import Successor, command, environment, spawn


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
    """It is told, once; a new start clears it. A second one is not started while the first is on its way."""
    ends = ["true", "sleep"]
    monkeypatch.setattr(module, "command", lambda _own: [shutil.which(ends[0]) or "", "60"])
    alerts = Alerts()
    selector = selectors.DefaultSelector()
    successor = Successor(cast(Conditions, alerts), selector, lambda: None)
    successor.start()
    for key, events in selector.select(20.0):
        key.data(events)
    assert ["successor-failed"] == list(alerts.standing)
    ends.pop(0)
    successor.start()
    assert {} == alerts.standing
    (watched,) = selector.get_map().values()
    successor.start()
    assert [watched.fd] == [key.fd for key in selector.get_map().values()]
    signal.pidfd_send_signal(watched.fd, signal.SIGKILL)


def test_a_successor_is_nobody_s_child() -> None:
    """Of this process, at least: nothing is left to be waited for."""
    pid = spawn([shutil.which("sleep") or "", "60"], lambda: None)
    try:
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    finally:
        os.kill(pid, signal.SIGKILL)


def test_the_one_that_was_started_is_led_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd is told its process; where somebody else took over there is nothing to tell."""
    told: list[str] = []
    monkeypatch.setattr(module, "notify", lambda *lines: told.extend(lines))
    monkeypatch.setattr(module, "command", lambda _own: [shutil.which("sleep") or "", "60"])
    selector = selectors.DefaultSelector()
    successor = Successor(cast(Conditions, Alerts()), selector, lambda: None)
    successor.lead()
    assert [] == told
    successor.start()
    successor.lead()
    (watched,) = selector.get_map().values()
    signal.pidfd_send_signal(watched.fd, signal.SIGKILL)
    assert ["MAINPID"] == [line.partition("=")[0] for line in told]
