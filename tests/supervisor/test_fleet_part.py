"""The supervisor's part in a fleet: what it makes of the polls, what it tells of itself, and when it is behind."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tidegate.channel import Packet
from tidegate.loader.report import Report
from tidegate.loader.revision import Revised
from tidegate.model import Entry, EntryKey, EntryKind, EntryState, Place
from tidegate.settings import Settings
from tidegate.settings.values import Listen, ListenKind
from tidegate.supervisor.fleet import BEHIND, Fleet
from tidegate.supervisor.picture import Picture

FOUND = {"up": True, "since": 1.0, "error": "", "error_at": 0.0, "head": 8, "number": 8, "serial": 4, "row": "x"}


def a_report(number: int, **values: Any) -> Report:
    """A load in which this revision lies over the files."""
    return Report(image=True, revised=Revised("test", number, **values))


class Scene:
    """A Fleet with a clerk that keeps what it is sent, and conditions that keep what is judged."""

    def __init__(self, folder: Path, redis: str = "unix:///x") -> None:
        listen = Listen(ListenKind.UNIX, path=str(folder / "m"))
        settings = Settings(listen, str(folder), str(folder), redis=redis, environment="test", node="mx1")
        self.picture = Picture(settings, "c", False, 5.0)
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.judged: dict[str, str] = {}
        self.clerks = [SimpleNamespace(pid=7)]
        clerk: Any = SimpleNamespace(alive=self.clerks, send=lambda word, **values: self.sent.append((word, values)))
        workers: Any = SimpleNamespace(alive=[], children=[])
        conditions: Any = SimpleNamespace(judge=self.judged.__setitem__)
        self.fleet = Fleet(self.picture, workers, clerk, conditions)

    def heard(self, **values: Any) -> None:
        self.fleet.heard(Packet("redis", {**FOUND, "alerts": {}, **values}))

    @property
    def raised(self) -> set[str]:
        return {code for code, text in self.judged.items() if text}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_each_alert_of_the_clerk_is_raised_and_settled(scene: Scene) -> None:
    """By code; nonsense is none."""
    scene.heard(alerts={"redis-down": "it does not answer", "no-such-code": "x"})
    assert {"redis-down"} == scene.raised
    scene.heard(alerts=["x"])
    assert set() == scene.raised
    assert (True, 8) == (scene.picture.redis_up, scene.picture.head)


def test_behind(scene: Scene) -> None:
    """A revision that was fetched and not loaded for a minute; on trial is loaded, held is another's alert."""
    scene.picture.report = a_report(7)
    scene.heard()
    for now, raised in ((100.0, set()), (100.0 + BEHIND - 1, set()), (100.0 + BEHIND, {"revision-behind"})):
        scene.fleet.tick(now, "serving")
        assert raised == scene.raised
    scene.picture.trial = a_report(8)
    scene.fleet.tick(200.0, "serving")
    assert set() == scene.raised
    scene.picture.trial, scene.picture.report = None, a_report(7, held="half is gone")
    for now in (300.0, 300.0 + BEHIND):
        scene.fleet.tick(now, "serving")
    assert set() == scene.raised


def test_never_fetched_is_not_behind(scene: Scene) -> None:
    """Nothing is known of the environment yet."""
    scene.picture.report = a_report(7)
    scene.heard(number=0, serial=0)
    for now in (1.0, 1.0 + BEHIND):
        scene.fleet.tick(now, "serving")
    assert set() == scene.raised


def test_what_it_tells_of_itself(scene: Scene) -> None:
    """What is in force for all, what is on trial, what is not as written; said once, and anew to a new clerk."""
    entries = tuple(Entry(EntryKey(EntryKind.RULE, state.value), state, Place("a", 1, 1)) for state in (*EntryState,))
    scene.picture.report, scene.picture.number = a_report(7, manifest="m"), 3
    scene.picture.trial, scene.picture.trial_number = replace(a_report(8), entries=entries), 4
    for _ in range(2):
        scene.fleet.tick(1.0, "serving")
    (said,) = scene.sent
    word, node = said
    assert ("node", "mx1", 8, 7, "m", 3, 4) == (
        word,
        *(node[name] for name in ("name", "loaded", "revision", "manifest", "generation", "canary")),
    )
    assert {"stale rule stale", "skipped rule skipped", "deferring rule deferring", "tripped rule tripped"} == {
        *node["troubled"]
    }
    scene.clerks[0] = SimpleNamespace(pid=8)
    scene.fleet.tick(2.0, "serving")
    assert 2 == len(scene.sent)


def test_since_when_nothing_is_wrong(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that was eased for a moment is known by when that ended; it is said once, not every second."""

    def tick(now: int, state: EntryState) -> int:
        monkeypatch.setattr(time, "time", lambda: float(now))
        entry = Entry(EntryKey(EntryKind.RULE, "r"), state, Place("a", 1, 1))
        scene.picture.report = replace(a_report(7), entries=(entry,))
        scene.fleet.tick(float(now), "serving")
        return int(scene.sent[-1][1]["clean"])

    assert [100, 100] == [tick(now, EntryState.ACTIVE) for now in (100, 101)]
    assert [0, 0] == [tick(now, EntryState.TRIPPED) for now in (102, 103)]
    assert [104, 104] == [tick(now, EntryState.ACTIVE) for now in (104, 105)]
    assert 3 == len(scene.sent)


def test_without_redis_it_tells_nothing(tmp_path: Path) -> None:
    """And the status says that there is none."""
    scene = Scene(tmp_path, redis="")
    scene.fleet.tick(1.0, "serving")
    assert ([], {"configured": False}) == (scene.sent, scene.fleet.document())


@pytest.mark.parametrize(
    ("in_force", "trial", "due"),
    [(0.0, None, False), (-1.0, None, True), (60.0, None, False), (0.0, -1.0, True), (60.0, 60.0, False)],
    ids=["never", "it ended", "it will", "of the one on trial", "both will"],
)
def test_when_the_same_sources_come_to_something_else(
    scene: Scene, in_force: float, trial: float | None, due: bool
) -> None:
    """A revision reverts, a `max_stale` ends: of what is in force, and of what is on trial."""
    now = time.time()
    scene.picture.report = Report(due=now + in_force if in_force else 0.0)
    scene.picture.trial = Report(due=now + trial) if trial is not None else None
    assert due == scene.picture.due(now - 5.0, 3600.0)
