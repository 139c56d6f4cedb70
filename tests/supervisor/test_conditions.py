"""The daemon's own condition: an alert clears when its reason is gone."""

from __future__ import annotations

import errno
import os
import selectors
from pathlib import Path

import pytest

from tidegate.observe.counters import Counters
from tidegate.observe.crowds import Crowds
from tidegate.observe.journal import Journal
from tidegate.observe.logs import Writer
from tidegate.settings import Listen, ListenKind, Settings
from tidegate.supervisor.boot import Booted
from tidegate.supervisor.conditions import Conditions
from tidegate.supervisor.crew import Child, Crew
from tidegate.supervisor.picture import Picture


def never(*_arguments: object) -> None:
    raise AssertionError("no child was started")


@pytest.fixture
def picture(tmp_path: Path) -> Picture:
    """A daemon that runs generation 2."""
    settings = Settings(Listen(ListenKind.UNIX, path=str(tmp_path / "socket")), str(tmp_path), str(tmp_path))
    return Picture(settings, str(tmp_path / "tidegate.yaml"), False, 0.0, number=2)


@pytest.fixture
def worker() -> Child:
    """A worker that runs generation 1."""
    return Child("worker 0", 0, 0, 5.0, pid=1, generation=1)


@pytest.fixture
def conditions(picture: Picture, worker: Child) -> Conditions:
    """What watches over them."""
    booted = Booted(
        picture.config,
        picture.settings,
        False,
        (),
        Counters(1),
        Journal(1),
        Crowds(),
        Writer("stderr"),
        *[None] * 3,  # type: ignore[arg-type]
    )
    crew = Crew("worker", selectors.DefaultSelector(), never, never, [worker])
    return Conditions(booted, picture, crew, Crew("clerk", crew.selector, never, never), lambda: None)


def codes(picture: Picture) -> list[str]:
    return [alert.code for alert in picture.book.values()]


def test_a_refused_generation_is_an_alert_until_everybody_runs_it(
    conditions: Conditions, picture: Picture, worker: Child
) -> None:
    """Its worker is replaced; when the new one has mapped the generation, nothing is wrong any more."""
    conditions.raise_("worker-refused", "worker 0: the image is damaged")
    conditions.tick(10.0)
    assert ["worker-refused"] == codes(picture)
    worker.generation = 2
    conditions.tick(20.0)
    assert [] == codes(picture)


def test_settings_for_which_there_is_no_process(
    conditions: Conditions, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look at them fails with an alert, and the next one is not in its way."""

    def no_fork() -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    for _ in range(2):
        with monkeypatch.context() as scarce:
            scarce.setattr(os, "fork", no_fork)
            conditions.recheck_settings()
        assert ["no-resources"] == codes(picture)
    conditions.recheck_settings()
    pid, status = os.waitpid(-1, 0)
    assert conditions.reaped(pid, status)
    assert ["settings-unreadable"] == codes(picture)
