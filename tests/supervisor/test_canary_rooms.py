"""A canary in the supervisor: what is tried, what not, and what the workers are told meanwhile."""

from __future__ import annotations

import gc
import os
import selectors
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tidegate.channel import Channel, Packet, memory
from tidegate.loader.report import Report
from tidegate.observe.counters import Counters
from tidegate.observe.crowds import Crowds
from tidegate.observe.journal import Journal
from tidegate.observe.logs import Writer
from tidegate.observe.sides import Outcome
from tidegate.settings import Listen, ListenKind, Settings
from tidegate.supervisor.boot import Booted
from tidegate.supervisor.canary import Canaries, Course, End, differing
from tidegate.supervisor.conditions import Conditions
from tidegate.supervisor.crew import Child, Crew
from tidegate.supervisor.handover import Handover
from tidegate.supervisor.picture import Picture
from tidegate.worker import Offer


def report_of(name: str, form: str = "", rules: tuple[str, ...] = ("r",)) -> Report:
    """A load of this digest; its rules' faces are the form's."""
    form = form or name
    return Report(digest=name, image=True, form=form, rules=rules, faces=tuple(f"{form} {rule}" for rule in rules))


def never(*_arguments: object) -> None:
    raise AssertionError("nobody is started or heard")


class House:
    """A supervisor's canaries with one worker, which is the other end of a channel."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        listen = Listen(ListenKind.UNIX, path="/none")
        known = Settings(listen, str(folder), str(folder), **settings)
        self.counters = Counters(1)
        writer = Writer("stderr")
        booted = Booted("c", known, False, (), self.counters, Journal(1), Crowds(), writer, None, None, None)  # type: ignore[arg-type]
        self.picture = Picture(known, "c", False, 0.0)
        self.crew = Crew("worker", selectors.DefaultSelector(), never, never)
        clerk = Crew("clerk", selectors.DefaultSelector(), never, never)
        conditions = Conditions(booted, self.picture, self.crew, clerk, lambda: None)
        self.handover = Handover(self.crew)
        self.canaries = Canaries(known, self.counters.sides, self.picture, self.handover, conditions)
        self.barred: list[str] = []
        self.canaries.quarantine = lambda digest, _why: self.barred.append(digest)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.worker = Channel(theirs)
        self.crew.children = [Child("worker 0", 0, 0, 5.0, pid=os.getpid(), channel=Channel(ours))]

    def in_force(self, report: Report, number: int = 1) -> None:
        """This one is for all."""
        self.picture.number, self.picture.report = number, report
        self.handover.propose(self.offer(report, number))

    def offer(self, report: Report, number: int) -> Offer:
        return Offer(number, report.digest, memory("image", b"image"), memory("columns", b"{}"))

    def load(self, report: Report, urgent: str = "") -> Course:
        """What a load does with it."""
        course = self.canaries.course(report, urgent)
        if course is Course.TRY:
            number = max(self.picture.number, self.canaries.attempt.number) + 1
            self.canaries.begin(self.offer(report, number), report)
        return course

    def told(self) -> list[tuple[str, int]]:
        """What the worker was told since, each answered as it does."""
        found = []
        while (packet := self.worker.receive()) is not None:
            number = int(packet.values["number"])
            found.append((packet.word, number))
            for descriptor in packet.descriptors:
                os.close(descriptor)
            answer = "trying" if packet.word == "canary" else "active"
            self.handover.heard(self.crew.children[0], Packet(answer, {"number": number}))
        return found

    @property
    def alerts(self) -> set[str]:
        return {alert.code for alert in self.picture.book.values()}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Generation 1 is in force, and the worker has it."""
    found = House(tmp_path)
    found.in_force(report_of("one"))
    assert [("generation", 1)] == found.told()
    yield found
    found.worker.close()


@pytest.mark.parametrize(
    ("report", "urgent", "settings", "expected"),
    [
        pytest.param(report_of("two"), "", {}, Course.TRY, id="another policy"),
        pytest.param(report_of("one"), "", {}, Course.STAY, id="the same"),
        pytest.param(report_of("two", form="one"), "", {}, Course.FORCE, id="list items"),
        pytest.param(report_of("two"), "an outbreak", {}, Course.FORCE, id="urgent"),
        pytest.param(report_of("two"), "", {"canary_share": 0.0}, Course.FORCE, id="switched off"),
    ],
)
def test_what_is_tried(tmp_path: Path, report: Report, urgent: str, settings: dict[str, Any], expected: Course) -> None:
    """What can't change a verdict, what can't wait, and what is in force already is not tried."""
    house = House(tmp_path, **settings)
    assert Course.FORCE is house.load(report_of("one"))  # the first one has nothing beside it
    house.in_force(report_of("one"))
    assert expected is house.load(report, urgent)


