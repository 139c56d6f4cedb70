"""A new generation is tried on a share of the senders first: begun here, watched, and ended in one of a few ways.

Promises: at most one is on trial, and the newest wins; whatever becomes of it, the generation for all stays until
another one has earned its place; the end is logged, shown in the status, and an alert where it did harm. What differs
in list items alone, what a person declares urgent, and the first generation of a daemon are not tried.
Refuses: deciding by numbers (live/compare.py), handing out (handover.py).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

import structlog

from tidegate.channel import Packet, memory
from tidegate.live import write_interrupted
from tidegate.live.compare import Judgement, Seen, Step, Wanted, decide
from tidegate.loader.report import Report
from tidegate.observe.sides import BANKS, RULES, Outcome, Side, Sides
from tidegate.settings import Settings
from tidegate.supervisor.acceptance import Acceptance
from tidegate.supervisor.conditions import Conditions
from tidegate.supervisor.handover import Handover
from tidegate.supervisor.picture import Picture
from tidegate.worker import Offer, Trial

_LOOKS = 1.0  # seconds between two looks at the counts
_NAMED = 5  # rules that an alert names

_log = structlog.get_logger()


class Course(Enum):
    """What is to be done with a generation that was loaded."""

    FORCE = "for all at once"
    TRY = "a canary"
    STAY = "nothing new"


class End(str, Enum):
    """How a canary ended."""

    WAITING = "waiting"  # it has not
    PROMOTED = "promoted"
    UNPROVEN = "unproven"  # promoted without enough data
    URGENT = "urgent"  # promoted, or never begun, because a person said so
    ABANDONED = "abandoned"
    REPLACED = "replaced"  # by a newer one
    REVERTED = "reverted"  # what is for all stands in the files again


_FOR_ALL = (End.PROMOTED, End.UNPROVEN, End.URGENT)
_ENDS = {Step.PROMOTE: End.PROMOTED, Step.UNPROVEN: End.UNPROVEN}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One canary, for the status. Times are POSIX seconds; 0: never."""

    number: int = 0  # of the generation on trial; 0: there was none since the start
    digest: str = ""
    beside: int = 0  # the generation for all
    share: float = 0.0  # percent
    since: float = 0.0
    ended: float = 0.0
    end: End = End.WAITING
    reason: str = ""
    rules: tuple[str, ...] = ()  # that did the harm, the worst first
    old: Side = field(default_factory=Side)
    new: Side = field(default_factory=Side)

    @property
    def runs(self) -> bool:
        """Is it on trial now?"""
        return self.number > 0 and self.end is End.WAITING

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "runs": self.runs,
            "number": self.number,
            "digest": self.digest,
            "beside": self.beside,
            "share": self.share,
            "since": self.since,
            "ended": self.ended,
            "outcome": self.end.value if self.number else "",
            "reason": self.reason,
            "rules": list(self.rules),
            "seen": self.new.of(Outcome.JUDGED).messages,
            "compared": {"canary": _document(self.new), "beside": _document(self.old)},
        }


def _document(side: Side) -> dict[str, Any]:
    counts = {
        outcome.value: {"messages": side.of(outcome).messages, "senders": side.of(outcome).senders}
        for outcome in Outcome
    }
    return {**counts, "seconds": round(side.seconds, 3)}


