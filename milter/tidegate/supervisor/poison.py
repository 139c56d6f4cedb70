"""Poison: the journal of the dead is read, culprits are named, rules are tripped, what stalls is killed.

Promises: a worker that dies in a judgement, or does not come back from one, leaves a line in the log that names the
rule, and a record on disk before its successor is forked; three such deaths make a culprit, which is then kept away
from the workers (live/culprits.py says how each is told apart, engine and front what it costs). The breaker of a rule
(live/breaker.py) opens, tries again and closes here, by a hold of its own: one for all senders, so it stands until no
worker has the text that was tripped. Refuses: judging mail.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import structlog

from tidegate.live import By, Hold, Watchlist
from tidegate.live.breaker import Breakers, Trip, Why, trip_document
from tidegate.live.culprits import DEATHS, Suspect, blame, recent, told_apart
from tidegate.live.deaths import Deaths, read_deaths, write_deaths
from tidegate.loader.report import Report
from tidegate.model import Easing, EntryKind
from tidegate.observe.counters import RuleColumns
from tidegate.observe.journal import Flight
from tidegate.supervisor.boot import Booted
from tidegate.supervisor.conditions import Conditions
from tidegate.supervisor.crew import Child, Crew, outcome
from tidegate.supervisor.picture import Picture
from tidegate.supervisor.restrainer import Restrainer

OVERDUE = 2.0  # seconds past the deadline after which a judgement is suspect
STALLED = 2.0  # seconds later it is still the same one: it stalls
_GENERATIONS = 8  # whose rule numbers are known: messages in flight keep the one they began with
_WORDS = {
    Why.FAILURES: "its evaluation failed over mail of several senders",
    Why.DEATHS: f"it killed workers over mail of several senders, {DEATHS} times within a day",
}

_log = structlog.get_logger()


class Poison:
    """What the supervisor knows of it. Times of the journal are monotonic seconds, all others POSIX."""

    def __init__(
        self, booted: Booted, workers: Crew, picture: Picture, restrainer: Restrainer, conditions: Conditions
    ) -> None:
        """Hears of every worker's end from now on, and has a part of the status."""
        workers.gone = self.gone
        picture.parts["poison"] = self.document
        settings, journal = booted.settings, booted.journal
        self._journal = journal
        self._conditions = conditions
        self._state = settings.state
        self._workers = workers
        self._picture = picture
        self._restrainer = restrainer
        self._limit = settings.deadline + OVERDUE
        kept, self._damage = read_deaths(settings.state)
        self._suspects = kept.suspects
        self._breakers = Breakers(trips=dict(kept.trips))
        self._blame = blame(self._suspects, time.time())
        self.watchlist = self._made()
        self._told: dict[int, Watchlist | None] = {}  # process: what it knows
        self._learnt: tuple[Report | None, Report | None] = None, None  # the reports that were learnt from
        self._leaving: tuple[Report, ...] = ()  # of before, which some worker may have yet
        self._rules: dict[int, tuple[str, ...]] = {}  # generation: rule ids by number
        self._texts: dict[int, dict[str, str]] = {}  # generation: digests of the rules' texts
        self._read = dict.fromkeys(range(journal.slots), 0)  # failures that were read
        self._overdue: dict[tuple[int, Flight], float] = {}  # (slot, flight): first seen
        self._stalled: dict[int, tuple[Flight, ...]] = {}  # slot: what its worker is killed for
        self._unwritten = False
        self._looked = 0.0

    # ── deaths ───────────────────────────────────────────────────────────────────────────────────────────────

    def gone(self, child: Child, status: int) -> None:
        """A worker has ended: who was in flight? Called before its place is filled."""
        flights = self._stalled.pop(child.slot, ()) or tuple(self._journal.flights(child.slot))
        self._journal.clear(child.slot)
        if not flights or not (os.WIFSIGNALED(status) or os.WEXITSTATUS(status)) or self._workers.stopped:
            return
        counting = sum(one.counting for one in flights)
        flights = tuple(one for one in flights if not one.counting)
        if counting:
            _log.error("died while limits were asked", child=child.name, status=outcome(status), in_flight=counting)
        if not flights:
            return
        now = time.time()
        death = max((one.death for one in self._suspects), default=0) + 1
        fresh = [self._suspect(death, now, flight) for flight in flights]
        for one in fresh:
            _log.error(
                "died in a judgement",
                child=child.name,
                status=outcome(status),
                rule=one.rule or "(looking up the rules)",
                in_flight=len(flights),
                message=f"{one.print or one.shape:x}",
            )
        self._suspects = told_apart(recent((*self._suspects, *fresh), now))
        self._judge(now)

    def _suspect(self, death: int, now: float, flight: Flight) -> Suspect:
        rules = self._rules.get(flight.generation, ())
        named = flight.rule is not None and flight.rule < len(rules)
        rule = rules[flight.rule] if named and flight.rule is not None else ""
        text = self._texts.get(flight.generation, {}).get(rule, "")
        return Suspect(death, now, rule, flight.who, flight.shape, flight.sender, flight.print, text)

    def _judge(self, now: float) -> None:
        """Blame anew: trip rules, tell the workers, write it down."""
        self._blame = blame(self._suspects, now)
        on_trial = {one.rule for one in self._suspects if self._breakers.on_trial(one.rule)}
        for rule in (*self._blame.rules, *on_trial):
            self._breakers.killed(rule, now, self._guilty(rule))
        for rule in {*self._blame.rules, *on_trial}:  # a tripped rule has paid for these
            self._suspects = tuple(one for one in self._suspects if one.rule != rule)
        self.watchlist = self._made()
        self._unwritten = True
        self._write()
        self._hold()
        self._tell()

    def _guilty(self, rule: str) -> str:
        """The digest of the text that killed: of the one for all, if that did it too, since it stays the longest."""
        texts = [one.text for one in self._suspects if one.rule == rule and one.text]
        for number in (self._picture.number, self._picture.trial_number):
            known = self._texts.get(number, {}).get(rule)
            if known in texts:
                return str(known)
        return texts[-1] if texts else ""

    def _made(self) -> Watchlist | None:
        found = self._blame
        return Watchlist(found.messages, found.senders, found.walks) if self._suspects else None

    # ── time ─────────────────────────────────────────────────────────────────────────────────────────────────

    def tick(self, now: float, columns: RuleColumns) -> None:
        """Look for stalls and failures; once a second at everything else. `now` is monotonic."""
        self._learn()
        self._find_stalled(now)
        self._read_failures(columns)
        if now - self._looked >= 1.0:
            self._looked = now
            self._look(time.time())
        self._send()

    def _look(self, now: float) -> None:
        kept = recent(self._suspects, now)
        if kept != self._suspects or blame(kept, now) != self._blame:
            self._suspects = kept
            self._judge(now)
        moved = self._breakers.tick(now)
        for trip in moved:
            _log.warning("breaker", rule=trip.rule, phase=trip.phase.value, turns=trip.turns)
        self._unwritten = self._unwritten or bool(moved)
        self._hold()
        self._write()
        self._tell()

    def _learn(self) -> None:
        """Which rule has which number, and whether a tripped one was repaired."""
        picture = self._picture
        if not picture.number:
            return
        before, now = self._learnt, (picture.report, picture.trial)
        changed = any(one is not other for one, other in zip(before, now, strict=True))
        if changed:
            self._learnt = now
            left = (one for one in before if one is not None and one is not now[0] and one is not now[1])
            self._leaving = (*self._leaving, *left)
            self._number()
        gone = bool(self._leaving) and self._everywhere()
        if gone:
            self._leaving = ()
        if changed or gone:
            self._revise()

    def _everywhere(self) -> bool:
        """Has every worker what it has to have, and nothing else?"""
        picture = self._picture
        trial = picture.trial_number if picture.trial is not None else 0
        return all((one.generation, one.canary) == (picture.number, trial) for one in self._workers.alive)

    def _number(self) -> None:
        picture = self._picture
        numbered = [(picture.number, picture.report), (picture.report.number, picture.report)]
        if picture.trial is not None:
            numbered.append((picture.trial_number, picture.trial))
        for number, report in numbered:
            self._rules[number] = report.rules
            self._texts[number] = dict(_texts(report))
        for number in sorted(self._rules)[:-_GENERATIONS]:
            del self._rules[number], self._texts[number]

    def _revise(self) -> None:
        """Forget the breakers of texts that no worker has any more."""
        picture = self._picture
        trial = (picture.trial,) if picture.trial is not None else ()
        reports = (*self._leaving, picture.report, *trial)
        repaired = self._breakers.revised(row for report in reports for row in _texts(report))
        for trip in repaired:
            _log.info("breaker", rule=trip.rule, phase="forgotten: the rule was changed, or is gone")
        self._unwritten = self._unwritten or bool(repaired)
        self._looked = 0.0

    def _find_stalled(self, now: float) -> None:
        seen: dict[tuple[int, Flight], float] = {}
        for child in self._workers.alive:
            old = [flight for flight in self._journal.flights(child.slot) if now - flight.since > self._limit]
            for flight in old:
                seen[child.slot, flight] = self._overdue.get((child.slot, flight), now)
            stalled = tuple(flight for flight in old if now - seen[child.slot, flight] >= STALLED)
            if stalled and child.slot not in self._stalled:
                self._stalled[child.slot] = stalled
                _log.error("judgement stalled", child=child.name, pid=child.pid, seconds=round(now - stalled[0].since))
                os.kill(child.pid, signal.SIGKILL)
        self._overdue = seen

    def _read_failures(self, columns: RuleColumns) -> None:
        rules: dict[int, str] = {}
        now = time.time()
        for slot in range(self._journal.slots):
            head = self._journal.head(slot)
            if head == self._read[slot]:
                continue
            rules = rules or {column: rule for rule, column in columns.columns.items()}
            for column, sender in self._journal.failures(slot, self._read[slot]):
                rule = rules.get(column, "")
                if self._breakers.failed(rule, sender, now):
                    self._unwritten = True
                    self._looked = 0.0
            self._read[slot] = head

    def _hold(self) -> None:
        """What is tripped has a hold, what isn't has none. Before anything is loaded, those of before stand."""
        if self._learnt[0] is None:
            return
        lenient = frozenset((self._picture.trial or self._picture.report).lenient)
        tripped = self._breakers.tripped()
        self._picture.killers = frozenset(trip.rule for trip in tripped if trip.why is Why.DEATHS)
        wanted = {trip.rule: self._held(trip, lenient) for trip in tripped}
        standing = {hold.rule: hold for hold in self._restrainer.of(By.BREAKER)}
        gone = [hold for rule, hold in standing.items() if rule not in wanted]
        fresh = [hold for rule, hold in wanted.items() if hold != standing.get(rule)]
        if gone:
            self._restrainer.release(gone, self._conditions)
        if fresh:
            self._restrainer.ease(fresh, self._conditions)

    def _held(self, trip: Trip, lenient: frozenset[str]) -> Hold:
        easing = Easing.SKIP if trip.rule in lenient else Easing.DEFER
        return Hold(trip.rule, easing, By.BREAKER, _WORDS[trip.why], trip.since)

    def _send(self) -> None:
        """Reach every worker that does not know it yet."""
        alive = self._workers.alive
        self._told = {child.pid: self._told.get(child.pid) for child in alive}
        for child in alive:
            if child.channel and self._told[child.pid] != self.watchlist:
                values = self.watchlist.document() if self.watchlist else {}
                if child.channel.send("watchlist", **values):
                    self._told[child.pid] = self.watchlist

    def _write(self) -> None:
        if not self._unwritten:
            return
        try:
            write_deaths(self._state, Deaths(self._suspects, self._breakers.trips))
        except OSError as error:
            self._conditions.raise_("culprits-unwritable", f"who killed workers can't be recorded: {error.strerror}")
        else:
            self._unwritten = False
            self._conditions.settle("culprits-unwritable")

    def _tell(self) -> None:
        judge = self._conditions.judge
        judge("culprits-damaged", self._damage)
        messages, senders = len(self._blame.messages), len(self._blame.senders)
        text = f"messages that have each killed workers {DEATHS} times: {messages}; their content is not judged now"
        judge("poison-message", text if messages else "")
        text = f"senders whose mail has killed workers {DEATHS} times: {senders}; the rules that it met are not asked"
        judge("poison-sender", text if senders else "")

    def document(self) -> dict[str, Any]:
        """For the status."""
        return {
            "breakers": [trip_document(trip) for trip in self._breakers.trips.values()],
            "deaths": len({one.death for one in self._suspects}),
            "messages": len(self._blame.messages),
            "senders": len(self._blame.senders),
            "walks": self._blame.walks,
        }


def _texts(report: Report) -> Iterator[tuple[str, str]]:
    """The rules and the digests of their texts."""
    return ((entry.key.id, entry.digest) for entry in report.entries if entry.key.kind is EntryKind.RULE)
