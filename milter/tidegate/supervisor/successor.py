"""USR2: start this program anew, as the daemon that takes over. An upgrade so refuses no connection.

The successor is `tidegate run --takeover` with our own arguments; from there on it is like any other (`places`,
`Supervisor._retire`). Promises: whatever becomes of it, this daemon serves until the other one has the socket.
"""

from __future__ import annotations

import os
import selectors
import sys
from collections.abc import Callable, Mapping, Sequence

import structlog

from tidegate.notify import notify
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


def spawn(words: list[str], prepare: Callable[[], None]) -> int:
    """Start it as nobody's child, and return its process: systemd lets a main process end in peace (KillMode=mixed)
    only if it was systemd's own child when it reported itself (service_set_main_pid, main_pid_alien).
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    between = os.fork()
    if between == 0:
        try:
            prepare()
            pid = os.fork()
            if pid == 0:
                os.execve(words[0], words, environment(os.environ))
            os.write(writer, b"%d" % pid)
        finally:
            os._exit(_EX_OSERR)
    os.close(writer)
    try:
        os.waitpid(between, 0)  # it only forks
        return int(os.read(reader, 16) or 0)
    finally:
        os.close(reader)


class Successor:
    """At most one at a time."""

    def __init__(self, conditions: Conditions, selector: selectors.BaseSelector, prepare: Callable[[], None]) -> None:
        self._conditions = conditions
        self._selector = selector
        self._prepare = prepare  # in a child: close what isn't its business
        self._pid = 0
        self._watch = -1  # a descriptor that is readable once it has ended

    def start(self) -> None:
        """Fork and exec it, unless one is on its way."""
        if self._watch >= 0:
            _log.warning("successor already there")
            return
        self._conditions.settle(_FAILED)
        words = command(sys.argv)
        try:
            self._pid = spawn(words, self._prepare)
            self._watch = os.pidfd_open(self._pid)
        except OSError as error:
            self._conditions.raise_(_FAILED, f"no successor could be started: {error.strerror}")
            return
        self._selector.register(self._watch, selectors.EVENT_READ, lambda _events: self._ended())
        _log.info("successor started", pid=self._pid, command=" ".join(words))

    def lead(self) -> None:
        """It has the socket: tell systemd, which at first believes the main process only, that it is the main one."""
        if self._watch >= 0:
            notify(f"MAINPID={self._pid}")

    def _ended(self) -> None:
        self._selector.unregister(self._watch)
        os.close(self._watch)
        self._watch = -1
        self._conditions.raise_(_FAILED, f"the successor (process {self._pid}) ended before it had the socket")
