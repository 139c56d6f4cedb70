"""Releases: a link is gone through once, a swap is never seen half, and what was not confirmed in time is left."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from hashlib import sha256
from pathlib import Path

import pytest

from tests.builders.transactions import NOW
from tidegate import records
from tidegate.loader.releases import (
    Applied,
    applied_text,
    changed,
    digest_of_files,
    home_of,
    manifest_text,
    read_applied,
    record_path,
    releases_of,
    remarks,
)
from tidegate.loader.sources import Digester, read_directory, whole_digest

FILES = {"a.yaml": b"version: 1\n...\n", "b.yaml": b"version: 1\nrules: []\n...\n", "lists/l.txt": b"alice\n"}


def release(link: Path, files: dict[str, bytes]) -> str:
    """Its digest; the link stays as it is."""
    sums = {name: sha256(data).hexdigest() for name, data in files.items()}
    digest = digest_of_files(sums)
    place = releases_of(str(link)) / digest
    for name, data in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)
    (place / ".release").write_bytes(manifest_text(sums))
    return digest


def use(link: Path, digest: str) -> None:
    """One rename."""
    draft = link.with_name("draft")
    draft.symlink_to(f"{link.name}.releases/{digest}")
    draft.rename(link)


def applied(link: Path, digest: str, previous: str = "", until: float = 0.0, forced: tuple[str, ...] = ()) -> None:
    one = Applied(digest, previous, NOW, "alice", "because", until, forced)
    records.write(record_path(str(link), digest), applied_text(one))


@pytest.fixture
def link(tmp_path: Path) -> Path:
    """A link to a release that was applied."""
    place = tmp_path / "policies"
    digest = release(place, FILES)
    applied(place, digest)
    use(place, digest)
    return place


def test_a_directory_is_its_own_home(tmp_path: Path) -> None:
    """Nothing is read for it."""
    assert (str(tmp_path), "") == (home_of(str(tmp_path), NOW).path, home_of(str(tmp_path), NOW).digest)
    assert str(tmp_path / "gone") == home_of(str(tmp_path / "gone"), NOW).path


def test_a_link_elsewhere_is_followed(tmp_path: Path) -> None:
    """It is no release, and yet gone through once."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    home = home_of(str(tmp_path / "link"), NOW)
    assert (str(tmp_path / "real"), "") == (home.path, home.digest)


def test_a_release_is_known_by_its_digest(link: Path) -> None:
    """And by its record."""
    home = home_of(str(link), NOW)
    assert home.path == os.path.realpath(link)
    assert home.applied is not None
    assert ("alice", home.digest) == (home.applied.who, home.applied.digest)
    assert () == changed(home.path, read_directory(home.path))


def test_the_digest_is_that_of_two_common_commands(link: Path) -> None:
    """So it can be compared where there is no tidegate."""
    command = "find * -type f | LC_ALL=C sort | xargs -d '\\n' sha256sum | sha256sum"
    shell = subprocess.run(["/bin/sh", "-c", command], cwd=link, capture_output=True, check=True, text=True)
    assert home_of(str(link), NOW).digest == shell.stdout.split()[0]


@pytest.mark.parametrize(
    ("path", "data", "told"),
    [
        ("a.yaml", b"version: 2\n", "a.yaml"),
        ("lists/l.txt", b"mallory\n", "lists/l.txt"),
        ("c.yaml", b"version: 1\n", "c.yaml was added"),
        (".release", b"{}", ".release is damaged"),
        (".release", b'{"version": 1, "files": {}}', ".release is that of another release"),
        ("a.yaml", None, "a.yaml"),
        (".release", None, ".release: No such file or directory"),
    ],
)
def test_what_is_not_as_it_was_applied(path: str, data: bytes | None, told: str, link: Path) -> None:
    """A file that was edited, added or removed: then the guards are there as ever."""
    if data is None:
        (link / path).unlink()
    else:
        (link / path).write_bytes(data)
    home = home_of(str(link), NOW)
    wrong = changed(home.path, read_directory(home.path))
    assert (told,) == wrong
    assert ["release-changed"] == [one.code for one in remarks(home, wrong)]


def test_a_release_that_was_not_confirmed_lapses(link: Path) -> None:
    """At its time, for every reader, with nobody there to do anything."""
    before = home_of(str(link), NOW).digest
    digest = release(link, {"a.yaml": b"version: 1\n"})
    applied(link, digest, before, until=NOW + 10)
    use(link, digest)
    assert (digest, None) == (home_of(str(link), NOW + 9.9).digest, home_of(str(link), NOW + 9.9).lapsed)
    home = home_of(str(link), NOW + 10)
    assert (before, digest) == (home.digest, home.lapsed.digest if home.lapsed else "")
    assert home.path.endswith(before)
    assert ["release-lapsed"] == [one.code for one in remarks(home, ())]


def test_without_the_one_before_it_nothing_lapses(link: Path) -> None:
    """Something has to serve."""
    digest = home_of(str(link), NOW).digest
    applied(link, digest, "0" * 64, until=NOW - 1)
    assert (digest, None) == (home_of(str(link), NOW).digest, home_of(str(link), NOW).lapsed)
    applied(link, digest, "../x", until=NOW - 1)
    assert digest == home_of(str(link), NOW).digest


@pytest.mark.parametrize("data", [b"", b"x\ny", b'{"digest": 1}'])
def test_a_damaged_record_is_told(data: bytes, link: Path) -> None:
    """The release serves."""
    home = home_of(str(link), NOW)
    record_path(str(link), home.digest).write_bytes(data)
    with pytest.raises(ValueError, match=r"."):
        read_applied(str(link), home.digest)
    again = home_of(str(link), NOW)
    assert again.path == home.path
    assert ["release-changed"] == [one.code for one in remarks(again, ())]


def test_what_went_past_its_gates_is_told(link: Path) -> None:
    """As long as it is in use."""
    digest = home_of(str(link), NOW).digest
    applied(link, digest, forced=("check", "replay"))
    (told,) = remarks(home_of(str(link), NOW), ())
    assert "release-forced" == told.code
    assert f"alice applied release {digest[:12]} past its gates (check, replay): because" == told.message


def test_a_swap_is_never_seen_half(link: Path) -> None:
    """Two releases that have no file in common in content, swapped all the time: each look sees one of the two."""
    first = home_of(str(link), NOW).digest
    other = release(link, {name: b"# other\n" + data for name, data in FILES.items()})
    applied(link, other)
    folder = releases_of(str(link))
    lists = ["lists/l.txt"]
    whole = {Digester().digest(str(folder / digest), lists) for digest in (first, other)}
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            use(link, other)
            use(link, first)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        digester = Digester()
        for _ in range(300):
            assert digester.digest(home_of(str(link), NOW).path, lists) in whole
            home = home_of(str(link), NOW)
            found = read_directory(home.path)
            assert () == changed(home.path, found)
            assert json.loads((Path(home.path) / ".release").read_bytes())["version"] == 1
            assert len({source.data[:7] for source in found.sources}) == 1
    finally:
        done.set()
        thread.join()
    assert 2 == len(whole)
    assert whole_digest(read_directory(str(folder / first)), {}) not in whole
