"""YAML text as nodes with places: the one composer, for policies, scenarios and settings.

Promises: never raises and never recurses, whatever the bytes; every node knows line and column. It works on libyaml's
events, because libyaml's own composer dies of deep nesting (SIGSEGV), expands aliases without a limit and takes the
last of two equal keys. Refuses anchors, aliases, tags, keys that are no scalars: each is a Problem, all at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeAlias

import yaml

from tidegate.model import Place, Problem
from tidegate.policy.codes import problem

MAX_DEPTH = 64
MAX_SCALAR = 65536  # characters
MAX_PROBLEMS = 200

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_IMPLICIT = yaml.SafeLoader.yaml_implicit_resolvers
"""What YAML may take a text for, by the text's first character; most texts begin with none of them."""


class Tag(Enum):
    """What YAML 1.1 takes an unquoted scalar for."""

    TEXT = "str"
    NULL = "null"
    BOOLEAN = "bool"
    INTEGER = "int"
    FLOAT = "float"
    TIMESTAMP = "timestamp"


TEXT = Tag.TEXT
"""A name of this module: in Python 3.11 a member of an enumeration costs as much as a call, and there are a quarter of
a million scalars to ask."""

_TAGS = {f"tag:yaml.org,2002:{tag.value}": tag for tag in Tag}


@dataclass(frozen=True, slots=True)
class Mark:
    """A spot in a text, as libyaml's marks say it: all counted from 0, `index` in characters."""

    index: int
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a composed text comes from. `lines` are added to every line number."""

    name: str
    lines: int = 0

    def place(self, first: Mark, last: Mark | None = None) -> Place:
        """The span from `first` to `last` where both stand on one line, otherwise where it begins."""
        end = last.column + 1 if last is not None and last.line == first.line else 0
        return Place(self.name, first.line + 1 + self.lines, first.column + 1, end)


# Nodes are neither frozen nor compared, and make their places only when asked: a large policy has a quarter of a
# million of them, of which few are ever named to a person, and a frozen one takes three times as long to make.


@dataclass(slots=True, eq=False)
class Scalar:
    """One text as written; `quoted` also for block scalars, which are always text."""

    text: str
    tag: Tag
    quoted: bool
    origin: Origin
    first: Mark
    last: Mark

    @property
    def place(self) -> Place:
        return self.origin.place(self.first, self.last)


@dataclass(slots=True, eq=False)
class Sequence:
    """A list."""

    items: tuple[Node, ...]
    origin: Origin
    first: Mark
    last: Mark

    @property
    def place(self) -> Place:
        return self.origin.place(self.first)


@dataclass(slots=True, eq=False)
class Mapping:
    """A map, in the order of the file; of two equal keys both are here, and a problem was told."""

    pairs: tuple[tuple[Scalar, Node], ...]
    origin: Origin
    first: Mark
    last: Mark

    @property
    def place(self) -> Place:
        return self.origin.place(self.first)


Node: TypeAlias = "Scalar | Sequence | Mapping"


def get(mapping: Mapping, key: str) -> Node | None:
    """The value of `key`, or None."""
    for name, value in mapping.pairs:
        if name.text == key:
            return value
    return None


def _resolved(text: str) -> Tag:
    """As yaml's resolver does for a plain scalar."""
    for tag, form in _IMPLICIT.get(text[:1], ()):
        if form.match(text):
            return _TAGS.get(tag, Tag.TEXT)
    return TEXT


