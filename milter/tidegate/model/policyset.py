"""What a judgement asks of a loaded policy. image/ implements it; the core knows only this page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from tidegate.model.condition import Cause, Field, Reading
from tidegate.model.index import Asks, Index
from tidegate.model.problem import Entry, EntryKey, Problem
from tidegate.model.rule import Conventions, MemberListData, Rule
from tidegate.model.words import ListKind


class MemberList(Protocol):
    """A list that can be asked. Look-ups are pure, bounded, and never raise."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> ListKind: ...
    @property
    def cause(self) -> Cause | None:
        """Why it can't be asked; None where it can."""

    @property
    def stale(self) -> bool:
        """Is this the last good version of a list that is broken now?"""

    @property
    def doubted(self) -> frozenset[str]:
        """Keys about which it can't be trusted; "" for all that it can't name.

        Of a STALE list those that it holds and that the broken text does not readably repeat; of any other map those
        of the lines that could not be used.
        """

    def find(self, value: str, now: float) -> str | None:
        """The item that covers `value` (normalised as its field's readings are), or None."""

    def values(self, key: str, now: float) -> tuple[str, ...] | None:
        """For a map: the values of exactly this key, or None."""


class PolicySet(Protocol):
    """One generation: immutable, shared by all messages that started with it."""

    @property
    def number(self) -> int: ...
    @property
    def digest(self) -> str: ...
    @property
    def conventions(self) -> Conventions: ...
    @property
    def index(self) -> Index: ...
    @property
    def index_at_rcpt(self) -> Index:
        """Of the rules that are judged at RCPT; it has no literals and no expressions."""

    @property
    def asks(self) -> Asks:
        """Both indexes, made ready to be asked (engine/candidates.py)."""

    @property
    def reads_body(self) -> bool: ...
    @property
    def limited(self) -> bool:
        """Has any rule that takes part limits?"""

    @property
    def per_recipient(self) -> tuple[int, ...]:
        """The numbers of the rules that are judged at RCPT."""

    @property
    def exempts(self) -> frozenset[int]:
        """The numbers of the rules that exempt others."""

    @property
    def watched(self) -> tuple[int, ...]:
        """The numbers of the rules that are skipped, and of which it is told whom they would have concerned."""

    @property
    def needs(self) -> frozenset[str]:
        """What the rules read of a message's content, as engine/needs.py names it: `header.NAME`."""

    def __len__(self) -> int: ...
    def rule(self, number: int) -> Rule: ...
    def list(self, name: str) -> MemberList | None: ...
    def matches(self, field: str, source: str, text: str) -> bool:
        """Does the pattern `source` of a `matches` test on `field` match `text`? Linear time."""

    def pattern_rules(self, field: str, text: str) -> Iterable[int]:
        """A superset of the rules keyed by `index.literals` and `index.expressions` that `text` can concern."""


@dataclass(frozen=True, slots=True)
class Source:
    """One policy file as read: its name, and its bytes or the reason why there are none."""

    name: str
    data: bytes = b""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the text came to: everything that can be in force, and everything that is wrong."""

    rules: tuple[Rule, ...] = ()
    lists: tuple[MemberListData, ...] = ()
    entries: tuple[Entry, ...] = ()
    problems: tuple[Problem, ...] = ()
    texts: Mapping[EntryKey, str] = field(default_factory=dict)  # the valid text of each entry that is in force
    conventions: Conventions = field(default_factory=Conventions)


ReadFile = Callable[[str], Source]  # a list file, by the path written in the policy
FindField = Callable[[str], "Field | None"]
ReadField = Callable[[str], Reading]
