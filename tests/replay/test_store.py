"""The replay store: sealed, bounded, and gone when it is meant to be."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from tests.builders.kept import a_kept
from tests.builders.transactions import NOW
from tidegate.ledger import locked
from tidegate.replay import (
    FOLDER,
    BusyError,
    Keeper,
    Kept,
    Quill,
    Reading,
    forget,
    purge,
    read_messages,
    segments,
    tend,
)
from tidegate.replay import reading as room
from tidegate.replay.sealing import MARK, Seal, SealError, State, UnavailableError, pieces
from tidegate.replay.store import KEY, SLOT, FullError

MIB = 1 << 20


def put(state: Path, *messages: Kept, now: float = NOW, bound: int = MIB) -> None:
    Quill(str(state), bound).write(messages, now)


def refs(state: Path, since: float = 0.0, reading: Reading | None = None) -> list[str]:
    found = read_messages(str(state), since, reading if reading is not None else Reading())
    return [one.transaction.reference for one in found]


def only(state: Path) -> Path:
    (segment,) = segments(str(state))
    return segment.path


def fill(state: Path, reference: str, now: float, bound: int) -> None:
    """More than has room."""
    for _ in range(200):
        put(state, a_kept(reference=reference), now=now, bound=bound)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """By several writers, in several blocks, with different headers known."""
    put(tmp_path, a_kept(reference="A"), a_kept(reference="B", known=["header.subject"]))
    put(tmp_path, a_kept(reference="C"), now=NOW + SLOT)
    reading = Reading()
    found = list(read_messages(str(tmp_path), 0, reading))
    assert ["A", "B", "C"] == [one.transaction.reference for one in found]
    assert found[1] == a_kept(reference="B", known=["header.subject"])
    assert (3, 0, reading.total) == (reading.messages, reading.lost, reading.done)


def test_nothing_stands_there_in_clear(tmp_path: Path) -> None:
    """No address, no login, no subject, no client; and nobody else may read the files."""
    put(tmp_path, a_kept())
    folder = tmp_path / FOLDER
    data = b"".join(path.read_bytes() for path in folder.iterdir())
    for word in (b"alice", b"bob", b"example", b"hello", b"192.0.2", b"Subject", b"subject", b"sender"):
        assert word not in data
    assert {0o600} == {path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert 0o700 == folder.stat().st_mode & 0o777


def test_since(tmp_path: Path) -> None:
    """Older messages are passed over, and older files not even read."""
    put(tmp_path, a_kept(time=NOW - 5000, reference="A"), now=NOW - 5000)
    put(tmp_path, a_kept(time=NOW - 10, reference="B"), a_kept(time=NOW, reference="C"))
    assert ["C"] == refs(tmp_path, NOW - 5)


@pytest.mark.parametrize("place", [0, 5, 14, 30, -1], ids=["mark", "key", "length", "nonce", "sealed"])
def test_a_damaged_block_costs_itself(place: int, tmp_path: Path) -> None:
    """Whichever byte of it: it is counted, and what stands before and behind is read."""
    put(tmp_path, a_kept(reference="A"))
    first = only(tmp_path).stat().st_size
    put(tmp_path, a_kept(reference="B"))
    second = only(tmp_path).stat().st_size
    put(tmp_path, a_kept(reference="C"))
    data = bytearray(only(tmp_path).read_bytes())
    data[first + place if place >= 0 else second - 1] ^= 0x40
    only(tmp_path).write_bytes(data)
    reading = Reading()
    assert ["A", "C"] == refs(tmp_path, 0, reading)
    assert (1, reading.total) == (reading.lost, reading.done)


def test_the_next_block_is_found_wherever_it_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is searched in steps, and a mark may lie across two of them."""
    monkeypatch.setattr(room, "_STEP", 7)
    for length in range(9):
        put(tmp_path, a_kept(reference=f"R{length}"))
        only(tmp_path).write_bytes(only(tmp_path).read_bytes() + b"x" * length)
    reading = Reading()
    assert [f"R{length}" for length in range(9)] == refs(tmp_path, 0, reading)
    assert 8 == reading.damaged


def test_what_somebody_left_behind_is_swept(tmp_path: Path) -> None:
    """A draft of who was killed while he rewrote a file; one in use stays."""
    put(tmp_path, a_kept())
    old, fresh = (tmp_path / FOLDER / f"messages-1.{pid}.tmp" for pid in (1, 2))
    for path in (old, fresh):
        path.write_bytes(b"x")
    os.utime(old, (NOW - 7200, NOW - 7200))
    os.utime(fresh, (NOW, NOW))
    tend(str(tmp_path), 0, MIB, NOW)
    assert (False, True) == (old.exists(), fresh.exists())
    purge(str(tmp_path))
    assert not fresh.exists()


def test_a_cut_file_costs_its_last_block(tmp_path: Path) -> None:
    """And what is appended behind it is read."""
    put(tmp_path, a_kept(reference="A"), a_kept(reference="B"))
    os.truncate(only(tmp_path), only(tmp_path).stat().st_size - 3)
    put(tmp_path, a_kept(reference="C"))
    reading = Reading()
    assert (["C"], 1) == (refs(tmp_path, 0, reading), reading.lost)


def test_without_the_key_nothing_is_read(tmp_path: Path) -> None:
    """And a new one, which the next message makes, opens nothing of the old."""
    put(tmp_path, a_kept(reference="A"))
    (tmp_path / FOLDER / KEY).unlink()
    reading = Reading()
    assert ([], 1) == (refs(tmp_path, 0, reading), reading.locked)
    put(tmp_path, a_kept(reference="B"))
    reading = Reading()
    assert (["B"], 1, 0) == (refs(tmp_path, 0, reading), reading.locked, reading.damaged)


