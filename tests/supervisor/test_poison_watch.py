"""What the supervisor makes of the journal: who was in flight, what stalls, what is told to whom, what is recorded."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.supervisor.test_restrainer import Scene as Restrained
from tidegate.engine.inquiry import COUNTING, FIRST
from tidegate.live.culprits import Suspect
from tidegate.live.deaths import NAME, Deaths, read_deaths, write_deaths
from tidegate.live.watchlist import Watchlist, watchlist_from
from tidegate.loader.report import Report
from tidegate.model import Easing, Entry, EntryKey, EntryKind, EntryState, Place
from tidegate.observe.counters import RuleColumns
from tidegate.observe.journal import Journal, Row
from tidegate.supervisor import poison
from tidegate.supervisor.poison import OVERDUE, STALLED, Poison

KILLED, LEFT = signal.SIGKILL, 0  # wait statuses
NOW = 1_000_000.0


def entry(rule: str, digest: str = "d1") -> Entry:
    return Entry(EntryKey(EntryKind.RULE, rule), EntryState.ACTIVE, Place("10.yaml", 1, 1), digest)


REPORT = Report(entries=(entry("one"), entry("two")), rules=("one", "two"), lenient=("two",), image=True)
COLUMNS = RuleColumns({"one": 0, "two": 1})


class Scene(Restrained):
    """The supervisor's part with one worker, which is this test; no process is killed."""

    def __init__(self, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(state)
        self.state = state
        self.clock = NOW
        self.killed: list[tuple[int, int]] = []
        self.journal = Journal(2)
        self.page = self.journal.page(0)
        monkeypatch.setattr(poison.time, "time", lambda: self.clock)
        monkeypatch.setattr(poison.os, "kill", lambda pid, number: self.killed.append((pid, number)))
        self.picture.number, self.picture.report = 7, REPORT
        self.crew.children[0].generation = 7
        self.begin()

    def begin(self) -> None:
        """As after a start."""
        booted: Any = SimpleNamespace(settings=self.picture.settings, journal=self.journal)
        self.poison = Poison(booted, self.crew, self.picture, self.restrainer, self.told)
        self.tick(0.0)

    def tick(self, now: float) -> None:
        self.poison.tick(now, COLUMNS)

    def on_trial(self, report: Report | None, number: int, now: float) -> None:
        """A generation is tried, or given up, and the worker has heard of it."""
        self.picture.trial, self.picture.trial_number = report, number
        self.crew.children[0].canary = number
        self.tick(now)

    def judge(self, rule: int | None = 0, sender: int = 1, since: float = 0.0, generation: int = 7) -> Row:
        """A judgement in flight; `rule` None is the look-up."""
        row = self.page.begin(since, since + 8, generation, sender, 100, sender, sender)
        if rule is not None:
            row.cells[row.place] = rule + FIRST
        return row

    def die(self, status: int = KILLED, **flight: Any) -> None:
        """A worker dies in a judgement."""
        self.judge(**flight)
        self.poison.gone(self.crew.children[0], status)
        self.tick(self.clock - NOW)

    def watchlists(self) -> list[Watchlist | None]:
        """What the worker was sent since the last look."""
        found = []
        while packet := self.worker.receive():
            for descriptor in packet.descriptors:
                os.close(descriptor)
            if packet.word == "watchlist":
                found.append(watchlist_from(packet.values))
        return found

    def eased(self) -> dict[str, Easing]:
        return dict(self.restrainer.restraint.rules)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(tmp_path, monkeypatch)


def test_three_deaths_trip_the_rule(scene: Scene) -> None:
    """In its declared fail mode; it is tried again after ten minutes, and the first death then trips it again."""
    for sender in (1, 2, 3):
        scene.die(rule=1, sender=sender)
    assert {"two": Easing.SKIP} == scene.eased()
    scene.clock += 600
    scene.tick(600)
    assert {} == scene.eased()
    scene.die(rule=1, sender=4)
    assert {"two": Easing.SKIP} == scene.eased()
    assert 2 == scene.poison.document()["breakers"][0]["turns"]


def test_it_is_recorded_before_the_next_worker(scene: Scene) -> None:
    """And a daemon that starts anew knows it."""
    for sender in (1, 2):
        scene.die(sender=sender)
    found, trouble = read_deaths(str(scene.state))
    assert ("", ["one", "one"]) == (trouble, [one.rule for one in found.suspects])
    scene.begin()
    scene.die(sender=3)
    assert {"one": Easing.DEFER} == scene.eased()
    scene.begin()
    assert {"one": Easing.DEFER} == scene.eased()


@pytest.mark.parametrize("status", [LEFT], ids=["left"])
def test_who_leaves_has_not_died(scene: Scene, status: int) -> None:
    """A worker that ends by itself leaves no suspects, whatever it has not put away."""
    scene.die(status)
    assert [] == scene.journal.flights(0)
    assert 0 == scene.poison.document()["deaths"]


def test_a_death_without_a_judgement(scene: Scene) -> None:
    """Who kills an idle worker blames nobody."""
    scene.page.end(scene.judge())
    scene.poison.gone(scene.crew.children[0], KILLED)
    assert 0 == scene.poison.document()["deaths"]


def test_a_death_while_limits_are_asked(scene: Scene) -> None:
    """Neither a rule nor a message is to blame: whoever counts was being asked."""
    for sender in (1, 2, 3, 4):
        row = scene.judge(0, sender=sender)
        row.cells[row.place] = COUNTING
        scene.poison.gone(scene.crew.children[0], KILLED)
        scene.tick(1.0)
    assert ({}, []) == (scene.eased(), [one for one in scene.watchlists() if one is not None])


def test_workers_are_told(scene: Scene) -> None:
    """Of the first death on, since only then messages have to be told apart; and when it is over."""
    assert [] == scene.watchlists()
    scene.die(sender=5)
    assert [Watchlist()] == scene.watchlists()
    scene.die(sender=5)
    scene.die(sender=5)
    assert Watchlist({5: False}) == scene.watchlists()[-1]
    assert "content" in scene.told.texts["poison-message"]
    scene.clock += 90_000
    scene.tick(90_000)
    assert [None] == scene.watchlists()
    assert "" == scene.told.texts["poison-message"]


def test_the_look_up(scene: Scene) -> None:
    """A death there makes every rule be asked, for a quarter of an hour."""
    scene.die(rule=None)
    assert [Watchlist(walks=True)] == scene.watchlists()
    scene.clock += 900
    scene.tick(900)
    assert [Watchlist()] == scene.watchlists()


def test_a_generation_of_before(scene: Scene) -> None:
    """A message that began under an earlier generation names the rule of that one; an unknown one names none."""
    scene.picture.number, scene.picture.report = 8, replace(REPORT, rules=("zero", "one", "two"))
    scene.tick(1.0)
    scene.die(rule=0, generation=7, sender=1)
    scene.die(rule=2, generation=8, sender=2)
    scene.die(rule=0, generation=3, sender=3)
    assert ["one", "two", ""] == [one.rule for one in read_deaths(str(scene.state))[0].suspects]


def test_what_stalls_is_killed(scene: Scene) -> None:
    """Past the deadline, and the same at two looks; who was in flight beside it is not suspected."""
    limit = scene.picture.settings.deadline + OVERDUE
    stalled = scene.judge(rule=0, sender=1)
    beside = scene.judge(rule=1, sender=2, since=limit)
    scene.tick(limit)
    scene.tick(limit + 0.1)
    scene.tick(limit + STALLED)
    assert [] == scene.killed
    scene.tick(limit + STALLED + 0.2)
    scene.tick(limit + STALLED + 0.5)
    assert [(1, KILLED)] == scene.killed
    scene.poison.gone(scene.crew.children[0], KILLED)
    assert ["one"] == [one.rule for one in read_deaths(str(scene.state))[0].suspects]
    assert stalled is not beside


def test_a_machine_that_was_stopped(scene: Scene) -> None:
    """Time that passed for the supervisor as well is nobody's: the judgement gets its two seconds."""
    row = scene.judge()
    scene.tick(3600.0)
    scene.page.end(row)
    scene.tick(3602.5)
    assert [] == scene.killed


def test_failures_over_several_senders(scene: Scene) -> None:
    """They trip the rule; those of one sender do not; failures that were read are not read again."""
    page = scene.page
    for number in range(10):
        page.failed(0, 1)
        scene.tick(number * 0.3)
    assert {} == scene.eased()
    for sender in (2, 3):
        page.failed(0, sender)
    scene.tick(4.0)
    assert {"one": Easing.DEFER} == scene.eased()
    scene.clock += 60
    scene.tick(64.0)
    assert {} == scene.eased()
    scene.tick(65.1)
    assert {} == scene.eased()


def test_a_repaired_rule(scene: Scene) -> None:
    """Is in force with its new text, once the worker has it."""
    for sender in (1, 2, 3):
        scene.die(sender=sender)
    scene.picture.number, scene.picture.report = 8, replace(REPORT, entries=(entry("one", "d2"), entry("two")))
    scene.tick(1.5)
    assert {"one": Easing.DEFER} == scene.eased()
    scene.crew.children[0].generation = 8
    scene.tick(2.5)
    assert {} == scene.eased()


def test_a_repair_on_trial(scene: Scene) -> None:
    """Frees nobody while the others have the text that kills; given up, it changes nothing; for all, it does."""
    for sender in (1, 2, 3):
        scene.die(sender=sender)
    repaired = replace(REPORT, entries=(entry("one", "d2"), entry("two")))
    for now in (1.5, 4.0):
        scene.on_trial(repaired, 8, now)
        assert {"one": Easing.DEFER} == scene.eased()
        scene.on_trial(None, 0, now + 1.1)
        assert {"one": Easing.DEFER} == scene.eased()
    scene.on_trial(repaired, 8, 7.0)
    scene.picture.number, scene.picture.report, scene.picture.trial = 8, repaired, None
    scene.crew.children[0].generation, scene.crew.children[0].canary = 8, 0
    scene.tick(8.1)
    assert {} == scene.eased()


def test_a_trial_of_a_rule_that_kills(scene: Scene) -> None:
    """What is tripped is the text that did it: giving the trial up does not free it where that is the old one."""
    scene.on_trial(replace(REPORT, entries=(entry("one", "d2"), entry("two"))), 8, 1.5)
    for sender in (1, 2, 3):
        scene.die(sender=sender, generation=7)
    scene.on_trial(None, 0, 3.0)
    assert {"one": Easing.DEFER} == scene.eased()


def test_a_record_that_is_damaged(scene: Scene) -> None:
    """It is set aside, with an alert; nobody is suspected."""
    (scene.state / NAME).write_bytes(b"damaged")
    scene.begin()
    scene.tick(5.0)
    assert "damaged" in scene.told.texts["culprits-damaged"]
    assert (scene.state / f"{NAME}.damaged").exists()
    assert 0 == scene.poison.document()["deaths"]


def test_a_record_that_can_not_be_written(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """An alert; it is tried again, and what is known in memory counts."""

    def full(*_: object) -> bool:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(poison, "write_deaths", full)
    for sender in (1, 2, 3):
        scene.die(sender=sender)
    assert "No space" in scene.told.texts["culprits-unwritable"]
    assert {"one": Easing.DEFER} == scene.eased()
    monkeypatch.setattr(poison, "write_deaths", write_deaths)
    scene.tick(3.0)
    assert "" == scene.told.texts["culprits-unwritable"]


def test_the_record_forgets_what_means_nothing_later(tmp_path: Path) -> None:
    """Python's hash of a sender is another one in each daemon."""
    suspect = Suspect(1, 2.0, "one", who=-5, shape=6, sender=7, print=8)
    assert write_deaths(str(tmp_path), Deaths((suspect,)))
    assert Deaths((replace(suspect, who=0),)) == read_deaths(str(tmp_path))[0]


def test_a_generation_on_trial(scene: Scene) -> None:
    """Its rules are named as well; a rule that is tripped as it is there is in force again when the trial is given up,
    and stays tripped where it is not."""
    trial = replace(REPORT, rules=("new", "one", "two"), entries=(entry("one", "d2"), entry("new"), entry("two")))
    scene.on_trial(trial, 9, 1.5)
    for sender in (1, 2, 3):
        scene.die(rule=1, generation=9, sender=sender)
    assert {"one": Easing.DEFER} == scene.eased()
    before = scene.picture.report
    scene.on_trial(None, 0, 4.0)
    assert {} == scene.eased()
    scene.on_trial(trial, 9, 5.5)
    for sender in (1, 2, 3):
        scene.die(rule=1, generation=9, sender=sender)
    scene.picture.number, scene.picture.report, scene.picture.trial = 9, trial, None
    scene.crew.children[0].generation, scene.crew.children[0].canary = 9, 0
    scene.tick(8.0)
    assert {"one": Easing.DEFER} == scene.eased()
    assert before is REPORT
