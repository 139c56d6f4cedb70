"""A rule that raises: counted, said once with its place, named in the decision line; the mail it is not about flows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.builders.sessions import Front
from tests.builders.transactions import FakePolicies
from tests.builders.verdicts import labelling, rejecting
from tidegate.conditions import answers
from tidegate.front.answer import CONTINUE, TEMPFAIL
from tidegate.model import Operator, Rule
from tidegate.model import Test as FieldTest

MANY = FieldTest("rcpt.count", Operator.GT, (1,))


@pytest.fixture(autouse=True)
def _broken_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_arguments: Any) -> Any:
        raise ZeroDivisionError("content@example.com")

    monkeypatch.setitem(answers._PROBES, Operator.GT, failing)


def deliver(front: Front) -> int:
    front.envelope()
    return front.end_of_message()


def test_said_once_counted_always(capsys: pytest.CaptureFixture[str]) -> None:
    """The place is logged once for each rule and sort of failure; the counter counts each time."""
    front = Front(FakePolicies([rejecting("bad", when=MANY), Rule("worse", MANY, labelling().do)]))
    assert [TEMPFAIL, TEMPFAIL] == [deliver(front), deliver(front)]
    written = capsys.readouterr().out
    logged = [json.loads(row) for row in written.splitlines() if "rule fault" in row]
    assert ["bad", "worse"] == [row["rule"] for row in logged]
    assert "test_rule_faults.py" in logged[0]["at"]
    assert "content" not in written
    assert 4 == front.tally.counts["rule"]
    (first, _) = front.lines()
    assert "ZeroDivisionError in bad, ZeroDivisionError in worse" == first["fault"]
    assert "defer" == first["disposition"]


def test_its_fate_alone() -> None:
    """With on_error: skip the message goes on; its line still names what failed."""
    front = Front(FakePolicies([Rule("bad", MANY, labelling().do, on_error=labelling().on_error.SKIP)]))
    assert CONTINUE == deliver(front)
    (line,) = front.lines()
    assert ("accept", "ZeroDivisionError in bad") == (line["disposition"], line["fault"])


def test_at_rcpt() -> None:
    """The same where a recipient is refused or deferred."""
    closed = Rule("bad", MANY, rejecting().do, per_recipient=True)
    front = Front(FakePolicies([closed]))
    front.mail()
    assert TEMPFAIL == front.rcpt()
    (line,) = front.lines()
    assert ("rcpt", "ZeroDivisionError in bad", 1) == (line["stage"], line["fault"], front.tally.counts["rule"])
