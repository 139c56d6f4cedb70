"""YAML text as nodes with places: the one composer, for policies, scenarios and settings.

Promises: never raises and never recurses, whatever the bytes; every node knows line and column. It works on libyaml's
events, because libyaml's own composer dies of deep nesting (SIGSEGV), expands aliases without a limit and takes the
last of two equal keys. Refuses anchors, aliases, tags, keys that are no scalars: each is a Problem, all at once.
"""

from __future__ import annotations

from collections.abc import Iterator
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
_RESOLVER: Any = yaml.SafeLoader("")
_TELLING = frozenset(yaml.SafeLoader.yaml_implicit_resolvers)
"""First characters of texts that YAML may take for something else; most texts begin with none of them."""


class Tag(Enum):
    """What YAML 1.1 takes an unquoted scalar for."""

    TEXT = "str"
    NULL = "null"
    BOOLEAN = "bool"
    INTEGER = "int"
    FLOAT = "float"
    TIMESTAMP = "timestamp"


_TAGS = {f"tag:yaml.org,2002:{tag.value}": tag for tag in Tag}


@dataclass(frozen=True, slots=True)
class Scalar:
    """One text as written; `quoted` also for block scalars, which are always text."""

    text: str
    tag: Tag
    quoted: bool
    place: Place
    start: int = 0  # character offsets in the composed text
    end: int = 0


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    items: tuple[Node, ...]
    place: Place
    start: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True)
class Mapping:
    """A map, in the order of the file; of two equal keys both are here, and a problem was told."""

    pairs: tuple[tuple[Scalar, Node], ...]
    place: Place
    start: int = 0
    end: int = 0


Node: TypeAlias = "Scalar | Sequence | Mapping"


def get(mapping: Mapping, key: str) -> Node | None:
    """The value of `key`, or None."""
    return next((value for name, value in mapping.pairs if name.text == key), None)


def _resolved(text: str) -> Tag:
    return _TAGS.get(_RESOLVER.resolve(yaml.ScalarNode, text, (True, False)), Tag.TEXT)


def _events(text: str) -> Iterator[Any]:
    """libyaml's events. As yaml.parse, which asks twice for each."""
    loader = _LOADER(text)
    try:
        while (event := loader.get_event()) is not None:
            yield event
    finally:
        loader.dispose()


@dataclass(slots=True)
class _Open:
    """A sequence or mapping whose end has not come yet."""

    event: Any
    mapping: bool
    children: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class _Composer:
    name: str
    lines: int  # added to every line number
    problems: list[Problem] = field(default_factory=list)
    root: Node | None = None
    documents: int = 0
    stack: list[_Open] = field(default_factory=list)

    def place(self, event: Any) -> Place:
        mark, end = event.start_mark, event.end_mark
        last = end.column + 1 if end.line == mark.line else 0
        return Place(self.name, mark.line + 1 + self.lines, mark.column + 1, last)

    def tell(self, code: str, message: str, place: Place) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(problem(code, message, place))

    def take(self, event: Any) -> bool:
        """One event; False: it makes no sense to go on."""
        kind = type(event)
        if kind is yaml.ScalarEvent:  # seven of ten, so without a call too many
            node = self.scalar(event)
            if self.stack:
                self.stack[-1].children.append(node)
            else:
                self.root = node
        elif kind is yaml.AliasEvent:
            self.add(self.alias(event))
        elif kind is yaml.SequenceStartEvent or kind is yaml.MappingStartEvent:
            self.marks(event)
            self.stack.append(_Open(event, kind is yaml.MappingStartEvent))
            if len(self.stack) > MAX_DEPTH:
                self.tell("too-deep", f"nested deeper than {MAX_DEPTH} levels", self.place(event))
                return False
        elif kind is yaml.SequenceEndEvent or kind is yaml.MappingEndEvent:
            self.close(event)
        elif kind is yaml.DocumentStartEvent:
            self.documents += 1
            if self.documents > 1:
                self.tell("after-end-mark", "there is more behind the end of the document", self.place(event))
                return False
        return True

    def marks(self, event: Any) -> None:
        if event.anchor:
            self.tell("anchor-or-alias", f"the anchor &{event.anchor[:40]}: anchors are not allowed", self.place(event))
        if event.tag and event.tag != "!":
            self.tell("tag", f"the tag {event.tag[:60]}: tags are not allowed", self.place(event))

    def alias(self, event: Any) -> Scalar:
        place = self.place(event)
        self.tell("anchor-or-alias", f"the alias *{str(event.anchor)[:40]}: aliases are not allowed", place)
        return Scalar("", Tag.NULL, False, place, event.start_mark.index, event.end_mark.index)

    def scalar(self, event: Any) -> Scalar:
        start, end = event.start_mark, event.end_mark
        line = start.line
        place = Place(self.name, line + 1 + self.lines, start.column + 1, end.column + 1 if end.line == line else 0)
        if event.anchor or event.tag:
            self.marks(event)
        text: str = event.value
        if len(text) > MAX_SCALAR:
            self.tell("too-long", f"a text of more than {MAX_SCALAR} characters", place)
            text = text[:MAX_SCALAR]
        quoted = bool(event.style) or not event.implicit[0]
        tag = Tag.TEXT if quoted or text[:1] not in _TELLING else _resolved(text)
        return Scalar(text, tag, quoted, place, start.index, end.index)

    def add(self, node: Node) -> None:
        if self.stack:
            self.stack[-1].children.append(node)
        else:
            self.root = node

    def close(self, event: Any) -> None:
        opened = self.stack.pop()
        place = self.place(opened.event)
        place = Place(place.source, place.line, place.column)
        start, end = opened.event.start_mark.index, event.end_mark.index
        if not opened.mapping:
            self.add(Sequence(tuple(opened.children), place, start, end))
            return
        self.add(Mapping(tuple(self.pairs(opened.children)), place, start, end))

    def pairs(self, children: list[Node]) -> Iterator[tuple[Scalar, Node]]:
        seen: dict[str, Place] = {}
        for key, value in zip(children[::2], children[1::2], strict=False):
            if not isinstance(key, Scalar):
                self.tell("yaml-syntax", "a key has to be one word", key.place)
                continue
            if key.text in seen:
                line = seen[key.text].line
                self.tell("duplicate-key", f"the key `{key.text[:60]}` stands twice (first in line {line})", key.place)
            seen.setdefault(key.text, key.place)
            yield key, value


def compose_text(text: str, name: str, lines: int = 0) -> tuple[Node | None, list[Problem], bool]:
    """(root, problems, whether the syntax is sound) of one YAML document; `lines` is added to every line number."""
    composer = _Composer(name, lines)
    try:
        for event in _events(text):
            if not composer.take(event):
                return None, composer.problems, False
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
