"""Alertmanager, by its API v2: not notifications but what stands, again and again, as it expects of its clients.

Promises: the state is posted at once when it changes and every RESEND while it does not, so an Alertmanager that was
away, or was restarted, knows it within a minute; each alert carries an `endsAt` a few rounds ahead, so that a machine
that dies does not leave alerts standing. Ended ones are posted for a while with the time of their end. Nothing has to
be spooled. More than MANY lesser alerts become one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from tidegate.alerts.book import Alert
from tidegate.alerts.channel import FAILING, FIRST, LONGEST, Tally
from tidegate.alerts.notice import Notice, stamp
from tidegate.alerts.plan import ChannelPlan
from tidegate.alerts.posting import UndeliveredError, post
from tidegate.alerts.senders import bearer, encoded
from tidegate.model import Severity

RESEND = 60.0  # seconds
ROUNDS = 4  # of RESEND after which an alert that is not repeated ends by itself, as Prometheus does it
MANY = 50
_API = "/api/v2/alerts"

_log = structlog.get_logger()


class Alertmanager:
    """A channel that mirrors the book."""

    def __init__(self, plan: ChannelPlan, host: str, clock: Callable[[], float] = time.time) -> None:
        self.plan = plan
        self.tally = Tally()
        self._url = plan.target[0] if plan.target[0].endswith(_API) else plan.target[0].rstrip("/") + _API
        self._host = host
        self._clock = clock
        self._news = threading.Event()
        self._test: tuple[Notice, int] | None = None
        self._standing: Sequence[Alert] = ()
        self._ended: Sequence[Alert] = ()
        self._failures = 0

    def start(self) -> None:
        threading.Thread(target=self._work, name=f"channel-{self.plan.name}", daemon=True).start()

    def offer(self, notice: Notice, now: float) -> None:
        """Single notifications are nothing to it."""

    def mirror(self, standing: Sequence[Alert], ended: Sequence[Alert]) -> None:
        """From now on this stands."""
        if (standing, ended) != (self._standing, self._ended):
            self._standing, self._ended = standing, ended
            self._news.set()

    def test(self, notice: Notice, number: int) -> None:
        self._test = notice, number
        self._news.set()

    def waiting(self) -> int:
        return 0

    def trouble(self, now: float) -> str:
        return self.tally.error if self.tally.failing and now - self.tally.failing >= FAILING else ""

    def _work(self) -> None:
        while True:
            pause = self.step()
            self._news.wait(pause)
            self._news.clear()

    def step(self) -> float:
        """Post what stands; seconds until the next post."""
        asked, self._test = self._test, None
        if asked is not None:
            self._try_test(*asked)
        now = self._clock()
        alerts = self.documents(now)
        if not alerts:
            self._failures, self.tally.error, self.tally.failing = 0, "", 0.0
            return RESEND
        error = self._post(alerts)
        if error:
            self._failures += 1
            self.tally.failed += 1
            self.tally.failing = self.tally.failing or now
            if self._failures == 1:
                _log.warning("notification not delivered", channel=self.plan.name, error=error)
            self.tally.error = error
            return float(min(LONGEST, FIRST * 2 ** min(self._failures - 1, 10)))
        self.tally.delivered += 1
        self._failures, self.tally.error, self.tally.failing, self.tally.succeeded = 0, "", 0.0, now
        return RESEND

    def _post(self, alerts: Sequence[Mapping[str, Any]]) -> str:
        try:
            post(self._url, encoded(alerts), self.plan.timeout, bearer(self.plan))
        except UndeliveredError as error:
            return str(error)
        return ""

    def _try_test(self, notice: Notice, number: int) -> None:
        began, now = time.monotonic(), self._clock()
        labels = {"alertname": "tidegate-test", "severity": "warning", "instance": self._host}
        document = _entry(labels, {"summary": str(notice.values["text"])}, now, now + RESEND)
        error = self._post([document])
        self.tally.test = {"number": number, "error": error, "said": "", "seconds": round(time.monotonic() - began, 3)}

    def documents(self, now: float) -> list[dict[str, Any]]:
        """What is posted."""
        least = self.plan.severity
        standing = [alert for alert in self._standing if alert.severity >= least]
        grave = [alert for alert in standing if alert.severity >= Severity.CRITICAL]
        lesser = [alert for alert in standing if alert.severity < Severity.CRITICAL]
        ends = now + ROUNDS * RESEND
        made = [self._document(alert, ends) for alert in grave]
        if len(lesser) > MANY:
            labels = {"alertname": "tidegate-many-alerts", "severity": "error", "instance": self._host}
            text = {"summary": f"{len(lesser)} alerts stand; see `tidegate alerts`"}
            made.append(_entry(labels, text, min(alert.since for alert in lesser), ends))
        else:
            made += [self._document(alert, ends) for alert in lesser]
            ended = [alert for alert in self._ended if alert.severity >= least]
            made += [self._document(alert, alert.ended) for alert in ended[-MANY:]]
        return made

    def _document(self, alert: Alert, ends: float) -> dict[str, Any]:
        labels = {
            "alertname": f"tidegate-{alert.code}",
            "severity": alert.severity.name.lower(),
            "subject": alert.subject,
            "key": alert.key,
            "instance": self._host,
        }
        text = {
            "summary": f"{alert.place}: {alert.message}",
            "cure": alert.cure,
            "place": str(alert.place),
            "count": str(alert.count),
            "times": str(alert.times),
        }
        return _entry(labels, text, alert.since, max(ends, alert.since))


def _entry(labels: Mapping[str, str], annotations: Mapping[str, str], starts: float, ends: float) -> dict[str, Any]:
    filled = {name: value for name, value in annotations.items() if value}
    return {"labels": dict(labels), "annotations": filled, "startsAt": stamp(starts), "endsAt": stamp(ends)}
