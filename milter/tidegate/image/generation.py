"""A generation in use: one image, mapped by all workers, read where it is touched.

Promises: opening costs some milliseconds whatever the number of rules, in steps so short that a session in flight does
not notice; a rule is decoded when it is first touched, and about a thousand stay decoded. Threads share a generation
without locks: what they write is single assignments, and whoever comes late does the same work again. Live lists come
from replicas beside the image; new replicas make a new object of the same generation, so a message that keeps the one
it began with keeps its lists too.
Refuses: an image that is damaged, and one whose pattern databases this machine's engine can't use (BadImage): a pattern
that can't be asked would have to be answered NO.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Final

from tidegate import patterns
from tidegate.conditions.text import fold
from tidegate.engine.candidates import prepare, unremembered
from tidegate.image.codec import CONVENTIONS, RULE, MalformedError, load
from tidegate.image.databases import Databases, Literal, Tree
from tidegate.image.layout import (
    BadImage,
    Buffer,
    Contents,
    Span,
    body_of,
    read_contents,
    read_head,
    section,
    verify,
)
from tidegate.image.lists import LIST_HEADER, ListHeader, Members
from tidegate.image.replica import LiveMembers, Replicas, empty_replica
from tidegate.image.traits import TRAITS, TREES, FieldTrees, Rows, Tables, Traits, Trees, read_piece, read_singles
from tidegate.model import Asks, Conventions, Index, LiveSource, Rule

DECODED: Final = 500
"""Rules in one of the two halves of the cache: when the young half is full it becomes the old one."""


class Singles:
    """Patterns asked one at a time."""

    __slots__ = ("_databases", "numbers")

    def __init__(self, databases: Databases) -> None:
        self.numbers: dict[str, int] = {}
        self._databases = databases

    def matches(self, source: str, data: bytes) -> bool:
        """Does this pattern match? Raises KeyError for a pattern that the image does not hold."""
        return self._databases.get(self.numbers[source]).scan(data)


class FieldPatterns:
    """Which rules' patterns fit a text of one field."""

    __slots__ = ("_expressions", "_literal_tree", "_literals", "_parsed", "_singles", "_tree")

    def __init__(self, literals: Rows, expressions: Rows, trees: FieldTrees, databases: Databases, singles: Singles):
        """Raises MalformedError; PatternError where this machine's engine can't use the databases."""
        self._literals = literals
        self._parsed: dict[int, Literal] = {}
        self._expressions = expressions
        self._literal_tree = Tree(trees.literals, len(literals), databases)
        self._tree = Tree(trees.expressions, len(expressions), databases)
        self._singles = singles
        self._literal_tree.probe()
        self._tree.probe()

    def rules(self, text: str) -> set[int]:
        """The numbers of these rules."""
        found: set[int] = set()
        if self._literals:
            folded = fold(text)
            for row in self._literal_tree.hits(patterns.encode(folded)):
                if self._literal(row).fits(folded):
                    found.update(self._literals[row][1])
        if self._expressions:
            data = patterns.encode(text)
            for row in self._tree.hits(data):
                source, numbers = self._expressions[row]
                if self._singles.matches(source, data):
                    found.update(numbers)
        return found

    def _literal(self, row: int) -> Literal:
        try:
            return self._parsed[row]
        except KeyError:
            literal = self._parsed[row] = Literal.parse(self._literals[row][0])
            return literal


