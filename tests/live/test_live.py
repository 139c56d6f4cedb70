"""The record of what was accepted, and what absence means."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.live import (
    NAME,
    Accepted,
    File,
    accept,
    digest_of,
    guard,
    has_end_mark,
    read_accepted,
    returned,
    vanished,
    write_accepted,
)
from tidegate.model import Entry, EntryKey, EntryKind, EntryState, Loaded, Place, Source

RULE = EntryKey(EntryKind.RULE, "a")
RECORD = Accepted({RULE: "- id: ä\n"}, {RULE: "10.yaml"}, {"10.yaml": File(True, 1)})


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """Texts, homes and files come back; writing the same again does nothing."""
    assert write_accepted(str(tmp_path), RECORD)
    assert (RECORD, ()) == read_accepted(str(tmp_path))
    assert not write_accepted(str(tmp_path), RECORD)


def test_none_is_no_problem(tmp_path: Path) -> None:
    """The first start."""
    assert (Accepted(), ()) == read_accepted(str(tmp_path))


@pytest.mark.parametrize("position", [0, 40, 64, 65, 70, -1])
def test_a_flipped_bit_is_a_problem(tmp_path: Path, position: int) -> None:
    """Anywhere: an empty record, a problem, and the damaged file is kept aside."""
    write_accepted(str(tmp_path), RECORD)
    data = bytearray((tmp_path / NAME).read_bytes())
    data[position] ^= 4
    (tmp_path / NAME).write_bytes(data)
    record, problems = read_accepted(str(tmp_path))
    assert Accepted() == record
    assert ["record-corrupt"] == [problem.code for problem in problems]
    assert (tmp_path / f"{NAME}.damaged").exists()


@pytest.mark.parametrize("data", [b"", b"\n", b"x" * 100, b"[" * 100_000], ids=["empty", "line", "text", "deep"])
def test_any_bytes_are_a_problem_and_no_crash(tmp_path: Path, data: bytes) -> None:
    """The record may hold anything after a crash or a restore."""
    (tmp_path / NAME).write_bytes(data)
    assert ["record-corrupt"] == [problem.code for problem in read_accepted(str(tmp_path))[1]]


GOOD = b"version: 1\n...\n"


@pytest.mark.parametrize(
    ("sources", "error", "code"),
    [
        ((Source("10.yaml", GOOD),), "", ""),
        ((Source("10.yaml", b"version: 1\n"),), "", "source-truncated"),
        ((Source("10.yaml", b" \n"),), "", "source-empty"),
        ((), "", "source-empty"),
        ((), "EACCES", "source-unreadable"),
        ((Source("other.yaml", b""),), "", ""),
    ],
    ids=["whole", "cut", "empty", "no files", "unreadable", "another file"],
)
def test_a_known_file_that_lost_its_content_is_unreadable(sources: tuple[Source, ...], error: str, code: str) -> None:
    """An unreadable source keeps what it held; an empty one would delete it."""
    guarded, problems = guard(sources, error, RECORD)
    assert ([code] if code else []) == [problem.code for problem in problems]
    assert bool(code) == any(source.error for source in guarded)


@pytest.mark.parametrize(
    ("sources", "error", "left"),
    [
        ((Source("10.yaml", b"version: 1\n"),), "", ["10.yaml"]),
        ((Source("10.yaml", b" \n"),), "", []),
        ((), "", []),
        ((Source("10.yaml", error="EACCES"),), "", ["10.yaml"]),
        ((), "EACCES", ["10.yaml"]),
    ],
    ids=["cut", "empty", "no files", "an unreadable file", "an unreadable directory"],
)
def test_a_confirmed_absence_is_one(sources: tuple[Source, ...], error: str, left: list[str]) -> None:
    """What a person confirmed is gone; what can't be read can't be confirmed away."""
    guarded, problems = guard(sources, error, RECORD, confirmed=True)
    assert left == [source.name for source in guarded]
    assert bool(error) == bool(problems)


@pytest.mark.parametrize(
    ("data", "ends"),
    [
        (b"a\n...\n", True),
        (b"a\r\n...\r\n", True),
        (b"a\n...\n\n# end\n", True),
        (b"a\n... # the end\n", True),
        (b"a\n ...\n", False),
        (b"a\n....\n", False),
        (b"a", False),
        (b"", False),
    ],
)
def test_end_mark(data: bytes, ends: bool) -> None:
    """Three dots at the start of the last line that is no comment."""
    assert ends == has_end_mark(data)


def test_the_record_keeps_a_file_that_can_not_be_read() -> None:
    """It is still known afterwards, or its next absence would be believed."""
    entry = Entry(RULE, EntryState.STALE, Place("?", 0, 0))
    after = accept(Loaded(entries=(entry,), texts=RECORD.texts), (Source("10.yaml", error="gone"),), RECORD)
    assert RECORD.files == after.files


@pytest.mark.parametrize(
    ("before", "left", "believed"),
    [(10, 0, True), (11, 0, False), (22, 11, True), (23, 11, False), (1000, 995, True)],
)
def test_a_mass_of_missing_entries_is_not_believed(before: int, left: int, believed: bool) -> None:
    """More than half and more than ten at once is rather an accident than an edit."""
    keys = [EntryKey(EntryKind.RULE, str(number)) for number in range(before)]
    entries = tuple(Entry(key, EntryState.ACTIVE, Place("10.yaml", 1, 1)) for key in keys[:left])
    gone = vanished(Loaded(entries=entries), Accepted(dict.fromkeys(keys, "")))
    assert believed == (gone == ())


@pytest.mark.parametrize(
    ("digest", "now", "believed"),
    [
        ("old", 100.0, True),
        ("old", 90_000.0, False),
        ("now", 90_000.0, True),
        ("never", 100.0, False),
        ("", 100.0, False),
    ],
    ids=["a revert", "a backup of long ago", "as it is", "unknown", "unreadable"],
)
def test_a_revert_is_known_by_its_bytes(tmp_path: Path, digest: str, now: float, believed: bool) -> None:
    """What stood there until less than a day ago may come back, and what came between may go; across restarts."""
    first = accept(Loaded(), (), Accepted(), "old", 10.0)
    write_accepted(str(tmp_path), accept(Loaded(), (), accept(Loaded(), (), first, "now", 50.0), "now", 60.0))
    record, _ = read_accepted(str(tmp_path))
    assert (("old", 10.0), ("now", 50.0)) == record.past
    assert believed is returned(digest, record, now)


def test_what_stands_there() -> None:
    """Names and bytes count; of what can't be read nothing is known."""
    one, two = Source("a.yaml", b"1"), Source("b.yaml", b"1")
    assert 3 == len({digest_of((one,)), digest_of((two,)), digest_of((one, two))})
    assert "" == digest_of((one, Source("b.yaml", error="gone")))
