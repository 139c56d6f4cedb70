"""The children that stay: workers and the clerk. Forked, watched, replaced with back-off, drained.

Promises: a child that dies is replaced (after 0.1 s, doubling to 5 s, for ever); one that is silent for too long is
killed. Refuses: knowing what it does; which generation it has to have (handover.py).
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from tidegate.channel import Channel, ClosedError, Packet

PING = 1.0  # seconds between two pings
_FIRST = 0.1  # seconds before the first replacement
_LONGEST = 5.0
_SETTLED = 30.0  # seconds of life after which a death is a first one again

_log = structlog.get_logger()


@dataclass(slots=True)
class Child:
    """One place in the crew, and who fills it. Times are monotonic seconds."""

    name: str
    place: int
    slot: int  # of the counters
    silence: float  # seconds without an answer to a ping after which it is killed
    pid: int = 0
    channel: Channel | None = None
    started: float = 0.0
    wall: float = 0.0  # POSIX seconds of its start
    due: float = 0.0  # when an empty place is filled
    deaths: int = 0  # in a row, starts that failed included
    pinged: float = 0.0
    unanswered: float = 0.0  # since when; 0: nothing is due
    ready: bool = False
    leaving: bool = False
    deaf: bool = False  # it accepts no session any more
    generation: int = 0
    canary: int = 0  # the generation on trial that it has; 0: none
    sessions: int = 0
    messages: int = 0
    troubles: Mapping[str, str] = field(default_factory=dict)  # what is wrong with it, by alert code


Work = Callable[[Child, Channel], None]  # in the forked child; must not return
Heard = Callable[[Child, Packet], None]
Gone = Callable[[Child, int], None]  # with the wait status


@dataclass(slots=True)
class Crew:
    """All children of one kind."""

    kind: str
    selector: selectors.BaseSelector
    work: Work
    heard: Heard
    children: list[Child] = field(default_factory=list)
    restarts: int = 0
    stopped: bool = False
    gone: Gone | None = None  # told of each that has ended, before its place is filled

    def add(self, count: int, silence: float) -> None:
        """Make so many places; tick() fills them."""
        self.children += [Child(f"{self.kind} {place}", place, place, silence) for place in range(count)]

    def depart(self, child: Child, places: int) -> None:
        """It leaves by itself, which may take a while: fill its place at once. Its counter row stays its own.

        Each of the `places` has two rows; a third one in the same place has to wait for the first to be gone.
        """
        child.leaving = True
        others = [one for one in self.children if one.place == child.place and one is not child]
        if not others and not self.stopped:
            slot = (child.slot + places) % (2 * places)
            self.children.append(Child(child.name, child.place, slot, child.silence))

    @property
    def alive(self) -> list[Child]:
        return [child for child in self.children if child.pid]

    def tick(self, now: float) -> None:
        """Fill empty places, ping, kill the silent."""
        for child in self.children:
            if not child.pid:
                if not self.stopped and now >= child.due:
                    self._start(child, now)
            elif child.unanswered and now - child.unanswered > child.silence:
                _log.error("child silent", child=child.name, pid=child.pid, seconds=round(now - child.unanswered, 1))
                child.unanswered = now
                os.kill(child.pid, signal.SIGKILL)
            elif now - child.pinged >= PING and child.channel:
                child.pinged = now
                if not child.unanswered:
                    child.unanswered = now
                child.channel.send("ping")

    def _start(self, child: Child, now: float) -> None:
        try:
            self._fork(child, now)
        except OSError as error:
            child.channel = None
            self._wait(child, now)
            _log.error("child not started", child=child.name, error=error.strerror, tries=child.deaths)

    def _wait(self, child: Child, now: float) -> None:
        """One failure more: its place stays empty for a while, ever longer."""
        child.deaths += 1
        child.due = now + min(_LONGEST, _FIRST * 2 ** min(child.deaths - 1, 10))

    def _fork(self, child: Child, now: float) -> None:
        """Raises OSError where no process, or no descriptor, is to be had."""
        ours, theirs = Channel.pair()
        child.channel, child.started, child.wall = ours, now, time.time()
        child.unanswered = child.pinged = 0.0
        child.ready = child.leaving = child.deaf = False
        child.generation = child.canary = child.sessions = child.messages = 0
        child.troubles = {}
        try:
            pid = os.fork()
        except OSError:
            ours.close()
            theirs.close()
            raise
        if pid == 0:
            self.work(child, theirs)
            os._exit(70)  # not reached: the work ends the process
        theirs.close()
        child.pid = pid
        self.selector.register(ours, selectors.EVENT_READ, lambda _events: self._read(child))
        _log.info("child started", child=child.name, pid=pid)

    def _read(self, child: Child) -> None:
        for _ in range(64):
            if child.channel is None:
                return
            try:
                packet = child.channel.receive()
            except ClosedError:
                self._cut(child)  # it is about to be reaped
                return
            if packet is None:
                return
            child.unanswered = 0.0
            if packet.word == "pong":
                child.sessions = whole(packet, "sessions")
                child.messages = whole(packet, "messages")
                child.troubles = packet.values.get("troubles", {})
            try:
                self.heard(child, packet)
            finally:
                for descriptor in packet.descriptors:  # who wants to keep one has made a copy
                    os.close(descriptor)

    def _cut(self, child: Child) -> None:
        if child.channel is not None:
            self.selector.unregister(child.channel)
            child.channel.close()
            child.channel = None

    def reaped(self, pid: int, status: int) -> bool:
        """A process ended; True if it was one of ours."""
        for child in self.children:
            if child.pid == pid:
                self._bury(child, status, time.monotonic())
                if self.gone:
                    self.gone(child, status)
                return True
        return False

    def _bury(self, child: Child, status: int, now: float) -> None:
        self._cut(child)
        lived = now - child.started
        pid, child.pid = child.pid, 0
        if self.stopped or child.leaving:
            if any(one.place == child.place and one is not child for one in self.children):
                self.children.remove(child)
            _log.info("child left", child=child.name, pid=pid, status=outcome(status))
            return
        if lived > _SETTLED:
            child.deaths = 0
        self.restarts += 1
        self._wait(child, now)
        _log.error(
            "child died", child=child.name, pid=pid, status=outcome(status), deaths=child.deaths, lived=round(lived, 1)
        )

    def send(self, word: str, **values: object) -> None:
        """One packet to everyone."""
        for child in self.alive:
            if child.channel:
                child.channel.send(word, **values)

    def kill(self) -> None:
        for child in self.alive:
            os.kill(child.pid, signal.SIGKILL)

    def close_in_child(self, keep: Channel | None) -> None:
        """In a fresh fork: close the supervisor's ends of everybody's pairs."""
        for child in self.children:
            if child.channel is not None and child.channel is not keep:
                child.channel.close()


def whole(packet: Packet, name: str) -> int:
    """A whole number that a child sent; 0 where it sent none."""
    value = packet.values.get(name, 0)
    return value if isinstance(value, int) else 0


def outcome(status: int) -> str:
    """A wait status for people."""
    if os.WIFSIGNALED(status):
        return f"signal {os.WTERMSIG(status)}"
    return f"exit {os.WEXITSTATUS(status)}"
