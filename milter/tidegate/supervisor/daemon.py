"""The loop: signals, children, generations, control requests. One thread, which waits in select only.

What it is made of is constructed in parts.py; its stages are in stage.py. Signals arrive through a wakeup pipe; the
handlers only take notes (signals.py).
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from tidegate.channel import Packet
from tidegate.control import Parcel
from tidegate.model import Problem
from tidegate.notify import notify, reloading, watchdog_interval
from tidegate.settings import remember
from tidegate.supervisor.answers import DONE
from tidegate.supervisor.boot import Booted
from tidegate.supervisor.crew import Child
from tidegate.supervisor.lending import lend
from tidegate.supervisor.loads import Outcome
from tidegate.supervisor.parts import Parts
from tidegate.supervisor.picture import Picture
from tidegate.supervisor.signals import Signals
from tidegate.supervisor.stage import KIND, QUICK, RETIRE, SLACK, UPLOAD, Stage

TICK = 0.25
WORKER_SILENCE = 5.0
CLERK_SILENCE = 60.0  # it may block on a slow disk
RELOAD_AGE = 3600.0  # seconds after which policies are read again: dates pass, an `until` comes near

_log = structlog.get_logger()


class Supervisor:
    """One daemon; `run` returns its exit status."""

    def __init__(self, booted: Booted) -> None:
        self._booted = booted
        self.stage = Stage.STARTING
        self._selector = selectors.DefaultSelector()
        self._signals = Signals(self._selector)
        self._began = time.monotonic()
        self._end = 0.0  # monotonic seconds: whoever is left is killed
        self._retired = self._pulsed = 0.0
        self._watchdog, self._barked = watchdog_interval(), 0.0
        self._picture = Picture(booted.settings, booted.config, booted.last_good, time.time())
        parts = Parts(
            booted,
            self._selector,
            self._signals.wakeup,
            self._picture,
            self._stage,
            self._loaded,
            self._heard_worker,
            self._heard_clerk,
        )
        self._parts = parts
        self._reception, self._workers, self._clerk = parts.reception, parts.workers, parts.clerk
        self._handover, self._restrainer, self._loads = parts.handover, parts.restrainer, parts.loads
        self._conditions, self._canaries, self._generations = parts.conditions, parts.canaries, parts.generations
        self._rungs, self._brake = parts.rungs, parts.brake
        for word, handler in (("status", self._status), ("takeover", self._hand_over), ("lend", self._lend)):
            parts.answers.on(word, handler)
        self._reception.open(self._conditions)

    def _stage(self) -> str:
        return self.stage.value

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
        received = self._signals.take()
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
            self._parts.successor.start()
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
        self._parts.poison.tick(now, self._generations.columns)
        self._parts.laggards.tick(now)
        self._parts.lists.tick(now)
        self._workers.tick(now)
        self._handover.tick(now)
        if self.stage is Stage.SERVING and self._canaries.tick(now):
            notify(f"STATUS={self._generations.headline()}")
        self._conditions.tick(now)
        ours = self.stage in (Stage.STARTING, Stage.SERVING)
        self._parts.books.tick(now, self._restrainer.holds, self._conditions, ours=ours)
        if ours:  # else the records are a successor's
            self._brake.tick(time.time())
        if now - self._pulsed >= 1.0:
            self._pulsed = now
            self._generations.pulse()
            self._parts.fleet.tick(now, self.stage.value)
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
        self._parts.successor.lead()
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

    # ── what the children say ──────────────────────────────────────────────────────────────────────

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
            case "listed" | "unlisted" | "put":
                self._parts.lists.heard_worker(child, packet)
            case "deaf":
                child.deaf = True
                if self._workers.stopped and all(one.deaf for one in self._workers.alive):
                    self._booted.listener.shut()
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
            case "replica" | "list" | "lists":
                self._parts.lists.heard_clerk(packet)
            case "redis":
                self._parts.fleet.heard(packet)
            case "metrics" | "channels" | "replay":
                self._conditions.heard_clerk(packet)

    # ── loads and questions ──────────────────────────────────────────────────────────────────────────────────

    def _loaded(self, outcome: Outcome) -> None:
        problems: tuple[Problem, ...] = self._rungs.loaded(outcome)
        self._conditions.policy_problems(problems)
        if self.stage is Stage.SERVING:
            self._remember()
            ready = () if self._loads.due else ("READY=1",)  # a HUP that came meanwhile is answered by the next load
            notify(*ready, f"STATUS={self._generations.headline()}")

    def _status(self, request: Mapping[str, Any]) -> str:
        loading = self._parts.loading()
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