def test_a_promoted_one_is_not_mapped_twice(house: House) -> None:
    """The worker has it already: it is told the number alone."""
    house.load(report_of("two"))
    assert [("canary", 2)] == house.told()
    house.canaries.stop(End.PROMOTED)
    assert [("promote", 2)] == house.told()
    assert (2, "two", None) == (house.picture.number, house.picture.report.digest, house.picture.trial)
    assert [] == house.told()


def test_the_newest_wins(house: House) -> None:
    """It replaces the one on trial, and begins with nothing seen."""
    house.load(report_of("two"))
    house.told()
    house.counters.sides.tally(0).count(1, True, 7, Outcome.JUDGED)
    house.load(report_of("three"))
    assert [("abandon", 1), ("canary", 3)] == house.told()
    house.canaries.tick(1e9)
    assert (3, 0) == (house.canaries.attempt.number, house.canaries.attempt.new.of(Outcome.JUDGED).messages)
    assert {"replaced": 1} | house.canaries.ends == house.canaries.ends


def test_list_items_beside_one_on_trial(house: House) -> None:
    """The same form as what is on trial: it goes on with what that saw."""
    house.load(report_of("two"))
    since = house.canaries.attempt.since
    house.counters.sides.tally(0).count(1, True, 7, Outcome.JUDGED)
    assert Course.TRY is house.load(report_of("two, with an item", form="two"))
    house.canaries._look()
    attempt = house.canaries.attempt
    assert (3, since, 1) == (attempt.number, attempt.since, attempt.new.of(Outcome.JUDGED).messages)
    assert {} == house.canaries.ends


def test_a_revert(house: House) -> None:
    """What is in force stands in the files again: the worker drops the canary."""
    house.load(report_of("two"))
    house.told()
    assert Course.STAY is house.load(report_of("one"))
    assert [("abandon", 1)] == house.told()
    assert End.REVERTED is house.canaries.attempt.end


def test_urgency_ends_the_trial_of_the_same(house: House) -> None:
    """A person does not want to wait any longer."""
    house.load(report_of("two"))
    house.told()
    assert Course.STAY is house.load(report_of("two"), "it can't wait")
    assert [("promote", 2)] == house.told()
    assert (End.URGENT, "it can't wait") == (house.canaries.attempt.end, house.canaries.attempt.reason)


def test_harm(house: House) -> None:
    """Abandoned: told, barred, the rule named; the next edit clears the alert, the same bytes come only as meant."""
    house.load(report_of("two", rules=("good", "bad")))
    house.told()
    tally = house.counters.sides.tally(0)
    for sender in range(40):
        new = sender % 10 == 0
        for outcome in (Outcome.JUDGED, *((Outcome.STOPPED, Outcome.REFUSED) if new else ())):
            tally.count(house.canaries._bank, new, sender, outcome)
        if new:
            tally.rule(house.canaries._bank, True, 1)
    assert house.canaries.tick(1e9)
    assert [("abandon", 1)] == house.told()
    assert (End.ABANDONED, ("bad",), ["two"]) == (
        house.canaries.attempt.end, house.canaries.attempt.rules, house.barred,
    )  # fmt: skip
    assert (1, "one") == (house.picture.number, house.picture.report.digest)
    assert {"canary-abandoned"} == house.alerts
    assert Course.FORCE is house.canaries.course(report_of("two", rules=("good", "bad")), "")
    assert set() == house.alerts


def test_one_that_a_worker_can_not_use(house: House) -> None:
    """It is given up, and not barred: another version of the pattern engine may be able to use it. The next load of the
    same tries it again: it must not go to all because nobody barred it."""
    house.load(report_of("two"))
    assert not house.canaries.refused(Packet("refused", {"number": 1, "why": "no"}))
    assert house.canaries.refused(Packet("refused", {"number": 2, "why": "no"}))
    assert (End.ABANDONED, []) == (house.canaries.attempt.end, house.barred)
    assert Course.TRY is house.load(report_of("two"))


def test_nothing_stays_open(house: House) -> None:
    """Whatever comes and goes, the descriptors of old generations are closed."""
    house.load(report_of("two"))
    house.told()
    gc.collect()  # what earlier tests left open
    before = len(os.listdir("/proc/self/fd"))
    for round_ in range(5):
        house.load(report_of(f"next {round_}"))
        house.told()
        if round_ % 2:
            house.canaries.stop(End.PROMOTED)
            house.told()
            house.load(report_of(f"after {round_}"))
            house.told()
    assert before == len(os.listdir("/proc/self/fd"))


def test_differing() -> None:
    """New rules, and those that can answer otherwise."""
    before = Report(rules=("same", "other", "gone"), faces=("1", "2", "3"))
    assert ("other", "new") == differing(Report(rules=("same", "other", "new"), faces=("1", "x", "4")), before)
