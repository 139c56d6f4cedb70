"""The record of a canary that runs."""

from __future__ import annotations

from pathlib import Path

from tidegate.live import read_interrupted, write_interrupted


def test_it_stands_from_begin_to_end(tmp_path: Path) -> None:
    """None at first; then what was for all; none again, however often that is said."""
    state = str(tmp_path)
    assert ("", ()) == read_interrupted(state)
    write_interrupted(state, "d1")
    assert ("d1", ()) == read_interrupted(state)
    write_interrupted(state, "")
    write_interrupted(state, "")
    assert ("", ()) == read_interrupted(state)


def test_a_damaged_one_is_told(tmp_path: Path) -> None:
    """It is set aside, and the daemon starts without it."""
    write_interrupted(str(tmp_path), "d1")
    file = tmp_path / "canary"
    file.write_bytes(file.read_bytes().replace(b"d1", b"d2"))
    digest, problems = read_interrupted(str(tmp_path))
    assert ("", ["record-corrupt"]) == (digest, [one.code for one in problems])
