"""What a load came to, as JSON between the loader child and the supervisor (and on to `tidegate status`).

The child has read hostile text, so nothing it writes is trusted to have a shape: `decode` raises ValueError for
whatever isn't a report.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tidegate.loader.hints import Hints, hints_from
from tidegate.loader.revision import Revised, revised_from
from tidegate.loader.sources import SourceFile
from tidegate.model import Entry, EntryKey, EntryKind, EntryState, Place, Problem, Severity


@dataclass(frozen=True, slots=True)
class LiveList:
    """A list of the policy whose entries are in Redis, as model.LiveSource has it: its name here, and there."""

    list: str
    name: str
    form: str
    max_stale: float = 0.0
    allows: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What a replica is known by."""
        return self.name, self.form


@dataclass(frozen=True, slots=True)
class Report:
    """One load. `image` False: there is nothing that could be in force, and the last generation stays."""

    sources_digest: str = ""  # of policy and list files as read (loader/sources.py)
    digest: str = ""  # of the image
    number: int = 0  # of the generation
    image: bool = False
    entries: tuple[Entry, ...] = ()
    problems: tuple[Problem, ...] = ()
    rules: tuple[str, ...] = ()  # ids, in the order of their numbers in the image
    lenient: tuple[str, ...] = ()  # those that are left out where they can't be evaluated: `on_error: skip`
    form: str = ""  # digest of all that can change a verdict but list items (image/face.py)
    faces: tuple[str, ...] = ()  # of the rules, in their order
    expected: tuple[str, ...] = ()  # rules with `expect:`
    lists: tuple[str, ...] = ()  # list files that were read
    counts: Mapping[str, int] = field(default_factory=dict)
    milliseconds: float = 0.0
    due: float = 0.0  # when (POSIX seconds) the same sources come to something else; 0: never
    hints: Hints = field(default_factory=Hints)  # for the brake
    read: float = 0.0  # POSIX seconds: when the sources were
    sources: tuple[SourceFile, ...] = ()
    release: str = ""  # digest of the release that was read (loader/releases.py); "": the directory is none
    recorded: bool = False  # its record of accepted entries lies there to be moved (live/acceptance.py)
    urgent: str = ""  # why what came of it must not wait for a canary, as its revision says
    revised: Revised = field(default_factory=Revised)
    live: tuple[LiveList, ...] = ()


def encode(report: Report) -> bytes:
    """One JSON text."""
    return json.dumps(
        {
            "sources_digest": report.sources_digest,
            "digest": report.digest,
            "number": report.number,
            "image": report.image,
            "entries": [entry_json(entry) for entry in report.entries],
            "problems": [problem_json(problem) for problem in report.problems],
            "rules": report.rules,
            "lenient": report.lenient,
            "form": report.form,
            "faces": report.faces,
            "expected": report.expected,
            "lists": report.lists,
            "counts": dict(report.counts),
            "milliseconds": report.milliseconds,
            "due": report.due,
            "hints": report.hints.document(),
            "read": report.read,
            "sources": [asdict(source) for source in report.sources],
            "release": report.release,
            "recorded": report.recorded,
            "urgent": report.urgent,
            "revised": report.revised.document(),
            "live": [asdict(one) for one in report.live],
        }
    ).encode("ascii", "backslashreplace")


