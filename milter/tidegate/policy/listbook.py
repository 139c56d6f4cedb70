"""The lists of one load, and the list files that they came from.

A list whose entry is broken serves as it last was. So does one whose file can't be used: it is gone, unreadable, empty
where it held items, more than a tenth of it is bad, or more than half of its items (and more than ten) vanished at
once. Absence is not deletion; the file as it last was good is kept by the caller (`last_file`). A list that never was
good exists, and can't be asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tidegate.conditions.readers import LOGINS, OWN_DOMAINS
from tidegate.model import EntryKey, EntryKind, EntryState, ListKind, MemberListData, ReadFile, Severity, Source
from tidegate.policy.codes import problem
from tidegate.policy.desk import Desk
from tidegate.policy.findings import Findings
from tidegate.policy.lists import build_list, guess_kind, not_repeated
from tidegate.policy.nodes import Mapping as MappingNode
from tidegate.policy.nodes import Node, Scalar
from tidegate.policy.read import EntryText

FEW = 10
"""Items that a list file may lose at once without a question."""
_NAMED = 5
"""Dependants that a message names."""

_MISSING = frozenset({"list-file", "list-empty", "list-shrunk"})

Texts = Mapping[str, Sequence[EntryText]]


def no_last_file(name: str) -> Source:
    """Nothing is known from before."""
    return Source(name, error="no good version of it is known")


@dataclass(slots=True)
class ListFiles:
    """List files, each read once: as they are, and as they last were good."""

    read_file: ReadFile
    last_file: ReadFile = no_last_file
    confirmed: bool = False  # a person said that what is missing is meant to be gone
    read: dict[str, Source] = field(default_factory=dict)
    last: dict[str, Source] = field(default_factory=dict)

    def current(self, name: str) -> Source:
        """The file as it is."""
        source = self.read.get(name)
        if source is None:
            source = self.read[name] = self.read_file(name)
        return source

    def before(self, name: str) -> Source:
        """The file as it last was good."""
        source = self.last.get(name)
        if source is None:
            source = self.last[name] = self.last_file(name)
        return source


class ListBook:
    """All lists. `lists` are the results by name; `good` and `stale` the files of lists that are in force as written,
    and of those that serve as they last were."""

    def __init__(self, desk: Desk, texts: Texts, files: ListFiles) -> None:
        self._desk = desk
        self._texts = texts
        self._files = files
        self.lists: dict[str, MemberListData] = {}
        self.good: set[str] = set()
        self.stale: set[str] = set()
        desk.names.revive = self._revive

    def build_all(self) -> None:
        """All of them, and into the books."""
        for name in self._texts:
            self._settle(name, "")

    def _settle(self, name: str, reason: str) -> None:
        desk, key = self._desk, EntryKey(EntryKind.LIST, name)
        texts = self._texts.get(name, ())
        path = ""

        def build(text: EntryText, findings: Findings) -> MemberListData | None:
            nonlocal path
            assert text.node is not None
            path = path_of(text.node) or path
            return self._build(name, text.node, findings)

        settled = desk.settle(key, texts, build)
        if settled.state is EntryState.STALE and len(texts) == 1 and self._file_is_missing(texts[0], settled.findings):
            settled.missing = True
        desk.record(settled, settled.state, reason)
        data = settled.value
        if path and data is not None:
            (self.stale if settled.state is EntryState.STALE else self.good).add(path)
        if data is None:
            kind = guess_kind(name, texts[0].node if texts else None)
            desk.names.lists[name] = kind
            why = desk.entries[key].reason
            self.lists[name] = MemberListData(
                name, kind or ListKind.STRING, (), why, EntryState.SKIPPED, settled.place, settled.digest
            )
            return
        judged = EntryState.ACTIVE if settled.missing else settled.state
        data = replace(data, state=judged, place=settled.place, digest=settled.digest)
        if settled.doubtful and name in (OWN_DOMAINS, LOGINS):
            node = texts[0].node if len(texts) == 1 else None
            data = replace(data, doubted=not_repeated(data, node, desk.names, self._files.current))
        self.lists[name] = data
        desk.names.lists[name] = data.kind
        if settled.doubtful:
            desk.names.stale_lists.add(name)
        if data.kind is ListKind.STRING and any(item.key == "inbound" for item in data.items):
            desk.names.inbound_lists.add(name)

    def _file_is_missing(self, text: EntryText, findings: Findings) -> bool:
        """Is the entry as it was, and nothing wrong but that its file is gone, unreadable, empty or cut?"""
        told = {one.code for one in findings.problems if one.severity is Severity.ERROR}
        return told <= _MISSING and self._desk.accepted.get(text.key) == text.text

    def _build(self, name: str, node: Node, findings: Findings) -> MemberListData | None:
        """As the text says. Of the last valid text the last good file serves where today's can't."""
        names, path = self._desk.names, path_of(node)
        known = len(findings.problems)
        data = build_list(name, node, names, self._files.current, findings)
        if data is not None and path:
            data = self._believed(name, node, path, data, findings)
        if data is None and path and names.accepting:
            last = build_list(name, node, names, self._files.before, Findings())
            if last is not None:
                del findings.problems[known:]
            return last
        return data

    def _believed(
        self, name: str, node: Node, path: str, data: MemberListData, findings: Findings
    ) -> MemberListData | None:
        """The list, unless too much of its file is gone at once to be believed."""
        source, before = self._files.current(path), self._files.before(path)
        if self._files.confirmed or before.error or before.data == source.data:
            return data
        last = build_list(name, node, self._desk.names, self._files.before, Findings())
        kept = {item.key for item in data.items}
        lost = sum(item.key not in kept for item in last.items) if last is not None else 0
        if last is None or not lost:
            return data
        if not source.data.strip():
            findings.add("list-empty", f"the list file `{path}` is empty, and held {len(last.items)} items", node)
            return None
        if lost > FEW and 2 * lost > len(last.items):
            message = f"{lost} of {len(last.items)} items of the list file `{path}` are gone at once"
            findings.add("list-shrunk", message, node)
            return None
        return data

    def _revive(self, name: str) -> bool:
        """A list that is gone, for an entry that serves as it last was and asks it."""
        if EntryKey(EntryKind.LIST, name) not in self._desk.accepted:
            return False
        self._settle(name, "it is gone, and an entry that is STALE still asks it")
        return True

    def tell_dependants(self, asks: Mapping[str, list[str]]) -> None:
        """Who waits for a list that can't be asked."""
        for name, data in self.lists.items():
            rules = asks.get(name, [])
            if data.unavailable is None or not rules:
                continue
            several = ", ".join(f"`{one}`" for one in rules[:_NAMED]) + (", …" if len(rules) > _NAMED else "")
            message = f"`{name}` can't be asked ({data.unavailable}): in doubt are {len(rules)} rule(s): {several}"
            key = EntryKey(EntryKind.LIST, name)
            self._desk.problems.append(problem("list-unavailable", message, data.place, entry=key))


def path_of(node: Node) -> str:
    """The list file that an entry names; "" where it names none."""
    pairs = node.pairs if isinstance(node, MappingNode) else ()
    return next((value.text for key, value in pairs if key.text == "file" and isinstance(value, Scalar)), "")
