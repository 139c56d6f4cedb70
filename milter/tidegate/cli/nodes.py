"""What the daemons of a fleet say of themselves, and what is wrong with it: pure but for the asking.

Promises: a daemon is judged by its own report and by the head in Redis; one that fell silent within a day is missed by
name. Refuses: asking daemons themselves: their control sockets are their hosts' own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tidegate.cli.statustext import age
from tidegate.policy.vocabulary import words_of
from tidegate.revisions import Flaw, Node, read_node
from tidegate.store.connection import Link
from tidegate.store.nodes import Heard, heard

_NAMED = 3  # entries and words that a line names


@dataclass(frozen=True, slots=True)
class Row:
    """One daemon. `node` None: it fell silent, or what it says can't be read. `troubles` in words; empty: none.

    `remarks` are worth a look and no trouble: it has a canary, another release than most.
    """

    name: str
    node: Node | None
    seen: float  # POSIX seconds
    troubles: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """For JSON. The words of the language are left out: they are for machines."""
        report = {name: value for name, value in asdict(self.node).items() if name != "words"} if self.node else None
        return {
            "name": self.name,
            "seen": self.seen,
            "report": report,
            "troubles": list(self.troubles),
            "remarks": list(self.remarks),
        }


@dataclass(frozen=True, slots=True)
class Nodes:
    """All of them, and what is wrong between them."""

    head: int
    rows: tuple[Row, ...] = field(default_factory=tuple)

    @property
    def troubled(self) -> bool:
        """Is anything wrong?"""
        return any(row.troubles for row in self.rows)


def nodes(link: Link, head: int, now: float) -> Nodes:
    """Ask Redis. `now` in POSIX seconds. Raises StoreError."""
    return judged(heard(link), head, now)


def judged(found: Iterable[Heard], head: int, now: float) -> Nodes:
    """What is wrong with each, and with one beside the others."""
    reports = [(one, read_node(one.report) if one.report else None) for one in found]
    known = [report for _, report in reports if isinstance(report, Node)]
    version = _most(report.version for report in known)
    usual = {
        number: _most(report.digest for report in known if report.revision == number)
        for number in {report.revision for report in known}
    }
    rows = []
    for one, report in reports:
        if not isinstance(report, Node):
            why = f"what it says can't be read: {report}" if isinstance(report, Flaw) else _silence(one, now)
            rows.append(Row(one.name, None, one.seen, (why,)))
            continue
        troubles = [*_troubles(report, head)]
        if report.digest != usual[report.revision]:
            troubles.append("its policy differs from that of the others: see its policy files")
        remarks = [f"revision {report.loaded} is on trial"] if report.canary else []
        if report.version != version:
            remarks.append(f"it runs {report.version}, most run {version}")
        rows.append(Row(one.name, report, one.seen, tuple(troubles), tuple(remarks)))
    return Nodes(head, tuple(rows))


def _most(values: Iterable[str]) -> str:
    """The most frequent; of several the first in order."""
    counts = Counter(values)
    return min(counts, key=lambda one: (-counts[one], one), default="")


def _silence(one: Heard, now: float) -> str:
    return f"it has been silent for {age(now - one.seen)}: it is down, or can't reach Redis"


def _troubles(report: Node, head: int) -> Iterable[str]:
    if report.loaded != head:
        why = f": {report.held}" if report.held else ""
        yield f"it has revision {report.loaded}, the head is {head}{why}"
    if report.current < report.workers:
        yield f"{report.workers - report.current} of {report.workers} workers have an older generation"
    if report.unready:
        yield f"it judges no mail: {report.unready}"
    if report.troubled:
        more = ", …" if len(report.troubled) > _NAMED else ""
        yield f"not in force as written: {', '.join(report.troubled[:_NAMED])}{more}"
    if report.error and not report.unready:
        yield report.error


def lagging(found: Nodes, number: int) -> tuple[str, ...]:
    """Who has not loaded this revision, and why as far as it says so. A silent daemon is not waited for."""
    return tuple(
        f"{row.name} has revision {row.node.loaded}{f' ({row.node.held})' if row.node.held else ''}"
        for row in found.rows
        if row.node is not None and row.node.loaded < number
    )


def too_old(found: Sequence[Heard], texts: Mapping[str, str]) -> str:
    """Why these texts would be broken at a daemon that is older than we are; "": they would not.

    A daemon that tells no words is one whose report can't be read: nothing is concluded from it.
    """
    used = frozenset[str]().union(*map(words_of, texts.values()))
    for one in found:
        report = read_node(one.report) if one.report else None
        if isinstance(report, Node) and report.words:
            unknown = sorted(used - frozenset(report.words))
            if unknown:
                several = ", ".join(f"`{word}`" for word in unknown[:_NAMED])
                return f"{report.name} runs {report.version}, which does not know {several}; upgrade it first"
    return ""
