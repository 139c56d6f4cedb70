"""The loop: signals, children, generations, control requests. One thread, which waits in select only.

Its stages: STARTING (first load; nothing published), SERVING, RETIRING (a successor has our lock and will take the
socket), SUCCEEDED (it has: drain kindly), STOPPING (TERM: drain quickly). Signals arrive through a wakeup pipe; the
handlers only take notes.
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

import structlog

from tidegate.channel import Channel, Packet
from tidegate.control import Parcel
from tidegate.loader.child import Request
from tidegate.model import Conventions, Problem
from tidegate.notify import notify, reloading, watchdog_interval
from tidegate.settings import remember
from tidegate.supervisor.answers import DONE, Answers, Reception
from tidegate.supervisor.books import Books
from tidegate.supervisor.boot import Booted
from tidegate.supervisor.brake import Brake
from tidegate.supervisor.canary import Canaries
from tidegate.supervisor.children import Children
from tidegate.supervisor.conditions import Conditions
from tidegate.supervisor.crew import Child, Crew
from tidegate.supervisor.generations import Generations
from tidegate.supervisor.handover import Handover
from tidegate.supervisor.laggards import Laggards
from tidegate.supervisor.lending import lend
from tidegate.supervisor.loads import Loads, Outcome
from tidegate.supervisor.orders import Orders
from tidegate.supervisor.picture import Picture
from tidegate.supervisor.poison import Poison
from tidegate.supervisor.restrainer import Restrainer
from tidegate.supervisor.rungs import Rungs
from tidegate.supervisor.successor import Successor

TICK = 0.25
WORKER_SILENCE = 5.0
CLERK_SILENCE = 60.0  # it may block on a slow disk
QUICK = 2.0  # seconds that idle sessions get on TERM
KIND = 30.0  # and where a successor serves already
UPLOAD = 600.0  # seconds that messages in flight get where a successor serves
SLACK = 4.0  # seconds between a worker's own limit and its end by force
RELOAD_AGE = 3600.0  # seconds after which policies are read again: dates pass, an `until` comes near
RETIRE = 30.0  # seconds in which a successor that took the lock has to take the socket

_log = structlog.get_logger()


class Stage(str, Enum):
    """Where in its life the daemon is."""

    STARTING = "starting"
    SERVING = "serving"
    RETIRING = "retiring"
    SUCCEEDED = "succeeded"
    STOPPING = "stopping"


class Supervisor:
    """One daemon; `run` returns its exit status."""

    def __init__(self, booted: Booted) -> None:
        self._booted = booted
        settings = booted.settings
        self.stage = Stage.STARTING
        self._selector = selectors.DefaultSelector()
        self._signals: set[int] = set()
        self._began = time.monotonic()
        self._end = 0.0  # monotonic seconds: whoever is left is killed
        self._retired = self._pulsed = 0.0
        self._watchdog, self._barked = watchdog_interval(), 0.0
        self._picture = Picture(settings, booted.config, booted.last_good, time.time())
        self._answers = Answers(lambda: self.stage.value)
        self._reception = Reception(settings.state, self._selector, self._answers)
        self._children = Children(booted, self._selector, self._listen_to_signals(), self._reception)
        self._workers = Crew("worker", self._selector, self._work, self._heard_worker)
        self._clerk = Crew("clerk", self._selector, self._clerical_work, self._heard_clerk)
        self._children.crews = (self._workers, self._clerk)
        self._handover = Handover(self._workers)
        self._restrainer = Restrainer(settings.state, self._workers, self._picture)
        self._children.restrainer = self._restrainer
        self._loads = Loads(self._request, self._loaded, self._children.become_reader)
        self._conditions = Conditions(booted, self._picture, self._workers, self._clerk, self._children.become_reader)
        self._canaries = Canaries(settings, booted.counters.sides, self._picture, self._handover, self._conditions)
        self._generations = Generations(
            booted.counters,
            self._picture,
            self._handover,
            self._clerk,
            self._loads,
            lambda: self.stage.value,
            self._canaries,
        )
        self._books = Books(settings, self._generations)
        self._poison = Poison(booted, self._workers, self._picture, self._restrainer, self._conditions)
        self._children.poison = self._poison
        self._laggards = Laggards(self._workers, self._handover, self._conditions)
        self._successor = Successor(self._conditions, self._selector, self._children.become_reader)
        self._rungs = Rungs(
            self._picture,
            self._generations,
            self._conditions,
            self._workers,
            self._children.become_reader,
            lambda: bool(self._restrainer.restraint),
        )
        self._conditions.episodes.listen(self._answers.on)
        self._canaries.quarantine = self._rungs.ladder.quarantine
        self._brake = Brake(booted, self._generations, self._restrainer, self._conditions, self._rungs.ladder)
        self._listen_to_questions()
        self._reception.open(self._conditions)

    def _listen_to_signals(self) -> tuple[int, int]:
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD):
            signal.signal(number, lambda received, _frame: self._signals.add(received))
        self._selector.register(reader, selectors.EVENT_READ, lambda _events: os.read(reader, 1 << 16))
        return reader, writer

    def run(self) -> int:
        """Until the last child has left. 0: stopped or succeeded."""
        settings = self._booted.settings
        _log.info("starting", listen=settings.listen.for_libmilter(), policies=settings.policies, pid=os.getpid())
        self._conditions.update(self._booted.problems)
        self._rungs.ladder.start()
        self._brake.start()
        self._ask_first()
        self._clerk.add(1, CLERK_SILENCE)
        while not self._finished():
            for key, events in self._selector.select(TICK):
                self._guarded(key.data, events)
            self._guarded(self._take_signals)
            self._guarded(self._tick, time.monotonic())
        self._leave()
        return 0

    def _guarded(self, handler: Callable[..., None], *arguments: object) -> None:
        """A bug in one handler must not end the daemon: it is logged, and the loop goes on."""
        try:
            handler(*arguments)
        except Exception as error:  # noqa: BLE001 - see above
            _log.error("supervisor fault", exc_info=error)

    def _finished(self) -> bool:
        return self.stage in (Stage.STOPPING, Stage.SUCCEEDED) and not self._workers.alive

    # ── signals ──────────────────────────────────────────────────────────────────────────────────────────────

    def _take_signals(self) -> None:
        received, self._signals = self._signals, set()
        if signal.SIGCHLD in received:
            self._reap()
        if signal.SIGUSR1 in received:
            self._booted.writer.reopen()
            self._workers.send("reopen")
            self._clerk.send("reopen")
        if signal.SIGHUP in received and self.stage in (Stage.STARTING, Stage.SERVING):
            reloading()
            self._conditions.recheck_settings()
            self._loads.ask()
        if signal.SIGUSR2 in received and self.stage is Stage.SERVING:
            self._successor.start()
        if received & {signal.SIGTERM, signal.SIGINT}:
            self._stop()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if not any(kind.reaped(pid, status) for kind in (self._loads, self._rungs, self._workers, self._clerk)):
                self._conditions.reaped(pid, status)

    # ── time ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _tick(self, now: float) -> None:
        self._loads.tick(now)
        self._rungs.tick(now, self.stage is Stage.SERVING)
        self._reception.tick(now, self._conditions, keep=self.stage is Stage.SERVING)
        if self._watchdog and now - self._barked >= self._watchdog:
            self._barked = now
            notify("WATCHDOG=1")
        self._clerk.tick(now)
        self._poison.tick(now, self._generations.columns)
        self._laggards.tick(now)
        self._workers.tick(now)
        self._handover.tick(now)
        if self.stage is Stage.SERVING and self._canaries.tick(now):
            notify(f"STATUS={self._generations.headline()}")
        self._conditions.tick(now)
        ours = self.stage in (Stage.STARTING, Stage.SERVING)
        self._books.tick(now, self._restrainer.holds, self._conditions, ours=ours)
        if ours:  # else the records are a successor's
            self._brake.tick(time.time())
        if now - self._pulsed >= 1.0:
            self._pulsed = now
            self._generations.pulse()
        if self.stage is Stage.STARTING:
            self._tick_starting(now)
        elif self.stage in (Stage.SERVING, Stage.RETIRING):
            self._tick_serving(now)
        elif now > self._end:
            _log.warning("drain limit reached", workers=len(self._workers.alive))
            self._workers.kill()
            self._end = now + SLACK

    def _ask_first(self) -> None:
        """The first load, once what a canary ran beside when an earlier daemon ended serves again."""
        if not self._loads.count and not self._loads.busy and not self._rungs.ladder.busy:
            self._loads.ask()

    def _tick_starting(self, now: float) -> None:
        self._ask_first()
        if not self._workers.children and self._rungs.ready(now - self._began, self._loads):
            self._workers.add(self._booted.settings.workers, WORKER_SILENCE)
            self._workers.tick(now)

    def _serve(self) -> None:
        """The first worker is ready: put the socket into place."""
        place = self._booted.place
        try:
            if place and not place.published:
                place.publish()
            self._conditions.settle("listen-failed")
        except OSError as error:
            self._conditions.raise_(
                "listen-failed", f"{place and place.path} can't be put into place: {error.strerror}"
            )
            return  # the next pong tries again
        self.stage = Stage.SERVING
        listen = self._booted.settings.listen
        _log.info("serving", listen=listen.for_libmilter(), postfix=listen.for_postfix())
        notify("READY=1", f"MAINPID={os.getpid()}", f"STATUS={self._generations.headline()}")
        self._remember()

    def _remember(self) -> None:
        """Record the settings that serve; each load tries again where the record could not be written, or is gone."""
        if self._booted.last_good:
            return
        try:
            remember(self._booted.config, self._booted.settings)
            self._conditions.settle("record-unwritable")
        except OSError as error:
            self._conditions.raise_("record-unwritable", f"the settings can't be recorded: {error.strerror}")

    def _tick_serving(self, now: float) -> None:
        place = self._booted.place
        owner = place.owner() if place else "ours"
        if owner == "other":
            self._succeeded()
            return
        lost = f"{place.path} was removed by somebody" if place and owner == "nobody" else ""
        self._conditions.judge("socket-lost", lost)
        if self.stage is Stage.RETIRING:
            if now > self._retired + RETIRE and self._booted.lock.take():
                _log.warning("the successor did not come; serving on")
                self._reception.open(self._conditions)
                self._clerk.stopped = False
                self.stage = Stage.SERVING
                self._rungs.resume()
                self._loads.resume()
        elif not self._loads.busy and self._picture.due(self._loads.attempted, RELOAD_AGE):
            self._loads.ask()

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────

    def _stop(self) -> None:
        again = self.stage is Stage.STOPPING
        _log.info("stopping", again=again)
        notify("STOPPING=1")
        if self._booted.place:
            self._booted.place.withdraw()
        self._close_down(Stage.STOPPING, 0.0 if again else QUICK, self._booted.settings.deadline)

    def _succeeded(self) -> None:
        _log.info("succeeded: another daemon has the socket; draining")
        self._successor.lead()
        self._close_down(Stage.SUCCEEDED, KIND, UPLOAD)

    def _close_down(self, stage: Stage, idle: float, busy: float) -> None:
        if stage is Stage.SUCCEEDED:
            self._reception.close()
        self.stage = stage
        self._workers.stopped = self._clerk.stopped = True
        for child in self._workers.alive:
            child.leaving = True
        self._workers.send("drain", idle=idle, busy=max(idle, busy))
        self._clerk.kill()
        self._loads.stop()
        self._rungs.stop()
        self._end = time.monotonic() + max(idle, busy) + SLACK

    def _retire(self) -> None:
        """A successor on the same state directory asked for the lock: go on serving until it has the socket."""
        _log.info("retiring: a successor takes over")
        self.stage = Stage.RETIRING
        self._retired = time.monotonic()
        self._clerk.stopped = True
        self._clerk.kill()
        self._loads.stop()
        self._rungs.stop()
        self._booted.lock.release()

    def _leave(self) -> None:
        end = time.monotonic() + 0.5
        while (self._clerk.alive or self._loads.busy) and time.monotonic() < end:
            self._reap()  # not for ever: a clerk may hang in a disk that does not answer
            time.sleep(0.01)
        _log.info("stopped", stage=self.stage.value)

    # ── children ─────────────────────────────────────────────────────────────────────────────────────────────

    def _work(self, child: Child, channel: Channel) -> None:
        self._children.become_worker(child, channel, self._handover)

    def _clerical_work(self, _child: Child, channel: Channel) -> None:
        self._children.become_clerk(channel, self._generations, self._conditions.episodes)

    def _heard_worker(self, child: Child, packet: Packet) -> None:
        match packet.word:
            case "ready" | "active" | "trying":
                self._handover.heard(child, packet)
                if packet.word == "ready" and self.stage is Stage.STARTING:
                    self._serve()
            case "refused" if self._canaries.refused(packet):
                pass  # the canary is given up; the worker serves on
            case "refused":
                self._conditions.raise_("worker-refused", f"{child.name}: {packet.values.get('why', '')}")
                os.kill(child.pid, signal.SIGTERM)
            case "leaving":
                self._workers.depart(child, self._booted.settings.workers)
            case "pong" if self.stage is Stage.STARTING and child.ready:
                self._serve()

    def _heard_clerk(self, _child: Child, packet: Packet) -> None:
        match packet.word:
            case "candidate" if self.stage in (Stage.STARTING, Stage.SERVING):
                self._loads.ask(digest=str(packet.values.get("digest", "")))
            case "brake":
                self._brake.heard(packet)
            case "metrics" | "channels":
                self._conditions.heard_clerk(packet)

    # ── loads and questions ──────────────────────────────────────────────────────────────────────────────────

    def _request(self) -> Request:
        settings = self._booted.settings
        conventions = Conventions(settings.default_realm, settings.recipient_delimiter)
        before = self._handover.offer.image if self._handover.offer else -1
        return Request(settings.policies, settings.state, conventions, self._generations.highest + 1, before=before)

    def _loaded(self, outcome: Outcome) -> None:
        problems: tuple[Problem, ...] = self._rungs.loaded(outcome)
        self._conditions.policy_problems(problems)
        if self.stage is Stage.SERVING:
            self._remember()
            ready = () if self._loads.due else ("READY=1",)  # a HUP that came meanwhile is answered by the next load
            notify(*ready, f"STATUS={self._generations.headline()}")

    def _listen_to_questions(self) -> None:
        orders = Orders(self._loads, self._rungs.ladder)
        for word, handler in (
            ("status", self._status),
            ("reload", orders.reload),
            ("confirm", orders.confirm),
            ("brake", self._brake.answer),
            ("takeover", self._hand_over),
            ("lend", self._lend),
        ):
            self._answers.on(word, handler)

    def _status(self, request: Mapping[str, Any]) -> str:
        loading = {"attempted": self._loads.attempted, "busy": self._loads.busy}
        loading |= {"count": self._loads.count, "failed": self._loads.failed}
        brief = bool(request.get("brief"))
        return self._picture.document(self._workers, self._clerk, self.stage.value, loading, brief=brief)

    def _lend(self, _request: Mapping[str, Any]) -> Parcel:
        key = self._booted.counters.sides.key
        return lend(self._handover, self._picture, self._restrainer.restraint, key, self.stage.value)

    def _hand_over(self, _request: Mapping[str, Any]) -> Mapping[str, Any] | None:
        if self.stage is not Stage.SERVING or not self._booted.place:
            return None
        self._retire()
        return DONE
