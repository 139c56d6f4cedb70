"""The named conditions of one load, built in an order in which each comes after those that it uses.

A condition that is broken and was valid before serves as it last was, and counts as UNKNOWN where its YES would make a
verdict milder. One that never was valid breaks those that use it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from tidegate.model import AllOf, Cause, Doubt, EntryKey, EntryKind, Place, Unknowable
from tidegate.policy.circles import in_order
from tidegate.policy.desk import NOWHERE, Desk, Settled
from tidegate.policy.findings import Findings
from tidegate.policy.names import Broken, Built
from tidegate.policy.nodes import Mapping as MappingNode
from tidegate.policy.nodes import Node, Scalar
from tidegate.policy.nodes import Sequence as SequenceNode
from tidegate.policy.read import EntryText
from tidegate.policy.when import MAX_DEPTH, ConditionBuilder


class ConditionBook:
    """Answers `use: name`. Built conditions are shared, never copied."""

    def __init__(self, desk: Desk, texts: Mapping[str, Sequence[EntryText]]) -> None:
        self._desk = desk
        self._texts = texts
        self._settled: dict[str, Settled[Built]] = {}
        self._milder: dict[str, Built] = {}  # as they count where a YES makes a verdict milder
        self._under_way: list[str] = []
        self._circles: dict[str, tuple[str, ...]] = {}

    def build_all(self) -> None:
        """All of them, and into the books."""
        needs = {
            name: tuple(dict.fromkeys(one for text in texts if text.node for one in used_names(text.node)))
            for name, texts in self._texts.items()
        }
        groups = in_order(needs)
        for group in groups:
            if len(group) > 1 or group[0] in needs[group[0]]:
                self._circles.update(dict.fromkeys(group, group))
        for group in groups:
            for name in group:
                self._settle(name)
        for name in self._texts:
            settled = self._settled[name]
            self._desk.record(settled, settled.state)

    def use(self, name: str, milder: bool) -> Built | Broken | None:
        """The condition `name`; None where there is none."""
        settled = self._settled.get(name)
        if settled is None:
            if name in self._under_way or len(self._under_way) > MAX_DEPTH:
                return Broken(self._place(name), "it is used in a circle")
            if name not in self._texts and not self._revivable(name):
                return None
            settled = self._settle(name)
        if settled.value is None:
            return Broken(settled.place, settled.reason)
        return self._milder.get(name, settled.value) if milder else settled.value

    def _revivable(self, name: str) -> bool:
        """Gone, but an entry that serves as it last was still uses it."""
        return self._desk.names.accepting and EntryKey(EntryKind.CONDITION, name) in self._desk.accepted

    def _place(self, name: str) -> Place:
        return self._texts[name][0].place if name in self._texts else NOWHERE

    def _settle(self, name: str) -> Settled[Built]:
        known = self._settled.get(name)
        if known is not None:
            return known
        desk, key = self._desk, EntryKey(EntryKind.CONDITION, name)
        self._under_way.append(name)
        settled = desk.settle(key, self._texts.get(name, ()), lambda text, found: self._build(name, text, found))
        self._under_way.pop()
        if settled.value is not None and settled.doubtful:
            cause = Cause(Doubt.PASSING, f"condition {name} is only known as it last was")
            doubted = AllOf((settled.value.condition, Unknowable(cause)))
            self._milder[name] = replace(settled.value, condition=doubted, depth=settled.value.depth + 1)
        self._settled[name] = settled
        if name not in self._texts:
            desk.record(settled, settled.state, desk.why_absent or "it is gone, and a rule that is STALE still uses it")
        return settled

    def _build(self, name: str, text: EntryText, findings: Findings) -> Built | None:
        assert text.node is not None
        names = self._desk.names
        circle = self._circles.get(name)
        if circle is not None and not names.accepting:
            several = " and ".join(f"`{one}`" for one in sorted(circle)[:5])
            message = f"{several} use each other in a circle" if len(circle) > 1 else f"{several} uses itself"
            findings.add("circular-use", message, text.place)
            return None
        built = ConditionBuilder(names, findings).build(text.node, "the condition")
        if built is not None and (names.stale_lists or names.aging_lists or self._milder):
            milder = ConditionBuilder(names, Findings()).build(text.node, "the condition", milder=True)
            if milder is not None:
                self._milder[name] = milder
        return built


def used_names(node: Node) -> Iterator[str]:
    """What `use:` names in a condition, however deep; without recursion."""
    work: list[Node] = [node]
    while work:
        one = work.pop()
        if isinstance(one, MappingNode):
            for key, value in one.pairs:
                if key.text == "use" and isinstance(value, Scalar):
                    yield value.text
                else:
                    work.append(value)
        elif isinstance(one, SequenceNode):
            work += one.items