class Canaries:
    """Those of one daemon, one after the other."""

    def __init__(
        self, settings: Settings, sides: Sides, picture: Picture, handover: Handover, conditions: Conditions
    ) -> None:
        self._share = settings.canary_share
        self._wanted = Wanted(settings.canary_time, settings.canary_messages, settings.canary_longest)
        self._sides = sides
        self._picture = picture
        self._handover = handover
        self._conditions = conditions
        self.quarantine: Callable[[str, str], None] = lambda _digest, _why: None  # by digest, and why
        self.begun: Callable[[], None] = lambda: None  # is told that one begins beside what is for all
        self.promoted: Callable[[], None] = lambda: None  # is told that another generation is for all
        self.acceptance = Acceptance(settings.state, conditions)
        self.attempt = Attempt()
        self.ends: dict[str, int] = {}  # how often each end was
        self._report = Report()  # of the one on trial
        self._counted: tuple[str, ...] = ()  # rules by column
        self._bank = 0
        self._harmful = False  # was the last one given up for what it did?
        self._began = self._looked = 0.0  # monotonic seconds
        self._restarts = 0
        self._state = settings.state
        self._recorded: str | None = None  # unknown: an earlier daemon may have left one
        picture.parts["canary"] = self.document

    # ── a load brought this ──────────────────────────────────────────────────────────────────────────────────

    def course(self, report: Report, urgent: str, at_once: bool = False) -> Course:
        """What to do with it; a canary that it ends is ended here. `urgent`: why it must not wait; "": it may.

        `at_once`: there is nothing that it could be compared with.
        """
        course = self._course(report, urgent, at_once)
        if course is not Course.TRY and not self.attempt.runs:
            self._record("")
        return course

    def _course(self, report: Report, urgent: str, at_once: bool) -> Course:
        meant = False
        if self.attempt.end is End.ABANDONED:
            self._conditions.settle("canary-abandoned")
            # Out of the quarantine, by a person's word. What a worker could not use never was in it: it is tried again.
            meant = self._harmful and report.digest == self.attempt.digest
        in_force = self._picture.report
        if self.attempt.runs and report.digest == self.attempt.digest:
            self._report = self._picture.trial = report
            self.acceptance.loaded(report, on_trial=True)
            if urgent:
                self._end(End.URGENT, urgent)
            return Course.STAY
        if self._picture.number and report.digest == in_force.digest:
            self.stop(End.REVERTED)
            return Course.STAY
        alone = at_once or not self._picture.number or not self._share
        if alone or urgent or meant or report.form == in_force.form:
            self.stop(End.REPLACED)
            return Course.FORCE
        return Course.TRY

    def begin(self, offer: Offer, report: Report) -> None:
        """From now on a share of the senders gets it. One of the same form goes on with what the last one saw."""
        goes_on = self.attempt.runs and report.form == self._report.form
        if not goes_on:
            self.stop(End.REPLACED)
            self._bank = (self._bank + 1) % BANKS
            self._sides.clear(self._bank)
            self._began = time.monotonic()
            self._restarts = self._handover.crew.restarts
            self._counted = differing(report, self._picture.report)[:RULES]
            self.begun()
        since = self.attempt.since if goes_on else time.time()
        self._report = self._picture.trial = report
        self._picture.trial_number = offer.number
        self.attempt = Attempt(offer.number, offer.digest, self._picture.number, self._share, since)
        columns = {rule: column for column, rule in enumerate(self._counted)}
        plan = memory("tidegate-canary", json.dumps({"columns": columns, "expected": report.expected}).encode())
        self._record(self._picture.report.digest)
        self.acceptance.loaded(report, on_trial=True)
        self._handover.try_(Trial(offer, self._share, self._bank, plan))
        _log.info("canary begun", generation=offer.number, beside=self._picture.number, share=self._share)

    def skipped(self, number: int, digest: str, reason: str) -> None:
        """A person said that this one must not wait."""
        now = time.time()
        self.attempt = Attempt(number, digest, 0, 0.0, now, now, End.URGENT, reason)
        self._count(End.URGENT)
        _log.warning("canary skipped", generation=number, reason=reason)

    def stop(self, end: End) -> None:
        """Something else is to be in force, or on trial."""
        if self.attempt.runs:
            self._end(end, "")

    # ── meanwhile ────────────────────────────────────────────────────────────────────────────────────────────

    def tick(self, now: float) -> bool:
        """Look at the counts, and take the next step where it is time; True where the canary ended."""
        if not self.attempt.runs or now - self._looked < _LOOKS:
            return False
        self._looked = now
        self._look()
        deaths = self._handover.crew.restarts - self._restarts
        judgement = decide(Seen(self.attempt.old, self.attempt.new, now - self._began, deaths), self._wanted)
        if judgement.step is not Step.WAIT:
            if judgement.step is Step.ABANDON:
                self._give_up(judgement)
            else:
                self._end(_ENDS[judgement.step], judgement.reason)
        return not self.attempt.runs

    def refused(self, packet: Packet) -> bool:
        """A worker can't use a generation; True if it is the canary, which ends so."""
        if not self.attempt.runs or packet.values.get("number") != self.attempt.number:
            return False
        why = f"a worker can't use it: {packet.values.get('why', '')}"
        self._give_up(Judgement(Step.ABANDON, why), harmful=False)
        return True

    def _look(self) -> None:
        old, new = self._sides.read(self._bank)
        self.attempt = replace(self.attempt, old=old, new=new)

    def _give_up(self, judgement: Judgement, harmful: bool = True) -> None:
        rules = self._culprits() if harmful else ()
        self.attempt, self._harmful = replace(self.attempt, rules=rules), harmful
        blamed = f"; the rules that differ and did it: {', '.join(rules[:_NAMED])}" if rules else ""
        why = f"{judgement.reason}{blamed}"
        if harmful:
            self.quarantine(self.attempt.digest, f"as a canary, {why}")
        self._end(End.ABANDONED, judgement.reason)
        text = f"generation {self.attempt.number} was given up as a canary: {why}"
        self._conditions.raise_("canary-abandoned", text)

    def _culprits(self) -> tuple[str, ...]:
        hits = sorted(zip(self.attempt.new.rules, self._counted, strict=False), reverse=True)
        return tuple(rule for count, rule in hits if count)

    def _end(self, end: End, reason: str) -> None:
        self._look()
        self.attempt = attempt = replace(self.attempt, end=end, reason=reason, ended=time.time())
        self._count(end)
        self._record("")
        picture = self._picture
        picture.trial = None
        if end in _FOR_ALL:
            picture.number, picture.report, picture.since = attempt.number, self._report, attempt.ended
            self.acceptance.promoted()
            self._handover.promote()
            self.promoted()
        else:
            self._handover.abandon()
        judged = attempt.new.of(Outcome.JUDGED)
        level = _log.error if end is End.ABANDONED else _log.info
        level(
            "canary ended",
            outcome=end.value,
            generation=attempt.number,
            beside=attempt.beside,
            reason=reason,
            rules=list(attempt.rules[:_NAMED]),
            messages=judged.messages,
            senders=judged.senders,
        )
        self._conditions.entries_changed()

    def document(self) -> dict[str, Any]:
        """For the status."""
        return self.attempt.document()

    def _record(self, beside: str) -> None:
        """So that a restart in the middle goes on beside what was for all."""
        if beside == self._recorded:
            return
        try:
            write_interrupted(self._state, beside)
            self._recorded = beside
        except OSError as error:
            _log.error("canary not recorded", error=error.strerror)

    def _count(self, end: End) -> None:
        self.ends[end.value] = self.ends.get(end.value, 0) + 1


def differing(report: Report, before: Report) -> tuple[str, ...]:
    """The rules that are new in `report`, or can answer otherwise than they did."""
    known: Mapping[str, str] = dict(zip(before.rules, before.faces, strict=False))
    return tuple(rule for rule, face in zip(report.rules, report.faces, strict=False) if known.get(rule) != face)
