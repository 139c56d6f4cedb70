"""The automatic brake: looks at the crowds each second, eases what hits too many, and takes a harmful generation back.

Promises: first what is refused becomes a deferral, in the workers at once and here for all of them, then, if the
generation is new and the rules that jump are new with it, the proven one comes back and this one is quarantined. A rule
that was there before never brings about the way back, nor does a doubt or a fault of ours: they are not counted. A rule
beyond its `expect` goes into shadow, alone. Refuses: rules with `brake: keep`, and what a person said is meant.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any

import structlog

from tidegate.live import soak
from tidegate.live.restraints import By, Hold
from tidegate.live.usual import Bounds, Trial, Usual, read_usual, write_usual
from tidegate.loader.report import Report
from tidegate.model import Disposition, Easing
from tidegate.observe.crowds import NEW, STEP, Crowds, step_of
from tidegate.settings import Settings
from tidegate.supervisor.boot import Booted
from tidegate.supervisor.canary import differing
from tidegate.supervisor.conditions import Conditions
from tidegate.supervisor.generations import Generations
from tidegate.supervisor.ladder import Ladder, Rung
from tidegate.supervisor.restrainer import Restrainer

EASED = 3600.0  # seconds for which a jump is eased, if it isn't over before
_MEASURED = 10.0  # seconds after which all senders are counted anew, where nobody is hit
LEFT = 120.0  # seconds for which messages in flight may still be judged by a generation that has left

_log = structlog.get_logger()


@dataclass(slots=True)
class Automatic:
    """One daemon's. All times are POSIX seconds."""

    booted: Booted
    generations: Generations
    restrainer: Restrainer
    conditions: Conditions
    ladder: Ladder
    usual: Usual = field(default_factory=Usual)
    _number: int = 0  # of the generation that is measured: the newest that workers have, maybe on trial
    _report: Report = field(default_factory=Report)
    _before: frozenset[str] = frozenset()  # what was new before a canary
    _names: dict[int, str] = field(default_factory=dict)  # the rule in each place
    _busy: set[int] = field(default_factory=set)  # places that hit somebody in these ten minutes
    _tried: frozenset[str] = frozenset()  # new rules that hit somebody under this generation
    _step: int = 0
    _looked: float = 0.0
    _left: str = ""  # digest of a generation that was taken back
    _rules: tuple[Report | None, str] = (None, "")  # soak.rules_digest of it
    _measured: float = 0.0

    def start(self) -> None:
        """Read what an earlier daemon knew, and be there when generations arrive."""
        self.usual, problems = read_usual(self.settings.state)
        for one in problems:
            self.conditions.raise_(one.code, one.message)
        # Whom rules stopped before is not known any more, so what was new and is not eased can't be measured as such.
        held = frozenset(one.rule for one in self.restrainer.of(By.AUTOMATIC))
        self.usual = replace(self.usual, fresh=self.usual.fresh & held)
        self.generations.arriving = self.arriving
        self._limit_all(time.time())

    @property
    def settings(self) -> Settings:
        return self.booted.settings

    @property
    def crowds(self) -> Crowds:
        return self.booted.crowds

    @property
    def _on(self) -> bool:
        return self.settings.brake != "off"

    @property
    def _bounds(self) -> Bounds:
        return Bounds(self.settings.brake_senders, self.settings.brake_share / 100)

    # ── generations ──────────────────────────────────────────────────────────────────────────────────────────

    def arriving(self, number: int, report: Report) -> None:
        """This generation is about to go to the workers, to all of them or on trial."""
        now = time.time()
        self._lifted(now)
        self._before = self.usual.fresh
        mine = self.usual.fresh | self.usual.blamed | report.hints.fresh
        if self.ladder.rung is not Rung.CANDIDATE:
            mine = frozenset()
        self.usual = replace(self.usual, fresh=mine & frozenset(report.rules))
        self._tried = frozenset()
        self.crowds.begin(number, step_of(now))
        self._measure(number, report, now)
        # What was eased because it was new: it is another now, or gone. Messages in flight still meet the one before.
        stays = self.usual.fresh - report.hints.changed
        self._shorten((one for one in self.restrainer.of(By.AUTOMATIC) if one.rule not in stays), now)
        self._shorten((one for one in self.restrainer.of(By.EXPECT) if one.rule in report.hints.changed), now)

    def _measure(self, number: int, report: Report, now: float) -> None:
        """From now on measure this generation."""
        columns = self.generations.columns.columns
        self._number, self._report, self.crowds.columns = number, report, columns
        self._names = {columns[rule]: rule for rule in report.rules if rule in columns}
        for place, rule in self._names.items():
            if rule in report.hints.changed:
                self.crowds.forget(place)
        self._limit_rules(now)
        self._limit_all(now)
        self._save()

    def _shorten(self, holds: Iterable[Hold], now: float) -> None:
        long = [one for one in holds if one.until > now + LEFT]
        self.restrainer.ease([replace(one, until=now + LEFT) for one in long], self.conditions)

    def _lifted(self, now: float) -> None:
        """Nothing is in quarantine any more: a person said that it is meant."""
        if self.usual.blamed and not self.ladder.quarantine_.barred:
            self.usual = self.usual.pardon(self.usual.blamed, now)

    def _returned(self, now: float) -> None:
        """A canary was given up, so the generation beside it is measured again; if for the harm that it did, its new
        rules are new whenever they come again."""
        picture = self.generations.picture
        if picture.trial is not None or picture.number == self._number:
            return
        gone = [one for one in self.restrainer.of(By.EXPECT) if one.rule in self._report.hints.fresh]
        if gone:
            self.restrainer.release(gone, self.conditions)
        harmful = self.ladder.quarantine_.digests & {self._report.digest}
        blamed = self.usual.blamed | (self._tried if harmful else frozenset())
        self.usual = replace(self.usual, fresh=self._before & frozenset(picture.report.rules), blamed=blamed)
        self._tried = frozenset()
        self._measure(picture.number, picture.report, now)
        self._shorten((one for one in self.restrainer.of(By.AUTOMATIC) if one.rule not in self.usual.fresh), now)

    def _limit_rules(self, now: float) -> None:
        for place, rule in self._names.items():
            self.crowds.limit(place, *self._limit(rule, now))

    def _limit(self, rule: str, now: float) -> tuple[int, int]:
        """The limit of a rule as the crowds take it: senders, and the ten minutes that count."""
        hints = self._report.hints
        expected = hints.expects.get(rule)
        if expected is not None and not self.usual.meant(rule, now):
            return expected.max_logins, ceil(expected.per / STEP)
        if not self._on or rule in hints.kept or rule in hints.exempting or self.usual.meant(rule, now):
            return 0, 0
        return (NEW if rule in self.usual.fresh else self.usual.limit(rule, now)), 0

    def _limit_all(self, now: float) -> int:
        every = self._bounds.every(self.crowds.seen(step_of(now)))
        self.crowds.limit_all(self._bounds.few, every)
        return every

    # ── time ─────────────────────────────────────────────────────────────────────────────────────────────────

    def tick(self, now: float) -> None:
        """Once a second: who was hit by what?"""
        if 0 <= now - self._looked < 1.0 or not self.generations.picture.number:
            return
        self._looked = now
        self._returned(now)
        self._deepen()
        places = self.crowds.touched()
        self._busy.update(places)
        every = 0
        if places or self.usual.fresh or not 0 <= now - self._measured < _MEASURED:
            self._measured = now
            every = self._limit_all(now)
        self._soaked(now)
        if self._step != step_of(now):
            self._learn(now)
        if places:
            self._look(places, now)
        if self.usual.fresh and self._on:
            self._try(every, now)
            self._leave_killers()

    def _soaked(self, now: float) -> None:
        """Are the rules proven by now? Then none of them is new."""
        report = self._report
        if not self.usual.fresh or not self.ladder.known or self.generations.picture.trial is not None:
            return
        if self._rules[0] is not report:
            self._rules = (report, soak.rules_digest(report.entries))
        newest = self.ladder.known[0]
        if newest.digest == report.digest or newest.rules == self._rules[1]:
            self.usual = self.usual.proven()
            self.crowds.settle(self._number)
            self._limit_rules(now)
            self._save()

    def _learn(self, now: float) -> None:
        """Ten minutes are over: what was hit in them is what is usual."""
        before, self._step = self._step, step_of(now)
        if not before and not self.usual.since:
            self.usual = replace(self.usual, since=now)
        if before:
            hits = {self._names[one]: self.crowds.hits(one, before, 2) for one in self._busy if one in self._names}
            hits[""] = self.crowds.stopped(self.generations.picture.number, before, 2)
            self.usual = self.usual.learned(now, hits, self._names.values())
            self.crowds.sweep(self._step, tuple(self._busy))
            self._busy.clear()
        self._limit_rules(now)
        self._save()

    # ── jumps ────────────────────────────────────────────────────────────────────────────────────────────────

    def _look(self, places: Iterable[int], now: float) -> None:
        """The rules that hit somebody: those beyond their `expect`, and old ones that jump."""
        number, hints = self._number, self._report.hints
        step = step_of(now)
        holds: list[Hold] = []
        tried: set[str] = set()
        for place in places:
            rule = self._names.get(place)
            if rule is None:
                continue
            expected = hints.expects.get(rule)
            if rule in self.usual.fresh and expected is None:
                tried.add(rule)
            elif self.crowds.over(rule, number, now) and expected is not None:
                count = self.crowds.hits(place, step, ceil(expected.per / STEP))
                text = f"it hit {count} senders in {_span(expected.per)}, and expects {expected.max_logins} at most"
                easing = Easing.SOFT if self._another_beside(rule) else Easing.SHADOW
                holds.append(Hold(rule, easing, By.EXPECT, text, now, now + expected.per))
                self.crowds.forget(place)
            elif self.crowds.over(rule, number, now):
                text = f"it hit {self.crowds.hits(place, step, 2)} senders in the last minutes, far more than usual"
                holds.append(Hold(rule, Easing.SOFT, By.AUTOMATIC, text, now, now + EASED))
        self._tried |= tried
        self._ease(holds)

    def _another_beside(self, rule: str) -> bool:
        """Is it on trial, and for all as it was? What that one stops must not pass because of what this one does."""
        picture = self.generations.picture
        trial, for_all = picture.trial, picture.report
        return trial is not None and rule in for_all.rules and rule in differing(trial, for_all)

    def _deepen(self) -> None:
        """What was only softened because it was on trial: it is for all now."""
        if self.generations.picture.trial is None:
            soft = [one for one in self.restrainer.of(By.EXPECT) if one.easing is Easing.SOFT]
            if soft:
                self.restrainer.ease([replace(one, easing=Easing.SHADOW) for one in soft], self.conditions)

    def _ease(self, holds: Iterable[Hold]) -> None:
        """Those that do not stand yet."""
        standing = self.restrainer.holds.all
        fresh = [one for one in holds if one.key not in standing]
        if fresh:
            self.restrainer.ease(fresh, self.conditions)

    def _try(self, every: int, now: float) -> None:
        """The rules that are new: ease them where they jump, and take the generation back where it does harm."""
        number = self._number
        trial = self._trial(number, every, now)
        self._try_beside(every, now)
        mine = [one for one in self.restrainer.of(By.AUTOMATIC) if one.rule in self.usual.fresh]
        if trial.over and mine:
            self.restrainer.release(mine, self.conditions)
        if not trial.jumps:
            return
        text = f"new with generation {number}, which stopped {trial.stopped} senders and let {trial.passed} pass"
        self._ease(Hold(rule, Easing.SOFT, By.AUTOMATIC, text, now, now + EASED) for rule in sorted(self._tried))
        if trial.harmful and self.settings.brake == "on" and self.generations.picture.trial is None:
            self._take_back(self._harm(trial))

    def _leave_killers(self) -> None:
        """A new rule that killed workers is not asked: all mail that it may concern would wait. Rather the way back."""
        picture = self.generations.picture
        killers = self.usual.fresh & picture.killers
        if killers and self.settings.brake == "on" and picture.trial is None and self._others():
            self._take_back(f"its new rules ({_named(killers)}) killed workers")

    def _trial(self, number: int, every: int, now: float) -> Trial:
        """How this generation's new rules do."""
        step = step_of(now)
        passed = self.crowds.outcome(number, Disposition.ACCEPT, step)
        return Trial(self.crowds.stopped_by_new(number, step), passed, self._bounds.few, every)

    def _try_beside(self, every: int, now: float) -> None:
        """A canary runs beside a generation that is new itself: that one's harm does not wait for the canary's end."""
        picture = self.generations.picture
        proven = any(one.digest == picture.report.digest for one in self.ladder.known)
        if picture.trial is None or not self._before or proven or self.settings.brake != "on":
            return
        trial = self._trial(picture.number, every, now)
        if trial.harmful:
            self._take_back(self._harm(trial))

    def _harm(self, trial: Trial) -> str:
        return (
            f"its new rules ({_named(self._tried)}) stopped {trial.stopped} senders, "
            f"and {trial.every} are the most that any may"
        )

    def _others(self) -> bool:
        """Is there a proven one to go back to?"""
        not_these = {self.generations.picture.report.digest, *self.ladder.quarantine_.digests}
        return any(one.digest not in not_these for one in self.ladder.known)

    def _take_back(self, why: str) -> None:
        """Back to what is proven, if there is anything: without a way back quarantine would leave nothing."""
        digest, others = self.generations.picture.report.digest, self._others()
        if digest == self._left or self.ladder.rung is not Rung.CANDIDATE:
            return
        self._left = digest
        _log.error("generation does harm", digest=digest[:16], reason=why, way_back=others)
        if others:
            self.usual = replace(self.usual, blamed=self.usual.blamed | self.usual.fresh)
            self._save()
            self.ladder.quarantine(digest, why)
        self.ladder.roll_back(why)

    # ── people ───────────────────────────────────────────────────────────────────────────────────────────────

    def pardon(self, rules: Iterable[str]) -> None:
        """A person let these rules go: they are not braked again for a day, and count from nothing."""
        now, wanted = time.time(), frozenset(rules)
        self.usual = self.usual.pardon(wanted, now)
        for place, rule in self._names.items():
            if rule in wanted:
                self.crowds.forget(place)
                self.crowds.limit(place, *self._limit(rule, now))
        if wanted & self.usual.fresh:
            self.crowds.settle(self._number)
        self._save()

    def _save(self) -> None:
        trouble = ""
        try:
            write_usual(self.settings.state, self.usual)
        except OSError as error:
            trouble = f"what is usual can't be recorded: {error.strerror}"
        self.conditions.judge("usual-unwritable", trouble)

    def document(self) -> dict[str, Any]:
        """For the status."""
        now, number = time.time(), self._number
        few, every = self.crowds.limits()
        return {
            "mode": self.settings.brake,
            "few": few,
            "every": every,
            "seen": self.crowds.seen(step_of(now)),
            "new_rules": len(self.usual.fresh),
            "stopped_by_new": self.crowds.stopped_by_new(number, step_of(now)),
            "meant": sorted(rule for rule in self.usual.pardoned if self.usual.meant(rule, now)),
        }


def _named(rules: Iterable[str]) -> str:
    return ", ".join(sorted(rules)[:5])


def _span(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h" if not minutes else f"{hours * 60 + minutes} min"
