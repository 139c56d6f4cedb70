"""A forked child under limits, whose results arrive in memory files and whose death has a name.

The supervisor has no threads, so a fork of it is whole. The child writes what it is busy with into a shared map
before each step: when it dies, that is the culprit. Where it ran out of time or memory, which many small things use up
together, the culprit is the file that took the longest. It never returns into the supervisor's code.
"""

from __future__ import annotations

import gc
import mmap
import os
import resource
import signal
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

WALL_CLOCK = 60.0  # seconds for one child
_MEMORY = 1 << 30  # bytes of address space above what the supervisor has
_PROCESSOR = 60  # seconds
_NAME = 4096  # bytes of a name in the progress map
_MAP = struct.Struct(f"={_NAME}s{_NAME}sd")  # what it is busy with, the file that took the longest, since when
_SHARE = 6  # one entry is to blame for time or memory that ran out if it took this part of the load, or more
LAST_VALID = " (last valid)"
"""Behind the file in the name of a step that reads an accepted text."""


@dataclass(frozen=True, slots=True)
class Death:
    """How a child ended that did not finish: in words, and what it was busy with ("" : nothing named)."""

    text: str
    culprit: str
    foreign: bool = False  # killed by somebody else: a person, or the kernel, which needed memory


class Confined:
    """One child. `result` is the memory file that it fills, `extra` a second one (the image)."""

    def __init__(self, name: str) -> None:
        """Raises OSError where no descriptor is to be had."""
        self._progress = mmap.mmap(-1, _MAP.size)
        self._spent: dict[str, float] = {}  # in the child: seconds by file
        self._most = 0.0
        self._file = ""
        self._since = 0.0
        self.result = os.memfd_create(f"{name}-result", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            self.extra = os.memfd_create(f"{name}-extra", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        except OSError:
            os.close(self.result)
            raise
        self.pid = 0
        self._began = self._deadline = 0.0
        self._overdue = False

    def start(
        self, work: Callable[[Confined], None], prepare: Callable[[], None], wall_clock: float, spare: int = 0
    ) -> None:
        """Fork. The child calls `prepare` (close what isn't its business) and `work`, then leaves.

        `spare`: bytes of memory beyond the limit, for what the child gets from us.
        Raises OSError where no process is to be had; then nothing is left open.
        """
        self._began = self._since = time.monotonic()
        self._deadline = self._began + wall_clock
        try:
            self.pid = os.fork()
        except OSError:
            self.close()
            raise
        if self.pid == 0:
            _live_and_die(self, work, prepare, spare)

    def progress(self, name: str) -> None:
        """Called in the child: `name` is what it does next, `FILE`, `FILE: KIND ID` or `the SOMETHING`."""
        now = time.monotonic()
        if self._file:
            spent = self._spent[self._file] = self._spent.get(self._file, 0.0) + now - self._since
            if spent > self._most:
                self._most = spent
                self._progress[_NAME : 2 * _NAME] = _field(self._file)
        self._file = "" if name.startswith("the ") else name.partition(": ")[0].removesuffix(LAST_VALID)
        self._since = now
        self._progress[:_NAME] = _field(name)
        self._progress[2 * _NAME :] = struct.pack("=d", now)

    @property
    def busy_with(self) -> str:
        """What the child named last."""
        return _text(self._progress[:_NAME])

    def _consumer(self) -> str:
        """What used up time or memory: the entry in hand, if it took long, or the file that took the longest."""
        name, file, since = _MAP.unpack(self._progress[:])
        now = time.monotonic()
        if ": " in _text(name) and (now - since) * _SHARE >= now - self._began:
            return _text(name)
        return _text(file) or _text(name)

    def overdue(self, now: float) -> None:
        """Kill the child where its time (monotonic seconds) is over."""
        if self.pid and now > self._deadline and not self._overdue:
            self._overdue = True
            self.kill()

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def ended(self, status: int) -> Death | None:
        """Judge the wait status: None where the child finished its work."""
        self.pid = 0
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
            return None
        text = self._cause(status)
        exhausted = self._overdue or _signal(status) == signal.SIGXCPU or text.startswith("MemoryError")
        foreign = _signal(status) in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        return Death(text, self._consumer() if exhausted else self.busy_with, foreign and not self._overdue)

    def _cause(self, status: int) -> str:
        if self._overdue:
            return f"it took longer than {self._deadline - self._began:g} s"
        number = _signal(status)
        if number:
            if number == signal.SIGXCPU:
                return f"it used more than {_PROCESSOR} s of processor time"
            return f"it was killed by {signal.Signals(number).name if number in set(signal.Signals) else number}"
        raised = os.pread(self.result, 400, 0).decode("utf-8", "replace")
        return raised or f"it ended with status {os.WEXITSTATUS(status)}"

    def close(self) -> None:
        """Let go of the memory files (whoever needs one has duplicated it)."""
        os.close(self.result)
        os.close(self.extra)
        self._progress.close()


def _signal(status: int) -> int:
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def _field(name: str) -> bytes:
    return name.encode("utf-8", "backslashreplace")[: _NAME - 1].ljust(_NAME, b"\0")


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "replace")


def _live_and_die(child: Confined, work: Callable[[Confined], None], prepare: Callable[[], None], spare: int) -> None:
    status = 70
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        gc.disable()  # a load makes millions of objects that all live: collecting them takes three times the load
        prepare()
        _limit(spare)
        work(child)
        status = 0
    except BaseException as error:  # noqa: BLE001 - the process boundary: nothing may run on in a copy of the supervisor
        text = f"{type(error).__name__}: {error}"[:380]
        os.pwrite(child.result, text.encode("utf-8", "replace"), 0)
    finally:
        os._exit(status)


def _limit(spare: int) -> None:
    with open("/proc/self/statm") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    for kind, value in (
        (resource.RLIMIT_AS, size + _MEMORY + spare),
        (resource.RLIMIT_CPU, _PROCESSOR),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        # Where both limits are the same the kernel kills instead of saying SIGXCPU (setrlimit(2)).
        later = bound + _PROCESSOR if kind == resource.RLIMIT_CPU and hard == resource.RLIM_INFINITY else bound
        resource.setrlimit(kind, (bound, later))