def test_a_writer_never_uses_a_key_that_was_removed(tmp_path: Path) -> None:
    """Although it has it in its memory."""
    quill = Quill(str(tmp_path), MIB)
    quill.write([a_kept(reference="A")], NOW)
    (tmp_path / FOLDER / KEY).unlink()
    quill.write([a_kept(reference="B")], NOW)
    assert ["B"] == refs(tmp_path)


def test_a_writer_does_not_wait(tmp_path: Path) -> None:
    """While somebody rewrites the store it is told to try again."""
    quill = Quill(str(tmp_path), MIB)
    quill.write([a_kept()], NOW)
    with locked(tmp_path / FOLDER, fcntl.LOCK_EX), pytest.raises(BusyError):
        quill.write([a_kept()], NOW)


def test_a_pipe_in_its_place_keeps_nobody_waiting(tmp_path: Path) -> None:
    """Neither who writes nor who reads."""
    put(tmp_path, a_kept())
    os.mkfifo(tmp_path / FOLDER / f"messages-{int(NOW + SLOT) // SLOT}")
    with pytest.raises(OSError, match=r"No such device"):
        put(tmp_path, a_kept(), now=NOW + SLOT)
    assert ["R3F"] == refs(tmp_path)


def test_the_store_is_bounded(tmp_path: Path) -> None:
    """A file gets a quarter of the bytes; what the clerk drops are the oldest files."""
    bound = 40_000
    for number in range(12):
        tend(str(tmp_path), 0, bound, NOW + number * SLOT)
        with pytest.raises(FullError):
            fill(tmp_path, f"R{number}", NOW + number * SLOT, bound)
        assert sum(one.size for one in segments(str(tmp_path))) <= bound
    assert {"R11", "R10"} <= set(refs(tmp_path))
    assert "R0" not in refs(tmp_path)


def test_what_is_too_old_is_dropped(tmp_path: Path) -> None:
    """By the end of the quarter of an hour in which it was written."""
    put(tmp_path, a_kept(reference="A"), now=NOW - 10 * SLOT)
    put(tmp_path, a_kept(reference="B"), now=NOW)
    tend(str(tmp_path), NOW - 8 * SLOT, MIB, NOW)
    assert ["B"] == refs(tmp_path)


def test_a_person_is_forgotten_and_others_are_not(tmp_path: Path) -> None:
    """Rewritten, so that nothing of the message is left; what nobody can open goes with it."""
    put(tmp_path, a_kept(reference="A"), a_kept(reference="B", login="mallory", sender="m@example.org"))
    put(tmp_path, a_kept(reference="C", rcpt=["mallory@example.org"]), now=NOW + SLOT)
    path = segments(str(tmp_path))[0].path
    path.write_bytes(path.read_bytes() + MARK + b"rest")

    def meant(text: bytes) -> bool:
        return b"mallory" in text

    assert 2 == forget(str(tmp_path), meant, only_count=True)
    assert ["A", "B", "C"] == refs(tmp_path)
    assert 2 == forget(str(tmp_path), meant)
    reading = Reading()
    assert (["A"], 0) == (refs(tmp_path, 0, reading), reading.lost)
    assert 0 == forget(str(tmp_path), meant)


def test_forgetting_without_the_key_removes_what_nobody_can_read(tmp_path: Path) -> None:
    """It may hold whoever is meant."""
    put(tmp_path, a_kept())
    (tmp_path / FOLDER / KEY).unlink()
    assert 0 == forget(str(tmp_path), bool)
    assert [] == segments(str(tmp_path))


def test_purged(tmp_path: Path) -> None:
    """All of it, the key too."""
    assert not purge(str(tmp_path))
    put(tmp_path, a_kept())
    assert purge(str(tmp_path))
    assert ["lock"] == [path.name for path in (tmp_path / FOLDER).iterdir()]


def test_the_clerk_removes_what_is_off(tmp_path: Path) -> None:
    """And keeps what is on, with a key from the beginning."""
    assert "" == Keeper(str(tmp_path), 3600.0, MIB).look(NOW)
    assert (tmp_path / FOLDER / KEY).exists()
    put(tmp_path, a_kept(reference="A"))
    assert "" == Keeper(str(tmp_path), 3600.0, MIB).look(NOW)
    assert ["A"] == refs(tmp_path)
    assert "" == Keeper(str(tmp_path), 0.0, MIB).look(NOW)
    assert [] == segments(str(tmp_path))


def test_without_the_library_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the cure; the daemon runs on."""
    monkeypatch.setitem(__import__("sys").modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    assert "install python3-cryptography" in Keeper(str(tmp_path), 3600.0, MIB).look(NOW)
    with pytest.raises(UnavailableError, match="python3-cryptography is not installed"):
        put(tmp_path, a_kept())


def test_a_folder_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    """In the words of the system."""
    (tmp_path / FOLDER).write_text("in the way")
    assert "the replay store can't be kept: File exists" == Keeper(str(tmp_path), 3600.0, MIB).look(NOW)


def test_a_block_is_bound_to_its_key() -> None:
    """Whoever has another opens nothing, whatever the head says."""
    data = Seal(bytes(32)).close(b"text") + b"x"
    found = [(piece.state, piece.text) for piece in pieces(data, Seal(bytes(32)))]
    assert [(State.OPEN, b"text"), (State.DAMAGED, b"")] == found
    with pytest.raises(SealError):
        Seal(bytes(31) + b"1").open(data[:-1])
