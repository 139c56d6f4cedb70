"""The ledger's file: whole lines or none, whoever dies; bounds that keep counts right; forgetting one person."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tidegate import ledger, records
from tidegate.ledger import rows as rows_module
from tidegate.ledger import tending
from tidegate.ledger.rows import FOLDER, ROWS, BusyError, Pen, Row, locked, read_rows

ROW = Row("r", 1000.0, "4ABC", "REF", "a***@example.com", "a***", ("0123",), "accept", first=1000.0)


def a_row(number: int, rule: str = "r") -> Row:
    return replace(ROW, rule=rule, time=1000.0 + number, first=1000.0 + number, queue_id=f"Q{number}")


def written(state: Path, rows: Sequence[Row]) -> Path:
    """A ledger with these rows; its file."""
    Pen(str(state)).write(rows)
    return state / FOLDER / ROWS


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """Every field, in order, over several pens."""
    rows = [ROW, Row("other", 1001.0, certain=False, count=7, first=999.0), a_row(5)]
    for one in rows:
        Pen(str(tmp_path)).write([one])
    assert rows == list(read_rows(str(tmp_path)))


@pytest.mark.parametrize(
    ("damage", "left"),
    [
        (lambda data: data[:-9], ["Q0", "Q1"]),
        (lambda data: data.replace(b'"Q1"', b'"QX"'), ["Q0", "Q2"]),
        (lambda data: data + b"\0\xff\n12345678 {}\n", ["Q0", "Q1", "Q2"]),
        (lambda _data: b"", []),
    ],
    ids=["cut", "changed", "nonsense", "emptied"],
)
def test_a_damaged_line_costs_itself(damage, left: list[str], tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """The others are read, and what is appended behind it as well."""
    path = written(tmp_path, [a_row(0), a_row(1), a_row(2)])
    path.write_bytes(damage(path.read_bytes()))
    Pen(str(tmp_path)).write([a_row(9)])
    assert [*left, "Q9"] == [row.queue_id for row in read_rows(str(tmp_path))]


def test_no_ledger_is_an_empty_one(tmp_path: Path) -> None:
    """Nothing is made by looking."""
    assert [] == list(read_rows(str(tmp_path)))
    assert not ledger.tend(str(tmp_path), 0.0, due=True)
    assert 0 == ledger.forget(str(tmp_path), ["x"], [])
    assert [] == list(tmp_path.iterdir())


def test_who_writes_does_not_wait_for_who_rewrites(tmp_path: Path) -> None:
    """BusyError at once; the rows are the caller's to keep."""
    written(tmp_path, [ROW])
    with locked(tmp_path / FOLDER, fcntl.LOCK_EX), pytest.raises(BusyError):
        Pen(str(tmp_path)).write([a_row(1)])
    assert [ROW] == list(read_rows(str(tmp_path)))


def test_a_ledger_that_nobody_tends_ends_somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An OSError, which the worker counts as lost."""
    monkeypatch.setattr(rows_module, "FULL", 10)
    written(tmp_path, [ROW])
    with pytest.raises(OSError, match="full"):
        Pen(str(tmp_path)).write([ROW])


def test_several_processes_append_whole_lines(tmp_path: Path) -> None:
    """Four at once, while a fifth rewrites; nothing is lost and nothing is mixed."""
    written(tmp_path, [])
    children = []
    for worker in range(4):
        pid = os.fork()
        if pid == 0:
            pen = Pen(str(tmp_path))
            for number in range(50):
                while True:
                    try:
                        pen.write([a_row(number, f"w{worker}")])
                    except BusyError:
                        continue
                    break
            os._exit(0)
        children.append(pid)
    for _ in range(20):
        tending.tend(str(tmp_path), 0.0, due=True)
    assert [0] * 4 == [os.waitpid(pid, 0)[1] for pid in children]
    found = [(row.rule, row.queue_id) for row in read_rows(str(tmp_path))]
    assert sorted((f"w{worker}", f"Q{number}") for worker in range(4) for number in range(50)) == sorted(found)


def test_the_bounds_drop_rows_and_keep_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest of each rule stay; the others are one number, with the time of the first and the last."""
    monkeypatch.setattr(tending, "LISTED", 3)
    rows = [*(a_row(number) for number in range(10)), a_row(3, "quiet")]
    once = tending.bounded(rows)
    assert ["", "Q7", "Q8", "Q9", "Q3"] == [row.queue_id for row in once]
    assert (7, 1000.0, 1006.0) == (once[0].count, once[0].first, once[0].time)
    again = tending.bounded([*once, a_row(10)])
    assert (8, 1000.0, 1007.0) == (again[0].count, again[0].first, again[0].time)
    assert 12 == sum(row.count for row in again)


def test_all_rules_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rules there are."""
    monkeypatch.setattr(tending, "ALL", 5)
    found = tending.bounded([a_row(number, f"r{number}") for number in range(20)])
    assert 5 == sum(row.listed for row in found)
    assert 20 == sum(row.count for row in found)


def test_what_is_too_old_leaves_without_a_trace(tmp_path: Path) -> None:
    """Neither listed nor counted."""
    written(tmp_path, [a_row(0), a_row(50), a_row(100)])
    assert ledger.tend(str(tmp_path), 1050.0, due=True)
    assert ["Q50", "Q100"] == [row.queue_id for row in read_rows(str(tmp_path))]


def test_one_person_is_forgotten_and_the_count_stays(tmp_path: Path) -> None:
    """By the fingerprint: another one who looks alike when masked keeps their rows."""
    pen = Pen(str(tmp_path))
    mallory, molly = pen.fingerprints("Mallory@example.com"), pen.fingerprints("molly@example.com")
    pen.write([replace(a_row(0), who=mallory), replace(a_row(1), who=molly), replace(a_row(2), who=())])
    key = ledger.read_key(str(tmp_path))
    assert 1 == ledger.forget(str(tmp_path), [ledger.fingerprint(key, "mallory@EXAMPLE.com ")], ["x***@example.com"])
    assert ["", "Q1", "Q2"] == [row.queue_id for row in read_rows(str(tmp_path))]
    assert 1 == ledger.forget(str(tmp_path), [], ["a***@example.com"])  # without a fingerprint by the mask
    left = list(read_rows(str(tmp_path)))
    assert ["", "Q1", ""] == [row.queue_id for row in left]
    assert 3 == sum(row.count for row in left)


def test_the_key_is_made_once_and_replaced_where_it_is_damaged(tmp_path: Path) -> None:
    """Two pens tell the same person by the same fingerprint."""
    assert Pen(str(tmp_path)).fingerprints("a", "", "A") == Pen(str(tmp_path)).fingerprints("a")
    (tmp_path / FOLDER / "key").write_bytes(b"damaged")
    assert 1 == len(Pen(str(tmp_path)).fingerprints("a"))
    assert 32 == len(records.read(tmp_path / FOLDER / "key"))
