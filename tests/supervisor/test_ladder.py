"""The ladder in one process: real loads and real images, no workers."""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.builders.daemon import ACCEPT_ALL, reject_all
from tidegate import live
from tidegate.live import proven
from tidegate.live.soak import Wanted
from tidegate.loader.child import Request
from tidegate.model import Conventions, Disposition
from tidegate.observe.counters import Counters
from tidegate.observe.crowds import Crowds
from tidegate.observe.journal import Journal
from tidegate.observe.logs import Writer
from tidegate.settings import Listen, ListenKind, Settings
from tidegate.supervisor.boot import Booted
from tidegate.supervisor.canary import Canaries, End
from tidegate.supervisor.conditions import Conditions
from tidegate.supervisor.crew import Child, Crew
from tidegate.supervisor.errands import Errands
from tidegate.supervisor.generations import Generations
from tidegate.supervisor.handover import Handover
from tidegate.supervisor.ladder import Ladder, Rung
from tidegate.supervisor.loads import Loads
from tidegate.supervisor.picture import Picture
from tidegate.supervisor.soaking import Soaking


class House:
    """A supervisor's rooms without its processes; `now` is its clock."""

    def __init__(self, folder: Path, seconds: float = 10.0, messages: int = 5, share: float = 0.0) -> None:
        self.policies, self.state = folder / "policies", folder / "state"
        for place in (self.policies, self.state):
            place.mkdir(exist_ok=True)
        self.now = 1000.0
        settings = Settings(
            Listen(ListenKind.UNIX, path="/none"), str(self.policies), str(self.state), canary_share=share
        )
        counters = Counters(1)
        self.tally = counters.tally(0)
        booted = Booted("c", settings, False, (), counters, Journal(1), Crowds(), Writer("stderr"), None, None, None)  # type: ignore[arg-type]
        self.picture = Picture(settings, "c", False, 0.0)
        selector = selectors.DefaultSelector()
        self.workers = Crew("worker", selector, _never, _never)
        clerk = Crew("clerk", selector, _never, _never)
        self.loads = Loads(
            lambda: Request(
                str(self.policies), str(self.state), Conventions(), self.generations.highest + 1, before=-1
            ),
            lambda outcome: conditions.policy_problems(self.ladder.loaded(outcome)),
            lambda: None,
        )
        conditions = Conditions(booted, self.picture, self.workers, clerk, lambda: None)
        handover = Handover(self.workers)
        self.canaries = canaries = Canaries(settings, counters.sides, self.picture, handover, conditions)
        self.generations = Generations(counters, self.picture, handover, clerk, self.loads, lambda: "serving", canaries)
        self.ladder = Ladder(str(self.state), self.generations, conditions, Errands(lambda: None))
        self.soaking = Soaking(self.ladder, counters, self.workers, Wanted(seconds, messages))
        self.ladder.start()

    def policy(self, text: str) -> None:
        (self.policies / "10.yaml").write_text(text)

    def load(self) -> None:
        self.loads.ask()
        self.wait()

    def wait(self) -> None:
        """Until no child is left."""
        end = time.monotonic() + 30
        errands = self.ladder.errands
        while time.monotonic() < end and (
            self.loads.busy or self.ladder.busy or errands.busy("keep") or errands.busy("beside")
        ):
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                time.sleep(0.002)
            elif not self.loads.reaped(pid, status):
                errands.reaped(pid, status)

    def soak(self, seconds: float = 11.0, messages: int = 6) -> None:
        """All workers have the generation, time passes, and messages are judged."""
        self.workers.children = [Child("worker 0", 0, 0, 5.0, pid=1, generation=self.picture.number)]
        self.tick()
        for _ in range(messages):
            self.tally.verdict(Disposition.ACCEPT)
        self.now += seconds
        self.tick()
        self.wait()
        self.workers.children = []

    def tick(self) -> None:
        self.now += 1.0
        self.soaking.tick(self.now)

    def prove(self, text: str) -> int:
        """Load this policy and prove it; its number."""
        self.policy(text)
        self.load()
        self.soak()
        return self.picture.number

    def alerts(self) -> set[str]:
        return {alert.code for alert in self.picture.book.values()}

    def files(self) -> list[str]:
        return sorted(path.name[:10] for path in (self.state / proven.FOLDER).iterdir())


