"""A worker: libmilter in the main thread, one command thread beside it, and a way to leave that loses no mail.

Promises: maps a generation and makes it current by one assignment; on TERM, on command, and when the supervisor is
gone it drains: accepts for a moment more, hands the listening socket's place to an idle one, lets each message in hand
get its verdict, and ends with _exit. Refuses: libmilter's own stop (5 s, and it drops sessions); YAML.

Theory of the signals. libmilter blocks HUP, TERM and INT in the thread that calls main() and in those that it makes,
and takes them in a thread of its own, which would stop the daemon. Our command thread is older and has them open, so
the kernel gives them to it; Python's C handler writes to the wakeup pipe, and the command thread reads that.
(Python-level handlers would never run: the main thread sits in libmilter.) tests/e2e/test_daemon.py watches over it.

Theory of the CPU. Of a worker's sessions one at a time holds the interpreter lock. Spread over several CPUs they wait
for it in the kernel, some hundred futex calls a message; on one CPU the lock is nearly always free when a session runs.
With sixteen connections that is a quarter of all CPU time (`make bench`), and the slowest messages are faster too.
"""

from __future__ import annotations

import gc
import json
import mmap
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import structlog

from tidegate import front, image
from tidegate.alerts.own import Own
from tidegate.channel import Channel, ClosedError, Packet, content
from tidegate.ledger import Pen
from tidegate.live import Canary, Live, Watchlist, decode_restraint, watchlist_from
from tidegate.model import NO_RESTRAINT, Restraint
from tidegate.observe.counters import Tally
from tidegate.observe.crowds import Crowds
from tidegate.observe.journal import Page
from tidegate.observe.logs import Writer
from tidegate.observe.sides import SideTally
from tidegate.replay import Quill
from tidegate.replicas.held import Copy, Holding
from tidegate.settings import Settings
from tidegate.store.keeper import start_keeper
from tidegate.store.ledger import StoreLedger
from tidegate.store.opening import open_ledger

_ACCEPTING = 0.15  # seconds for which a leaving worker still accepts what waits in the backlog
_NEGOTIATING = 0.1  # an accepted session may not have negotiated yet
_LOOKS = 3  # looks without a message in hand, _LOOK apart, before it leaves
_LOOK = 0.02
_ORPHAN_IDLE = 30.0  # seconds that idle sessions get when the supervisor is gone
_ORPHAN_BUSY = 60.0
_TERM_IDLE = 2.0
_STEP = 0.0002

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Offer:
    """A generation as the workers get it: its image and the counter columns, as descriptors that stay open."""

    number: int
    digest: str
    image: int
    columns: int


@dataclass(frozen=True, slots=True)
class Trial:
    """A generation on trial: for `share` percent of the senders, compared in this bank (observe/sides.py).

    `plan` is a descriptor too: which rules are counted by name, and in which column.
    """

    offer: Offer
    share: float
    bank: int
    plan: int


@dataclass(frozen=True, slots=True)
class Assignment:
    """What the supervisor gives to a new worker."""

    slot: int
    channel: Channel
    listener: front.Listener
    settings: Settings
    tally: Tally
    crowds: Crowds
    writer: Writer
    offer: Offer | None
    page: Page
    sides: SideTally
    trial: Trial | None = None
    restraint: Restraint = NO_RESTRAINT
    watchlist: Watchlist | None = None
    lists: tuple[Copy, ...] = ()


def run_worker(assignment: Assignment) -> None:
    """The worker's whole life, in its own process. Never returns."""
    status = 70
    try:
        # Nothing that a worker does may end in the YAML parser: an import of it fails from here on.
        sys.modules["yaml"] = None  # type: ignore[assignment]
        os.setpgid(0, 0)
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, lambda _number, _frame: None)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        worker = Worker(assignment, reader)
        if assignment.settings.pin:
            _stay_on_one_cpu(assignment.slot % assignment.settings.workers, assignment.settings.workers)
        worker.prepare()
        # What is here now stays: a full collection that looked at it all would hold every session up for 10 ms.
        gc.freeze()
        threading.Thread(target=worker.obey, name="commands", daemon=True).start()
        front.run()
        # libmilter came back on its own: whatever the reason, the supervisor replaces us.
        _log.error("libmilter ended", slot=assignment.slot)
    except BaseException as error:  # noqa: BLE001 - the process boundary: logged here, replaced by the supervisor
        _log.error("worker fault", slot=assignment.slot, exc_info=error)
    finally:
        os._exit(status)


def cpu_of(place: int, workers: int, cpus: Sequence[int], shift: int) -> int:
    """The CPU of the worker in `place`: all in turn, or evenly spread where there are more CPUs than workers.

    `shift` differs between daemons, so that several small ones do not meet on the first CPU.
    """
    step = max(1, len(cpus) // workers)
    return cpus[(place * step + shift) % len(cpus)]


def _stay_on_one_cpu(place: int, workers: int) -> None:
    """Pin this process. Where the kernel or a system call filter refuses, it runs everywhere, only slower."""
    try:
        cpus = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cpu_of(place, workers, cpus, os.getppid())})
    except OSError as error:
        _log.warning("worker not pinned", place=place, error=error.strerror)


