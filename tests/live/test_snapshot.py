"""What was fetched from Redis, on disk: whole and consistent, or not believed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tidegate import records
from tidegate.live import snapshot
from tidegate.live.snapshot import FOLDER, Snapshot
from tidegate.model import EntryKey, EntryKind
from tidegate.revisions import EMPTY, Manifest, Named, Revision, digest_of

TEXT, OTHER = "the text of r\n", "the text of r, as it was\n"
R = EntryKey(EntryKind.RULE, "r")
GONE = EntryKey(EntryKind.LIST, "gone")


def named(text: str) -> Manifest:
    """A manifest with this text as rule r, and a tombstone."""
    return EMPTY.edited([Named(R, digest_of(text.encode()))], [GONE])


def a_snapshot(serial: int = 1, number: int = 7, expires: int | None = None, environment: str = "test") -> Snapshot:
    """Rule r and a tombstone; with `expires` it falls back on another text."""
    now, before = named(TEXT), named(OTHER)
    fallback = before if expires else EMPTY
    revision = Revision(
        number=number,
        parent=number - 1,
        manifest=now.digest(),
        environment=environment,
        author="anna",
        reason="why not",
        at=1_800_000_000,
        host="mx1",
        expires=expires,
        fallback=before.digest() if expires else "",
    )
    texts = {digest_of(text.encode()): text for text in ((TEXT, OTHER) if expires else (TEXT,))}
    return Snapshot(serial, environment, 1_800_000_100.0, revision, now, fallback, texts)


@pytest.mark.parametrize(
    "one", [a_snapshot(), a_snapshot(expires=1_800_000_500), Snapshot(3, "test", 1.0)], ids=["plain", "expires", "none"]
)
def test_what_is_written_is_read(tmp_path: Path, one: Snapshot) -> None:
    """The same value comes back, and its file is named by environment and serial number."""
    snapshot.write(str(tmp_path), one)
    kept = snapshot.newest(str(tmp_path), "test")
    assert (one, f"test-{one.serial:08}", "") == (kept.snapshot, kept.name, kept.why)


def test_three_are_kept_and_the_newest_counts(tmp_path: Path) -> None:
    """Older ones go; those of another environment are its own."""
    snapshot.write(str(tmp_path), a_snapshot(1, environment="prod"))
    for serial in (1, 2, 3, 4, 5):
        snapshot.write(str(tmp_path), a_snapshot(serial, number=serial))
    files = sorted(path.name for path in (tmp_path / FOLDER).iterdir())
    assert ["prod-00000001", "test-00000003", "test-00000004", "test-00000005"] == files
    newest = snapshot.newest(str(tmp_path), "test").snapshot
    assert 5 == (newest and newest.number)
    assert [5, 4, 3] == [one.number for one in snapshot.readable(str(tmp_path), "test")]
    assert (6, 2, 1) == tuple(snapshot.next_serial(str(tmp_path), name) for name in ("test", "prod", "dev"))


def test_in_force_is_a_function_of_the_clock() -> None:
    """From the second of `expires` on the manifest before it is in force."""
    one = a_snapshot(expires=1_800_000_500)
    assert named(TEXT) == one.in_force(1_800_000_499.9)
    assert named(OTHER) == one.in_force(1_800_000_500)
    assert EMPTY == Snapshot(1, "test", 0.0).in_force(5.0)


def altered(one: Snapshot, kind: str) -> Snapshot:
    """One that does not hold together."""
    sha = digest_of(TEXT.encode())
    assert one.revision is not None
    match kind:
        case "a text":
            return replace(one, texts={sha: TEXT + "x"})
        case "a missing text":
            return replace(one, texts={})
        case "a manifest":
            return replace(one, manifest=EMPTY)
        case "a fallback":
            return replace(one, fallback=named(TEXT))
        case _:
            return replace(one, revision=replace(one.revision, environment="prod"))


@pytest.mark.parametrize("kind", ["a text", "a missing text", "a manifest", "a fallback", "an environment"])
def test_what_does_not_hold_together_is_not_believed(tmp_path: Path, kind: str) -> None:
    """Even under a good checksum: every digest is compared."""
    (tmp_path / FOLDER).mkdir()
    records.write(tmp_path / FOLDER / "test-00000001", snapshot.encode(altered(a_snapshot(), kind)))
    kept = snapshot.newest(str(tmp_path), "test")
    assert kept.snapshot is None
    assert kept.why


@pytest.mark.parametrize("data", [b"", b"\n", b"x" * 100, b"\0" * 5000, b"{}", b"[" * 100_000, None])
def test_damage_is_told_and_never_raised(tmp_path: Path, data: bytes | None) -> None:
    """A cut, an empty, an overwritten file, a directory in its place: there is a reason, and no snapshot."""
    snapshot.write(str(tmp_path), a_snapshot(1))
    place = tmp_path / FOLDER / "test-00000002"
    if data is None:
        place.mkdir()
    else:
        place.write_bytes(data)
    kept = snapshot.newest(str(tmp_path), "test")
    assert ("test-00000002", None) == (kept.name, kept.snapshot)
    assert kept.why
    assert [a_snapshot(1)] == list(snapshot.readable(str(tmp_path), "test"))
    assert 3 == snapshot.next_serial(str(tmp_path), "test")


@pytest.mark.parametrize("body", [b"{}", b"[]", b"1", b"\xff", b"[" * 100_000, b'{"format": 2}'])
def test_a_whole_record_of_something_else(tmp_path: Path, body: bytes) -> None:
    """The checksum fits, and it is no snapshot."""
    (tmp_path / FOLDER).mkdir()
    records.write(tmp_path / FOLDER / "test-00000001", body)
    assert snapshot.newest(str(tmp_path), "test").why


def test_nothing_was_ever_fetched(tmp_path: Path) -> None:
    """No folder, an empty folder: no name, no reason."""
    assert ("", "") == (snapshot.newest(str(tmp_path), "test").name, snapshot.newest(str(tmp_path), "test").why)
    (tmp_path / FOLDER).mkdir()
    assert "" == snapshot.newest(str(tmp_path), "test").name
    assert [] == list(snapshot.readable(str(tmp_path), "test"))
