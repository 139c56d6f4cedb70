"""Changes as calls: the order and indexes that Postfix's cleanup(8) needs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.builders.sessions import Context
from tests.builders.transactions import a_transaction
from tidegate.front.edits import Operation, execute, plan
from tidegate.model import Changes, HeaderChange, Recipient, Transaction

HEADERS = (("X-Set", "1"), ("Subject", "s"), ("x-set", "2"), ("X-SET", "3"))


def header(name: str, *values: str, replace: bool = True) -> Changes:
    """A change of one header name."""
    return Changes(headers=(HeaderChange(name, values, replace),))


def a_message(*given: str) -> Transaction:
    """Recipients as they were typed."""
    transaction = a_transaction(rcpt=(), headers=HEADERS)
    recipients = tuple(Recipient(one.strip("<>").lower(), one) for one in given or ("<bob@example.net>",))
    return replace(transaction, envelope=replace(transaction.envelope, recipients=recipients))


@pytest.mark.parametrize(
    ("changes", "calls"),
    [
        (
            header("X-Set"),
            [("chgheader", "X-Set", 3, ""), ("chgheader", "X-Set", 2, ""), ("chgheader", "X-Set", 1, "")],
        ),
        (
            header("X-Set", "a"),
            [("chgheader", "X-Set", 3, ""), ("chgheader", "X-Set", 2, ""), ("chgheader", "X-Set", 1, "a")],
        ),
        (header("X-Set", "a", replace=False), [("addheader", "X-Set", "a")]),
        (header("Subject", "a", "b"), [("chgheader", "Subject", 1, "a"), ("addheader", "Subject", "b")]),
        (header("X-New", "a"), [("addheader", "X-New", "a")]),
        (header("X-New"), []),
        (Changes(bcc=("j@example.com",)), [("addrcpt", "<j@example.com>", "NOTIFY=NEVER")]),
        (Changes(add_recipients=("c@example.com",)), [("addrcpt", "<c@example.com>")]),
        (Changes(sender="b@example.com"), [("chgfrom", "<b@example.com>")]),
        (Changes(sender=""), [("chgfrom", "<>")]),
    ],
    ids=["remove", "set", "add", "set two", "set a new one", "remove none", "bcc", "add rcpt", "sender", "null sender"],
)
def test_plan(changes: Changes, calls: list[tuple[object, ...]]) -> None:
    """Header names count without case; deletions run from the highest index down."""
    assert calls == [(one.call, *one.arguments) for one in plan(changes, a_message())]


def test_recipients_are_removed_as_they_were_typed() -> None:
    """Postfix compares with what the client said; all forms of the address go, and new ones come first."""
    transaction = a_message("<BOB@example.net>", "bob@example.net", "<carol@example.net>")
    changes = Changes(remove_recipients=("bob@example.net",), add_recipients=("d@example.net",))
    assert [
        ("addrcpt", "<d@example.net>"),
        ("delrcpt", "<BOB@example.net>"),
        ("delrcpt", "bob@example.net"),
    ] == [(one.call, *one.arguments) for one in plan(changes, transaction)]


def test_the_last_recipient_is_never_removed() -> None:
    """Postfix would say 250 and the mail would be gone; with a replacement it is a redirect."""
    changes = Changes(remove_recipients=("bob@example.net",))
    with pytest.raises(ValueError, match="no recipient"):
        plan(changes, a_message())
    assert plan(Changes(remove_recipients=("bob@example.net",), bcc=("c@example.net",)), a_message())


def test_many_changes_of_one_header_are_deletions_and_additions() -> None:
    """Postfix follows only a few hundred jumps back in its queue file."""
    transaction = a_transaction(headers=[("X", "v")] * 100)
    calls = [one.call for one in plan(header("X", *["w"] * 100), transaction)]
    assert (100, 100) == (calls.count("chgheader"), calls.count("addheader"))


@pytest.mark.parametrize(
    ("value", "safe"),
    [
        ("a\nX-Evil: 1", "a\n\tX-Evil: 1"),
        ("a\r\nb", "a\n\tb"),
        ("a\n b", "a\n\tb"),
        ("a\n\n\nb", "a\n\tb"),
        ("a\n", "a"),
        ("a\0b\rc", "abc"),
    ],
    ids=["header", "CRLF", "folded", "blank lines", "a last line end", "NUL and CR"],
)
def test_no_value_begins_a_header_or_the_body(value: str, safe: str) -> None:
    """Every line end is followed by a tab and text."""
    (operation,) = plan(header("X", value, replace=False), a_message())
    assert ("X", safe) == operation.arguments


def test_execute_stops_at_the_first_refusal() -> None:
    """Postfix drops all edits with the message, so nothing is half done."""
    context = Context()
    context.refuse["delrcpt"] = RuntimeError()
    operations = [Operation("addheader", ("X", "1")), Operation("delrcpt", ("<a>",)), Operation("chgfrom", ("<>",))]
    with pytest.raises(RuntimeError):
        execute(context, operations)
    assert [("addheader", "X", "1")] == context.calls
