"""USR2: start this program anew, as the daemon that takes over. An upgrade so refuses no connection.

The successor is `tidegate run --takeover` with our own arguments; from there on it is like any other (`places`,
`Supervisor._retire`). Promises: whatever becomes of it, this daemon serves until the other one has the socket.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence

import structlog

from tidegate.supervisor.conditions import Conditions

_EX_OSERR = 71
_FAILED = "successor-failed"

_log = structlog.get_logger()


def command(arguments: Sequence[str]) -> list[str]:
    """How a daemon with these arguments (sys.argv) is started to take over from itself.

    The script itself where it can be: then the process has its name, by which logrotate and init scripts tell it.
    """
    script = os.path.abspath(arguments[0])
    start = [script] if os.path.isfile(script) and os.access(script, os.X_OK) else [sys.executable, "-m", "tidegate"]
    rest = [word for word in arguments[1:] if word != "--takeover"]
    return [*start, *rest, "--takeover"]


def environment(own: Mapping[str, str]) -> dict[str, str]:
    """Ours. systemd's watchdog is the service's: bound to our process, the successor would not feed it."""
    return {name: value for name, value in own.items() if name != "WATCHDOG_PID"}


class Successor:
    """At most one at a time."""

    def __init__(self, conditions: Conditions, prepare: Callable[[], None]) -> None:
        self._conditions = conditions
        self._prepare = prepare  # in a child: close what isn't its business
        self._pid = 0

    def start(self) -> None:
        """Fork and exec it, unless one is on its way."""
        if self._pid:
            _log.warning("a successor is starting already", pid=self._pid)
            return
        self._conditions.settle(_FAILED)
        words = command(sys.argv)
        self._pid = os.fork()
        if self._pid == 0:
            try:
                self._prepare()
                os.execve(words[0], words, environment(os.environ))
            finally:
                os._exit(_EX_OSERR)
        _log.info("starting a successor", pid=self._pid, command=" ".join(words))

    def reaped(self, pid: int, status: int) -> bool:
        """A process ended; True if it was the successor, which then did not take over."""
        if not self._pid or pid != self._pid:
            return False
        self._pid = 0
        self._conditions.raise_(_FAILED, f"the successor ended with status {os.waitstatus_to_exitcode(status)}")
        return True
