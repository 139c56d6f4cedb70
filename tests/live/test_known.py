"""Where the record of accepted entries lies, and what a load knows from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.live import (
    NAME,
    Accepted,
    File,
    read_accepted,
    read_known,
    record_next,
    settle_next,
    settle_trial,
    write_interrupted,
)
from tidegate.live.acceptance import NEXT, TRIAL, Known
from tidegate.model import EntryKey, EntryKind

OLD, NEW = EntryKey(EntryKind.RULE, "old"), EntryKey(EntryKind.RULE, "new")


def record(text: str, serial: int, *more: EntryKey) -> Accepted:
    """What a load found: `old` with this text, and others that are new."""
    texts = {OLD: text, **dict.fromkeys(more, text)}
    return Accepted(
        texts, dict.fromkeys(texts, "10.yaml"), {"10.yaml": File(True, serial)}, number=serial, serial=serial
    )


class Site:
    """One state directory."""

    def __init__(self, state: Path) -> None:
        self.state = str(state)

    def load(self, fresh: Accepted, on_trial: bool) -> None:
        """A load comes to this, for all or as a canary."""
        assert record_next(self.state, fresh, self.known.accepted)
        write_interrupted(self.state, "beside" if on_trial else "")
        settle_next(self.state, on_trial=on_trial)

    @property
    def known(self) -> Known:
        known, problems = read_known(self.state)
        assert () == problems
        return known

    def files(self) -> set[str]:
        return {path.name for path in Path(self.state).glob("accepted*")}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """The first load was for all."""
    found = Site(tmp_path)
    found.load(record("first", 1), on_trial=False)
    return found


def test_for_all_at_once(site: Site) -> None:
    """One record, which holds all that is known."""
    assert ({NAME}, Known(record("first", 1), record("first", 1).texts)) == (site.files(), site.known)


def test_on_trial(site: Site) -> None:
    """The text for all stays; of an entry that is new there is none but that on trial; files are as they were read."""
    site.load(record("second", 2, NEW), on_trial=True)
    known = site.known
    assert ({OLD: "first", NEW: "second"}, {OLD: "second", NEW: "second"}) == (known.accepted.texts, known.latest)
    assert (2, {"10.yaml": File(True, 2)}) == (known.accepted.number, known.accepted.files)
    assert record("first", 1) == read_accepted(site.state)[0]


def test_given_up(site: Site) -> None:
    """Nothing of its texts serves again, but its number is not given twice."""
    site.load(record("second", 2, NEW), on_trial=True)
    write_interrupted(site.state, "")
    assert ({OLD: "first"}, 2) == (site.known.accepted.texts, site.known.accepted.number)
    site.load(record("third", 3), on_trial=False)
    assert ({NAME}, {OLD: "third"}) == (site.files(), site.known.accepted.texts)


def test_promoted(site: Site) -> None:
    """It is what is for all."""
    site.load(record("second", 2, NEW), on_trial=True)
    settle_trial(site.state)
    write_interrupted(site.state, "")
    assert ({NAME}, record("second", 2, NEW)) == (site.files(), site.known.accepted)


def test_a_load_that_came_to_nothing(site: Site) -> None:
    """A process that ends between the record and its move leaves what was for all."""
    assert record_next(site.state, record("second", 2, NEW), site.known.accepted)
    assert {NAME, NEXT} == site.files()
    assert ({OLD: "first"}, 2) == (site.known.accepted.texts, site.known.accepted.number)


def test_nothing_new_is_not_written(site: Site) -> None:
    """A load of the same leaves no record, and moves none."""
    assert not record_next(site.state, record("first", 1), site.known.accepted)
    settle_trial(site.state)
    assert {NAME} == site.files()


@pytest.mark.parametrize("name", [NAME, NEXT, TRIAL])
def test_a_damaged_one(site: Site, name: str) -> None:
    """Any of them: a problem, and it is set aside."""
    site.load(record("second", 2), on_trial=True)
    record_next(site.state, record("third", 3), site.known.accepted)
    (Path(site.state) / name).write_bytes(b"damaged")
    known, problems = read_known(site.state)
    assert ["record-corrupt"] == [one.code for one in problems]
    assert ("second" if name == NAME else "first") == known.accepted.texts[OLD]
    assert f"{name}.damaged" in site.files()
