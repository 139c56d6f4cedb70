"""What is usual, and what is a jump: the decision, with counts and clock as arguments."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.live.usual import LEARNING, NAME, PARDON, Bounds, Trial, Usual, read_usual, write_usual

NOW = 1_800_000_000.0
STEP = 600.0


@pytest.mark.parametrize(
    ("seen", "every"),
    [(0, 3), (10, 3), (20, 4), (200, 40), (30_000, 4000)],
    ids=["nobody", "ten", "a-small-site", "two-hundred", "a-provider"],
)
def test_how_many_a_rule_may_hit(seen: int, every: int) -> None:
    """A share of the senders of the last hour, never fewer than few, never more than can be counted well."""
    assert every == Bounds(3, 0.2).every(seen)


@pytest.mark.parametrize(
    ("stopped", "passed", "every", "jumps", "harmful"),
    [
        (3, 0, 3, False, False),
        (4, 0, 3, True, True),
        (4, 3, 40, True, False),
        (4, 4, 40, False, False),
        (41, 0, 40, True, True),
        (41, 160, 40, True, True),
        (41, 164, 40, False, False),
        (50, 2000, 400, False, False),
        (4, 100, 3, False, False),
    ],
    ids=["few", "all-at-night", "most", "half", "all", "a-fifth", "less", "an-outbreak", "after-a-restart"],
)
def test_new_rules(stopped: int, passed: int, every: int, jumps: bool, harmful: bool) -> None:
    """Eased soon, where more is stopped than passes; taken back where it is beyond what any rule may hit."""
    trial = Trial(stopped, passed, 3, every)
    assert (jumps, harmful) == (trial.jumps, trial.harmful)


def test_a_bad_beginning_passes() -> None:
    """Those whom a rule is about may come first; once most senders pass it acts again."""
    assert (False, False, True) == (Trial(5, 5, 3, 40).over, Trial(5, 19, 3, 40).over, Trial(5, 20, 3, 40).over)


def test_old_rules_are_measured_by_their_past() -> None:
    """Three times the most that there was; without an hour of history nobody knows."""
    usual = Usual(since=NOW).learned(NOW + STEP, {"r": 10, "": 12}, ["r", "quiet"])
    assert (0, 0) == (usual.limit("r", NOW + LEARNING - 1), usual.limit("quiet", NOW + LEARNING - 1))
    later = NOW + LEARNING
    assert (30, 2) == (usual.limit("r", later), usual.limit("quiet", later))
    usual = usual.learned(later, {"r": 4}, ["r", "quiet"])
    assert 30 == usual.limit("r", later + STEP)
    for day in range(1, 144 * 7):
        usual = usual.learned(later + day * STEP, {}, ["r"])
    assert 11 == usual.limit("r", later + 7 * 86400)


def test_what_is_new_teaches_nothing_and_what_is_gone_is_forgotten() -> None:
    """A harmful rule must not become usual by going on."""
    usual = Usual(since=NOW, fresh=frozenset({"new"}), levels={"gone": 9.0})
    usual = usual.learned(NOW + STEP, {"new": 99, "old": 5, "other": 7}, ["new", "old"])
    assert {"old": 5.0} == usual.levels
    assert frozenset() == usual.proven().fresh


def test_a_clock_that_is_set_back_begins_anew() -> None:
    """History of the future is none."""
    usual = Usual(since=NOW + 86400.0).learned(NOW, {}, [])
    assert NOW == usual.since


def test_what_a_person_says_is_meant() -> None:
    """For a day it is not measured, and a rule that was blamed is not new any more."""
    usual = Usual(since=NOW - 2 * LEARNING, blamed=frozenset({"r"})).pardon(["r"], NOW)
    assert (True, False, frozenset()) == (usual.meant("r", NOW), usual.meant("r", NOW + PARDON), usual.blamed)
    assert 0 == usual.limit("r", NOW)
    assert {} == usual.learned(NOW + PARDON, {}, ["r"]).pardoned


def test_the_record(tmp_path: Path) -> None:
    """A restart goes on with it; a damaged one is told, and there is no history."""
    usual = Usual(NOW, {"": 4.5, "r": 2.0}, frozenset({"a"}), frozenset({"b"}), {"c": NOW})
    assert (Usual(), ()) == read_usual(str(tmp_path))
    assert write_usual(str(tmp_path), usual)
    assert (usual, ()) == read_usual(str(tmp_path))
    (tmp_path / NAME).write_bytes(b"junk")
    found, problems = read_usual(str(tmp_path))
    assert (Usual(), ["record-corrupt"]) == (found, [one.code for one in problems])
