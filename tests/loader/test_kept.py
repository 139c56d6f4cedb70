"""A list file that is gone, unreadable, empty, cut or damaged: the list serves as it last was, across restarts."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from tests.builders.transactions import NOW
from tidegate import image
from tidegate.image.lists import Members
from tidegate.live import settle_next
from tidegate.loader.child import Request, work
from tidegate.loader.confine import Confined
from tidegate.loader.kept import FOLDER, KeptLists
from tidegate.loader.report import decode
from tidegate.model import Conventions, Severity

POLICY = """version: 1
lists:
  suspended: {type: login, file: lists/suspended.txt}
rules:
  - {id: stop, when: {login: {in: suspended}}, do: {hold: {reason: suspended}}}
...
"""
MANY = "".join(f"user{number}\n" for number in range(30))


class Unconfined:
    """A child without limits, in this process."""

    def __init__(self) -> None:
        self.result, self.extra = os.memfd_create("result"), os.memfd_create("extra")

    def progress(self, name: str) -> None:
        """Nobody asks."""


@dataclass(frozen=True)
class Site:
    """A policy directory and a state directory; each load is a new process, as far as it can know."""

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "p" / "lists" / "suspended.txt"

    def load(self, confirmed: bool = False) -> tuple[str, set[str], Members]:
        """The list's state, the problems' codes, and the list as workers will ask it."""
        child = Unconfined()
        request = Request(str(self.folder / "p"), str(self.folder / "s"), Conventions(), 1, frozenset(), (), confirmed)
        work(cast(Confined, child), request)
        report = decode(os.pread(child.result, 1 << 20, 0))
        if report.recorded:
            settle_next(str(self.folder / "s"), on_trial=False)
        state = next(one.state.value for one in report.entries if str(one.key) == "list suspended")
        asked = image.Generation(os.pread(child.extra, 1 << 24, 0)).list("suspended")
        assert asked is not None
        return state, {one.code for one in report.problems if one.severity is Severity.ERROR}, asked


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """One load has gone well."""
    found = Site(tmp_path)
    (tmp_path / "s").mkdir()
    found.file.parent.mkdir(parents=True)
    (tmp_path / "p" / "a.yaml").write_text(POLICY)
    found.file.write_text(MANY)
    assert ("active", set()) == found.load()[:2]
    return found


def _bad_lines(file: Path) -> None:
    file.write_bytes(MANY.encode() + b"a\x01b\n" * 10)


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda file: file.unlink(), "list-file"),
        (lambda file: (file.unlink(), file.mkdir()), "list-file"),
        (lambda file: file.write_text(""), "list-empty"),
        (lambda file: file.write_text("\n \n"), "list-empty"),
        (lambda file: file.write_text(MANY[:50]), "list-shrunk"),
        (_bad_lines, "too-many-bad-lines"),
    ],
    ids=["gone", "a directory", "empty", "blank", "cut", "damaged"],
)
def test_it_serves_as_it_last_was(site: Site, damage: Callable[[Path], object], code: str) -> None:
    """STALE, with a problem; and again at the next load."""
    damage(site.file)
    for _ in range(2):
        state, codes, asked = site.load()
        assert ("stale", {code}, "user29") == (state, codes, asked.find("user29", NOW))
        assert (None, code == "too-many-bad-lines") == (
            asked.cause,
            asked.stale,
        )  # an edit, where there is a file to read


def test_it_comes_back_by_itself(site: Site) -> None:
    """As it is written again."""
    site.file.write_text("")
    site.load()
    site.file.write_text(MANY + "new\n")
    state, codes, asked = site.load()
    assert ("active", set(), "new") == (state, codes, asked.find("new", NOW))


def test_a_person_says_that_it_is_meant(site: Site) -> None:
    """`tidegate confirm`: what is missing is gone, then and afterwards."""
    site.file.write_text("")
    for confirmed in (True, False):
        state, codes, asked = site.load(confirmed)
        assert ("active", set(), None) == (state, codes, asked.find("user1", NOW))


@pytest.mark.parametrize(
    "text",
    ["# nobody\n", "".join(MANY.splitlines(keepends=True)[:20]), "".join(MANY.splitlines(keepends=True)[:15])],
    ids=["a comment alone, of ten", "ten are gone", "half are gone"],
)
def test_what_is_taken_off_the_list_is_off_it(site: Site, text: str) -> None:
    """Up to ten items or half of them at once need no confirmation."""
    if text.startswith("#"):
        site.file.write_text("".join(MANY.splitlines(keepends=True)[:15]))
        site.load()
        site.file.write_text("".join(MANY.splitlines(keepends=True)[:10]))
        site.load()
    site.file.write_text(text)
    state, codes, asked = site.load()
    assert ("active", set(), None) == (state, codes, asked.find("user29", NOW))


def test_a_damaged_copy_is_as_if_there_were_none(site: Site) -> None:
    """Then the list can't be asked, and its rules are in doubt."""
    for path in (site.folder / "s" / FOLDER).iterdir():
        path.write_bytes(path.read_bytes()[:-3])
    site.file.unlink()
    state, codes, asked = site.load()
    assert ("skipped", {"list-file"}, False) == (state, codes, asked.cause is None)


def test_a_list_that_is_deleted_leaves_nothing_behind(site: Site) -> None:
    """Its file's copy goes with it, once that is for all."""
    (site.folder / "p" / "a.yaml").write_text(POLICY.replace("file: lists/suspended.txt", "items: [user1]"))
    site.load()
    assert 1 == len(list((site.folder / "s" / FOLDER).iterdir()))
    site.load()
    assert [] == list((site.folder / "s" / FOLDER).iterdir())
    assert KeptLists(str(site.folder / "s"))("lists/suspended.txt").error


def test_an_edit_of_the_file_counts_while_the_entry_is_broken(site: Site) -> None:
    """The entry serves as it last was, its file as it is."""
    (site.folder / "p" / "a.yaml").write_text(POLICY.replace("{type: login", "{tpye: login"))
    site.file.write_text(MANY + "new\n")
    state, _, asked = site.load()
    assert ("stale", "new") == (state, asked.find("new", NOW))
