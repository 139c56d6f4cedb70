"""The automatic brake, second by second: which limits there are, what is eased, when a generation is taken back."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tidegate.live.quarantine import Barred, Quarantine
from tidegate.live.restraints import By, Hold, Holds
from tidegate.live.usual import LEARNING, Usual, read_usual
from tidegate.loader.hints import Hints
from tidegate.loader.report import Report
from tidegate.model import Disposition, Easing, Expect
from tidegate.observe.counters import Counters, RuleColumns
from tidegate.observe.crowds import Crowds
from tidegate.settings import Listen, ListenKind, Settings
from tidegate.supervisor.automatic import LEFT, Automatic
from tidegate.supervisor.ladder import Rung

RULES = ("old", "new", "kept", "expecting")


class Scene:
    """An automatic brake among puppets; `now` is its clock."""

    def __init__(
        self, state: Path, monkeypatch: pytest.MonkeyPatch, held: Holds | None = None, **settings: Any
    ) -> None:
        self.now = 1_800_000_000.0
        monkeypatch.setattr(time, "time", lambda: self.now)
        self.holds = held or Holds()
        self.deeds: list[str] = []
        self.crowds = Crowds()
        columns = RuleColumns()
        columns.allot(RULES, Counters(1))
        whole = Settings(Listen(ListenKind.UNIX, path="/x"), "/p", state=str(state), **settings)
        self.picture = SimpleNamespace(number=0, report=Report(), trial=None, killers=frozenset())
        self.ladder = SimpleNamespace(
            rung=Rung.CANDIDATE,
            known=(SimpleNamespace(digest="proven", rules="other"),),
            quarantine_=Quarantine(),
            quarantine=self.quarantine,
            roll_back=lambda why: self.deeds.append(f"back: {why}"),
        )
        generations: Any = SimpleNamespace(picture=self.picture, columns=columns, arriving=None)
        restrainer: Any = SimpleNamespace(ease=self.ease, release=self.release, of=lambda *kinds: self.holds.of(*kinds))
        self.troubles: dict[str, str] = {}
        conditions: Any = SimpleNamespace(
            raise_=lambda code, _text: self.deeds.append(code), judge=self.troubles.__setitem__
        )
        booted: Any = SimpleNamespace(settings=whole, crowds=self.crowds)
        ladder: Any = self.ladder
        self.restrainer = restrainer
        restrainer.holds = self.holds
        self.brake = Automatic(booted, generations, restrainer, conditions, ladder)
        self.brake.start()

    def quarantine(self, digest: str, why: str) -> None:
        self.ladder.quarantine_ = Quarantine((Barred(digest, "", 1, "", why, 0.0),))
        self.deeds.append(f"quarantine {digest}")

    def ease(self, holds: Any, _conditions: object) -> None:
        self.holds = self.restrainer.holds = self.holds.plus(holds)

    def release(self, holds: Any, _conditions: object) -> None:
        self.holds = self.restrainer.holds = self.holds.minus(holds)

    def arrives(self, number: int, *fresh: str) -> None:
        """A generation in which these rules are new."""
        expects = {"expecting": Expect(5, 3600.0)}
        new = frozenset(fresh)
        hints = Hints(kept=frozenset({"kept"}), expects=expects, fresh=new, changed=new)
        self.picture.number = number
        self.picture.report = Report(digest=f"g{number}", image=True, rules=RULES, hints=hints)
        self.brake.arriving(number, self.picture.report)

    def hit(self, rule: str, count: int, first: int = 0) -> None:
        """So many senders are stopped by a rule. They stand for their own hashes, so that none meet in one place."""
        for sender in range(first, first + count):
            self.crowds.hit(rule, sender, self.picture.number, self.now)
            self.crowds.saw(sender, Disposition.REJECT, self.picture.number, self.now)

    def passes(self, count: int, first: int = 1000) -> None:
        """So many senders pass."""
        for sender in range(first, first + count):
            self.crowds.saw(sender, Disposition.ACCEPT, self.picture.number, self.now)

    def later(self, seconds: float = 1.0) -> dict[str, Easing]:
        """What is eased after the next look."""
        self.now += seconds
        self.brake.tick(self.now)
        return {one.rule: one.easing for one in self.holds.all.values()}


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """The settings as they come."""
    return Scene(tmp_path, monkeypatch)


def test_a_record_that_can_be_written_again_is_no_trouble_any_more(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk that has space again."""

    def full(_state: str, _usual: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("tidegate.supervisor.automatic.write_usual", full)
        scene.arrives(1, "new")
    assert "No space left" in scene.troubles["usual-unwritable"]
    scene.arrives(2, "new")
    assert "" == scene.troubles["usual-unwritable"]


def test_a_new_rule_is_eased_then_taken_back(scene: Scene) -> None:
    """More than few and more than pass: soft. More than a fifth of all: the proven generation comes back."""
    scene.arrives(1)
    scene.passes(100)
    scene.arrives(2, "new")
    scene.hit("new", 3)
    assert {} == scene.later()
    scene.hit("new", 5)
    assert {"new": Easing.SOFT} == scene.later()
    assert [] == scene.deeds
    scene.hit("new", 30)
    scene.later()
    assert "quarantine g2" == scene.deeds[0]
    assert scene.deeds[1].startswith("back: its new rules (new) stopped 30 senders")
    scene.later()
    assert 2 == len(scene.deeds)
    assert frozenset({"new"}) == read_usual(scene.brake.settings.state)[0].blamed


def test_what_was_taken_back_is_new_whenever_it_comes_again(scene: Scene) -> None:
    """With another edit beside it, its text is what was accepted; until a person lifts the quarantine."""
    scene.arrives(1)
    scene.arrives(2, "new")
    scene.hit("new", 9)
    scene.later()
    scene.ladder.rung = Rung.PROVEN
    scene.arrives(1)
    assert frozenset() == scene.brake.usual.fresh
    scene.ladder.rung = Rung.CANDIDATE
    scene.arrives(3)
    assert frozenset({"new"}) == scene.brake.usual.fresh
    scene.ladder.quarantine_ = Quarantine()
    scene.arrives(4)
    assert (frozenset(), True) == (scene.brake.usual.blamed, scene.brake.usual.meant("new", scene.now))
    scene.hit("new", 50)
    assert not scene.crowds.over("new", 4, scene.now)


@pytest.mark.parametrize("rule", ["old", "kept"])
def test_what_does_not_move_the_brake(scene: Scene, rule: str) -> None:
    """A rule that was there before, without a history; one that says `brake: keep`, though it is new."""
    scene.arrives(1)
    scene.arrives(2, "kept", "new")
    scene.hit(rule, 50)
    assert ({}, []) == (scene.later(), scene.deeds)


def test_most_pass_in_the_end(scene: Scene) -> None:
    """A block rule that met those first whom it is about acts again by itself."""
    scene.arrives(1)
    scene.passes(100)
    scene.arrives(2, "new")
    scene.hit("new", 5)
    assert {"new": Easing.SOFT} == scene.later()
    scene.passes(20)
    assert {} == scene.later()


def test_a_soak_ends_what_is_new(scene: Scene) -> None:
    """What is proven is measured by its past."""
    scene.arrives(1)
    scene.arrives(2, "new")
    scene.ladder.known = (SimpleNamespace(digest="g2", rules=""),)
    scene.later()
    assert frozenset() == scene.brake.usual.fresh
    scene.hit("new", 50)
    assert {} == scene.later()


def test_an_old_rule_that_jumps(scene: Scene) -> None:
    """Three times what was usual, and a fifth of all: soft for an hour. Nothing is taken back."""
    scene.brake.usual = Usual(since=scene.now - LEARNING, levels={"old": 4.0})
    scene.arrives(1)
    scene.passes(20)
    scene.hit("old", 12)
    assert {} == scene.later()
    scene.hit("old", 14)
    assert ({"old": Easing.SOFT}, []) == (scene.later(), scene.deeds)


def test_beyond_what_is_expected(scene: Scene) -> None:
    """In shadow for as long as `per`, new or not; then it begins anew."""
    scene.arrives(1)
    scene.arrives(2, "expecting")
    scene.hit("expecting", 5)
    assert {} == scene.later()
    scene.hit("expecting", 6)
    assert {"expecting": Easing.SHADOW} == scene.later()
    hold = scene.holds.all["expecting", By.EXPECT]
    assert (3600.0, "it hit 6 senders in 1 h, and expects 5 at most") == (hold.until - hold.since, hold.reason)
    assert not scene.crowds.over("expecting", 2, scene.now)


def test_beyond_what_is_expected_on_trial(scene: Scene) -> None:
    """Another text of that rule is for all: what that one stops must not pass, so it is softened until the trial ends,
    is in shadow once the trial's text is for all, and is free where that was given up."""
    for end in ("given up", "promoted"):
        scene.arrives(1)
        before = replace(scene.picture.report, faces=("a", "b", "c", "d"))
        scene.arrives(2, "expecting")
        trial = replace(scene.picture.report, faces=("a", "b", "c", "other"))
        scene.hit("expecting", 6)
        scene.picture.number, scene.picture.report, scene.picture.trial = 1, before, trial
        assert {"expecting": Easing.SOFT} == scene.later()
        scene.picture.trial = None
        if end == "promoted":
            scene.picture.number, scene.picture.report = 2, trial
        assert ({"expecting": Easing.SHADOW} if end == "promoted" else {}) == scene.later()


def test_a_repaired_rule_is_soon_its_own_again(scene: Scene) -> None:
    """Its hold ends when no message can be judged by the old text any more; that of an unrelated edit stays."""
    scene.arrives(1)
    scene.arrives(2, "new")
    scene.ease([Hold("new", Easing.SOFT, By.AUTOMATIC, until=scene.now + 3600)], None)
    scene.arrives(3)
    assert scene.now + 3600 == scene.holds.all["new", By.AUTOMATIC].until
    scene.arrives(4, "new")
    assert scene.now + LEFT == scene.holds.all["new", By.AUTOMATIC].until


def test_a_canary_that_was_given_up(scene: Scene) -> None:
    """It eases its new rules, takes nothing back itself, and blames them where it was given up for harm."""
    scene.arrives(1)
    before = scene.picture.report
    scene.arrives(2, "new")
    scene.picture.number, scene.picture.trial, tried = 1, scene.picture.report, scene.picture.report
    scene.picture.report = before
    for sender in range(9):
        scene.crowds.hit("new", sender, 2, scene.now)
    assert ({"new": Easing.SOFT}, []) == (scene.later(), scene.deeds)
    scene.ladder.quarantine_ = Quarantine((Barred(tried.digest, "", 2, "", "", 0.0),))
    scene.picture.trial = None
    scene.later()
    assert (frozenset(), frozenset({"new"})) == (scene.brake.usual.fresh, scene.brake.usual.blamed)


@pytest.mark.parametrize(
    ("rule", "known", "expected"),
    [("new", True, ["quarantine g2"]), ("new", False, []), ("old", True, [])],
    ids=["new", "nothing is proven", "it was there before"],
)
def test_a_rule_that_kills(scene: Scene, rule: str, known: bool, expected: list[str]) -> None:
    """If it is new the proven generation comes back; else it stays tripped."""
    scene.ladder.known = scene.ladder.known if known else ()
    scene.arrives(1)
    scene.arrives(2, "new")
    scene.picture.killers = frozenset({rule})
    scene.later()
    assert expected == scene.deeds[:1]
    if expected:
        assert "back: its new rules (new) killed workers" == scene.deeds[1]


@pytest.mark.parametrize("proven", [False, True])
def test_harm_beside_a_canary(scene: Scene, proven: bool) -> None:
    """What is for all and new itself is taken back while another one is on trial; not if it is proven."""
    scene.arrives(1)
    scene.arrives(2, "new")
    scene.later()
    for_all = scene.picture.report
    if proven:
        scene.ladder.known = (SimpleNamespace(digest=for_all.digest, rules="other"), *scene.ladder.known)
    scene.arrives(3, "old")
    scene.picture.number, scene.picture.report, scene.picture.trial = 2, for_all, scene.picture.report
    scene.hit("new", 9)
    scene.later()
    assert proven is ("quarantine g2" not in scene.deeds)


def test_a_restart(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new rule that was eased stays new and eased; of another one nobody knows any more whom it stopped before."""
    scene.arrives(1)
    scene.arrives(2, "new", "old")
    after = Scene(tmp_path, monkeypatch, held=Holds().plus([Hold("new", Easing.SOFT, By.AUTOMATIC)]))
    assert frozenset({"new"}) == after.brake.usual.fresh


def test_soft_takes_nothing_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The setting `brake: soft`."""
    scene = Scene(tmp_path, monkeypatch, brake="soft")
    scene.arrives(1)
    scene.arrives(2, "new")
    scene.hit("new", 50)
    assert ({"new": Easing.SOFT}, []) == (scene.later(), scene.deeds)


def test_a_person_lets_it_go(scene: Scene) -> None:
    """Its count begins anew, and it is not measured for a day."""
    scene.arrives(1)
    scene.arrives(2, "new")
    scene.hit("new", 4)
    scene.brake.pardon(["new"])
    scene.hit("new", 50)
    assert ({}, []) == (scene.later(), scene.deeds)
