"""The clerk: looks at the policy sources every few seconds, tells of alerts, serves the metrics. It may block, or die.

Promises: a change is announced when two looks in a row see the same digests that differ from what was loaded, and
again every minute while they still differ, so that a lost announcement heals. Refuses: reading policies (the loader
does), deciding anything.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import socketserver
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from http.server import BaseHTTPRequestHandler
from typing import Any

import structlog

from tidegate.alerts import Debt
from tidegate.alerts.teller import Teller
from tidegate.channel import Channel, ClosedError, Packet, content
from tidegate.ledger import tend
from tidegate.live import brakefile
from tidegate.loader.sources import Digester
from tidegate.observe.counters import Counters
from tidegate.observe.logs import STDERR, Writer
from tidegate.observe.metrics import CONTENT_TYPE, Gauges, render
from tidegate.settings import Settings

_REMIND = 60.0  # seconds after which an unheeded announcement is repeated; doubles, for a load that keeps failing
_LONGEST = 3600.0
_DEAF = 10.0  # seconds of silence after which the supervisor counts as stuck
_SILENT = "the supervisor does not answer"
_TEXT = "text/plain; charset=utf-8"
_TEND = 3600.0  # seconds between two looks for what is too old in the exposure ledger
_SCRAPE = 5.0  # seconds that one scraper gets in all

_log = structlog.get_logger()


@dataclass(slots=True)
class Watch:
    """When is a change a candidate? Pure: digests and monotonic seconds come in."""

    loaded: str = ""
    steady: bool = False
    _last: str = ""
    _announced: str = ""
    _when: float = 0.0
    _times: int = 0

    def look(self, digest: str, now: float) -> bool:
        """One look; True where the supervisor should load."""
        self.steady, self._last = digest == self._last, digest
        if digest == self.loaded:
            self._announced = ""
            return False
        wait = min(_LONGEST, _REMIND * 2**self._times)
        if not self.steady or (digest == self._announced and now - self._when < wait):
            return False
        self._times = self._times + 1 if digest == self._announced else 0
        self._announced, self._when = digest, now
        return True


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
    metrics: _Metrics | None = None
    told: str | None = None
    heard: float = field(default_factory=time.monotonic)
    tended: float = -_TEND
    untended: str = ""
    braked: brakefile.Found | None = None
    teller: Teller = field(init=False)
    reported: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        plan = self.settings.alerts
        # What goes to standard error is in the journal already.
        self.teller = Teller(replace(plan, syslog=plan.syslog and self.settings.log != STDERR), self.settings.state)

    def learn(self, known: Mapping[str, Any]) -> None:
        """What was loaded: its digest, its list files, the gauges with the counter columns."""
        self.watch.loaded = str(known["digest"])
        self.lists = tuple(map(str, known["lists"]))
        self.gauges = Gauges(**known["gauges"])

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
            case "test":
                self.teller.test(int(packet.values["number"]))
        for descriptor in packet.descriptors:
            os.close(descriptor)

    def report(self) -> None:
        """Tell the supervisor of the channels, where something is new."""
        fresh = self.teller.report()
        if fresh != self.reported and self.channel.send("channels", **fresh):
            self.reported = fresh

    def look(self, now: float) -> bool:
        """One poll of the sources, and of the metrics address while it can't be had. False: a change is under way."""
        digest = self.digester.digest(self.settings.policies, self.lists)
        if self.watch.look(digest, now):
            self.channel.send("candidate", digest=digest)
        self._look_at_the_brake()
        if self.settings.metrics_port and self.metrics is None:
            self._open_metrics()
        self._tend(now)
        return self.watch.steady

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

    def _look_at_the_brake(self) -> None:
        """Tell the brake file where it is not what it was; one that is too long is told as an error."""
        found = brakefile.find(self.settings.state)
        if found != self.braked and self.channel.send("brake", **asdict(found)):
            self.braked = found

    def _open_metrics(self) -> None:
        error = ""
        try:
            self.metrics = _Metrics(self)
            threading.Thread(target=self.metrics.serve_forever, name="metrics", daemon=True).start()
        except OSError as failure:
            error = f"{self.settings.metrics_host}:{self.settings.metrics_port}: {failure.strerror or failure}"
        if error != self.told:
            self.channel.send("metrics", error=error)
            self.told = error


class _Metrics(socketserver.TCPServer):
    """One scrape at a time is enough; a scraper that stalls loses its turn."""

    allow_reuse_address = True

    def __init__(self, clerk: Clerk) -> None:
        settings = clerk.settings
        if ":" in settings.metrics_host:
            self.address_family = socket.AF_INET6
        self.clerk = clerk
        super().__init__((settings.metrics_host, settings.metrics_port), _Scrape)

    def handle_error(self, request: object, client_address: object) -> None:
        """A scraper that hangs up is not worth a trace."""


class _Scrape(BaseHTTPRequestHandler):
    server: _Metrics

    def setup(self) -> None:
        super().setup()
        # A timeout of the socket would begin anew with each byte of a scraper that drips.
        self._alarm = threading.Timer(_SCRAPE, self._cut)
        self._alarm.daemon = True
        self._alarm.start()

    def finish(self) -> None:
        self._alarm.cancel()
        super().finish()

    def _cut(self) -> None:
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it left by itself

    def do_GET(self) -> None:
        clerk = self.server.clerk
        match self.path.split("?")[0]:
            case "/metrics" | "/":
                gauges = replace(clerk.gauges, channels=clerk.teller.counts())
                self._answer(200, CONTENT_TYPE, render(clerk.counters, gauges))
            case "/livez":
                alive = clerk.hears(time.monotonic())
                self._answer(200 if alive else 503, _TEXT, "live\n" if alive else f"not live: {_SILENT}\n")
            case "/readyz":
                reasons = list(clerk.gauges.unready) if clerk.hears(time.monotonic()) else [_SILENT]
                self._answer(
                    503 if reasons else 200, _TEXT, f"not ready: {'; '.join(reasons)}\n" if reasons else "ready\n"
                )
            case _:
                self.send_error(404)

    def _answer(self, code: int, kind: str, text: str) -> None:
        page = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *arguments: object) -> None:
        """Scrapes are not news."""


def run_clerk(
    channel: Channel, settings: Settings, counters: Counters, writer: Writer, known: Mapping[str, Any]
) -> None:
    """The clerk's whole life, in its own process; it ends when the supervisor does. Never returns."""
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    status = 70
    try:
        os.setpgid(0, 0)
        clerk = Clerk(channel, settings, counters, writer)
        clerk.learn(known)
        clerk.teller.news(known["alerts"])
        clerk.teller.start()
        _serve(clerk)
        status = 0
    except BaseException as error:  # noqa: BLE001 - the process boundary: logged here, replaced by the supervisor
        _log.error("clerk fault", exc_info=error)
    finally:
        os._exit(status)


def _serve(clerk: Clerk) -> None:
    due = time.monotonic()
    while True:
        now = time.monotonic()
        if now >= due:
            poll = clerk.settings.poll
            # The second look at a change comes soon: what is still being written changes within a second.
            due = now + (poll if clerk.look(now) else min(poll, 1.0))
        ready, _, _ = select.select([clerk.channel], [], [], max(0.0, due - time.monotonic()))
        if ready:
            try:
                packet = clerk.channel.receive()
            except ClosedError:
                return  # the supervisor is gone
            if packet:
                clerk.hear(packet)
