"""The restraint on its way to workers, and what becomes of its record."""

from __future__ import annotations

import os
import selectors
from pathlib import Path
from typing import Any

import pytest

from tidegate.channel import Channel, content
from tidegate.live.restraints import NAME, By, Hold, decode, read_holds
from tidegate.model import NO_RESTRAINT, Easing, Restraint
from tidegate.settings import Listen, ListenKind, Settings
from tidegate.supervisor.crew import Child, Crew
from tidegate.supervisor.picture import Picture
from tidegate.supervisor.restrainer import Restrainer

HOLD = Hold("r", Easing.SOFT, By.HAND, "why", 10.0, 100.0)


class Told:
    """The daemon's conditions: which code says what."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.changes = 0

    def judge(self, code: str, text: str) -> None:
        self.texts[code] = text

    raise_ = judge

    def settle(self, code: str) -> None:
        self.texts[code] = ""

    def entries_changed(self) -> None:
        self.changes += 1


class Scene:
    """A restrainer with one worker, which is this test."""

    def __init__(self, state: Path) -> None:
        self.told: Any = Told()
        ours, self.worker = Channel.pair()
        child = Child("worker 0", 0, 0, 5.0, pid=1, channel=ours)
        self.crew = Crew("worker", selectors.DefaultSelector(), lambda *_: None, lambda *_: None, [child])
        settings = Settings(Listen(ListenKind.UNIX, path="/x"), "/p", state=str(state))
        self.picture = Picture(settings, "/c", False, 0.0)
        self.restrainer = Restrainer(str(state), self.crew, self.picture)

    def received(self) -> list[Restraint]:
        """What the worker was sent since the last look."""
        found = []
        while packet := self.worker.receive():
            assert "restraint" == packet.word
            found.append(decode(content(packet.descriptors[0])))
            os.close(packet.descriptors[0])
        return found


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A restrainer on an empty state directory."""
    return Scene(tmp_path)


def test_a_hold_reaches_the_workers_and_ends(scene: Scene) -> None:
    """At once when it is put on, and when its time is over."""
    scene.restrainer.ease([HOLD], scene.told)
    scene.restrainer.tick(99.0, scene.told)
    assert [Restraint({"r": Easing.SOFT})] == scene.received()
    scene.restrainer.tick(100.0, scene.told)
    assert [NO_RESTRAINT] == scene.received()
    assert (2, NO_RESTRAINT) == (scene.told.changes, scene.restrainer.restraint)


def test_a_worker_that_was_away_gets_it_later(scene: Scene) -> None:
    """One that takes its place, and one whose packet did not fit."""
    scene.restrainer.ease([HOLD], scene.told)
    scene.received()
    scene.crew.children[0].pid = 2
    scene.restrainer.tick(50.0, scene.told)
    scene.restrainer.tick(51.0, scene.told)
    assert [Restraint({"r": Easing.SOFT})] == scene.received()


def test_it_outlives_the_daemon(scene: Scene, tmp_path: Path) -> None:
    """What was eased is eased in the next one, from the first message on."""
    scene.restrainer.ease([HOLD], scene.told)
    after = Scene(tmp_path)
    assert Restraint({"r": Easing.SOFT}) == after.restrainer.restraint
    assert [HOLD.document()] == after.picture.holds.document()["holds"]


def test_a_record_that_cannot_be_written(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The easing stands all the same; it is told, and tried again."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("tidegate.supervisor.restrainer.write_holds", full)
        scene.restrainer.ease([HOLD], scene.told)
    assert "what is eased can't be recorded: No space left on device" == scene.told.texts["restraints-unwritable"]
    assert [Restraint({"r": Easing.SOFT})] == scene.received()
    scene.restrainer.tick(50.0, scene.told)
    assert "" == scene.told.texts["restraints-unwritable"]
    assert HOLD == read_holds(str(tmp_path))[0].all["r", By.HAND]


def test_a_damaged_record_is_told_until_somebody_speaks(tmp_path: Path) -> None:
    """Nobody knows what was eased; the next word of a person is the new record."""
    (tmp_path / NAME).write_bytes(b"junk")
    scene = Scene(tmp_path)
    scene.restrainer.tick(50.0, scene.told)
    assert scene.told.texts["restraints-damaged"]
    scene.restrainer.ease([HOLD], scene.told)
    scene.restrainer.tick(51.0, scene.told)
    assert "" == scene.told.texts["restraints-damaged"]
