"""Whom rules put on lists leaves the worker by a queue: bounded, not twice at once, and again when it could not."""

from __future__ import annotations

from typing import Any

from tidegate.front import suspending
from tidegate.front.suspending import Suspending
from tidegate.model import Suspension
from tidegate.observe.counters import Event

NOW = 1_800_000_000.0


class Scene:
    """A queue, and what came out of it."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.reads = True
        self.events: list[Event] = []
        self.queue = Suspending(self.send, self)

    def send(self, word: str, **values: Any) -> bool:
        assert word == "put"
        if self.reads:
            self.sent.append(values)
        return self.reads

    def event(self, event: Event) -> None:
        self.events.append(event)

    def note(self, who: str, now: float = NOW, *, shadow: bool = False, seconds: float = 3600.0) -> None:
        wish = Suspension("r", "suspended", "in-redis", "login", who, seconds, shadow)
        self.queue.note((wish,), "REF", now)


def test_it_is_sent_with_who_and_why() -> None:
    """The rule, the message's reference, when, and for how long."""
    scene = Scene()
    scene.note("bob")
    assert scene.queue.flush()
    (sent,) = scene.sent
    assert ("in-redis", "login", "bob", 3600.0, NOW, "rule r", "REF") == tuple(
        sent[key] for key in ("name", "form", "text", "seconds", "at", "by", "why")
    )


def test_the_same_again_is_sent_once_a_minute() -> None:
    """An outbreak is a thousand messages and one entry; its end moves on while they go on."""
    scene = Scene()
    for second in (0, 1, 59, 61, 62):
        scene.note("bob", NOW + second)
    scene.note("eve", NOW)
    scene.queue.flush()
    assert [("bob", NOW), ("bob", NOW + 61), ("eve", NOW)] == [(one["text"], one["at"]) for one in scene.sent]


def test_one_in_shadow_sends_nothing() -> None:
    """It is in the decision line only."""
    scene = Scene()
    scene.note("bob", shadow=True)
    scene.queue.flush()
    assert [] == scene.sent


def test_it_waits_for_a_supervisor_that_does_not_read(monkeypatch: Any) -> None:
    """What does not fit meanwhile is counted; the rest goes out in its order."""
    monkeypatch.setattr(suspending, "_WAITING", 2)
    scene = Scene()
    scene.reads = False
    for who in "abc":
        scene.note(who)
    assert not scene.queue.flush()
    assert [Event.SUSPENSIONS_LOST] == scene.events
    scene.reads = True
    assert scene.queue.flush()
    assert ["a", "b"] == [one["text"] for one in scene.sent]
