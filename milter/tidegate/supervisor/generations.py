"""What becomes of a load: a new generation for the workers where its content is new, the report in any case."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import structlog

import tidegate
from tidegate.channel import memory, seal
from tidegate.live.restraints import By
from tidegate.loader.report import Report
from tidegate.model import EntryState, Problem
from tidegate.observe.counters import Counters, RuleColumns
from tidegate.observe.metrics import Gauges
from tidegate.supervisor.canary import Canaries, Course, End
from tidegate.supervisor.crew import Crew
from tidegate.supervisor.handover import Handover
from tidegate.supervisor.loads import Loads, Outcome
from tidegate.supervisor.picture import Picture
from tidegate.worker import Offer

_log = structlog.get_logger()


def _nobody(_number: int, _report: Report) -> None:
    """Nobody wants to know."""


@dataclass(slots=True)
class Generations:
    """The newest generation and where it is announced."""

    counters: Counters
    picture: Picture
    handover: Handover
    clerk: Crew
    loads: Loads
    stage: Callable[[], str]
    canaries: Canaries
    columns: RuleColumns = field(default_factory=RuleColumns)
    highest: int = 0  # number of a generation that there was
    arriving: Callable[[int, Report], None] = _nobody  # is told before the workers are

    def __post_init__(self) -> None:
        self.picture.parts["totals"] = self._totals
        self.canaries.promoted = self._load_again

    def _load_again(self) -> None:
        """A load that runs takes the texts of what was for all until now for the last valid ones."""
        if self.loads.busy:
            self.loads.ask()

    def _totals(self) -> dict[str, Any]:
        """What was counted since the start, of all workers."""
        totals = self.counters.totals()
        return {
            **{event.value: count for event, count in totals.events.items()},
            "verdicts": {disposition.name.lower(): count for disposition, count in totals.verdicts.items()},
            "errors": {kind.value: count for kind, count in totals.errors.items() if count},
        }

    def failed(self, outcome: Outcome) -> tuple[Problem, ...]:
        """A load came to nothing: one line, and the clerk. Returns the problems that stand now."""
        report = outcome.report
        problems = (*outcome.problems, *(report.problems if report else self.picture.report.problems))
        if report:
            self.picture.read(report)
        reasons = [problem.message for problem in (*outcome.problems, *(report.problems if report else ()))]
        _log.error("load failed", generation=self.picture.number, reasons=reasons[:5], deaths=outcome.deaths)
        self._tell_clerk(report.sources_digest if report else "", report.lists if report else ())
        return problems

    def refused(self, outcome: Outcome) -> tuple[Problem, ...]:
        """A load came to a generation that must not go live: what is in force stays. Returns its problems."""
        assert outcome.report is not None
        report = outcome.report
        self.canaries.stop(End.REPLACED)
        self.highest = max(self.highest, report.number)
        self.picture.read(report)
        _log.error("generation refused", generation=report.number, digest=report.digest[:16])
        self._tell_clerk(report.sources_digest, report.lists)
        return report.problems

    def arrived(self, outcome: Outcome, at_once: bool = False) -> tuple[Problem, ...]:
        """A load came to a generation: offer it where it is new, log one line, tell the clerk.

        `at_once`: for all, without a trial. Returns the problems that stand now.
        """
        assert outcome.report is not None
        report = outcome.report
        self.picture.read(report)
        self.picture.loaded = time.time()
        urgent = outcome.urgent or report.urgent
        course = self.canaries.course(report, urgent, at_once)
        if course is Course.FORCE:
            self.canaries.acceptance.loaded(report)
            self.take(report, outcome.image)
            if urgent:
                self.canaries.skipped(self.picture.number, report.digest, urgent)
        elif course is Course.TRY:
            self.canaries.begin(self._offer(self._number(report), report, outcome.image), report)
        elif self.picture.trial is None:
            self.canaries.acceptance.loaded(report)
            self.picture.report = report
        _log.info(
            "policies unchanged" if course is Course.STAY else "policies loaded",
            generation=self.canaries.attempt.number if self.picture.trial else self.picture.number,
            digest=report.digest[:16],
            milliseconds=round(outcome.seconds * 1000),
            loader_milliseconds=round(report.milliseconds),
            problems=len(report.problems),
            deaths=outcome.deaths,
            **{key: count for key, count in report.counts.items() if count},
        )
        self._tell_clerk(report.sources_digest, report.lists)
        return report.problems

    def take(self, report: Report, image: int) -> None:
        """From now on this is in force for all. `image` stays the caller's."""
        self.canaries.stop(End.REPLACED)
        picture = self.picture
        picture.number, picture.report, picture.since = self._number(report), report, time.time()
        self.handover.propose(self._offer(picture.number, report, image))

    def _number(self, report: Report) -> int:
        """Two generations of one number would be one to the workers: the loader's number is not believed blindly."""
        number = report.number
        if number in (self.picture.number, self.canaries.attempt.number):
            number = self.highest + 1
        self.highest = max(self.highest, number)
        return number

    def _offer(self, number: int, report: Report, image: int) -> Offer:
        self.columns.allot(report.rules, self.counters)
        seal(image)
        self.arriving(number, report)
        columns = memory("tidegate-columns", json.dumps(self.columns.columns).encode())
        return Offer(number, report.digest, os.dup(image), columns)

    def announce(self) -> None:
        """Tell the clerk what serves although no load has ended."""
        self._tell_clerk(self.picture.desired, ())

    def watch(self) -> dict[str, Any]:
        """What a new clerk has to know: what was loaded, and for the metrics."""
        report = self.picture.trial or self.picture.report
        return {
            "digest": self.picture.desired,
            "lists": list(report.lists),
            "gauges": asdict(self.gauges()),
        }

    def _tell_clerk(self, digest: str, lists: tuple[str, ...]) -> None:
        if not any(child.channel for child in self.clerk.alive):
            return
        known = {**self.watch(), "digest": digest}
        if lists:
            known["lists"] = list(lists)
        descriptor = memory("tidegate-watch", json.dumps(known).encode())
        for child in self.clerk.alive:
            if child.channel:
                child.channel.send_with((descriptor,), "watch")
        os.close(descriptor)

    def gauges(self) -> Gauges:
        """What the counters don't hold. A new clerk needs all of it at once: no total may go back, not for a second."""
        picture, crew = self.picture, self.handover.crew
        states = picture.states()
        found = picture.health(crew, self.stage())
        return Gauges(
            version=tidegate.__version__,
            generation=picture.number,
            loaded=picture.since,
            attempted=self.loads.attempted,
            problems=len(picture.problems),
            alerts=picture.alerts_by_code(),
            severities=picture.alerts_by_severity(),
            deferrals=picture.debt.messages,
            deferring_since=picture.debt.since,
            heartbeat=time.time(),
            entries={state.value: states.get(state.value, 0) for state in EntryState},
            workers=len(crew.alive),
            workers_current=sum(child.generation == picture.number for child in crew.alive),
            sessions=sum(child.sessions for child in crew.alive),
            restarts=crew.restarts,
            loads=self.loads.count,
            loads_failed=self.loads.failed,
            settings_last_good=picture.settings_last_good,
            eased={by.value: len(picture.holds.of(by)) for by in By},
            unready=found.unready,
            degraded=bool(found.degraded),
            rung=picture.standing.rung,
            proven=picture.standing.proven,
            proven_at=picture.standing.proven_at,
            quarantined=picture.standing.quarantined,
            columns=self.columns.columns,
            canary=self.canaries.attempt.number if self.canaries.attempt.runs else 0,
            canaries=dict(self.canaries.ends),
            revision=picture.report.revised.number,
            head=picture.head,
            redis=picture.redis_up,
        )

    def pulse(self) -> None:
        """Once a second: what changes without a load. No columns: they are the long part."""
        self.clerk.send("pulse", gauges=asdict(replace(self.gauges(), columns={})))

    def headline(self) -> str:
        """One line for systemd's status."""
        picture = self.picture
        if not picture.number:
            return "no policy loaded: all mail is deferred"
        states = ", ".join(f"{count} {state}" for state, count in sorted(picture.states().items()))
        trial = f", {picture.trial_number} on trial" if picture.trial else ""
        return f"generation {picture.number}{trial}: {states or 'no entries'}; {len(picture.book)} alerts"
