"""Which rules can concern a message: each is indexed by its most selective *necessary* test.

A test is necessary if the rule can't be YES or UNKNOWN where it is NO. Of `all` the best child serves, of `any` the
union of all children, of `not` none. So a message looks up its own login, sender, domains, client, header values, and
the cost does not grow with the rules that are not about it. Where a field is unreadable, every rule keyed on it is a
candidate: it may be UNKNOWN.

The rules that are judged at RCPT have an index of their own, of which each recipient asks its own part. It has no
patterns: a rule that has no other key is a candidate for every recipient.

Promises: build and look-up (engine/candidates.py) use the same keys (conditions/members.py) and the same folding
(conditions/text.py). The index is plain: texts, numbers, tuples.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from tidegate.conditions.fields import FIELDS, RECIPIENT_FIELDS, find_field
from tidegate.conditions.members import is_glob, prefix_of, shapes_of
from tidegate.conditions.operators import NATURAL_KIND
from tidegate.conditions.text import fold
from tidegate.model import (
    AllOf,
    AnyOf,
    Condition,
    EntryState,
    Index,
    ListKind,
    MemberListData,
    Mode,
    Never,
    Operator,
    Quantifier,
    Recipients,
    Rule,
    Test,
)

SMALL_LIST = 200
"""Items up to which a list is written out into the index instead of being asked."""
MAX_WRITTEN_OUT = 50_000
"""Entries that all written-out lists may add together."""

_COMMON = frozenset({"direction", "auth.type", "daemon.name", "tls.version", "tls.cipher"})
"""Fields with few values: a key on them hardly selects."""
_WIDE = {False: 16, True: 128 + 32}
"""Prefix lengths (IPv4, IPv6) below which a network holds too many clients to select."""
_RECIPIENT = frozenset(RECIPIENT_FIELDS.values())
_KINDS: dict[str, ListKind | None] = {name: NATURAL_KIND.get(row.type) for name, row in FIELDS.items()}


def kind_of(field: str) -> ListKind | None:
    """How the values of a field are looked up: a header's as texts; None for a field that no list fits."""
    return _KINDS.get(field, ListKind.STRING)


class Slot(Enum):
    """The four tables of an index."""

    EXACT = "exact"
    LIST = "list"
    LITERAL = "literal"
    EXPRESSION = "expression"


_PATTERNS = (Slot.LITERAL, Slot.EXPRESSION)
_WEIGHT = {Slot.EXACT: 1, Slot.LIST: 3, Slot.LITERAL: 6, Slot.EXPRESSION: 7}


@dataclass(frozen=True, slots=True)
class Key:
    """One entry of one table."""

    slot: Slot
    field: str
    text: str

    @property
    def weight(self) -> int:
        """The lower, the fewer messages it lets through."""
        weight = _WEIGHT[self.slot]
        if self.field in _COMMON:
            return weight + 50
        if _KINDS.get(self.field) is ListKind.IP and self.slot is Slot.EXACT:
            return weight + (1 if prefix_of(self.text) >= _WIDE[":" in self.text] else 30)
        return weight


def necessary(
    condition: Condition, lists: Mapping[str, MemberListData], room: int = SMALL_LIST
) -> tuple[Key, ...] | None:
    """The keys of which one must hit for the condition to be YES or UNKNOWN; None: there are none.

    Lists of at most `room` items are written out.
    """
    match condition:
        case Never():
            return ()
        case AllOf(children):
            known = [keys for child in children if (keys := necessary(child, lists, room)) is not None]
            return min(known, key=_cost, default=None)
        case AnyOf(children):
            union: dict[Key, None] = {}
            for child in children:
                keys = necessary(child, lists, room)
                if keys is None:
                    return None
                union.update(dict.fromkeys(keys))
            return tuple(union)
        case Recipients(quantifier, child) if quantifier is not Quantifier.NO:
            return necessary(child, lists, room)
        case Test():
            return _test_keys(condition, lists, room)
    return None


def _cost(keys: tuple[Key, ...]) -> tuple[int, int]:
    return max((key.weight for key in keys), default=0), len(keys)


