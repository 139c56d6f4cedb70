"""Tells people: in the clerk, in threads of its own, never on the mail's way.

One thread looks at what stands, once a second and whenever the supervisor sends news; it makes notifications, puts
them into the channels' queues and writes the record. Each channel has a thread of its own. Promises: what was put
into a queue is in the record before anything is forgotten, so a crash repeats a notification (with the same id) rather
than losing it; a fault in one look is logged, and the next look goes on.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import structlog

from tidegate.alerts import journal, notice, record
from tidegate.alerts.alertmanager import Alertmanager
from tidegate.alerts.channel import Queue, Way
from tidegate.alerts.debt import Debt
from tidegate.alerts.heartbeat import Heartbeat
from tidegate.alerts.mail import MailSender
from tidegate.alerts.notice import Notice
from tidegate.alerts.plan import AlertSettings, ChannelPlan, Kind
from tidegate.alerts.record import State, document, from_document, state_from
from tidegate.alerts.schedule import Memory, Told, look
from tidegate.alerts.senders import Command, Webhook
from tidegate.alerts.spool import Spool

SPOOL = "notices"  # in the state directory, a folder for each channel
LOOK = 1.0  # seconds
DEBT = 30.0  # seconds between two records of nothing but deferrals that go on

_log = structlog.get_logger()


def host_of(plan: AlertSettings) -> str:
    """What notifications call this machine."""
    return plan.host or socket.gethostname() or "localhost"


def ways(plan: AlertSettings, state: Path) -> tuple[Way, ...]:
    """The channels of the settings."""
    return tuple(_way(one, state, host_of(plan)) for one in plan.channels)


def _way(plan: ChannelPlan, state: Path, host: str) -> Way:
    match plan.kind:
        case Kind.ALERTMANAGER:
            return Alertmanager(plan, host)
        case Kind.WEBHOOK:
            sender: Any = Webhook(plan)
        case Kind.EXEC:
            sender = Command(plan)
        case Kind.SENDMAIL:
            sender = MailSender(plan, state, host)
    return Queue(plan, sender, Spool(state / SPOOL / plan.name))


class Teller:
    """The one of this process. `news` and `test` may be called from any thread."""

    def __init__(self, plan: AlertSettings, state: str, clock: Callable[[], float] = time.time) -> None:
        self._plan = plan
        self._folder = Path(state)
        self._clock = clock
        self.ways = ways(plan, self._folder)
        self.heartbeat = Heartbeat(plan, host_of(plan))
        self.error = ""  # why the record can't be written
        self.unheard = 0  # notifications that neither journal nor syslog took
        self._state: State | None = None  # nothing is told before the supervisor has said what stands
        self._silenced: Mapping[str, float] = {}  # key: until when
        self._memory = _recalled(record.read(state))
        self._wake = threading.Event()
        self._changed = True
        self._recorded = Debt()
        self._wrote = 0.0

    def start(self) -> None:
        """Begin to tell."""
        for way in self.ways:
            way.start()
        self.heartbeat.start()
        threading.Thread(target=self._work, name="teller", daemon=True).start()

    def news(self, values: Mapping[str, Any]) -> None:
        """What stands now, from the supervisor."""
        self._silenced = {str(one["key"]): float(one["until"]) for one in values["silences"]}
        self._state = state_from(values)
        self._changed = True
        self._wake.set()

    def owe(self, debt: Debt) -> None:
        """What waits for us has changed, and nothing else."""
        state = self._state
        if state is not None:
            self._state = replace(state, debt=debt)

    def test(self, number: int) -> None:
        """A notification that says nothing, through every channel."""
        trial = notice.trial(number, host_of(self._plan), self._clock())
        for way in self.ways:
            way.test(trial, number)

    def _work(self) -> None:
        while True:
            try:
                self.step()
            except Exception as error:  # noqa: BLE001 - a bug must not keep people from hearing of the next alert
                _log.error("teller fault", exc_info=error)
            self._wake.wait(LOOK)
            self._wake.clear()

    def step(self) -> None:
        """One look."""
        state, now = self._state, self._clock()
        if state is None:
            return
        changed, self._changed = self._changed, False
        silenced = frozenset(key for key, until in self._silenced.items() if until > now)
        standing = tuple(state.book.values())
        ended = tuple(state.resting.values())
        found = look(standing, ended, silenced, self._memory, self._plan, now)
        host = host_of(self._plan)
        notices = [notice.single(item, host, state.debt, now) for item in found.single]
        notices += [notice.summary(items, host, now) for items in found.summaries]
        for one in notices:
            self._tell(one, now)
        for way in self.ways:
            if isinstance(way, Alertmanager):
                way.mirror(tuple(alert for alert in standing if alert.key not in silenced), ended)
        self._memory = found.memory
        if notices or changed or self.error or (state.debt != self._recorded and now - self._wrote >= DEBT):
            self._record(state, now)

    def _tell(self, one: Notice, now: float) -> None:
        for way in self.ways:
            way.offer(one, now)
        if self._plan.syslog and not journal.tell(one.values):
            self.unheard += 1

    def _record(self, state: State, now: float) -> None:
        self._recorded, self._wrote = state.debt, now
        memory = self._memory
        told = [{**asdict(one), "alert": document(one.alert)} for one in memory.told.values()]
        values = {**state.values(), "told": told, "recent": list(memory.recent), "summary": memory.summary}
        try:
            record.write(self._folder, values)
            self.error = ""
        except OSError as error:
            self.error = f"{self._folder / record.NAME}: {error.strerror}"

    def counts(self) -> dict[str, dict[str, int]]:
        """Numbers of each channel, for the metrics."""
        return {
            way.plan.name: {
                "delivered": way.tally.delivered,
                "failed": way.tally.failed,
                "dropped": way.tally.dropped,
                "waiting": way.waiting(),
            }
            for way in self.ways
        }

    def report(self) -> dict[str, Any]:
        """What the supervisor is told of the channels."""
        now = self._clock()
        return {
            "channels": [_report(way, now) for way in self.ways],
            "failing": "; ".join(f"{way.plan.name}: {why}" for way in self.ways if (why := way.trouble(now))),
            "unrecorded": self.error,
        }


def _report(way: Way, now: float) -> dict[str, Any]:
    return {
        "name": way.plan.name,
        "kind": way.plan.kind.value,
        "waiting": way.waiting(),
        **asdict(way.tally),
    }


def _recalled(values: Mapping[str, Any]) -> Memory:
    """What people know, from the record. Nothing, where there is no whole one: they are told once more."""
    try:
        told = [
            Told(from_document(one["alert"]), float(one["last"]), int(one["repeats"]), int(one["number"]))
            for one in values["told"]
        ]
        recent: Sequence[float] = tuple(map(float, values["recent"]))
        return Memory({one.alert.key: one for one in told}, tuple(recent), float(values["summary"]))
    except (KeyError, TypeError, ValueError):
        return Memory()
