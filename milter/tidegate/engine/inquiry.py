"""The rules of one judgement, asked one after the other: each is on record before it is asked, and fails alone.

Promises: what is being evaluated stands in the watch's cell before it is evaluated, so whoever looks at it after this
process has died knows the rule; whatever a rule raises costs that rule an UNKNOWN that will pass, and is told in
`faults`; when the time is up the rules that were not reached are UNKNOWN, and those in shadow are asked last.
Refuses: a clock, and logging. The cell and the clock are the caller's (the front's).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import ClassVar, Protocol

from tidegate.conditions.evaluate import hit
from tidegate.conditions.facts import Facts
from tidegate.engine.candidates import candidates_at_rcpt
from tidegate.engine.easing import Ease
from tidegate.engine.match import about_matched, recipient_stand, stand
from tidegate.engine.parts import Stand
from tidegate.model import (
    NO_RESTRAINT,
    Cause,
    Doubt,
    Easing,
    EntryState,
    Fault,
    Mode,
    Recipient,
    Restraint,
    Rule,
    Truth,
    Verdict,
)

SEARCH = 1
"""In the cell: the rules that can concern the message are being looked up. 0 is nothing. The caller begins with it."""
FIRST = 2
"""In the cell: the rule with the number 0."""

COUNTING = (1 << 63) - 1
"""In the cell: the limits of the message are being asked, all at once."""

_STRIDE = 8  # rules between two looks at the clock, which costs as much as a small rule
_FRAMES = 6
_LATE = Cause(Doubt.PASSING, "the deadline passed before the rule was reached")
_SHADOW, _SHADOW_STATE = Mode.SHADOW, EntryState.SHADOW  # as easing.shadowed, without a call for each rule


class Cells(Protocol):
    """Numbers that can be set: a list, or memory that is shared."""

    def __setitem__(self, place: int, value: int, /) -> None: ...


class Watch(Protocol):
    """Who looks on: `cells[place]` says what is evaluated now, `late()` whether the time is up.

    `walks`: ask every rule, because the look-up itself is not to be trusted.
    """

    @property
    def cells(self) -> Cells: ...
    @property
    def place(self) -> int: ...
    @property
    def walks(self) -> bool: ...
    def late(self) -> bool: ...


class Unwatched:
    """Nobody looks on, and there is time: trials, tests, the commands."""

    cells: ClassVar[Cells] = [0]  # one that nobody reads
    place = 0
    walks = False

    def late(self) -> bool:
        return False


UNWATCHED = Unwatched()


def place_of(error: BaseException) -> str:
    """Where it was raised, innermost line first: `readers.py:88 read, facts.py:61 read`."""
    frames: list[str] = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        frames = [f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno} {code.co_name}", *frames[: _FRAMES - 1]]
        trace = trace.tb_next
    return ", ".join(frames)


class Inquiry:
    """One judgement's questions. `making` is the rule for which a text is being made, if one is."""

    __slots__ = ("_ease", "_numbers", "facts", "faults", "making", "recipients", "watch")

    def __init__(
        self, facts: Facts, watch: Watch, recipients: tuple[Recipient, ...], restraint: Restraint = NO_RESTRAINT
    ) -> None:
        """`recipients` are those whom the verdict is about."""
        self.facts = facts
        self.watch = watch
        self.recipients = recipients
        self.faults: list[Fault] = []
        self.making: Rule | None = None
        self._numbers: dict[str, int] = {}  # of the rules that are not NO
        self._ease = Ease(restraint, facts) if restraint else None

    def everyone(self, error: Exception | None) -> Collection[int]:
        """All rules about whole messages, where the look-up failed or is not to be trusted."""
        if error is not None:
            self.note(None, error)
        policies = self.facts.policies
        at_rcpt = frozenset(policies.per_recipient)
        return [number for number in range(len(policies)) if number not in at_rcpt]

    def search_at_rcpt(self, recipient: Recipient) -> Collection[int]:
        """The per_recipient rules that can concern this recipient; all of them as above."""
        facts, watch = self.facts, self.watch
        watch.cells[watch.place] = SEARCH
        if not watch.walks:
            try:
                return candidates_at_rcpt(facts, facts.policies, recipient)
            except Exception as error:  # noqa: BLE001 - which rules it would have found, nobody knows
                self.note(None, error)
        return facts.policies.per_recipient

    def stands(self, numbers: Collection[int]) -> list[Stand]:
        """Those of the rules that are YES or UNKNOWN for this message."""
        return self.ask(numbers, self.facts.policies.rule, stand)

    def recipient_stands(self, numbers: Collection[int]) -> list[Stand]:
        """The same for per_recipient rules."""
        recipients = self.recipients
        return self.ask(numbers, self.facts.policies.rule, lambda rule, facts: recipient_stand(rule, facts, recipients))

    def ask(
        self, numbers: Collection[int], rule_of: Callable[[int], Rule], how: Callable[[Rule, Facts], Stand | None]
    ) -> list[Stand]:
        """One rule after the other, each on record first; those in shadow come last."""
        ease = self._ease
        if ease is not None:
            left = ease.left(numbers, rule_of)
            numbers, rule_of = left, left.__getitem__
        found: list[Stand] = []
        shadows: list[int] = []
        turn = 0
        late = False
        for number in numbers:
            rule = rule_of(number)
            if rule.mode is _SHADOW or rule.state is _SHADOW_STATE:
                shadows.append(number)
                continue
            turn += 1
            if not turn % _STRIDE and not late:
                late = self.watch.late()
            self._ask_one(number, rule, how, late, found)
        late = False
        for number in shadows:  # in what time is left
            late = late or self.watch.late()
            self._ask_one(number, rule_of(number), how, late, found)
        return found if ease is None else ease.joined(found)

    def _ask_one(
        self, number: int, rule: Rule, how: Callable[[Rule, Facts], Stand | None], late: bool, found: list[Stand]
    ) -> None:
        """On record first; what it raises, or that it is too late for it, makes it a doubt."""
        self.watch.cells[self.watch.place] = number + FIRST
        try:
            answer = how(rule, self.facts) if not late else self.doubted(rule, _LATE)
        except Exception as error:  # noqa: BLE001 - a rule fails alone
            answer = self.failed(rule, error)
        if answer is not None:
            self._numbers[rule.id] = number
            found.append(answer)

    def eased(self, rule: Rule) -> bool:
        """Does a restraint name this rule, whatever it makes of it?"""
        return self._ease is not None and self._ease.restraint.of(rule.id, rule.kept) is not None

    def put_aside(self, rule: Rule) -> bool:
        """Is the rule in shadow because a restraint has put it there?"""
        return self._ease is not None and self._ease.eased.get(rule.id) is Easing.SHADOW

    def hit(self, rule: Rule, recipient: Recipient | None) -> str:
        """What the rule matched on, for the trail; "" where that can't be told. The verdict does not rest on it."""
        try:
            return hit(rule.when, self.facts, recipient)
        except Exception as error:  # noqa: BLE001 - an explanation that fails costs the explanation
            self.note(rule, error)
            return ""

    def make(self, rule: Rule) -> None:
        """On record: a text of this rule is made from here on."""
        self.making = rule
        self.watch.cells[self.watch.place] = self._numbers[rule.id] + FIRST

    def resume(self, rule: Rule) -> None:
        """On record: it is this rule again, after something that was none's doing."""
        number = self._numbers.get(rule.id)
        self.watch.cells[self.watch.place] = SEARCH if number is None else number + FIRST

    def told(self, verdict: Verdict) -> Verdict:
        """The verdict with what failed on the way to it."""
        if self._ease is not None:
            verdict = self._ease.named(verdict)
        return replace(verdict, faults=tuple(self.faults)) if self.faults else verdict

    def failed(self, rule: Rule, error: Exception) -> Stand:
        """The rule as it stands after `error`: in doubt, and whom it is about is in doubt as well."""
        self.note(rule, error)
        return self.doubted(rule, Cause(Doubt.PASSING, f"the evaluation failed: {type(error).__name__}"))

    def note(self, rule: Rule | None, error: Exception) -> None:
        """Remember a fault, each sort of a rule's once."""
        fault = Fault(rule.id if rule is not None else "", type(error).__name__, place_of(error))
        if fault not in self.faults:
            self.faults.append(fault)

    def doubted(self, rule: Rule, why: Cause) -> Stand:
        """The rule in doubt as a whole."""
        whoever = rule.per_recipient or about_matched(rule)
        return Stand(rule, Truth.UNKNOWN, why, self.recipients if whoever else ())