@dataclass(slots=True)
class _Composer:
    origin: Origin
    problems: list[Problem] = field(default_factory=list)
    root: Node | None = None

    def tell(self, code: str, message: str, place: Place) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(problem(code, message, place))

    def place(self, event: Any) -> Place:
        return self.origin.place(event.start_mark, event.end_mark)

    def read(self, next_event: Callable[[], Any]) -> bool:
        """Nodes from libyaml's events; False: it makes no sense to go on."""
        documents = 0
        children: list[Node] = []  # of the innermost sequence or mapping that is open
        opened: list[tuple[Any, list[Node]]] = []  # start events, and the children read before them
        while (event := next_event()) is not None:
            kind = type(event)
            if kind is yaml.ScalarEvent:  # seven of ten
                children.append(self.scalar(event))
            elif kind is yaml.SequenceStartEvent or kind is yaml.MappingStartEvent:
                self.marks(event)
                opened.append((event, children))
                children = []
                if len(opened) > MAX_DEPTH:
                    self.tell("too-deep", f"nested deeper than {MAX_DEPTH} levels", self.place(event))
                    return False
            elif kind is yaml.SequenceEndEvent:
                start, before = opened.pop()
                before.append(Sequence(tuple(children), self.origin, start.start_mark, event.end_mark))
                children = before
            elif kind is yaml.MappingEndEvent:
                start, before = opened.pop()
                before.append(Mapping(self.pairs(children), self.origin, start.start_mark, event.end_mark))
                children = before
            elif kind is yaml.AliasEvent:
                children.append(self.alias(event))
            elif kind is yaml.DocumentStartEvent:
                documents += 1
                if documents > 1:
                    self.tell("after-end-mark", "there is more behind the end of the document", self.place(event))
                    return False
        self.root = children[0] if children else None
        return True

    def marks(self, event: Any) -> None:
        if event.anchor:
            self.tell("anchor-or-alias", f"the anchor &{event.anchor[:40]}: anchors are not allowed", self.place(event))
        if event.tag and event.tag != "!":
            self.tell("tag", f"the tag {event.tag[:60]}: tags are not allowed", self.place(event))

    def alias(self, event: Any) -> Scalar:
        alias = Scalar("", Tag.NULL, False, self.origin, event.start_mark, event.end_mark)
        self.tell("anchor-or-alias", f"the alias *{str(event.anchor)[:40]}: aliases are not allowed", alias.place)
        return alias

    def scalar(self, event: Any) -> Scalar:
        if event.anchor or event.tag:
            self.marks(event)
        text: str = event.value
        if len(text) > MAX_SCALAR:
            self.tell("too-long", f"a text of more than {MAX_SCALAR} characters", self.place(event))
            text = text[:MAX_SCALAR]
        quoted = bool(event.style) or not event.implicit[0]
        tag = TEXT if quoted or text[:1] not in _IMPLICIT else _resolved(text)
        return Scalar(text, tag, quoted, self.origin, event.start_mark, event.end_mark)

    def pairs(self, children: list[Node]) -> tuple[tuple[Scalar, Node], ...]:
        """Keys and values in turn. What is no word can't be a key; of two equal keys the second is told."""
        if len(children) == 2 and type(children[0]) is Scalar:  # most maps of a policy have one key
            return ((children[0], children[1]),)
        keys = children[::2]
        found: Any = tuple(zip(keys, children[1::2], strict=False))
        words = {key.text for key in keys if type(key) is Scalar}
        if len(words) == len(keys):
            return found  # type: ignore[no-any-return]
        return tuple(self.checked(found))

    def checked(self, pairs: Iterable[tuple[Node, Node]]) -> Iterator[tuple[Scalar, Node]]:
        seen: dict[str, int] = {}
        for key, value in pairs:
            if not isinstance(key, Scalar):
                self.tell("yaml-syntax", "a key has to be one word", key.place)
                continue
            place = key.place
            if key.text in seen:
                message = f"the key `{key.text[:60]}` stands twice (first in line {seen[key.text]})"
                self.tell("duplicate-key", message, place)
            seen.setdefault(key.text, place.line)
            yield key, value


def compose_text(text: str, name: str, lines: int = 0) -> tuple[Node | None, list[Problem], bool]:
    """(root, problems, whether the syntax is sound) of one YAML document; `lines` is added to every line number."""
    composer = _Composer(Origin(name, lines))
    try:
        loader = _LOADER(text)
        try:
            if not composer.read(loader.get_event):
                return None, composer.problems, False
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(name, mark.line + 1 + lines, mark.column + 1) if mark is not None else Place(name, 1 + lines, 1)
        composer.tell("yaml-syntax", " ".join(str(part) for part in (error.context, error.problem) if part), place)
        return None, composer.problems, False
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        composer.tell(
            "yaml-syntax", f"{type(error).__name__}: {error}".splitlines()[0][:200], Place(name, 1 + lines, 1)
        )
        return None, composer.problems, False
    return composer.root, composer.problems, True


def compose(data: bytes, name: str) -> tuple[Node | None, list[Problem]]:
    """The one document in `data`, for settings and scenario files. A root of None: empty, or it can't be read."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        return None, [problem("not-utf8", "a byte that is not UTF-8", Place(name, line, column))]
    root, problems, sound = compose_text(text, name)
    return (root if sound else None), problems