def _never(*_arguments: object) -> None:
    raise AssertionError("no child was started")


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def forget(house: House) -> None:
    """The candidate's rung goes, and what was accepted with it."""
    shutil.rmtree(house.policies)
    (house.state / live.NAME).unlink()


def rule(name: str) -> str:
    return reject_all(rule=name)


def test_a_generation_that_passed_its_soak_is_on_record(house: House) -> None:
    """With its number, digest, engine, release, source digest and since when; one that did not is not."""
    house.policy(rule("one"))
    house.load()
    house.soak(messages=4)
    assert () == house.ladder.known
    house.soak()
    (head,) = house.ladder.known
    report = house.picture.report
    assert (1, report.digest, report.sources_digest) == (head.number, head.digest, head.sources)
    assert house.picture.since == head.since <= head.proven
    assert head.engine


def test_three_are_kept(house: House) -> None:
    """The newest three of different rules."""
    for name in ("one", "two", "three", "four", "five"):
        house.prove(rule(name))
    assert ["0000000003", "0000000004", "0000000005"] == house.files()


def test_lists_are_data(house: House) -> None:
    """An edit of a list goes on with the soak, and does not push other rules from the record."""
    house.prove(rule("one"))
    rules = "rules:\n  - id: r\n    when: {login: {in: l}}\n    do: {hold: {reason: x}}\n...\n"
    text = "version: 1\nlists:\n  l: {type: login, items: [%s]}\n" + rules
    house.prove(text % "a")
    before = house.soaking.period
    house.policy(text % "b")
    house.load()
    house.workers.children = [Child("worker 0", 0, 0, 5.0, pid=1, generation=house.picture.number)]
    house.tick()
    assert before == house.soaking.period
    assert 3 == house.picture.number
    assert ["0000000001", "0000000002"] == house.files()


@pytest.mark.parametrize("disturb", ["a worker dies", "a brake is on"])
def test_a_disturbance_begins_the_soak_anew(house: House, disturb: str) -> None:
    """What was seen before it does not count."""
    house.policy(rule("one"))
    house.load()
    house.soak(seconds=5.0)
    if disturb == "a worker dies":
        house.workers.restarts += 1
    else:
        house.soaking.eased = lambda: True
    house.soak(seconds=6.0)
    assert () == house.ladder.known
    house.soaking.eased = lambda: False
    house.soak()
    assert 1 == len(house.ladder.known)


def test_quarantine_and_the_way_back(house: House) -> None:
    """The proven one comes back with its own number; the harmful one is not taken again, nor by the next daemon."""
    house.prove(ACCEPT_ALL)
    house.policy(rule("harm"))
    house.load()
    harmful = house.picture.report.digest
    house.ladder.quarantine(harmful, "it refused everybody")
    house.ladder.roll_back("it refused everybody")
    house.wait()
    assert (1, Rung.PROVEN) == (house.picture.number, house.ladder.rung)
    assert {"generation-quarantined", "proven-serves"} <= house.alerts()
    house.load()
    assert (1, Rung.PROVEN) == (house.picture.number, house.ladder.rung)
    assert {"generation-quarantined", "proven-serves"} <= house.alerts()


def test_quarantine_outlives_the_daemon(house: House, tmp_path: Path) -> None:
    """A new daemon finds the bad file still in place, and starts on the proven generation."""
    house.prove(ACCEPT_ALL)
    house.policy(rule("harm"))
    house.load()
    house.ladder.quarantine(house.picture.report.digest, "harm")
    after = House(tmp_path)
    after.load()
    assert (1, Rung.PROVEN) == (after.picture.number, after.ladder.rung)
    assert {"generation-quarantined", "proven-serves"} <= after.alerts()


