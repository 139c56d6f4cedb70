"""Holds: several reasons for one rule, their ends, and the record of them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tidegate.live.restraints import NAME, By, Hold, Holds, decode, encode, read_holds, tripped, write_holds
from tidegate.model import (
    NO_RESTRAINT,
    Easing,
    Entry,
    EntryKey,
    EntryKind,
    EntryState,
    Place,
    Restraint,
    together,
)

SOFT, SHADOW, SKIP, DEFER = Easing.SOFT, Easing.SHADOW, Easing.SKIP, Easing.DEFER


def some(*holds: Hold) -> Holds:
    """These holds."""
    return Holds().plus(holds)


@pytest.mark.parametrize(
    ("easings", "expected"),
    [
        ((), None),
        ((SOFT,), SOFT),
        ((SOFT, SHADOW), SHADOW),
        ((SHADOW, SKIP, SOFT), SKIP),
        ((SOFT, DEFER), DEFER),
        ((DEFER, SKIP), SKIP),
        ((DEFER, SHADOW), SKIP),
    ],
    ids=[
        "none",
        "one",
        "shadow-over-soft",
        "skip-over-all",
        "defer-over-soft",
        "skip-over-defer",
        "not-asked-no-effect",
    ],
)
def test_what_several_easings_come_to(easings: tuple[Easing, ...], expected: Easing | None) -> None:
    """The one that leaves least of the rule; DEFER and SHADOW together leave nothing of it."""
    assert expected is together(easings)


def test_everything_spares_what_is_kept() -> None:
    """`brake: keep` is about all rules at once; what is said of the rule itself counts all the same."""
    restraint = Restraint({"own": SOFT}, SHADOW)
    assert (SHADOW, None, SHADOW, SOFT) == (
        restraint.of("other"),
        restraint.of("other", kept=True),
        restraint.of("own"),
        restraint.of("own", kept=True),
    )


def test_two_reasons_stand_side_by_side() -> None:
    """The one ends, the other goes on; a new one of the same kind replaces the old."""
    holds = some(Hold("r", SHADOW, By.HAND, until=100.0), Hold("r", SOFT, By.AUTOMATIC, until=200.0))
    assert SHADOW is holds.restraint().of("r")
    assert SOFT is holds.at(100.0).restraint().of("r")
    assert NO_RESTRAINT is holds.at(200.0).restraint()
    assert holds is holds.at(99.0)
    assert SOFT is holds.plus([Hold("r", SOFT, By.HAND, until=100.0)]).restraint().of("r")
    assert SOFT is holds.minus(holds.of(By.HAND)).restraint().of("r")


def test_the_way_to_a_worker() -> None:
    """What a worker reads is what was written."""
    for restraint in (NO_RESTRAINT, Restraint({"a": SOFT, "b": SKIP}), Restraint({}, SHADOW)):
        assert restraint == decode(encode(restraint))
    assert NO_RESTRAINT is decode(encode(Restraint()))


def test_the_record_survives(tmp_path: Path) -> None:
    """With and without an end; unchanged it is not written again."""
    holds = some(Hold("r", SKIP, By.BREAKER, "three deaths", 5.0), Hold("", SOFT, By.HAND, "é", 1.0, 99.5))
    assert (Holds(), "") == read_holds(str(tmp_path))
    assert write_holds(str(tmp_path), holds)
    assert not write_holds(str(tmp_path), holds)
    assert (holds, "") == read_holds(str(tmp_path))
    assert math.isinf(read_holds(str(tmp_path))[0].all["r", By.BREAKER].until)


@pytest.mark.parametrize(
    "content", [b"", b"x\ny", b"\xff" * 90, b'{"format": 1}'], ids=["empty", "checksum", "bytes", "bare"]
)
def test_a_damaged_record_is_told_and_set_aside(tmp_path: Path, content: bytes) -> None:
    """Nothing is eased by it, and it stays for a person to look at."""
    (tmp_path / NAME).write_bytes(content)
    holds, damage = read_holds(str(tmp_path))
    assert Holds() == holds
    assert damage.startswith("restraints is damaged")
    assert (tmp_path / f"{NAME}.damaged").exists()


def test_entries_show_what_tripped() -> None:
    """A rule that a machine eased is TRIPPED, with the reason; a person's doing is no state of the entry."""
    entries = tuple(
        Entry(EntryKey(kind, name), EntryState.ACTIVE, Place("f", 1, 1))
        for kind, name in ((EntryKind.RULE, "a"), (EntryKind.RULE, "b"), (EntryKind.LIST, "a"))
    )
    assert entries is tripped(entries, some(Hold("b", SHADOW, By.HAND), Hold("", SOFT, By.AUTOMATIC)))
    found = tripped(entries, some(Hold("a", SKIP, By.BREAKER, "it fails")))
    assert [EntryState.TRIPPED, EntryState.ACTIVE, EntryState.ACTIVE] == [one.state for one in found]
    assert "skip: it fails" == found[0].reason