def decode(data: bytes) -> Report:
    """The inverse. Raises ValueError."""
    try:
        values = json.loads(data)
        return Report(
            sources_digest=str(values["sources_digest"]),
            digest=str(values["digest"]),
            number=int(values["number"]),
            image=bool(values["image"]),
            entries=tuple(_entry(one) for one in values["entries"]),
            problems=tuple(problem_from(one) for one in values["problems"]),
            rules=tuple(map(str, values["rules"])),
            lenient=tuple(map(str, values.get("lenient", ()))),
            form=str(values.get("form", "")),
            faces=tuple(map(str, values.get("faces", ()))),
            expected=tuple(map(str, values.get("expected", ()))),
            lists=tuple(map(str, values["lists"])),
            counts={str(key): int(count) for key, count in values["counts"].items()},
            milliseconds=float(values["milliseconds"]),
            due=float(values["due"]),
            hints=hints_from(values["hints"]),
            read=float(values["read"]),
            sources=tuple(_source(one) for one in values["sources"]),
            release=str(values.get("release", "")),
            recorded=bool(values.get("recorded", False)),
            urgent=str(values["urgent"]),
            revised=revised_from(values["revised"]),
            live=tuple(_live(one) for one in values["live"]),
        )
    except (KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise ValueError(f"not a report: {error!r}") from error


def _live(values: Mapping[str, Any]) -> LiveList:
    age, allows = float(values["max_stale"]), bool(values["allows"])
    return LiveList(str(values["list"]), str(values["name"]), str(values["form"]), age, allows)


def _source(values: Mapping[str, Any]) -> SourceFile:
    return SourceFile(
        str(values["kind"]), str(values["name"]), str(values["digest"]), int(values["size"]), str(values["error"])
    )


def decode_record(data: bytes) -> Report:
    """The inverse, of a report that an earlier release may have written: what it did not know is as by default.

    Raises ValueError.
    """
    try:
        known = {**json.loads(encode(Report())), **json.loads(data)}
    except (TypeError, RecursionError) as error:
        raise ValueError(f"not a report: {error!r}") from error
    return decode(json.dumps(known).encode())


def _place(place: Place) -> list[Any]:
    return [place.source, place.line, place.column, place.end_column]


def _place_from(values: list[Any]) -> Place:
    source, line, column, end = values
    return Place(str(source), int(line), int(column), int(end))


def key_from(text: str) -> EntryKey:
    """`rule spoofed-from` as a key. Raises ValueError."""
    kind, _, name = text.partition(" ")
    return EntryKey(EntryKind(kind), name)


def entry_json(entry: Entry) -> dict[str, Any]:
    """One entry, for the way to the supervisor."""
    return {
        "key": str(entry.key),
        "state": entry.state.value,
        "place": _place(entry.place),
        "digest": entry.digest,
        "reason": entry.reason,
        "since": entry.since,
        "overrides": entry.overrides,
    }


def _entry(values: Mapping[str, Any]) -> Entry:
    return Entry(
        key_from(values["key"]),
        EntryState(values["state"]),
        _place_from(values["place"]),
        str(values["digest"]),
        str(values["reason"]),
        float(values["since"]),
        str(values.get("overrides", "")),
    )


def problem_json(problem: Problem) -> dict[str, Any]:
    """One problem, for the way to the supervisor."""
    return {
        "code": problem.code,
        "message": problem.message,
        "place": _place(problem.place),
        "severity": problem.severity.name.lower(),
        "entry": str(problem.entry) if problem.entry else "",
        "cure": problem.cure,
        "excerpt": problem.excerpt,
    }


def problem_from(values: Mapping[str, Any]) -> Problem:
    """The inverse of problem_json. Raises ValueError, KeyError or TypeError."""
    return Problem(
        str(values["code"]),
        str(values["message"]),
        _place_from(values["place"]),
        Severity[str(values["severity"]).upper()],
        key_from(values["entry"]) if values["entry"] else None,
        str(values["cure"]),
        str(values["excerpt"]),
    )


def entry_document(entry: Entry) -> dict[str, Any]:
    """One entry as `--json` has it, in all commands."""
    return {
        "key": str(entry.key),
        "state": entry.state.value,
        **_spot(entry.place),
        "digest": entry.digest,
        "reason": entry.reason,
        "since": entry.since,
        "overrides": entry.overrides,
    }


def problem_document(problem: Problem) -> dict[str, Any]:
    """One problem as `--json` has it, in all commands."""
    return {
        "code": problem.code,
        "severity": problem.severity.name.lower(),
        "message": problem.message,
        **_spot(problem.place),
        "entry": str(problem.entry) if problem.entry else "",
        "cure": problem.cure,
        "excerpt": problem.excerpt,
    }


def _spot(place: Place) -> dict[str, Any]:
    return {
        "place": str(place),
        "source": place.source,
        "line": place.line,
        "column": place.column,
        "end_column": place.end_column,
    }
