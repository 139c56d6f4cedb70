"""When a change on disk becomes a candidate."""

from __future__ import annotations

from tidegate.clerk.watch import Watch


def test_a_candidate_needs_two_equal_looks() -> None:
    """A file that is still being written is not loaded; an unheeded announcement is repeated after a minute."""
    watch = Watch(loaded="old")
    looks = [("old", 0), ("half", 2), ("new", 4), ("new", 6), ("new", 8), ("new", 70)]
    assert [False, False, False, True, False, True] == [watch.look(digest, now) for digest, now in looks]
    watch.loaded = "new"
    assert not watch.look("new", 72)