@pytest.mark.parametrize("end", ["the content changes", "a person confirms"])
def test_quarantine_ends(house: House, tmp_path: Path, end: str) -> None:
    """When it is not the same policy any more, or is meant; a return to the harmful content is barred again."""
    house.prove(ACCEPT_ALL)
    house.policy(rule("harm"))
    house.load()
    house.ladder.quarantine(house.picture.report.digest, "harm")
    house.ladder.roll_back("harm")
    house.wait()
    if end == "the content changes":
        house.policy(rule("better"))
    else:
        house.ladder.lift()
    house.load()
    assert Rung.CANDIDATE is house.ladder.rung
    assert set() == house.alerts()
    house.policy(rule("harm"))
    house.load()
    assert ("generation-quarantined" in house.alerts()) == (end == "the content changes")


def test_there_may_be_no_way_back(house: House) -> None:
    """Nothing is proven: what is in force stays, and an alert says so."""
    house.policy(rule("harm"))
    house.load()
    house.ladder.quarantine(house.picture.report.digest, "harm")
    house.ladder.roll_back("harm")
    house.wait()
    assert (1, Rung.CANDIDATE) == (house.picture.number, house.ladder.rung)
    assert "no-way-back" in house.alerts()


def test_the_way_back_passes_over_what_is_in_quarantine(house: House) -> None:
    """Two harmful ones, both proven before anybody noticed: the one before them serves."""
    house.prove(ACCEPT_ALL)
    for name in ("two", "three"):
        house.prove(rule(name))
        house.ladder.quarantine(house.picture.report.digest, name)
    house.ladder.roll_back("harm")
    house.wait()
    assert 1 == house.picture.number


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "a flipped byte": lambda path: path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:]),
    "empty": lambda path: path.write_bytes(b""),
    "a directory": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_one_is_passed_over(house: House, tmp_path: Path, damage: Callable[[Path], object]) -> None:
    """The next older one serves, and an alert names the file."""
    for name in ("one", "two"):
        house.prove(rule(name))
    damage(max((house.state / proven.FOLDER).iterdir()))
    after = House(tmp_path)
    forget(after)
    after.load()
    assert (1, Rung.PROVEN) == (after.picture.number, after.ladder.rung)
    assert {"proven-unusable", "proven-serves"} <= after.alerts()


