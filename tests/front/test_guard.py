"""Whatever is raised or returned in a callback: one 451 at end of message, never a 5xx; the next message is served."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import structlog

from tests.builders.sessions import Front
from tests.builders.transactions import FakePolicies
from tests.builders.verdicts import rejecting
from tidegate.front import callbacks
from tidegate.front.answer import CONTINUE, NOREPLY, REJECT, TEMPFAIL
from tidegate.front.callbacks import STEPS, Step

FAULTS: list[BaseException] = [
    ValueError("secret@example.com"),
    KeyboardInterrupt(),
    SystemExit(1),
    MemoryError(),
    RecursionError(),
    GeneratorExit(),
]
STAGES = ("connect", "helo", "envfrom", "envrcpt", "header", "body", "eom")


class Broken:
    """A handler that fails once, when it is armed."""

    def __init__(self, handler: Callable[..., int], failure: Callable[[], Any]) -> None:
        self._handler, self._failure = handler, failure
        self.armed = True

    def __call__(self, *arguments: Any) -> Any:
        if self.armed:
            self.armed = False
            return self._failure()
        return self._handler(*arguments)


def breaking(monkeypatch: pytest.MonkeyPatch, stage: str, failure: Callable[[], Any]) -> Broken:
    """Make the handler of `stage` fail the first time."""
    step = STEPS[stage]
    broken = Broken(step.handler, failure)
    monkeypatch.setitem(callbacks.STEPS, stage, Step(broken, step.quiet, step.allowed))
    return broken


def a_message(front: Front) -> tuple[list[int], int]:
    """The answers before end of message, and the one at it."""
    answers = [front.mail(), front.rcpt(), front.header(), front.event("body", b"x")]
    return answers, front.end_of_message()


def raising(error: BaseException) -> Callable[[], Any]:
    """A failure that raises."""

    def fail() -> None:
        raise error

    return fail


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("error", FAULTS, ids=lambda error: type(error).__name__)
def test_an_exception(monkeypatch: pytest.MonkeyPatch, stage: str, error: BaseException) -> None:
    """One clean 451 at end of message, whatever and wherever; nothing but `go on` before."""
    breaking(monkeypatch, stage, raising(error))
    front = Front(FakePolicies([rejecting()]))
    answers, final = a_message(front)
    assert {CONTINUE, NOREPLY} >= set(answers)
    assert TEMPFAIL == final
    assert front.context.reply.startswith("451 4.3.0 Temporary failure in our policy check, please try again later (")
    (line,) = front.lines()
    assert ("fault", f"{type(error).__name__} in {stage}") == (line["disposition"], line["fault"])
    assert 1 == front.tally.counts["exception"]
    assert (1, 0) == front.numbers
    if stage not in ("connect", "helo"):
        assert REJECT == a_message(front)[1]


@pytest.mark.parametrize("stage", ["connect", "helo"])
def test_a_fault_of_the_connection_lasts(monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    """Its messages are judged without what was lost, so none of them is: each gets its 451."""
    breaking(monkeypatch, stage, raising(ValueError()))
    front = Front(FakePolicies())
    assert [TEMPFAIL, TEMPFAIL] == [a_message(front)[1] for _ in range(2)]


@pytest.mark.parametrize(
    ("stage", "value"),
    [
        (stage, value)
        for stage in STAGES
        for value in (True, None, "0", 0.0, 42, -1, 1 << 70, 2, 3, 7, 8)
        if (stage, value) != ("eom", 2)
    ],
    ids=str,
)
def test_an_answer_that_is_not_on_the_list(monkeypatch: pytest.MonkeyPatch, stage: str, value: object) -> None:
    """True would be REJECT, 3 ACCEPT, 8 SKIP: each is a fault like any other. (DISCARD may only be said at the end.)"""
    breaking(monkeypatch, stage, lambda: value)
    front = Front(FakePolicies())
    answers, final = a_message(front)
    assert {CONTINUE, NOREPLY} >= set(answers)
    assert TEMPFAIL == final
    assert 1 == front.tally.counts["answer"]


def test_a_refusal_where_silence_was_negotiated(monkeypatch: pytest.MonkeyPatch) -> None:
    """libmilter would drop it and deliver: it becomes a fault of the message."""
    breaking(monkeypatch, "envrcpt", lambda: REJECT)
    front = Front(FakePolicies())
    front.mail()
    assert NOREPLY == front.rcpt()
    front.rcpt()
    assert TEMPFAIL == front.end_of_message()


@pytest.mark.parametrize("stage", ["abort", "close"])
def test_abort_and_close(monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    """A fault there is counted; it is no message's."""
    breaking(monkeypatch, stage, raising(ValueError()))
    front = Front(FakePolicies())
    front.envelope()
    assert CONTINUE == front.event(stage)
    assert 1 == front.tally.counts["exception"]
    assert CONTINUE == a_message(front)[1]


def test_the_record_says_where_but_not_what(monkeypatch: pytest.MonkeyPatch) -> None:
    """Class, place and reference; an exception's own text may hold content."""
    breaking(monkeypatch, "header", raising(ValueError("secret@example.com")))
    front = Front(FakePolicies())
    told: list[dict[str, Any]] = []

    def capture(_logger: object, _name: str, event: dict[str, Any]) -> str:
        told.append(dict(event))
        raise structlog.DropEvent

    structlog.configure(processors=[capture, structlog.processors.JSONRenderer()])
    a_message(front)
    (event,) = [one for one in told if one["event"] == "fault"]
    assert ("header", "ValueError") == (event["stage"], event["error"])
    assert event["at"].startswith("test_guard.py:")
    assert event["ref"]
    assert "secret" not in json.dumps(told)


def test_even_the_answer_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is raised, and TEMPFAIL without a text is Postfix's own 451."""
    front = Front(FakePolicies())
    front.context.refuse["setreply"] = MemoryError()
    assert TEMPFAIL == front.end_of_message()
    monkeypatch.setattr(front.desk, "tally", None)
    assert TEMPFAIL == front.end_of_message()


def test_a_context_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """pymilter raises over its own private data: end of message is TEMPFAIL all the same."""
    front = Front(FakePolicies())
    front.envelope()
    monkeypatch.setattr(front.context, "getpriv", raising(RuntimeError()))
    assert CONTINUE == front.header()
    assert TEMPFAIL == front.end_of_message()


def test_negotiation_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection ends before it begins; Postfix answers MAIL with 451."""
    front = Front(FakePolicies())
    monkeypatch.setattr(front.desk, "live", None)
    assert TEMPFAIL == callbacks.negotiate(front.context, [0x1FF, 0x1FFFFF, 0, 0])


def test_a_line_that_can_not_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is lost and counted; the message has its verdict."""
    monkeypatch.setattr("tidegate.front.desk.line", lambda *_: 1 / 0)
    front = Front(FakePolicies([rejecting()]))
    front.envelope()
    assert REJECT == front.end_of_message()
    assert 1 == front.tally.counts["log"]
