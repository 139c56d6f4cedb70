"""The policy directory as bytes: what counts, what is passed over, and what never hangs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tidegate.loader.sources import Digester, problems, read_directory, read_file, whole_digest


def test_only_yaml_files_in_name_order(tmp_path: Path) -> None:
    """Backups, drafts and dpkg's leftovers are not policies."""
    for name in ("20-b.yaml", "10-a.yaml", ".10-a.yaml.swp", ".hidden.yaml", "a.yaml~", "a.yaml.dpkg-dist", "README"):
        (tmp_path / name).write_text("x")
    assert ["10-a.yaml", "20-b.yaml"] == [source.name for source in read_directory(str(tmp_path)).sources]


def test_what_is_no_regular_file_is_named_and_not_waited_for(tmp_path: Path) -> None:
    """A FIFO, a device, a dangling link: each a source with its reason; a directory is passed over with a problem."""
    os.mkfifo(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").symlink_to("/dev/zero")
    (tmp_path / "c.yaml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "d.yaml").mkdir()
    (tmp_path / "e.txt").write_text("linked")
    (tmp_path / "e.yaml").symlink_to("e.txt")
    found = read_directory(str(tmp_path))
    errors = {source.name: source.error for source in found.sources}
    assert "it is not a regular file" == errors["a.yaml"] == errors["b.yaml"]
    assert "No such file or directory" == errors["c.yaml"]
    assert "" == errors["e.yaml"]
    assert ["source-ignored"] == [problem.code for problem in problems(found)]


def test_a_file_over_the_cap_is_not_read(tmp_path: Path) -> None:
    """Bounded memory: the reason says how much is allowed."""
    (tmp_path / "big").write_bytes(b"x" * 101)
    assert "it is larger than 100 bytes" == read_file(str(tmp_path), "big", 100).error


def test_a_missing_directory_is_an_error(tmp_path: Path) -> None:
    """Not an empty one: nothing may be concluded from it."""
    assert "No such file" in read_directory(str(tmp_path / "nowhere")).error


@pytest.mark.parametrize("kind", ["plain", "missing", "unreadable", "directory", "strange name"])
def test_clerk_and_loader_agree(tmp_path: Path, kind: str) -> None:
    """The digest of what lies there is the digest of what was loaded, whatever lies there."""
    folder = tmp_path / "policies"
    if kind != "missing":
        folder.mkdir()
        (folder / "10.yaml").write_text("version: 1\n")
        (folder / "list.txt").write_text("a\n")
    if kind == "unreadable":
        os.mkfifo(folder / "20.yaml")
    if kind == "directory":
        (folder / "05.yaml").mkdir()
    if kind == "strange name":
        for name in (b"/\xff.yaml", b"/a\xff.yaml", b"/az.yaml", "/aé.yaml".encode()):
            Path(os.fsdecode(os.fsencode(folder) + name)).write_bytes(name)
    lists = {name: read_file(str(folder), name) for name in ("list.txt", "gone.txt")}
    assert whole_digest(read_directory(str(folder)), lists) == Digester().digest(str(folder), lists)


def test_an_edit_of_the_same_size_within_a_tick_is_seen(tmp_path: Path) -> None:
    """Fresh files are read again whatever their times say."""
    digester = Digester()
    file = tmp_path / "a.yaml"
    file.write_text("aaaa")
    state = file.stat()
    first = digester.digest(str(tmp_path), ())
    file.write_text("bbbb")
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert first != digester.digest(str(tmp_path), ())
