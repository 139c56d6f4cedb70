"""What the clerk knows and does, one call at a time: looks at the sources, hears the supervisor, reports.

Refuses: waiting, and its own life as a process (process.py).
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import structlog

from tidegate.alerts import Debt
from tidegate.alerts.teller import Teller
from tidegate.channel import Channel, Packet, content
from tidegate.clerk.follow import Followed
from tidegate.clerk.metrics import Metrics
from tidegate.clerk.poller import Poller
from tidegate.clerk.watch import Watch
from tidegate.ledger import tend
from tidegate.live import brakefile
from tidegate.loader.releases import home_of
from tidegate.loader.sources import Digester
from tidegate.observe.counters import Counters
from tidegate.observe.logs import STDERR, Writer
from tidegate.observe.metrics import Gauges
from tidegate.replay import Keeper
from tidegate.replicas.keeper import ListKeeper, Put, keeper_of
from tidegate.replicas.mirror import Wanted
from tidegate.revisions import Node
from tidegate.settings import Settings
from tidegate.store.tending import Tender

_DEAF = 10.0  # seconds of silence after which the supervisor counts as stuck
_TEND = 3600.0  # seconds between two looks for what is too old in the exposure ledger

_log = structlog.get_logger()


@dataclass(slots=True)
class Clerk:
    """The process's state. The metrics thread only reads `gauges` (one assignment each)."""

    channel: Channel
    settings: Settings
    counters: Counters
    writer: Writer
    gauges: Gauges = field(default_factory=Gauges)
    lists: tuple[str, ...] = ()
    watch: Watch = field(default_factory=Watch)
    digester: Digester = field(default_factory=Digester)
    metrics: Metrics | None = None
    told: str | None = None
    heard: float = field(default_factory=time.monotonic)
    tended: float = -_TEND
    untended: str = ""
    braked: brakefile.Found | None = None
    poller: Poller | None = None
    followed: Followed | None = None
    teller: Teller = field(init=False)
    keeper: Keeper = field(init=False)
    unkept: str = ""  # what the supervisor was told of the replay store
    reported: Mapping[str, Any] = field(default_factory=dict)
    list_keeper: ListKeeper | None = field(init=False)
    tender: Tender = field(init=False)

    def __post_init__(self) -> None:
        self.tender = Tender(self.settings.state)
        plan = self.settings.alerts
        self.keeper = Keeper(self.settings.state, self.settings.replay, self.settings.replay_size)
        # What goes to standard error is in the journal already.
        self.teller = Teller(replace(plan, syslog=plan.syslog and self.settings.log != STDERR), self.settings.state)
        self.list_keeper = keeper_of(self.settings, self.channel)

    def learn(self, known: Mapping[str, Any]) -> None:
        """What was loaded: its digest, its list files, the gauges with the counter columns."""
        self.watch.loaded = str(known["digest"])
        self.lists = tuple(map(str, known["lists"]))
        self.gauges = Gauges(**known["gauges"])

    def counted(self) -> Gauges:
        """What the metrics show beside the counters."""
        return replace(self.gauges, channels=self.teller.counts())

    def hears(self, now: float) -> bool:
        """Has the supervisor said something lately? It does so every second."""
        return now - self.heard < _DEAF

    def hear(self, packet: Packet) -> None:
        self.heard = time.monotonic()
        match packet.word:
            case "ping":
                self.channel.send("pong")
                self.report()
            case "reopen":
                self.writer.reopen()
            case "watch":
                self.learn(json.loads(content(packet.descriptors[0])))
            case "pulse":
                fresh = Gauges(**packet.values["gauges"])
                self.gauges = replace(fresh, columns=self.gauges.columns)
                self.teller.heartbeat.pulse({"generation": fresh.generation, "workers": fresh.workers})
            case "alerts":
                self.teller.news(json.loads(content(packet.descriptors[0])))
            case "debt":
                self.teller.owe(Debt(**packet.values))
            case "want" | "confirm-list" | "put":
                self._lists(packet)
            case "node" | "accept" | "back" if self.poller:
                self._revision(self.poller, packet)
            case "test":
                self.teller.test(int(packet.values["number"]))
        for descriptor in packet.descriptors:
            os.close(descriptor)

    def _revision(self, poller: Poller, packet: Packet) -> None:
        """What concerns the policy in Redis is the poller's."""
        match packet.word:
            case "node":
                poller.tell(_node(packet.values))
            case "accept":
                poller.accept()
            case "back":
                poller.back(int(packet.values["number"]))

    def _lists(self, packet: Packet) -> None:
        """What concerns live lists is their keeper's; without Redis there is none."""
        if self.list_keeper is None:
            return
        values = packet.values
        match packet.word:
            case "want":
                self.list_keeper.want(
                    Wanted(str(name), str(form), bool(allows)) for name, form, allows in values["lists"]
                )
            case "confirm-list":
                self.list_keeper.confirm(str(values["name"]))
            case "put":
                self.list_keeper.put(Put(**values))

    def report(self) -> None:
        """Tell the supervisor of the channels, where something is new."""
        fresh = self.teller.report()
        if fresh != self.reported and self.channel.send("channels", **fresh):
            self.reported = fresh

    def look(self, now: float) -> bool:
        """One poll of the sources, and of the metrics address while it can't be had. False: a change is under way."""
        self._look_at_the_sources(now)
        self._look_at_the_brake()
        if self.settings.metrics_port and self.metrics is None:
            self._open_metrics()
        self._tend(now)
        self._keep()
        self.tender.look(now)
        return self.watch.steady

    def _look_at_the_sources(self, now: float) -> None:
        above = self.poller.found.row if self.poller else ""
        digest = self.digester.digest(home_of(self.settings.policies, time.time()).path, self.lists, above)
        if self.watch.look(digest, now, self.digester.files):
            self.channel.send("candidate", digest=digest)

    def hear_redis(self, now: float) -> None:
        """The poller has found something: tell the supervisor, and have a new revision loaded at once."""
        assert self.poller is not None
        before, found = self.followed, self.poller.found
        if found != before and self.channel.send("redis", **asdict(found)):
            self.followed = found
        if before is None or before.row != found.row:
            self._look_at_the_sources(now)

    def _tend(self, now: float) -> None:
        """The exposure ledger: its bounds at every poll, its retention from time to time."""
        due = now - self.tended >= _TEND
        try:
            tend(self.settings.state, time.time() - self.settings.exposure, due=due)
        except OSError as error:
            why = error.strerror or str(error)
        else:
            why = ""
            self.tended = now if due else self.tended
        if why and why != self.untended:
            _log.error("exposure ledger not tended", error=why)
        self.untended = why

    def _keep(self) -> None:
        """The replay store: its bounds, and whether it can be kept."""
        error = self.keeper.look(time.time())
        if error != self.unkept and self.channel.send("replay", error=error):
            self.unkept = error

    def _look_at_the_brake(self) -> None:
        """Tell the brake file where it is not what it was; one that is too long is told as an error."""
        found = brakefile.find(self.settings.state)
        if found != self.braked and self.channel.send("brake", **asdict(found)):
            self.braked = found

    def _open_metrics(self) -> None:
        error = ""
        try:
            host, port = self.settings.metrics_host, self.settings.metrics_port
            self.metrics = Metrics(host, port, self.counters, self.counted, self.hears)
            threading.Thread(target=self.metrics.serve_forever, name="metrics", daemon=True).start()
        except OSError as failure:
            error = f"{self.settings.metrics_host}:{self.settings.metrics_port}: {failure.strerror or failure}"
        if error != self.told:
            self.channel.send("metrics", error=error)
            self.told = error


def _node(values: Mapping[str, Any]) -> Node:
    """As the supervisor sent it: what JSON made lists of are tuples again."""
    lists = {name: tuple(values[name]) for name in ("words", "troubled")}
    return Node(**{**values, **lists})