def _test_keys(test: Test, lists: Mapping[str, MemberListData], room: int) -> tuple[Key, ...] | None:
    field = test.field
    if test.list_name is not None:
        return _list_keys(field, lists.get(test.list_name), room)
    match test.operator:
        case Operator.ONE_OF | Operator.IN:
            if test.kind is None:
                return (Key(Slot.EXACT, field, "true"),) if field == "sender.null" and test.values == (True,) else None
            return tuple(_member_key(field, test.kind, str(value)) for value in test.values)
        case Operator.CONTAINS:
            return _literals(test, re.escape)
        case Operator.PREFIX:
            return _literals(test, lambda text: f"^{re.escape(text)}")
        case Operator.SUFFIX:
            return _literals(test, lambda text: f"{re.escape(text)}$")
        case Operator.GLOB:
            return _literals(test, _glob_source)
        case Operator.MATCHES:
            return tuple(Key(Slot.EXPRESSION, field, str(value)) for value in test.values)
    return None


def _literals(test: Test, source: Callable[[str], str]) -> tuple[Key, ...]:
    return tuple(Key(Slot.LITERAL, test.field, source(fold(str(value)))) for value in test.values)


def _glob_source(glob: str) -> str:
    """A superset of what the glob fits, for folded text: `?` may be several characters there (`ß` folds to `ss`), and
    several bytes where an engine counts bytes."""
    middle = "".join(
        re.escape(piece) if piece.strip("*?") else ".+" if "?" in piece else ".*"
        for piece in re.split(r"([*?]+)", glob)
        if piece
    )
    return f"(?s)^{middle}$"


def _member_key(field: str, kind: ListKind, value: str) -> Key:
    if kind in (ListKind.ADDRESS, ListKind.DOMAIN) and is_glob(value):
        return Key(Slot.LITERAL, field, _glob_source(fold(value)))
    return Key(Slot.EXACT, field, value)


def _list_keys(field: str, data: MemberListData | None, room: int) -> tuple[Key, ...] | None:
    """A small list's items, or the list itself; None where it can't be asked: then its rules are always candidates.

    A list that isn't simply in force is asked, since it may come to be in doubt; so is an empty one, for the sake of
    messages whose field is unreadable.
    """
    if data is None or data.unavailable is not None:
        return None
    if data.live is not None:  # its items are not known here, and change without a new index
        return (Key(Slot.LIST, field, data.name),)
    row = find_field(field)
    natural = NATURAL_KIND.get(row.type) if row is not None else None
    kind = ListKind.LOGIN if data.kind is ListKind.MAP else data.kind
    plain = kind is natural and data.state is EntryState.ACTIVE
    if plain and 0 < len(data.items) <= room:
        return tuple(_member_key(field, kind, item.key) for item in data.items)
    return (Key(Slot.LIST, field, data.name),)


def dormant(rule: Rule) -> bool:
    """Does this rule take no part whatever the message? A skipped exempt does: it makes refusals temporary."""
    if rule.mode is Mode.OFF or rule.state in (EntryState.OFF, EntryState.EXPIRED, EntryState.TRIPPED):
        return True
    return rule.state is EntryState.SKIPPED and rule.do.exempt is None


def build_index(rules: Sequence[Rule], lists: Mapping[str, MemberListData], *, at_rcpt: bool = False) -> Index:
    """The index of `rules` by number: of those that are judged at the end of a message, or of those `at_rcpt`. Rules
    that are off are in neither."""
    tables: dict[Slot, dict[str, dict[str, list[int]]]] = {slot: {} for slot in Slot}
    unkeyed: list[int] = []
    room = MAX_WRITTEN_OUT
    for number, rule in enumerate(rules):
        if rule.per_recipient is not at_rcpt or dormant(rule):
            continue
        keys = necessary(rule.when, lists, min(SMALL_LIST, room))
        if keys is None or (at_rcpt and any(key.slot in _PATTERNS for key in keys)):
            unkeyed.append(number)
            continue
        if len(keys) > 8:
            room = max(0, room - len(keys))
        for key in keys:
            numbers = tables[key.slot].setdefault(key.field, {}).setdefault(key.text, [])
            if not numbers or numbers[-1] != number:
                numbers.append(number)
    exact = {f: {k: tuple(n) for k, n in rows.items()} for f, rows in tables[Slot.EXACT].items()}
    return Index(
        exact=exact,
        lists=_rows(tables[Slot.LIST]),
        literals=_rows(tables[Slot.LITERAL]),
        expressions=_rows(tables[Slot.EXPRESSION]),
        shapes={f: shapes_of(kind, rows) for f, rows in exact.items() if (kind := _KINDS.get(f)) is not None},
        unkeyed=tuple(unkeyed),
    )


def _rows(table: Mapping[str, Mapping[str, list[int]]]) -> dict[str, tuple[tuple[str, tuple[int, ...]], ...]]:
    return {field: tuple((text, tuple(numbers)) for text, numbers in rows.items()) for field, rows in table.items()}