def test_another_engines_is_passed_over(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pattern databases can't be used here: a pattern that can't be asked would be answered NO."""
    from tidegate import image

    house.prove(rule("one"))
    after = House(tmp_path)
    forget(after)

    def refuse(_self: object, _buffer: object) -> None:
        raise image.BadImage("the image's patterns can't be used here")

    monkeypatch.setattr(image.Generation, "__init__", refuse)
    after.load()
    assert Rung.NONE is after.ladder.rung
    assert {"proven-unusable", "no-generation"} <= after.alerts()


def test_a_file_that_kills_its_reader(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading happens in a child: its death costs that file."""
    for name in ("one", "two"):
        house.prove(rule(name))
    deadly, read = str(max((house.state / proven.FOLDER).iterdir())), proven.records.read

    def kill(path: Path) -> bytes:
        if str(path) == deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return read(path)

    monkeypatch.setattr(proven.records, "read", kill)
    after = House(tmp_path)
    forget(after)
    after.load()
    assert (1, Rung.PROVEN) == (after.picture.number, after.ladder.rung)
    assert "proven-unusable" in after.alerts()


def test_numbers_go_on(house: House, tmp_path: Path) -> None:
    """The same policy keeps its number over a restart; the next one has the next, whatever is lost of the records."""
    house.prove(rule("one"))
    house.prove(rule("two"))
    after = House(tmp_path)
    after.load()
    assert 2 == after.picture.number
    (house.state / live.NAME).unlink()
    later = House(tmp_path)
    later.policy(rule("three"))
    later.load()
    assert 3 == later.picture.number


def test_a_record_that_can_not_be_written(house: House) -> None:
    """An alert, and the daemon goes on."""
    (house.state / proven.FOLDER).write_text("no folder")
    house.prove(rule("one"))
    assert "proven-unwritable" in house.alerts()
    (house.state / proven.FOLDER).unlink()
    house.soak()
    assert 1 == len(house.ladder.known)
    assert "proven-unwritable" not in house.alerts()


@pytest.mark.parametrize("confirmed", [False, True], ids=["unsaid", "confirmed"])
def test_an_empty_directory_is_not_believed_where_the_record_is_lost(
    house: House, tmp_path: Path, confirmed: bool
) -> None:
    """Something was proven once, so there were policies: it serves until a person says that there are none."""
    house.prove(rule("one"))
    after = House(tmp_path)
    forget(after)
    after.policies.mkdir()
    after.load()
    assert Rung.PROVEN is after.ladder.rung
    if confirmed:
        after.loads.ask(confirmed=True)
        after.wait()
        assert (Rung.CANDIDATE, {"no-policy"}) == (after.ladder.rung, after.alerts())


def test_what_serves_for_want_of_better_is_replaced_at_once(house: House, tmp_path: Path) -> None:
    """The candidate has no trial beside a proven generation that only fills in for it."""
    house.prove(rule("one"))
    after = House(tmp_path, share=10.0)
    forget(after)
    after.load()
    assert Rung.PROVEN is after.ladder.rung
    after.policies.mkdir()
    after.policy(rule("two"))
    after.load()
    assert after.picture.trial is None
    assert (2, Rung.CANDIDATE, "") == (after.picture.number, after.ladder.rung, after.ladder.why)


def test_after_a_way_back_the_next_candidate_is_tried(tmp_path: Path) -> None:
    """Until its trial is over what is proven serves, and the status says so."""
    house = House(tmp_path, share=10.0)
    house.prove(ACCEPT_ALL)
    house.policy(rule("harm"))
    house.load()
    house.canaries.stop(End.PROMOTED)
    house.ladder.quarantine(house.picture.report.digest, "harm")
    house.ladder.roll_back()
    house.wait()
    assert (1, Rung.PROVEN, "harm") == (house.picture.number, house.ladder.rung, house.ladder.why)
    house.policy(rule("better"))
    house.load()
    assert house.picture.trial is not None
    assert (1, Rung.PROVEN) == (house.picture.number, house.ladder.rung)
    assert {"proven-serves"} == house.alerts()
    house.canaries.stop(End.PROMOTED)
    house.ladder.stand()
    assert (3, Rung.CANDIDATE) == (house.picture.number, house.ladder.rung)
    assert set() == house.alerts()


def test_what_killed_writers_left_is_removed(house: House) -> None:
    """A draft is as large as an image."""
    folder = house.state / proven.FOLDER
    folder.mkdir()
    (folder / "0000000001-abc.123.tmp").write_bytes(b"half")
    house.prove(rule("one"))
    assert 1 == len(list(folder.iterdir()))


@pytest.mark.parametrize(
    ("report", "rung"),
    [("{}", Rung.PROVEN), ('{"entries": [[]]}', Rung.NONE)],
    ids=["knows less", "is written otherwise"],
)
def test_an_earlier_releases_report(house: House, tmp_path: Path, report: str, rung: Rung) -> None:
    """What it did not know is as by default; one that can't be read costs that generation, and nothing else."""
    house.prove(rule("one"))
    (path,) = (house.state / proven.FOLDER).iterdir()
    top, _, data = proven.records.read(path).split(b"\n", 2)
    proven.records.write(path, b"\n".join((top, report.encode(), data)))
    after = House(tmp_path)
    forget(after)
    after.load()
    assert rung is after.ladder.rung
    assert ("proven-unusable" in after.alerts()) == (rung is Rung.NONE)
