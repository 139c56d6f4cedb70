"""Episodes of exposure: when they begin, go on and end; and the rows that belong to each."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate import records
from tidegate.ledger import Episode, Row, Why, advance, exposures, read_episodes, write_episodes

SKIPPED = Why("skipped", "`when` is missing")
OPEN = Episode("r", "skipped", "`when` is missing", 100.0)
ENDED = Episode("r", "skipped", "old", 10.0, 20.0, "active")


@pytest.mark.parametrize(
    ("before", "exposed", "states", "after"),
    [
        ((), {"r": SKIPPED}, {}, (Episode("r", "skipped", "`when` is missing", 200.0),)),
        ((OPEN,), {"r": SKIPPED}, {}, (OPEN,)),
        ((OPEN,), {"r": Why("tripped", "it failed")}, {}, (Episode("r", "tripped", "it failed", 100.0),)),
        ((OPEN,), {}, {"r": "active"}, (Episode("r", "skipped", "`when` is missing", 100.0, 200.0, "active"),)),
        ((OPEN,), {}, {}, (Episode("r", "skipped", "`when` is missing", 100.0, 200.0, "gone"),)),
        ((ENDED,), {"r": SKIPPED}, {}, (ENDED, Episode("r", "skipped", "`when` is missing", 200.0))),
        ((Episode("r", "skipped", "", 1.0, 4.0, "active"),), {}, {}, ()),
    ],
    ids=["begins", "goes on", "for another reason", "is repaired", "is deleted", "begins again", "is too old"],
)
def test_episodes(
    before: tuple[Episode, ...], exposed: dict[str, Why], states: dict, after: tuple[Episode, ...]
) -> None:
    """One cycle at 200; what ended before 5 is forgotten."""
    assert after == advance(before, exposed, states, 200.0, 5.0)


def test_the_record(tmp_path: Path) -> None:
    """It is read as it was written; nothing is none; a damaged one is known for it."""
    assert () == read_episodes(str(tmp_path))
    write_episodes(str(tmp_path), (ENDED, OPEN))
    assert (ENDED, OPEN) == read_episodes(str(tmp_path))
    records.write(tmp_path / "exposure" / "episodes", b'[{"rule": 1}]')
    with pytest.raises(records.DamagedError):
        read_episodes(str(tmp_path))


def test_rows_belong_to_the_episode_that_had_begun() -> None:
    """One a moment after the repair to the one before; one of a rule without an episode makes its own."""
    rows = [Row("r", when, f"Q{when:g}", first=when) for when in (12.0, 21.0, 101.0, 300.0)]
    found = exposures((ENDED, OPEN), [*rows, Row("lost", 50.0, "X", certain=False, first=50.0)])
    assert [
        ("r", True, ["Q101", "Q300"], 101.0, 300.0, 0),
        ("lost", False, ["X"], 50.0, 50.0, 1),
        ("r", False, ["Q12", "Q21"], 12.0, 21.0, 0),
    ] == [
        (one.episode.rule, one.episode.open, [row.queue_id for row in one.rows], one.first, one.last, one.uncertain)
        for one in found
    ]


def test_messages_stand_in_their_order() -> None:
    """Each worker writes what it has seen when it gets to it; the report has the order in which it happened."""
    rows = [Row(OPEN.rule, OPEN.since + after, f"Q{after}", first=OPEN.since + after) for after in (3, 1, 2)]
    (found,) = exposures((OPEN,), rows)
    assert ["Q1", "Q2", "Q3"] == [one["queue_id"] for one in found.document(9)["messages"]]
    assert ["Q3"] == [one["queue_id"] for one in found.document(1)["messages"]]
