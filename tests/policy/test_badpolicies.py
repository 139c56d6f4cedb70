"""One folder for each problem code: a policy that provokes it, and exactly what is said about it.

A folder holds policy files (`*.yaml`; `*.yaml.unreadable` is one that can't be read), list files, and `expected`, the
problem lines as `tidegate check` prints them. `limits` lowers a limit of a module, so that a small file can break it;
`without-pattern-engine` stands for a machine without the library, `without-redis` for a daemon without one; `last`
holds list files as they last were good;
`before` the policies that were accepted, all of whose entries have been broken for the seconds in its file `age`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from tidegate import patterns
from tidegate.model import Conventions, EntryKey, Loaded, Problem, Severity, Source
from tidegate.policy.codes import CODES
from tidegate.policy.excerpts import MAX_EXCERPT
from tidegate.policy.load import load_policy
from tidegate.policy.render import line, render

FOLDERS = Path(__file__).resolve().parent.parent / "badpolicies"
NOW = 1_800_000_000.0  # 15 January 2027, 08:00 UTC


def folders() -> list[Path]:
    """All folders in order."""
    return sorted(path for path in FOLDERS.iterdir() if path.is_dir())


def code_of(folder: Path) -> str:
    """`07-bad-number` provokes bad-number."""
    return folder.name.partition("-")[2]


def sources(folder: Path) -> list[Source]:
    """The policy files of a folder."""
    readable = [Source(path.name, path.read_bytes()) for path in folder.glob("*.yaml")]
    unreadable = [Source(path.stem, error="Permission denied") for path in folder.glob("*.yaml.unreadable")]
    return sorted(readable + unreadable, key=lambda source: source.name)


def load_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Loaded:
    """Load a folder as the daemon would, on the machine that it describes."""
    if (folder / "without-pattern-engine").exists():
        monkeypatch.setattr(patterns, "available", lambda: "libhs.so.5 is not installed")
    limits = folder / "limits"
    for text in limits.read_text("utf-8").splitlines() if limits.exists() else ():
        module, name, value = text.split()
        monkeypatch.setattr(importlib.import_module(f"tidegate.policy.{module}"), name, int(value))

    def read_file(name: str) -> Source:
        path = folder / name
        return Source(name, path.read_bytes()) if path.exists() else Source(name, error="No such file or directory")

    def last_file(name: str) -> Source:
        path = folder / "last" / name
        return Source(name, path.read_bytes()) if path.exists() else Source(name, error="nothing is known")

    texts: Mapping[EntryKey, str] = {}
    stale: dict[EntryKey, float] = {}
    if (folder / "before").is_dir():
        texts = load_policy(sources(folder / "before"), read_file, Conventions(), NOW).loaded.texts
        stale = dict.fromkeys(texts, NOW - float((folder / "before" / "age").read_text()))
    redis = not (folder / "without-redis").exists()
    found = load_policy(
        sources(folder), read_file, Conventions(), NOW, texts, last_file=last_file, stale=stale, redis=redis
    )
    return found.loaded


@pytest.mark.parametrize("folder", folders(), ids=lambda folder: folder.name)
def test_it_is_said_what_is_wrong(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every problem with its place, its code and its message; none more."""
    found = load_folder(folder, monkeypatch).problems
    assert (folder / "expected").read_text("utf-8").splitlines() == [line(one) for one in found]


@pytest.mark.parametrize("folder", folders(), ids=lambda folder: folder.name)
def test_the_folder_provokes_its_code(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And each problem says what cures it, and shows the line that it speaks of."""
    found = load_folder(folder, monkeypatch).problems
    assert code_of(folder) in {one.code for one in found}
    for one in found:
        assert one.cure
        assert shown_line(folder, one)[:MAX_EXCERPT] == one.excerpt
        assert one.severity is not Severity.ERROR or CODES[one.code].severity is Severity.ERROR
        assert line(one).split(": ")[0] in render(one)


def shown_line(folder: Path, one: Problem) -> str:
    """The line of the file that a problem speaks of."""
    path = folder / one.place.source
    lines = path.read_bytes().decode("utf-8", "replace").splitlines() if path.exists() else []
    return lines[one.place.line - 1] if 0 < one.place.line <= len(lines) else ""


def test_every_code_has_its_folder() -> None:
    """No code without a policy that provokes it, no folder without a code."""
    assert sorted(CODES) == sorted(code_of(folder) for folder in folders())
