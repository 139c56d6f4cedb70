"""What is computed from the rules once, when an image is built, so that nobody has to touch them all later."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tidegate.conditions.fields import find_field
from tidegate.conditions.walk import tests_of
from tidegate.engine.exposure import MAX_WATCHED
from tidegate.engine.index import dormant
from tidegate.engine.needs import all_needs
from tidegate.image.codec import TEXT, TEXTS, TRUTH, WHOLE, WHOLES, Codec, MalformedError, dump, load, many, record
from tidegate.image.databases import Levels
from tidegate.model import Counting, EntryState, Index, Operator, Rule, Stage, Test

Rows = tuple[tuple[str, tuple[int, ...]], ...]

PIECE: Final = 500
"""Keys of the index in one section, which is read in one step: some 0.2 ms."""


@dataclass(frozen=True, slots=True)
class Shapes:
    """Index.shapes of one field."""

    field: str
    shapes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Rest:
    """What of an index stands in no table."""

    unkeyed: tuple[int, ...]
    shapes: tuple[Shapes, ...]


@dataclass(frozen=True, slots=True)
class Traits:
    """Facts about the rules, by number."""

    per_recipient: tuple[int, ...]
    exempts: tuple[int, ...]
    index: Rest
    index_at_rcpt: Rest
    reads_body: bool
    watched: tuple[int, ...]
    needs: tuple[str, ...]
    limited: bool


@dataclass(frozen=True, slots=True)
class FieldTrees:
    """The pattern databases over index.literals and index.expressions of one field."""

    field: str
    literals: Levels
    expressions: Levels


@dataclass(frozen=True, slots=True)
class ListTree:
    """The pattern databases over the globs or patterns of one list."""

    name: str
    levels: Levels


@dataclass(frozen=True, slots=True)
class Trees:
    """All of them."""

    fields: tuple[FieldTrees, ...]
    lists: tuple[ListTree, ...]


_REST = record(Rest, WHOLES, many(record(Shapes, TEXT, WHOLES)))
TRAITS: Final[Codec] = record(Traits, WHOLES, WHOLES, _REST, _REST, TRUTH, WHOLES, TEXTS, TRUTH)
_LEVELS = many(many(WHOLE))
TREES: Final[Codec] = record(
    Trees, many(record(FieldTrees, TEXT, _LEVELS, _LEVELS)), many(record(ListTree, TEXT, _LEVELS))
)


def _tests(rule: Rule) -> Iterator[Test]:
    yield from tests_of(rule.when)
    for clause in rule.exceptions:
        yield from tests_of(clause.when)
    for limit in rule.limits:
        yield from tests_of(limit.who)


def asked_patterns(rules: Iterable[Rule]) -> Iterator[str]:
    """The sources of all `matches` tests."""
    for rule in rules:
        for test in _tests(rule):
            if test.operator is Operator.MATCHES:
                yield from map(str, test.values)


def _reads_body(rule: Rule) -> bool:
    """Does the rule ask what is only known when the body was seen? A size that the client declares is only a claim."""
    names = [test.field for test in _tests(rule)]
    if rule.sample is not None:
        names.append(rule.sample.by)
    for limit in rule.limits:
        names += [*limit.by, limit.of, "message.size" if limit.count is Counting.BYTES else ""]
    rows = map(find_field, names)
    return any(row is not None and row.stage is Stage.BODY for row in rows)


def _rest(index: Index) -> Rest:
    return Rest(index.unkeyed, tuple(Shapes(field, shapes) for field, shapes in index.shapes.items()))


def traits_of(rules: Sequence[Rule], index: Index, index_at_rcpt: Index) -> Traits:
    """The facts about these rules. Rules that are off have none."""
    awake = [(number, rule) for number, rule in enumerate(rules) if not dormant(rule)]
    return Traits(
        per_recipient=tuple(number for number, rule in awake if rule.per_recipient),
        exempts=tuple(number for number, rule in awake if rule.do.exempt is not None),
        index=_rest(index),
        index_at_rcpt=_rest(index_at_rcpt),
        reads_body=any(_reads_body(rule) for _, rule in awake),
        watched=tuple(number for number, rule in enumerate(rules) if rule.state is EntryState.SKIPPED)[:MAX_WATCHED],
        needs=all_needs(rules),
        limited=any(rule.limits for _, rule in awake),
    )


def _copied(value: Any) -> Any:
    return value


_ROWS: Final = Codec(_copied, _copied)


@dataclass(frozen=True, slots=True)
class Piece:
    """Some keys of one field's table in one of the two indexes, each with the numbers of its rules."""

    at_rcpt: bool
    table: str
    field: str
    rows: dict[str, list[int]]


_PIECE: Final[Codec] = record(Piece, TRUTH, TEXT, TEXT, _ROWS)


def write_pieces(index: Index, at_rcpt: bool) -> Iterator[bytes]:
    """The index's tables, a few hundred keys at a time."""
    for name in ("exact", "lists", "literals", "expressions"):
        for field, table in getattr(index, name).items():
            rows = list(table.items() if name == "exact" else table)
            for at in range(0, len(rows), PIECE):
                some = {text: list(numbers) for text, numbers in rows[at : at + PIECE]}
                yield dump(_PIECE, Piece(at_rcpt, name, field, some))


def read_piece(data: memoryview) -> Piece:
    """One of them. Raises MalformedError."""
    piece: Piece = load(_PIECE, data)
    if type(piece.rows) is not dict:
        raise MalformedError("a piece of the index is not a table")
    return piece


class Tables:
    """An index while its pieces are read."""

    def __init__(self) -> None:
        self._exact: dict[str, dict[str, tuple[int, ...]]] = {}
        self._rows: dict[str, dict[str, Rows]] = {"lists": {}, "literals": {}, "expressions": {}}

    def take(self, piece: Piece) -> None:
        """One more."""
        if piece.table == "exact":
            table = self._exact.setdefault(piece.field, {})
            table.update({key: tuple(numbers) for key, numbers in piece.rows.items()})
        elif piece.table in self._rows:
            more = tuple([(text, tuple(numbers)) for text, numbers in piece.rows.items()])
            rows = self._rows[piece.table]
            rows[piece.field] = rows.get(piece.field, ()) + more

    def index(self, rest: Rest) -> Index:
        """All of it."""
        shapes = {one.field: one.shapes for one in rest.shapes}
        return Index(exact=self._exact, shapes=shapes, unkeyed=rest.unkeyed, **self._rows)


def write_singles(singles: dict[str, int], spent: Mapping[str, int]) -> Iterator[bytes]:
    """Patterns, the numbers of their databases and the milliseconds that the dear ones took, some at a time."""
    rows = [(source, [number, spent.get(source, 0)]) for source, number in singles.items()]
    for at in range(0, len(rows), PIECE):
        yield dump(_ROWS, dict(rows[at : at + PIECE]))


def read_singles(data: memoryview) -> dict[str, tuple[int, int]]:
    """Some of them. Raises MalformedError."""
    rows: dict[str, list[int]] = load(_ROWS, data)
    if type(rows) is not dict or not all(_is_pair(row) for row in rows.values()):
        raise MalformedError("the patterns are not a table")
    return {source: (number, spent) for source, (number, spent) in rows.items()}


def _is_pair(row: Any) -> bool:
    return type(row) is list and len(row) == 2 and all(type(one) is int for one in row)