@dataclass(slots=True)
class Worker:
    """The command thread's state; `live` is all that it shares with the sessions."""

    assignment: Assignment
    signals: int  # read end of the wakeup pipe
    live: Live = field(default_factory=Live)
    desk: front.Desk = field(init=False)
    lists: Holding = field(default_factory=Holding)
    ledger: StoreLedger = field(init=False)
    orphan: bool = False

    def prepare(self) -> None:
        """Map the generation in force, and the canary, and register the callbacks, before libmilter starts."""
        settings = self.assignment.settings
        offer = self.assignment.offer
        self.live.restraint = self.assignment.restraint
        for one in self.assignment.lists:
            self.lists.take(one)
        number = canary = 0
        if offer is not None:
            self.live.current = self._map(offer.image, offer.columns)
            number = offer.number
        trial = self.assignment.trial
        if trial is not None:
            canary = trial.offer.number
            self.live.canary = self._canary(
                canary, trial.share, trial.bank, trial.offer.image, trial.offer.columns, trial.plan
            )
        self.live.watchlist = self.assignment.watchlist
        assignment, pen = self.assignment, Pen(settings.state)
        self.ledger = open_ledger(settings)
        self.desk = front.Desk(
            self.live,
            assignment.tally,
            settings.deadline,
            settings.mask,
            assignment.writer,
            pen,
            assignment.page,
            own=Own(settings.alerts, settings.state),
            crowds=assignment.crowds,
            recorder=self._recorder(),
            ledger=self.ledger,
            suspending=front.Suspending(assignment.channel.send, assignment.tally),
            state=settings.state,
        )
        front.install(self.desk)
        start_keeper(self.ledger)
        self.assignment.channel.send("ready", number=number, canary=canary)

    def _recorder(self) -> front.Recorder | None:
        settings = self.assignment.settings
        if not settings.replay:
            return None
        return front.Recorder(Quill(settings.state, settings.replay_size), self.assignment.tally)

    def _map(self, image_descriptor: int, columns: int) -> image.Generation:
        # MAP_PRIVATE: before Linux 6.7 a shared map of a write-sealed memfd is refused, even one only for reading.
        # Populated: else each page costs the first message that reads it a page fault.
        mapped = mmap.mmap(image_descriptor, 0, flags=mmap.MAP_PRIVATE | mmap.MAP_POPULATE, prot=mmap.PROT_READ)
        steps = image.Generation.steps(mapped)
        while True:
            try:
                next(steps)
            except StopIteration as done:
                generation: image.Generation = done.value
                break
            self._wait(_STEP)  # lets the sessions go on between two pieces of the index
        places = json.loads(content(columns))
        self.assignment.tally.name_rules(places)
        self.assignment.crowds.columns = places
        return generation.with_replicas(self.lists.replicas)

    def _canary(self, number: int, share: float, bank: int, image: int, columns: int, plan: int) -> Canary:
        counted = json.loads(content(plan))
        return Canary(
            number,
            self._map(image, columns),
            share,
            bank,
            counted["columns"],
            frozenset(counted["expected"]),
            self.assignment.sides,
        )

    def obey(self) -> None:
        """The command thread: packets from the supervisor, and signals, until it ends the process."""
        try:
            while True:
                commands = self.assignment.channel.fileno()
                ready, _, _ = select.select([commands, self.signals], [], [])
                if self.signals in ready and self._terminated():
                    self.assignment.channel.send("leaving")
                    self._drain(_TERM_IDLE, max(_TERM_IDLE, self.assignment.settings.deadline))
                if commands in ready:
                    packet = self._receive()
                    if packet:
                        self._do(packet)
        except BaseException as error:  # noqa: BLE001 - the thread's boundary: without it the worker could not be led any more
            _log.error("worker fault", slot=self.assignment.slot, exc_info=error)
            os._exit(70)

    def _receive(self) -> Packet | None:
        try:
            return self.assignment.channel.receive()
        except ClosedError:
            _log.error("supervisor gone: draining", slot=self.assignment.slot)
            self.orphan = True
            self._drain(_ORPHAN_IDLE, _ORPHAN_BUSY)
            return None

    def _terminated(self) -> bool:
        """Was one of the signals TERM or INT? HUP and USR1 are the supervisor's business."""
        try:
            received = os.read(self.signals, 4096)
        except BlockingIOError:
            return False
        return bool({signal.SIGTERM, signal.SIGINT} & set(received))

    def _do(self, packet: Packet) -> None:
        match packet.word:
            case "ping":
                self._pong()
            case "generation" | "canary":
                self._activate(packet)
            case "promote":
                self._promote(int(packet.values["number"]))
            case "abandon":
                self.live.canary = None
                self.assignment.channel.send("active", number=packet.values["number"], canary=0)
            case "restraint":
                self.live.restraint = decode_restraint(content(packet.descriptors[0]))
                os.close(packet.descriptors[0])
            case "watchlist":
                self.live.watchlist = watchlist_from(packet.values)
            case "replica":
                self._list(packet)
            case "reopen":
                self.assignment.writer.reopen()
            case "drain":
                self._drain(float(packet.values["idle"]), float(packet.values["busy"]))

    def _list(self, packet: Packet) -> None:
        """A live list has changed: generations with the new copy take the place of those with the old one."""
        values = packet.values
        name, form = str(values["name"]), str(values["form"])
        try:
            base, changes = packet.descriptors
            self.lists.take(Copy(name, form, base, changes, bool(values["overdue"])))
        except (image.MalformedError, OSError, ValueError, TypeError) as error:
            self.assignment.channel.send("unlisted", name=name, form=form, why=str(error)[:300])
            return
        finally:
            for descriptor in packet.descriptors:
                os.close(descriptor)
        live, replicas = self.live, self.lists.replicas
        if live.current is not None:
            live.current = live.current.with_replicas(replicas)
        if live.canary is not None:
            live.canary = replace(live.canary, generation=live.canary.generation.with_replicas(replicas))
        self.assignment.channel.send("listed", name=name, form=form, serial=values["serial"])

    def _pong(self) -> None:
        desk, troubles = self.desk, dict(self.ledger.troubles())
        self.assignment.channel.send("pong", sessions=desk.sessions, messages=desk.messages, troubles=troubles)

    def _activate(self, packet: Packet) -> None:
        values = packet.values
        number = int(values["number"])
        try:
            if packet.word == "canary":
                self.live.canary = self._canary(number, values["share"], values["bank"], *packet.descriptors)
            else:
                self.live.current = self._map(*packet.descriptors)
                self.live.canary = None
        except (image.BadImage, OSError, ValueError, TypeError) as error:
            self.assignment.channel.send("refused", number=number, why=str(error)[:300])
        else:
            word = "trying" if packet.word == "canary" else "active"
            self.assignment.channel.send(word, number=number)
        finally:
            for descriptor in packet.descriptors:
                os.close(descriptor)

    def _promote(self, number: int) -> None:
        """The canary is for all from now on: it is mapped already."""
        canary = self.live.canary
        if canary is None or canary.number != number:
            self.assignment.channel.send("refused", number=number, why="it is not on trial here")
            return
        self.live.current = canary.generation  # before the canary ends: no message meets the old one any more
        self.live.canary = None
        self.assignment.channel.send("active", number=number)

    def _drain(self, idle: float, busy: float) -> None:
        """Leave: idle sessions get `idle` seconds, messages in hand `busy`. Never returns."""
        began = time.monotonic()
        self.desk.draining = True  # from now on a session's next MAIL is answered 421 4.3.2: it reconnects elsewhere
        self._wait(_ACCEPTING)
        self._stop_accepting()
        self._wait(_NEGOTIATING)
        quiet = 0
        while quiet < _LOOKS:
            idle, busy = self._hurry(idle, busy)
            spent = time.monotonic() - began
            in_hand = self.desk.messages > 0 and spent < busy
            waiting = self.desk.sessions > 0 and spent < idle
            quiet = 0 if in_hand or waiting else quiet + 1
            self._wait(_LOOK)
        self.desk.finish()
        _log.info("worker left", slot=self.assignment.slot, sessions=self.desk.sessions, messages=self.desk.messages)
        os._exit(0)

    def _hurry(self, idle: float, busy: float) -> tuple[float, float]:
        """TERM, or another drain command, during the drain can only make it shorter."""
        if self._terminated():
            return min(idle, _TERM_IDLE), min(busy, self.assignment.settings.deadline)
        if self.orphan:
            return idle, busy
        try:
            packet = self.assignment.channel.receive()
        except ClosedError:
            self.orphan = True
            return idle, busy
        if packet is not None and packet.word == "ping":
            self._pong()
        if packet is not None and packet.word == "drain":
            return min(idle, float(packet.values["idle"])), min(busy, float(packet.values["busy"]))
        return idle, busy

    def _wait(self, seconds: float) -> None:
        select.select([], [], [], seconds)

    def _stop_accepting(self) -> None:
        """Put an idle socket over the listening descriptor: libmilter finds nothing to accept, and says nothing.

        It waits in poll(2), which keeps the old socket open for seconds, and what connects there waits in vain. So the
        supervisor is told: once no worker listens, it shuts the socket down (front/listener.py).
        """
        idle = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        idle.bind("")  # Linux gives it an abstract name of its own
        idle.listen(1)
        sys.setswitchinterval(_STEP)  # what connects between this and the next line is lost
        os.dup2(idle.fileno(), self.assignment.listener.descriptor, inheritable=False)
        self.assignment.channel.send("deaf")
