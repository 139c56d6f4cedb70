"""Which policy set is in force, and the record of what was accepted.

Promises: activation is one assignment; the record is written whole (tmp, fsync, rename, checksum) or not at all, and a
damaged one is a problem, never a crash; a source that is empty, cut, unreadable or gone takes nothing out of force
(absence is not deletion). Refuses: reading policy text; deciding what a broken entry becomes (policy/load.py does,
from the texts that this record keeps).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from tidegate import image
from tidegate.alerts import problem
from tidegate.model import EntryKey, EntryKind, Loaded, Place, Problem, Severity, Source

_FORMAT = 1
_FEW = 10  # so many entries may vanish at once without a question
_DAY = 86400.0  # seconds
_PAST = 20  # states that are remembered, to know a revert by
NAME = "accepted"
_END_MARK = re.compile(rb"\.\.\.(?:[ \t]+#.*)?\Z")


class Live:
    """The set that new messages take; None until one was ever loaded."""

    __slots__ = ("current",)

    def __init__(self) -> None:
        self.current: image.Generation | None = None


@dataclass(frozen=True, slots=True)
class File:
    """What a policy file was when it last read completely."""

    end_mark: bool
    entries: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """Each entry's last valid text, where it stood, and the files that held them."""

    texts: Mapping[EntryKey, str] = field(default_factory=dict)
    homes: Mapping[EntryKey, str] = field(default_factory=dict)  # entry: file name
    files: Mapping[str, File] = field(default_factory=dict)
    past: tuple[
        tuple[str, float], ...
    ] = ()  # what stood in all files together: its digest, and since when; newest last


def read_accepted(state: str) -> tuple[Accepted, tuple[Problem, ...]]:
    """The record in this state directory; empty where there is none, empty with a problem where it is damaged."""
    path = Path(state) / NAME
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Accepted(), ()
    except OSError as error:
        return Accepted(), (_corrupt(path, error.strerror or "it can't be read"),)
    try:
        return _decode(data), ()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        damaged = _corrupt(path, str(error)[:200])
    try:
        os.replace(path, path.with_name(NAME + ".damaged"))
    except OSError as error:
        return Accepted(), (damaged, _corrupt(path, f"it can't be set aside: {error.strerror}"))
    return Accepted(), (damaged,)


def _corrupt(path: Path, why: str) -> Problem:
    return problem("record-corrupt", f"the record of accepted entries is damaged: {why}", Place(str(path), 0, 0))


def _decode(data: bytes) -> Accepted:
    checksum, newline, body = data.partition(b"\n")
    if not newline or hashlib.sha256(body).hexdigest().encode() != checksum:
        raise ValueError("the checksum does not fit")
    values = json.loads(body)
    if values["format"] != _FORMAT:
        raise ValueError(f"unknown format {values['format']!r}")
    keys = [(EntryKey(EntryKind(kind), name), text, home) for kind, name, text, home in values["entries"]]
    return Accepted(
        texts={key: str(text) for key, text, _ in keys},
        homes={key: str(home) for key, _, home in keys},
        files={str(name): File(bool(end), int(count)) for name, (end, count) in values["files"].items()},
        past=tuple((str(digest), float(since)) for digest, since in values.get("past", ())),
    )


def write_accepted(state: str, accepted: Accepted) -> bool:
    """Write the record where it changed; True if it did. Raises OSError."""
    path = Path(state) / NAME
    body = json.dumps(
        {
            "format": _FORMAT,
            "entries": [
                [key.kind.value, key.id, text, accepted.homes.get(key, "")] for key, text in accepted.texts.items()
            ],
            "files": {name: [file.end_mark, file.entries] for name, file in accepted.files.items()},
            "past": accepted.past,
        }
    ).encode("ascii", "backslashreplace")
    data = hashlib.sha256(body).hexdigest().encode() + b"\n" + body
    try:
        if path.read_bytes() == data:
            return False
    except OSError:
        pass  # there is none that could be kept: write it
    draft = path.with_name(f"{NAME}.{os.getpid()}.tmp")
    for leftover in path.parent.glob(f"{NAME}.*.tmp"):  # of loaders that were killed
        leftover.unlink(missing_ok=True)
    with open(draft, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)
    directory = os.open(state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)  # or the rename itself may be lost with the power
    finally:
        os.close(directory)
    return True


