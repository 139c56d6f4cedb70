"""Two policies over the same messages: which verdicts change, from what to what, by which rule, for how many senders.

Both judge each message at the time when it came, one right after the other, in turns who is first, so that the CPU time
of the two can be compared. Promises: memory is bounded whatever is read; a message of which one of the two asks for
what is not known, and whose answer depends on it, is counted as not replayable and never as unchanged.
Refuses: files, clocks of the wall, and opinion about what is too much.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import blake2b

from tidegate import trial
from tidegate.engine.metering import Meter
from tidegate.engine.needs import Needs, needs_of
from tidegate.limits import Ledger, Stated
from tidegate.model import Changes, Disposition, PolicySet, Transaction, Truth
from tidegate.observe.senders import sender_name
from tidegate.replay.limiting import Simulated
from tidegate.replay.message import Kept

MESSAGE = "message"
"""What is missing where no recipient was accepted, so that no message came."""

_GROUPS = 1000  # different changes that are told apart
_SENDERS = 100_000  # of one change, beyond which they are not told apart any more
_OTHERS = "(others)"


@dataclass(frozen=True, slots=True)
class Result:
    """What becomes of a message by one policy: what is compared."""

    disposition: Disposition
    refused: tuple[tuple[str, Disposition], ...]
    changes: Changes
    rule: str
    refusers: frozenset[str]  # the rules behind `refused`
    matched: frozenset[str]

    def same(self, other: Result) -> bool:
        """Does the sender, and do the recipients, notice no difference but for the words of a reply?"""
        mine = (self.disposition, self.refused, self.changes)
        return mine == (other.disposition, other.refused, other.changes)

    @property
    def label(self) -> str:
        """In a few words."""
        parts = [self.disposition.name.lower()]
        if self.refused:
            parts.append("some recipients refused")
        if self.changes:
            parts.append("edited")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Example:
    """One message of a change. The names are not masked."""

    time: float
    reference: str
    queue_id: str
    sender: str
    login: str


@dataclass(slots=True)
class Change:
    """Verdicts that change in one way. `rule_before` and `rule` are the rules behind the two; "" is none."""

    before: str
    after: str
    rule_before: str
    rule: str
    stricter: bool
    count: int = 0
    senders: set[bytes] = field(default_factory=set)
    examples: list[Example] = field(default_factory=list)


@dataclass(slots=True)
class Matches:
    """Of one rule: how many messages it matches by each policy."""

    before: int = 0
    after: int = 0


@dataclass(slots=True)
class Comparison:
    """What was found so far."""

    examples: int = 3  # of each change
    limits: str = ""  # how their counters were treated: "simulated", "not exceeded"; "": there are none
    messages: int = 0
    judged: int = 0
    changed: int = 0
    stricter: int = 0
    elsewhere: int = 0  # the same verdict, by another rule
    recorded_otherwise: int = 0  # judged by what is in force now when they came, and otherwise
    first: float = 0.0
    last: float = 0.0
    changes: dict[tuple[str, str, str, str], Change] = field(default_factory=dict)
    rules: dict[str, Matches] = field(default_factory=dict)
    unreplayable: int = 0
    missing: dict[str, int] = field(default_factory=dict)  # what is not known: of how many messages
    missed_by: dict[str, int] = field(default_factory=dict)  # rules that ask for it
    cpu: tuple[int, int] = (0, 0)  # nanoseconds of judgement, before and after

    @property
    def share(self) -> float:
        """Of the judged messages, those whose verdict changes; 0 to 1."""
        return self.changed / self.judged if self.judged else 0.0

    @property
    def known(self) -> float:
        """Of all messages, those that could be judged; 0 to 1."""
        return self.judged / self.messages if self.messages else 0.0

    @property
    def ratio(self) -> float:
        """CPU time of judgement, the candidate's by that of what is in force; 1 where nothing was judged."""
        return self.cpu[1] / self.cpu[0] if self.cpu[0] and self.cpu[1] else 1.0


