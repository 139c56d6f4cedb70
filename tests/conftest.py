"""Fixtures of more than one room; the order of the tests, and which of them stay together in one process."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.builders.mainconf import MAIN, MASTER, MakePostfix
from tidegate.patterns import budget, engine

# A test proves something or does not; how long that takes on a machine that is shared says nothing.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

ROOMS_THAT_TAKE_LONG = ("mutation", "e2e", "debian", "cli")
TOGETHER = 40  # tests; a daemon or a Postfix that is started for a module serves as many at most


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Rooms that take long come first, so that no process is left with one of their tests at the end.

    The tests of a module that share what was started for all of them stay together (pytest-xdist, --dist loadgroup).
    """
    items.sort(key=_rank)
    seen: Counter[Path] = Counter()
    for item in items:
        if _shares(item):
            part = seen[item.path] // TOGETHER
            seen[item.path] += 1
            item.add_marker(pytest.mark.xdist_group(f"{item.path.parent.name}/{item.path.stem}/{part}"))


def _rank(item: pytest.Item) -> int:
    room = item.path.relative_to(Path(__file__).parent).parts[0]
    return ROOMS_THAT_TAKE_LONG.index(room) if room in ROOMS_THAT_TAKE_LONG else len(ROOMS_THAT_TAKE_LONG)


def _shares(item: pytest.Item) -> bool:
    known = getattr(item, "_fixtureinfo", None)  # pytest tells a fixture's scope nowhere else
    return known is not None and any(one.scope == "module" for row in known.name2fixturedefs.values() for one in row)


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without the pattern engine's library."""
    monkeypatch.setattr(engine, "LIBRARY", "libhs-that-is-not-there.so")
    _forget()
    yield
    monkeypatch.undo()
    _forget()


def _forget() -> None:
    engine._load.cache_clear()
    budget.forget()


@pytest.fixture
def make_postfix(tmp_path: Path) -> MakePostfix:
    """Makes a configuration directory for postconf(1): lines added to main.cf, and what replaces texts of master.cf."""

    def make(main: str = "", replace: tuple[tuple[str, str], ...] = ()) -> str:
        folder = tmp_path / "postfix"
        folder.mkdir(exist_ok=True)
        master = MASTER
        for old, new in replace:
            assert old in master
            master = master.replace(old, new)
        (folder / "main.cf").write_text(MAIN + main)
        (folder / "master.cf").write_text(master)
        for name in ("main.cf", "master.cf"):
            os.utime(folder / name, (1, 1))  # or postconf waits until they are a second old
        return str(folder)

    return make