class Generation:
    """One image, opened; implements model.PolicySet. The buffer must not change as long as this lives."""

    __slots__ = (
        "_body", "_databases", "_lists", "_live", "_old", "_patterns", "_rule_ends", "_rules", "_singles", "_view",
        "_young", "asks", "conventions", "digest", "exempts", "index", "index_at_rcpt", "limited", "needs", "number",
        "per_recipient", "reads_body", "watched",
    )  # fmt: skip
    number: int
    digest: str
    conventions: Conventions
    asks: Asks
    index: Index
    index_at_rcpt: Index
    limited: bool
    reads_body: bool
    per_recipient: tuple[int, ...]
    exempts: frozenset[int]
    watched: tuple[int, ...]
    needs: frozenset[str]

    def __init__(self, buffer: Buffer) -> None:
        """Open it in one go. Raises BadImage."""
        for _ in self._open(buffer):
            pass

    @classmethod
    def steps(cls, buffer: Buffer) -> Generator[None, None, Generation]:
        """Open it in steps of half a millisecond at most; the generator's value is the generation. Raises BadImage."""
        generation = cls.__new__(cls)
        yield from generation._open(buffer)
        return generation

    def _open(self, buffer: Buffer) -> Iterator[None]:
        self._view = memoryview(buffer)
        why, done = "", False
        try:
            yield from self._open_sections()
            done = True
        except MalformedError as error:
            why = f"the image can't be read: {error}"
        except patterns.PatternError as error:
            why = f"the image's patterns can't be used here: {error}"
        finally:
            if not done:
                self._release()
        if why:
            # Not inside the except clause: a traceback of the cause would hold sections of the buffer.
            raise BadImage(why)

    def _open_sections(self) -> Iterator[None]:
        head = read_head(self._view)
        self.number, self.digest = head.number, head.digest
        yield from verify(self._view, head)
        self._body = body_of(self._view, head)
        contents = read_contents(self._view, head)
        self.conventions = load(CONVENTIONS, section(self._body, contents.conventions))
        self._rules = section(self._body, contents.rules)
        self._rule_ends = section(self._body, contents.rule_ends).cast("Q")
        self._young: dict[int, Rule] = {}
        self._old: dict[int, Rule] = {}
        yield
        yield from self._open_databases(contents)
        trees: Trees = load(TREES, section(self._body, contents.trees))
        yield from self._open_lists(contents.lists, trees)
        yield from self._open_index(contents, trees)

    def _release(self) -> None:
        """Let go of the buffer, so that its owner can close it although a traceback still holds this object."""
        for name in ("_patterns", "_lists", "_singles", "_databases"):
            if hasattr(self, name):
                delattr(self, name)
        for name in ("_rule_ends", "_rules", "_body", "_view"):
            view: memoryview | None = getattr(self, name, None)
            if view is not None:
                view.release()

    def _open_databases(self, contents: Contents) -> Iterator[None]:
        ends = section(self._body, contents.database_ends).cast("Q")
        self._databases = Databases(section(self._body, contents.databases), ends)
        self._singles = Singles(self._databases)
        for span in contents.singles:
            rows = read_singles(section(self._body, span))
            self._singles.numbers.update({source: number for source, (number, _) in rows.items()})
            yield
        if len(self._databases):
            self._databases.get(0)  # all were made by one engine: if it can't read this one, it can read none

    def _open_lists(self, spans: tuple[Span, ...], trees: Trees) -> Iterator[None]:
        levels = {tree.name: tree.levels for tree in trees.lists}
        self._lists: dict[str, Members | LiveMembers] = {}
        self._live: list[ListHeader] = []
        for count, span in enumerate(spans):
            header: ListHeader = load(LIST_HEADER, section(self._body, span))
            if header.live is not None and header.unavailable is None:
                self._live.append(header)
                self._lists[header.name] = _live_members(header, header.live, {})
                continue
            members = Members(header, self._body, self._singles.matches)
            if header.name in levels:
                members.plant(levels[header.name], self._databases)
            self._lists[header.name] = members
            if count % 20 == 0:
                yield

    def _open_index(self, contents: Contents, trees: Trees) -> Iterator[None]:
        whole, at_rcpt = Tables(), Tables()
        for span in contents.index:
            piece = read_piece(section(self._body, span))
            (at_rcpt if piece.at_rcpt else whole).take(piece)
            yield
        traits: Traits = load(TRAITS, section(self._body, contents.traits))
        self.reads_body = traits.reads_body
        self.per_recipient = traits.per_recipient
        self.exempts = frozenset(traits.exempts)
        self.watched = traits.watched
        self.needs = frozenset(traits.needs)
        self.limited = traits.limited
        self.index = whole.index(traits.index)
        self.index_at_rcpt = at_rcpt.index(traits.index_at_rcpt)
        self.asks = prepare(self.index, self.index_at_rcpt)
        yield
        self._patterns: dict[str, FieldPatterns] = {}
        yield from self._open_patterns(self.index.literals, self.index.expressions, trees)

    def _open_patterns(
        self, literals: Mapping[str, Rows], expressions: Mapping[str, Rows], trees: Trees
    ) -> Iterator[None]:
        by_field = {tree.field: tree for tree in trees.fields}
        for field in {**literals, **expressions}:
            tree = by_field.get(field, FieldTrees(field, (), ()))
            self._patterns[field] = FieldPatterns(
                literals.get(field, ()), expressions.get(field, ()), tree, self._databases, self._singles
            )
            yield

    def __len__(self) -> int:
        return len(self._rule_ends) - 1

    def __bool__(self) -> bool:
        return True  # a generation without rules is one all the same

    def rule(self, number: int) -> Rule:
        """The rule of this number. Raises IndexError where there is none."""
        rule = self._young.get(number)
        if rule is not None:
            return rule
        rule = self._old.get(number)
        if rule is None:
            if number < 0:
                raise IndexError(number)
            rule = load(RULE, self._rules[self._rule_ends[number] : self._rule_ends[number + 1]])
        if len(self._young) >= DECODED:
            self._old, self._young = self._young, {}
        self._young[number] = rule
        return rule

    def with_replicas(self, replicas: Replicas) -> Generation:
        """The same generation with its live lists as they are now; itself where it has none.

        What was remembered of its lists is forgotten with them: the other one begins with memories of its own.
        """
        if not self._live:
            return self
        other = Generation.__new__(Generation)
        for name in Generation.__slots__:
            setattr(other, name, getattr(self, name))
        live = {one.name: _live_members(one, one.live, replicas) for one in self._live if one.live is not None}
        other._lists = {**self._lists, **live}
        other.asks = unremembered(self.asks)
        return other

    def with_empty_lists(self) -> Generation:
        """The same with every live list read and empty: how a policy is tried where there is no Redis."""
        sources = [one.live for one in self._live if one.live is not None]
        return self.with_replicas(
            {(one.name, one.form): empty_replica(one.name, one.form, self.conventions) for one in sources}
        )

    def list(self, name: str) -> Members | LiveMembers | None:
        """The list of this name, or None."""
        return self._lists.get(name)

    def matches(self, field: str, source: str, text: str) -> bool:
        """Does the pattern of a `matches` test match? Raises KeyError for a pattern that no rule has."""
        return self._singles.matches(source, patterns.encode(text))

    def pattern_rules(self, field: str, text: str) -> Iterable[int]:
        """The rules keyed by patterns of this field that `text` can concern."""
        known = self._patterns.get(field)
        return known.rules(text) if known is not None else ()


def _live_members(header: ListHeader, source: LiveSource, replicas: Replicas) -> LiveMembers:
    """One live list, with its replica if there is one."""
    replica = replicas.get((source.name, source.form))
    return LiveMembers(header.name, source, header.stale, frozenset(header.doubted), replica)