def guard(
    sources: tuple[Source, ...], error: str, accepted: Accepted, confirmed: bool = False
) -> tuple[tuple[Source, ...], tuple[Problem, ...]]:
    """What the loader may believe of the sources: a known file that lost its content is unreadable, not empty.

    `error` says why the directory can't be read at all. An unreadable source makes every entry that is missing
    STALE (policy/load.py), which is what absence has to mean. `confirmed`: a person says that what is gone is meant to
    be; then an empty file is none, and only what can't be read keeps what it held.
    """
    if confirmed and not error:
        return tuple(source for source in sources if source.error or source.data.strip()), ()
    known = {name: file for name, file in accepted.files.items() if file.entries}
    if error or (not sources and known):
        why = error or "the policy directory holds no policy file any more"
        code = "source-unreadable" if error else "source-empty"
        lost = problem(code, f"{why}; what was in force before stays", Place(".", 0, 0))
        return tuple(Source(name, error=why) for name in known), (lost,)
    guarded: list[Source] = []
    problems: list[Problem] = []
    for source in sources:
        before = known.get(source.name)
        code, why = _loss(source, before) if before else ("", "")
        if code:
            problems.append(
                problem(code, f"{source.name}: {why}; what it held stays in force", Place(source.name, 1, 1))
            )
        guarded.append(replace(source, data=b"", error=why) if code else source)
    return tuple(guarded), tuple(problems)


def _loss(source: Source, before: File) -> tuple[str, str]:
    if source.error:
        return "", ""  # the reader itself names it
    if not source.data.strip():
        return "source-empty", "it is empty, and held entries before"
    if before.end_mark and not has_end_mark(source.data):
        return "source-truncated", "its end mark `...` is gone: it was cut"
    return "", ""


def has_end_mark(data: bytes) -> bool:
    """Does the text end in YAML's document end mark, apart from blank lines and comments?"""
    for line in reversed(data.rstrip().splitlines()):
        text = line.strip()
        if text and not text.startswith(b"#"):
            return _END_MARK.match(line.rstrip()) is not None
    return False


def digest_of(sources: tuple[Source, ...]) -> str:
    """What stands in all policy files together; "" where one of them can't be read."""
    if any(source.error for source in sources):
        return ""
    rows = "".join(f"{hashlib.sha256(source.data).hexdigest()} {source.name}\n" for source in sources)
    return hashlib.sha256(rows.encode("utf-8", "backslashreplace")).hexdigest()


def returned(digest: str, accepted: Accepted, now: float) -> bool:
    """Is it what was last believed to be whole, or what was until less than a day ago? Then somebody took an edit back:
    what that edit brought is gone, however much it was."""
    if not digest or not accepted.past:
        return False
    ends = pairwise(accepted.past)
    return accepted.past[-1][0] == digest or any(known == digest and now - end < _DAY for (known, _), (_, end) in ends)


def accept(
    loaded: Loaded, sources: tuple[Source, ...], before: Accepted, digest: str = "", now: float = 0.0
) -> Accepted:
    """The record after this load: the texts in force, and what each file now is (or was, where it can't be read).

    `digest`: of the sources, where they are believed to be whole.
    """
    past = before.past
    if digest and (not past or past[-1][0] != digest):
        past = (*past, (digest, now))[-_PAST:]
    homes = {entry.key: entry.place.source for entry in loaded.entries}
    counts: dict[str, int] = {}
    for key in loaded.texts:
        home = homes.get(key) or before.homes.get(key, "")
        counts[home] = counts.get(home, 0) + 1
    files: dict[str, File] = {}
    for source in sources:
        if source.error:
            if source.name in before.files:
                files[source.name] = before.files[source.name]
        else:
            files[source.name] = File(has_end_mark(source.data), counts.get(source.name, 0))
    return Accepted(
        texts=dict(loaded.texts),
        homes={key: homes.get(key) or before.homes.get(key, "") for key in loaded.texts},
        files=files,
        past=past,
    )


def vanished(loaded: Loaded, before: Accepted) -> tuple[EntryKey, ...]:
    """The entries that were accepted before and of which nothing is left, if those are too many to be believed."""
    present = {entry.key for entry in loaded.entries}
    gone = tuple(key for key in before.texts if key not in present)
    return gone if len(gone) > _FEW and 2 * len(gone) > len(before.texts) else ()


def mass_vanish(gone: tuple[EntryKey, ...], before: Accepted) -> Problem:
    """The alert for it, at the file in which the first of them stood."""
    some = ", ".join(str(key) for key in gone[:3])
    text = f"{len(gone)} entries are gone at once ({some}, …); they stay in force until `tidegate confirm`"
    home = before.homes.get(gone[0], "") or "."
    return problem("mass-vanish", text, Place(home, 1, 1), Severity.ERROR)
