"""The soak of the generation in force, and its way onto the proven record.

Promises: what is proven served all messages of all workers for the wanted time, undisturbed (live/soak.py decides); its
image is written in a child. Refuses: proving what did not come from the policies on disk, or what a brake eases.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import structlog

import tidegate
from tidegate import patterns
from tidegate.channel import content
from tidegate.live import proven, soak
from tidegate.loader.confine import Confined, Death
from tidegate.loader.report import Report, encode
from tidegate.observe.counters import Counters
from tidegate.supervisor.crew import Crew
from tidegate.supervisor.ladder import Ladder, Rung

_KEEP = "keep"
_LOOK = 1.0  # seconds

_log = structlog.get_logger()


def _never() -> bool:
    return False


@dataclass(slots=True)
class Soaking:
    """One daemon's. `eased`: is something braked or tripped now?"""

    ladder: Ladder
    counters: Counters
    workers: Crew
    wanted: soak.Wanted
    eased: Callable[[], bool] = _never
    period: soak.Period | None = None
    _looked: float = 0.0
    _rules: tuple[Report, str] | None = None
    _failed: float = 0.0  # monotonic seconds of the last try that did not reach the disk

    def tick(self, now: float) -> None:
        """Once a second: how far is it?"""
        if now - self._looked < _LOOK:
            return
        self._looked = now
        seen = self._look()
        if seen is None:
            return
        self.period = soak.follow(self.period, seen, now)
        if not soak.proven(self.period, seen, self.wanted, now) or self._on_record(seen.rules):
            return
        if not self.ladder.errands.busy(_KEEP) and (not self._failed or now - self._failed > self.wanted.seconds):
            self._keep(seen.rules, now)

    def _look(self) -> soak.Seen | None:
        """None while the workers differ, and where what serves is not what is on disk."""
        picture = self.ladder.generations.picture
        crew = self.workers.alive
        current = crew and all(child.generation == picture.number for child in crew)
        if not current or not picture.number or self.ladder.rung is not Rung.CANDIDATE:
            return None
        if self._rules is None or self._rules[0] is not picture.report:
            self._rules = (picture.report, soak.rules_digest(picture.report.entries))
        messages = sum(self.counters.totals().verdicts.values())
        return soak.Seen(self._rules[1], messages, self.workers.restarts, self.eased())

    def _on_record(self, rules: str) -> bool:
        """Does the record hold it already, or a recent state of the lists with the same rules?"""
        if not self.ladder.known:
            return False
        newest = self.ladder.known[0]
        same = newest.digest == self.ladder.generations.picture.report.digest and newest.engine == patterns.version()
        recent = newest.rules == rules and 0 <= time.time() - newest.proven < self.wanted.seconds
        return same or recent

    def _keep(self, rules: str, now: float) -> None:
        generations, state = self.ladder.generations, self.ladder.state
        picture, offer = generations.picture, generations.handover.offer
        if offer is None or offer.number != picture.number:
            return
        report, image = picture.report, os.dup(offer.image)
        head = proven.Proven(
            number=picture.number,
            digest=report.digest,
            sources=report.sources_digest,
            rules=rules,
            release=tidegate.__version__,
            engine=patterns.version(),
            since=picture.since,
            proven=time.time(),
        )

        def work(_child: Confined) -> None:
            proven.keep(state, head, encode(replace(report, problems=())), content(image))

        def done(_child: Confined, death: Death | None) -> None:
            self._failed = now if death else 0.0
            text = f"generation {head.number} passed its soak and can't be put on record: {death.text}" if death else ""
            self.ladder.conditions.judge("proven-unwritable", text)
            self.ladder.known = proven.known(state)
            if not death:
                _log.info("generation proven", generation=head.number, digest=head.digest[:16])

        try:
            self.ladder.errands.start(_KEEP, work, done, spare=3 * os.fstat(image).st_size)
        except OSError as error:
            self._failed = now
            text = f"no process is to be had to put generation {head.number} on record: {error.strerror}"
            self.ladder.conditions.raise_("proven-unwritable", text)
        finally:
            os.close(image)

    def document(self, now: float) -> dict[str, Any]:
        """For the status: how far the soak is."""
        picture, period = self.ladder.generations.picture, self.period
        begun = period is not None and self.ladder.rung is Rung.CANDIDATE
        messages = sum(self.counters.totals().verdicts.values())
        return {
            "proven": any(one.digest == picture.report.digest for one in self.ladder.known),
            "seconds": now - period.since if begun and period else 0.0,
            "messages": messages - period.messages if begun and period else 0,
            "wanted_seconds": self.wanted.seconds,
            "wanted_messages": self.wanted.messages,
        }
