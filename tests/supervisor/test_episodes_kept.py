"""What the supervisor makes of alerts over time: a restart, silences, mail that waits for us."""

from __future__ import annotations

import selectors
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tidegate.alerts import Alert, reconcile
from tidegate.alerts.debt import TELLING
from tidegate.alerts.record import State, write
from tidegate.loader.report import Report
from tidegate.model import EntryKey, EntryKind, Place, Problem, Severity
from tidegate.observe.counters import Counters, ErrorKind
from tidegate.settings import Listen, ListenKind, Settings
from tidegate.supervisor.crew import Crew
from tidegate.supervisor.episodes import OWN, Episodes
from tidegate.supervisor.picture import Picture

BROKEN = Problem("unknown-key", "text", Place("a.yaml", 1, 1), Severity.ERROR, EntryKey(EntryKind.RULE, "stop"))
TROUBLE = Problem("log-unwritable", "text", Place(OWN, 0, 0))


def never(*_arguments: object) -> None:
    raise AssertionError("no child was started")


def a_picture(state: Path) -> Picture:
    settings = Settings(Listen(ListenKind.UNIX, path="/s"), "/p", str(state))
    return Picture(settings, "/t.yaml", False, 0.0)


def episodes(picture: Picture, counters: Counters | None = None) -> Episodes:
    return Episodes(picture, counters or Counters(1), Crew("clerk", selectors.DefaultSelector(), never, never))


@pytest.fixture
def left(tmp_path: Path) -> dict[tuple[str, str], Alert]:
    """The record of a daemon before: a broken rule, and trouble of its own, for an hour."""
    book = dict(reconcile({}, [BROKEN, TROUBLE], [], time.time() - 3600).book)
    write(tmp_path, State(book).values())
    return book


def test_a_restart_knows_what_stood(tmp_path: Path, left: dict[tuple[str, str], Alert]) -> None:
    """Since when, too; nothing is raised anew, and before the first load nothing clears."""
    picture = a_picture(tmp_path)
    kept = episodes(picture)
    kept.reconcile()
    assert left == picture.book
    picture.number, picture.problems = 1, (BROKEN,)
    kept.loaded()
    kept.reconcile()
    assert left == picture.book


def test_what_a_load_did_not_find_has_cleared(tmp_path: Path, left: dict[tuple[str, str], Alert]) -> None:
    """The policies are known at once; what is wrong with the daemon itself a while later."""
    picture = a_picture(tmp_path)
    kept = episodes(picture)
    picture.number = 1
    kept.loaded()
    kept.reconcile()
    assert [(OWN, "log-unwritable")] == list(picture.book)
    kept.tick(time.monotonic() + 5)
    assert picture.book
    kept.tick(time.monotonic() + 11)
    assert {} == picture.book


def test_a_load_that_failed_clears_nothing(tmp_path: Path, left: dict[tuple[str, str], Alert]) -> None:
    """Nothing is known of the policies yet."""
    picture = a_picture(tmp_path)
    kept = episodes(picture)
    picture.report = Report()
    kept.loaded()
    kept.reconcile()
    kept.tick(time.monotonic() + 60)
    assert [("rule stop", "unknown-key")] == list(picture.book)


def test_a_silence(tmp_path: Path) -> None:
    """Of an alert that stands, with an end and a reason; it survives a restart, and can be ended."""
    picture = a_picture(tmp_path)
    kept = episodes(picture)
    picture.problems = (BROKEN,)
    kept.reconcile()
    (alert,) = picture.book.values()
    good = {"key": alert.key, "seconds": 60, "reason": "known", "by": "root"}
    for wrong in ({"key": "x"}, {"seconds": -1}, {"seconds": 1e9}, {"reason": " "}, {"seconds": "soon"}, {"key": None}):
        assert "error" in kept.silence({**good, **wrong})
    assert kept.silence(good)["done"]
    assert ["known"] == [one["reason"] for one in episodes(a_picture(tmp_path)).document()["silences"]]
    assert kept.silence({**good, "seconds": 0, "reason": ""})["done"]
    assert [] == episodes(a_picture(tmp_path)).document()["silences"]


def test_mail_that_waits_is_an_alert_where_no_other_says_so(tmp_path: Path) -> None:
    """Once it goes on for a minute."""
    picture, counters = a_picture(tmp_path), Counters(1)
    kept = episodes(picture, counters)
    tally = counters.tally(0)
    tally.error(ErrorKind.DEADLINE)
    assert "" == kept.tick(10.0)
    picture.debt = replace(picture.debt, since=picture.debt.since - TELLING)
    tally.error(ErrorKind.GATE)
    assert kept.tick(20.0)
    assert 2 == picture.debt.messages
    picture.book = reconcile({}, [Problem("no-generation", "none", Place(OWN, 0, 0))], [], 1.0).book
    assert "" == kept.tick(30.0)
    assert kept.tick(30.5) is None
