"""Edits as algebra: recipients, headers, sender, in every combination that can meet in one message."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.builders.transactions import NOW, FakePolicies, a_transaction
from tidegate.engine.judge import judge
from tidegate.model import (
    Actions,
    AddHeader,
    AddRecipient,
    Bcc,
    Changes,
    Condition,
    Conventions,
    Disposition,
    Edit,
    HeaderChange,
    ListKind,
    Operator,
    PrefixSubject,
    Quantifier,
    Recipients,
    Redirect,
    RemoveHeader,
    RemoveRecipient,
    Rule,
    SetHeader,
    SetSender,
    Template,
    Verdict,
)
from tidegate.model import Always as Everything
from tidegate.model import Test as FieldTest

A, B, C, D = (f"{name}@example.net" for name in "abcd")
ABOUT_A = Recipients(Quantifier.ANY, FieldTest("rcpt.address", Operator.ONE_OF, (A,), None, ListKind.ADDRESS))


def result(verdict: Verdict, rcpt: Sequence[str]) -> set[str]:
    """Who gets the message in the end."""
    changes = verdict.changes
    return (set(rcpt) - set(changes.remove_recipients)) | set(changes.add_recipients) | set(changes.bcc)


def judged(
    *edits: Edit,
    when: Condition | None = None,
    rcpt: Sequence[str] = (A, B),
    headers: Sequence[tuple[str, str | bytes]] = (("Subject", "hello"),),
    conventions: Conventions | None = None,
) -> Verdict:
    """One rule for each edit, in order of priority."""
    rules = [Rule(f"r{n}", when or Everything(), Actions(edits=(edit,)), priority=n) for n, edit in enumerate(edits)]
    policies = FakePolicies(rules, conventions=conventions or Conventions())
    return judge(a_transaction(rcpt=rcpt, headers=headers), policies, NOW)


def _name(value: object) -> str:
    return str(sorted(value) if isinstance(value, set) else value)


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ((RemoveRecipient(A),), {B}),
        ((RemoveRecipient("A@EXAMPLE.net"),), {B}),
        ((RemoveRecipient(None),), {B}),
        ((RemoveRecipient("nobody@example.net"),), {A, B}),
        ((AddRecipient(C),), {A, B, C}),
        ((AddRecipient("B@Example.net"),), {A, B}),
        ((RemoveRecipient(A), AddRecipient(A)), {A, B}),
        ((AddRecipient(A), RemoveRecipient(A)), {A, B}),
        ((Redirect(C),), {C}),
        ((Redirect(A),), {A}),
        ((Redirect(C, matched=True),), {B, C}),
        ((Redirect(B, matched=True),), {B}),
        ((Redirect(C), Redirect(D)), {C}),
        ((Redirect(C, matched=True), Redirect(D)), {C, D}),
        ((RemoveRecipient(A), Redirect(C)), {C}),
        ((Redirect(C), AddRecipient(D)), {C, D}),
        ((Redirect(C), AddRecipient(A)), {A, C}),
        ((Bcc(C),), {A, B, C}),
        ((RemoveRecipient(A), RemoveRecipient(B), Bcc(C)), {C}),
        ((RemoveRecipient(A), RemoveRecipient(B), AddRecipient(D)), {D}),
    ],
    ids=_name,
)
def test_recipients(edits: tuple[Edit, ...], expected: set[str]) -> None:
    """((accepted - removed) or redirected) | added | bcc, whatever the order."""
    verdict = judged(*edits, when=ABOUT_A)
    assert (Disposition.ACCEPT, expected) == (verdict.disposition, result(verdict, (A, B)))


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ((Bcc(C),), Changes(bcc=(C,))),
        ((Bcc(C), Bcc("C@EXAMPLE.NET")), Changes(bcc=(C,))),
        ((Bcc(A),), Changes()),
        ((Bcc(C), AddRecipient(C)), Changes(add_recipients=(C,))),
        ((AddRecipient(C), AddRecipient(C)), Changes(add_recipients=(C,))),
        ((RemoveRecipient(A), Bcc(A)), Changes()),
    ],
    ids=str,
)
def test_no_duplicates(edits: tuple[Edit, ...], expected: Changes) -> None:
    """Nobody is served twice: Postfix delivers a second time to an address that is added twice."""
    assert expected == judged(*edits).changes


def test_a_tag_is_another_mailbox_for_delivery() -> None:
    """Where addresses are compared without tag, an edit still adds the address it names, and removes them all."""
    conventions = Conventions(recipient_delimiter="+")
    assert ("a+x@example.net",) == judged(
        AddRecipient("a+x@example.net"), conventions=conventions
    ).changes.add_recipients
    removed = judged(RemoveRecipient(A), rcpt=("a+x@example.net", A, B), conventions=conventions)
    assert ("a+x@example.net", A) == removed.changes.remove_recipients


@pytest.mark.parametrize(
    "edits",
    [(RemoveRecipient(A), RemoveRecipient(B)), (RemoveRecipient(A), RemoveRecipient(B), Redirect(C))],
    ids=["all removed", "nobody left to redirect"],
)
def test_never_empty(edits: tuple[Edit, ...]) -> None:
    """Nobody left: held, with its recipients as they were."""
    verdict = judged(*edits)
    assert (Disposition.HOLD, "r0", {A, B}) == (verdict.disposition, verdict.rule, result(verdict, (A, B)))


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ((Redirect(C), RemoveRecipient(A)), ("r0", "r1")),
        ((Redirect(C), Redirect(D)), ("r0",)),
        ((AddRecipient(C), Bcc(D), SetSender(A)), ()),
        ((Redirect(A), AddRecipient(B)), ()),
    ],
    ids=["both", "the first", "nobody is taken away", "all get it all the same"],
)
def test_who_takes_recipients_away(edits: tuple[Edit, ...], expected: tuple[str, ...]) -> None:
    """The rules that do, where anybody is: not one that lost to another, nor one that only adds."""
    assert expected == judged(*edits).changes.removed_by


def test_two_redirects() -> None:
    """The lower priority number wins, the other is in the trail."""
    assert ["", "r0"] == [mark.lost_to for mark in judged(Redirect(C), Redirect(D)).trail]


def test_set_sender() -> None:
    """The lower priority number wins; the null sender is a sender."""
    assert ("", ["", "r0"]) == (
        judged(SetSender(""), SetSender("x@example.com")).changes.sender,
        [mark.lost_to for mark in judged(SetSender(""), SetSender("x@example.com")).trail],
    )
    assert judged(SetSender("")).changes
    assert judged(Bcc(C)).changes.sender is None


def texts(*values: str) -> tuple[Template, ...]:
    """Header texts."""
    return tuple(Template(value) for value in values)


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ((AddHeader("X-A", texts("1", "2")),), HeaderChange("X-A", ("1", "2"), False, "r0")),
        ((AddHeader("X-A", texts("1")), AddHeader("x-a", texts("2"))), HeaderChange("X-A", ("1", "2"), False, "r0")),
        ((SetHeader("X-A", texts("1")),), HeaderChange("X-A", ("1",), True, "r0")),
        ((SetHeader("X-A", texts("1")), SetHeader("X-a", texts("2"))), HeaderChange("X-A", ("1",), True, "r0")),
        ((RemoveHeader("X-A"),), HeaderChange("X-A", (), True, "r0")),
        ((RemoveHeader("X-A"), SetHeader("X-A", texts("1"))), HeaderChange("X-A", (), True, "r0")),
        ((SetHeader("X-A", texts("1")), RemoveHeader("X-A")), HeaderChange("X-A", ("1",), True, "r0")),
        ((AddHeader("X-A", texts("2")), SetHeader("X-A", texts("1"))), HeaderChange("X-A", ("1", "2"), True, "r1")),
        ((RemoveHeader("X-A"), AddHeader("X-A", texts("1"))), HeaderChange("X-A", ("1",), True, "r0")),
        (
            (SetHeader("X-A", texts("{rule} {sender.address}")),),
            HeaderChange("X-A", ("r0 alice@example.com",), True, "r0"),
        ),
    ],
    ids=str,
)
def test_headers(edits: tuple[Edit, ...], expected: HeaderChange) -> None:
    """One replacement for each name, by the lower priority number; what rules add comes after it, in their order."""
    assert (expected,) == judged(*edits).changes.headers


def test_a_header_value_is_safe() -> None:
    """Control characters become blanks, what isn't ASCII encoded words (RFC 2047); no line is too long."""
    headers: list[tuple[str, str | bytes]] = [("Subject", "gr\u00fcn\r\n X-Evil: 1".encode()), ("Subject", "x" * 5000)]
    for number, (name, raw) in enumerate(headers):
        change = judged(SetHeader("X-A", texts("{subject}")), headers=[(name, raw)]).changes.headers[0]
        assert change.values[0].isascii()
        assert all(len(line) < 998 for line in change.values[0].split("\n"))
        assert all(line[:1] in (" ", "\t") for line in change.values[0].split("\n")[1:]), number