class Judge:
    """One policy, and what its rules need. `ledger` counts for its limits."""

    def __init__(self, policies: PolicySet, ledger: Ledger) -> None:
        self.policies = policies
        self._ledger = ledger
        self.needs = policies.needs
        self._numbers: dict[str, int] | None = None
        self._needs: dict[str, Needs] = {}

    def result(self, transaction: Transaction, now: float) -> tuple[Result, trial.Outcome]:
        """What becomes of it."""
        outcome = trial.judged(transaction, self.policies, now, Meter(self._ledger))
        verdict = outcome.verdict
        whole = Result(
            verdict.disposition,
            tuple(sorted((address, one.disposition) for address, one in outcome.refused)),
            _unsigned(verdict.changes) if verdict.changes else _NONE,
            verdict.rule,
            frozenset(one.rule for _, one in outcome.refused) if outcome.refused else _NOTHING,
            frozenset(_rules(outcome, Truth.YES)) if verdict.trail or outcome.refused else _NOTHING,
        )
        return whole, outcome

    def missed(self, outcome: trial.Outcome, missing: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
        """The rules whose answer, or whose edits, depend on what is missing, and on what."""
        for rule in _rules(outcome, Truth.UNKNOWN):
            if wanted := self._of(rule).asked & missing:
                yield rule, wanted
        for rule in _rules(outcome, Truth.YES):
            if wanted := self._of(rule).written & missing:
                yield rule, wanted

    def _of(self, rule: str) -> Needs:
        known = self._needs.get(rule)
        if known is None:
            if self._numbers is None:
                self._numbers = {self.policies.rule(number).id: number for number in range(len(self.policies))}
            known = self._needs[rule] = needs_of(self.policies.rule(self._numbers[rule]))
        return known


_NONE, _NOTHING = Changes(), frozenset[str]()


def _rules(outcome: trial.Outcome, truth: Truth) -> set[str]:
    """The ids of the rules that came out so, in force or in shadow."""
    found = {mark.rule for mark in outcome.verdict.trail if mark.truth is truth}
    for _, verdict in outcome.refused:
        found.update(mark.rule for mark in verdict.trail if mark.truth is truth)
    return found


def _unsigned(changes: Changes) -> Changes:
    """Without the names of the rules behind the headers, which may be others for the same edit."""
    return replace(changes, headers=tuple(replace(one, rule="") for one in changes.headers))


@lru_cache(maxsize=64)
def _missing(needs: frozenset[str], known: frozenset[str] | None) -> frozenset[str]:
    return frozenset() if known is None else needs - known


class Comparing:
    """What is in force, and a candidate. `found` grows with each message."""

    def __init__(self, before: PolicySet, after: PolicySet, examples: int = 3, *, limits: bool = False) -> None:
        """`limits`: simulate their counters; otherwise none is exceeded."""
        ledgers: tuple[Ledger, Ledger] = (Simulated(), Simulated()) if limits else (Stated(), Stated())
        self._before, self._after = Judge(before, ledgers[0]), Judge(after, ledgers[1])
        limited = bool(before.limited or after.limited)
        self.found = Comparison(examples, limits=("simulated" if limits else "not exceeded") if limited else "")

    def take(self, one: Kept) -> None:
        """One message more."""
        found = self.found
        found.messages += 1
        found.first = min(found.first or one.time, one.time)
        found.last = max(found.last, one.time)
        missing = (_missing(self._before.needs, one.known), _missing(self._after.needs, one.known))
        transaction = one.asked_again(missing[0] | missing[1])
        before, after = self._both(transaction, one.time)
        lost = dict(self._lost(one, (before[1], after[1]), missing))
        if lost:
            self._count_lost(lost)
            return
        found.judged += 1
        self._count(one, before[0], after[0])

    def _both(
        self, transaction: Transaction, now: float
    ) -> tuple[tuple[Result, trial.Outcome], tuple[Result, trial.Outcome]]:
        """Both judge it; who is second finds it in the processor's cache, so they take turns."""
        first, second = (self._before, self._after) if self.found.messages & 1 else (self._after, self._before)
        started = time.thread_time_ns()
        one = first.result(transaction, now)
        between = time.thread_time_ns()
        other = second.result(transaction, now)
        spent = (between - started, time.thread_time_ns() - between)
        if first is self._after:
            one, other, spent = other, one, spent[::-1]
        self.found.cpu = (self.found.cpu[0] + spent[0], self.found.cpu[1] + spent[1])
        return one, other

    def _lost(
        self, one: Kept, outcomes: tuple[trial.Outcome, trial.Outcome], missing: tuple[frozenset[str], frozenset[str]]
    ) -> Iterator[tuple[str, frozenset[str]]]:
        if one.transaction.message is None and any(outcome.accepted for outcome in outcomes):
            yield "", frozenset((MESSAGE,))
        for judge, outcome, wanted in zip((self._before, self._after), outcomes, missing, strict=True):
            if wanted:
                yield from judge.missed(outcome, wanted)

    def _count_lost(self, lost: dict[str, frozenset[str]]) -> None:
        found = self.found
        found.unreplayable += 1
        for need in frozenset().union(*lost.values()):
            found.missing[need] = found.missing.get(need, 0) + 1
        for rule in lost:
            if rule and (rule in found.missed_by or len(found.missed_by) < _GROUPS):
                found.missed_by[rule] = found.missed_by.get(rule, 0) + 1

    def _count(self, one: Kept, before: Result, after: Result) -> None:
        found = self.found
        for rule in before.matched:
            found.rules.setdefault(rule, Matches()).before += 1
        for rule in after.matched:
            found.rules.setdefault(rule, Matches()).after += 1
        told = one.verdict
        if told is not None and told.digest == self._before.policies.digest:
            found.recorded_otherwise += told.disposition is not before.disposition
        if before.same(after):
            found.elsewhere += (before.rule, before.refusers) != (after.rule, after.refusers)
            return
        found.changed += 1
        change = self._change(before, after)
        found.stricter += change.stricter
        change.count += 1
        if len(change.senders) < _SENDERS:
            change.senders.add(_who(one.transaction))
        if len(change.examples) < found.examples:
            change.examples.append(_example(one))

    def _change(self, before: Result, after: Result) -> Change:
        changes = self.found.changes
        after_label = after.label if after.label != before.label else f"{after.label}, otherwise"
        key = (before.label, after_label, *_behind(before, after))
        if key not in changes and len(changes) >= _GROUPS:
            key = (_OTHERS, _OTHERS, "", "")
        if key not in changes:
            stricter = _harm(after) > _harm(before)
            changes[key] = Change(*key, stricter=stricter)
        return changes[key]


def _harm(one: Result) -> tuple[int, int]:
    return int(one.disposition), len(one.refused)


def _behind(before: Result, after: Result) -> tuple[str, str]:
    """The rules behind what differs; of several the first by name."""
    if before.disposition is not after.disposition:
        return before.rule, after.rule
    if before.refused != after.refused:
        return _first(before.refusers), _first(after.refusers)
    return _first(before.matched - after.matched), _first(after.matched - before.matched)


def _first(rules: frozenset[str]) -> str:
    return min(rules, default="")


def _who(transaction: Transaction) -> bytes:
    envelope = transaction.envelope
    name = sender_name(envelope.login or envelope.sender, transaction.connection.client_ip)
    return blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _example(one: Kept) -> Example:
    transaction = one.transaction
    return Example(
        one.time,
        transaction.reference,
        transaction.queue_id,
        transaction.envelope.sender,
        transaction.envelope.login,
    )
