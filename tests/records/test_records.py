"""records.py: a record is whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate import records


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Any bytes come back, readable by their owner only."""
    path = tmp_path / "record"
    assert records.write(path, b"one\ntwo\0\xff")
    assert records.read(path) == b"one\ntwo\0\xff"
    assert path.stat().st_mode & 0o777 == 0o600


def test_unchanged_content_is_left_alone(tmp_path: Path) -> None:
    """The same content is no new file; another one is."""
    path = tmp_path / "record"
    records.write(path, b"one")
    before = path.stat().st_ino
    assert not records.write(path, b"one")
    assert path.stat().st_ino == before
    assert records.write(path, b"two")
    assert records.read(path) == b"two"


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[:-1], id="cut"),
        pytest.param(lambda data: data + b"x", id="longer"),
        pytest.param(lambda data: data[:-1] + b"X", id="a byte is another"),
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(lambda _: b"no record at all\n", id="another file"),
    ],
)
def test_damage_is_known(tmp_path: Path, damage: object) -> None:
    """Whatever stands there that was not written as it is: DamagedError; it can be set aside, and written anew."""
    path = tmp_path / "record"
    records.write(path, b"content")
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(records.DamagedError):
        records.read(path)
    records.set_aside(path)
    assert not path.exists()
    assert (tmp_path / "record.damaged").exists()
    assert records.write(path, b"content")


def test_drafts_of_the_dead_go(tmp_path: Path) -> None:
    """A process that was killed while it wrote leaves a draft; the next one removes it."""
    draft = tmp_path / "record.1.tmp"
    draft.write_bytes(b"half")
    records.write(tmp_path / "record", b"whole")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["record"]


def test_no_draft_stays_where_writing_fails(tmp_path: Path) -> None:
    """Where the place can't be taken the error is the caller's, and nothing is left over."""
    (tmp_path / "record").mkdir()
    with pytest.raises(OSError, match="directory"):
        records.write(tmp_path / "record", b"content")
    assert [one.name for one in tmp_path.iterdir()] == ["record"]