@pytest.mark.parametrize(
    ("subject", "prefixes", "expected"),
    [
        ("hello", ("[x] ",), ("[x] hello",)),
        ("[x] hello", ("[x] ",), None),
        ("[X]  hello", ("[x] ",), None),
        ("hello", ("[x] ", "[y] "), ("[x] [y] hello",)),
        ("[x] [y] hello", ("[x] ", "[y] "), None),
        ("[y] hello", ("[x] ", "[y] "), ("[x] [y] hello",)),
        ("hello", ("[x] ", "[x] "), ("[x] hello",)),
        ("Re: [x] hello", ("[x] ",), ("[x] Re: [x] hello",)),
        ("", ("[x] ",), ("[x] ",)),
        ("=?utf-8?q?gr=C3=BCn?=", ("[x] ",), ("[x] =?utf-8?q?gr=C3=BCn?=",)),
        ("=?utf-8?q?gr=C3=BCn?=", ("[x]",), ("=?utf-8?b?W3hdZ3LDvG4=?=",)),
        ("=?utf-8?q?=5Bx=5D_hello?=", ("[x] ",), None),
        ("hello", ("[\u00fc] ",), ("=?utf-8?b?W8O8XSBoZWxsbw==?=",)),
        ("gr\u00fcn", ("[x] ",), ("[x] =?utf-8?b?Z3LDvG4=?=",)),
    ],
)
def test_prefix_subject(subject: str, prefixes: tuple[str, ...], expected: tuple[str, ...] | None) -> None:
    """Each prefix once, in order of priority, and not if it stands there already; encoded words stay what they are."""
    changes = judged(*[PrefixSubject(Template(one)) for one in prefixes], headers=[("Subject", subject)]).changes
    assert ([expected] if expected else []) == [change.values for change in changes.headers]


def test_prefix_without_subject() -> None:
    """A message without a subject gets one."""
    assert (
        HeaderChange("Subject", ("[x] ",), True, "r0")
        == judged(PrefixSubject(Template("[x] ")), headers=()).changes.headers[0]
    )


def test_prefix_and_set_subject() -> None:
    """The prefix stands before what the subject then is."""
    edits = (PrefixSubject(Template("[x] ")), SetHeader("Subject", texts("new")))
    assert HeaderChange("Subject", ("[x] new",), True, "r1") == judged(*edits).changes.headers[0]


def test_every_subject_is_prefixed() -> None:
    """Nobody knows which of two subjects a mail program shows."""
    headers = (("Subject", "one"), ("subject", "[x] two"))
    assert ("[x] one", "[x] two") == judged(PrefixSubject(Template("[x] ")), headers=headers).changes.headers[0].values
