"""What is found wrong with one entry, and the typed readers of values that find it.

Every reader takes a node and returns the value, or None after it has said what is wrong: so a builder can go on and
find everything at once. Nothing here raises for what a file holds.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass, field
from types import MappingProxyType

from tidegate.model import EntryKey, Place, Problem, Severity
from tidegate.policy import elsewhere
from tidegate.policy.codes import problem
from tidegate.policy.nodes import TEXT, Mapping, Node, Scalar, Sequence, Tag
from tidegate.policy.suggest import did_you_mean, shown

_HUGE = 10**15
_DECIMAL = re.compile(r"(?:0|[1-9][0-9]{0,14})\Z")
_FRACTION = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6})?\Z")
_TAKEN_FOR = {
    Tag.NULL: "nothing",
    Tag.BOOLEAN: "true or false",
    Tag.INTEGER: "a number",
    Tag.FLOAT: "a number",
    Tag.TIMESTAMP: "a date",
}


@dataclass(slots=True)
class Findings:
    """The problems of one entry, in the order of their discovery."""

    entry: EntryKey | None = None
    problems: list[Problem] = field(default_factory=list)

    def add(
        self, code: str, message: str, where: Node | Place, *, severity: Severity | None = None, cure: str = ""
    ) -> None:
        """One more; severity and cure are the registry's unless given."""
        place = where if isinstance(where, Place) else where.place
        self.problems.append(problem(code, message, place, severity=severity, entry=self.entry, cure=cure))

    @property
    def broken(self) -> bool:
        """Is the entry not what was written?"""
        return bool(self.problems) and any(one.severity is Severity.ERROR for one in self.problems)

    def errors(self) -> int:
        """How many errors there are so far: a builder compares before and after a part."""
        return sum(one.severity is Severity.ERROR for one in self.problems) if self.problems else 0

    def text(self, node: Node, what: str) -> str | None:
        """A text that isn't empty; what YAML takes for something else has to be quoted."""
        if not isinstance(node, Scalar):
            self.add("wrong-type", f"{what} is one text, not {kind_of(node)}", node)
            return None
        if node.tag is not TEXT:
            self._unquoted(node, what)
            return None
        if not node.text.strip():
            self.add("empty-value", f"{what} is empty", node)
            return None
        return node.text

    def _unquoted(self, node: Scalar, what: str) -> None:
        if node.tag is Tag.NULL and not node.text:
            self.add("empty-value", f"{what} is empty", node)
            return
        written = shown(node.text)
        self.add(
            "unquoted-text",
            f"{what} is a text, but YAML takes {written} for {_TAKEN_FOR.get(node.tag, 'something else')}",
            node,
            cure=f'write it in quotes: "{node.text[:60]}"',
        )

    def texts(self, node: Node, what: str) -> tuple[tuple[str, Node], ...] | None:
        """One text, or a list of texts that isn't empty; each with its node."""
        if isinstance(node, Mapping):
            self.add("wrong-type", f"{what} is a text or a list of texts, not a map", node)
            return None
        if not isinstance(node, Sequence):
            one = self.text(node, what)
            return None if one is None else ((one, node),)
        if not node.items:
            self.add("empty-value", f"{what} is an empty list", node)
            return None
        found = [(self.text(item, f"an item of {what}"), item) for item in node.items]
        return None if any(text is None for text, _ in found) else tuple((text or "", item) for text, item in found)

    def flag(self, node: Node, what: str) -> bool | None:
        """true or false, written so (and not in quotes)."""
        if isinstance(node, Scalar) and node.tag is Tag.BOOLEAN and node.text.lower() in ("true", "false"):
            return node.text.lower() == "true"
        self.add("wrong-type", f"{what} is true or false, not {kind_of(node)}", node, cure="write true or false")
        return None

    def whole(self, node: Node, what: str, low: int = 0, high: int = _HUGE) -> int | None:
        """A plain decimal number from `low` to `high`."""
        if not isinstance(node, Scalar) or node.tag not in (Tag.INTEGER, Tag.FLOAT):
            self.add("wrong-type", f"{what} is a number, not {kind_of(node)}", node, cure=_number_cure(node))
            return None
        text = node.text
        if not _DECIMAL.match(text) or not low <= int(text) <= high:
            span = f"from {low} to {high}" if high < _HUGE else f"of {low} or more"
            self.add("bad-number", f"{what} is a whole number {span}, not {shown(text)}", node)
            return None
        return int(text)

    def share(self, node: Node, what: str) -> float | None:
        """A percentage above 0, at most 100."""
        if not isinstance(node, Scalar) or node.tag not in (Tag.INTEGER, Tag.FLOAT):
            self.add("wrong-type", f"{what} is a number, not {kind_of(node)}", node, cure="write a number, no quotes")
            return None
        if not _FRACTION.match(node.text) or not 0 < float(node.text) <= 100:
            self.add("bad-number", f"{what} is above 0 and at most 100, not {shown(node.text)}", node)
            return None
        return float(node.text)

    def choice(self, node: Node, what: str, choices: Collection[str]) -> str | None:
        """One word of a few."""
        if isinstance(node, Scalar) and node.tag is Tag.BOOLEAN and node.text.lower() == "off" and "off" in choices:
            return "off"  # YAML 1.1 takes a bare `off` for false; where it is a word of ours it can mean nothing else
        bare = isinstance(node, Scalar) and node.tag is Tag.BOOLEAN  # quotes would not make it one of them
        text = node.text if isinstance(node, Scalar) and bare else self.text(node, what)
        if text is None or (text in choices and not bare):
            return text
        several = ", ".join(choices)
        near = did_you_mean(text, choices, elsewhere.WORDS)
        self.add("bad-value", f"{what} is one of {several}, not {shown(text)}{near}", node)
        return None

    def mapping(self, node: Node, what: str, shape: str = "") -> Mapping | None:
        """A map that isn't empty."""
        if not isinstance(node, Mapping):
            form = f"; write {shape}" if shape else ""
            self.add("wrong-type", f"{what} is written as a map, not {kind_of(node)}{form}", node)
            return None
        if not node.pairs:
            self.add("empty-value", f"{what} is an empty map", node)
            return None
        return node

    def sequence(self, node: Node, what: str) -> Sequence | None:
        """A list that isn't empty."""
        if not isinstance(node, Sequence):
            self.add("wrong-type", f"{what} is written as a list, not {kind_of(node)}", node)
            return None
        if not node.items:
            self.add("empty-value", f"{what} is an empty list", node)
            return None
        return node

    def keys(
        self,
        node: Mapping,
        what: str,
        known: Collection[str],
        required: Iterable[str] = (),
        others: AbstractMapping[str, str] = MappingProxyType({}),
    ) -> dict[str, Node]:
        """The map's values by key; a key that isn't known, stands twice, or is missing, is a problem. `others` says
        what a key is called here that others call something else."""
        found: dict[str, Node] = {}
        for key, value in node.pairs:
            if key.text not in known:
                near = did_you_mean(key.text, known, others)
                cure = "" if near or key.text not in elsewhere.ORDERING else elsewhere.NO_ORDER
                self.add("unknown-key", f"{shown(key.text)} is no key of {what}{near}", key, cure=cure)
            else:
                found.setdefault(key.text, value)
        for name in required:
            if name not in found:
                self.add("missing-key", f"{what} needs the key `{name}`", node)
        return found


_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_WITH_UNIT = re.compile(r"([0-9]{1,6}) ?([kmg])i?b?\Z", re.IGNORECASE)


def _number_cure(node: Node) -> str:
    found = _WITH_UNIT.match(node.text) if isinstance(node, Scalar) else None
    if found is None:
        return "write a number, no quotes"
    return f"write bytes: {int(found[1]) * _UNITS[found[2].lower()]}"


def kind_of(node: Node) -> str:
    """What a node is, in words for a message."""
    if isinstance(node, Mapping):
        return "a map"
    if isinstance(node, Sequence):
        return "a list"
    if node.tag is Tag.NULL:
        return "nothing"
    return shown(node.text) if node.tag is not Tag.TEXT else f"the text {shown(node.text)}"
