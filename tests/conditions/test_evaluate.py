"""Conditions answered: the operators, Kleene's logic, the quantifiers, and what an answer rests on."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders.transactions import NOW, FakePolicies, a_transaction
from tidegate.conditions.evaluate import cause, causes, evaluate, explain, hit, matched_recipients
from tidegate.conditions.facts import Facts
from tidegate.conditions.headers import MAX_TEXT
from tidegate.conditions.members import Member, normalise
from tidegate.conditions.operators import FITTING_KINDS, NATURAL_KIND, OPERATORS
from tidegate.conditions.text import fold
from tidegate.model import (
    AllOf,
    Always,
    AnyOf,
    Cause,
    Condition,
    Conventions,
    Doubt,
    FieldType,
    ListKind,
    Never,
    Not,
    Operator,
    Quantifier,
    Recipients,
    Scalar,
    Truth,
    Unknowable,
)
from tidegate.model import Test as FieldTest  # pytest would collect a name that begins with Test

YES, NO, UNKNOWN = Truth.YES, Truth.NO, Truth.UNKNOWN
PASSING = Unknowable(Cause(Doubt.PASSING, "for now"))
LASTING = Unknowable(Cause(Doubt.LASTING, "for good"))


def one_of(field: str, kind: ListKind | None, *values: Scalar) -> FieldTest:
    """A value alone, or a list of values, normalised as the builder does."""
    keys: list[Scalar] = []
    for value in values:
        member = normalise(kind, str(value), Conventions()) if kind is not None else None
        keys.append(member.key if isinstance(member, Member) else value)
    return FieldTest(field, Operator.ONE_OF, tuple(keys), kind=kind)


def text(field: str, operator: Operator, *values: str) -> FieldTest:
    """A text operator, its operands folded as the builder does."""
    folds = operator is not Operator.MATCHES
    return FieldTest(field, operator, tuple(fold(value) if folds else value for value in values))


def number(field: str, operator: Operator, value: int) -> FieldTest:
    """A comparison."""
    return FieldTest(field, operator, (value,))


def exists(field: str, wanted: bool) -> FieldTest:
    """`exists: true` or `exists: false`."""
    return FieldTest(field, Operator.EXISTS, (wanted,))


def listed(field: str, name: str) -> FieldTest:
    """`in: name`."""
    return FieldTest(field, Operator.IN, list_name=name)


def facts(policies: FakePolicies | None = None, **given: Any) -> Facts:
    """The facts of a_transaction(**given)."""
    return Facts(a_transaction(**given), FakePolicies() if policies is None else policies, NOW)


def subject(*values: str | bytes) -> dict[str, Any]:
    """A message with these subjects."""
    return {"headers": [("Subject", value) for value in values]}


S, D, A, L, IP = ListKind.STRING, ListKind.DOMAIN, ListKind.ADDRESS, ListKind.LOGIN, ListKind.IP
LONG = {"headers": [("Subject", "begin" + "x" * MAX_TEXT + "end")]}
TWO = {"rcpt": ["a@x", "b@x"]}
MANY = {"headers": [("To", ", ".join(f"u{at}@x" for at in range(2000)))]}

TESTS: list[tuple[str, Condition, dict[str, Any], Truth]] = [
    ("equals, case", one_of("subject", S, "HELLO"), subject("Hello"), YES),
    ("equals, other", one_of("subject", S, "hello"), subject("hello there"), NO),
    ("one of", one_of("subject", S, "a", "b"), subject("B"), YES),
    ("any value of a header", one_of("subject", S, "b"), subject("a", "b"), YES),
    ("absent fails", one_of("subject", S, "b"), {"headers": []}, NO),
    ("not of an absent one passes", Not(one_of("subject", S, "b")), {"headers": []}, YES),
    ("login", one_of("login", L, "Alice@Example.com"), {}, YES),
    ("domain", one_of("sender.domain", D, "example.com"), {}, YES),
    ("domain below", one_of("sender.domain", D, ".example.com"), {}, NO),
    ("domain above", one_of("sender.domain", D, ".example.com"), {"sender": "a@b.example.com"}, YES),
    ("domain glob", one_of("sender.domain", D, "*.example.com"), {"sender": "a@b.example.com"}, YES),
    ("address of a domain", one_of("sender.address", A, "@example.com"), {}, YES),
    ("address glob", one_of("sender.address", A, "al*@example.com"), {}, YES),
    ("client net", one_of("client.net", IP, "192.0.2.0/24"), {}, YES),
    ("client net, one address of it", one_of("client.net", IP, "192.0.2.10"), {}, NO),
    ("client ip in a network", one_of("client.ip", IP, "10.0.0.0/8", "192.0.0.0/16"), {}, YES),
    ("client ip v6", one_of("client.ip", IP, "2001:db8::/32"), {"client": "2001:db8::5"}, YES),
    ("number", one_of("rcpt.count", None, 1), {}, YES),
    ("boolean", one_of("sender.null", None, False), {}, YES),
    ("a boolean is no number", one_of("rcpt.count", None, True), {}, NO),
    ("contains", text("subject", Operator.CONTAINS, "LL"), subject("hello"), YES),
    ("contains, folded", text("subject", Operator.CONTAINS, "straße"), subject("STRASSE 1"), YES),
    ("contains, encoded", text("subject", Operator.CONTAINS, "grü"), subject("=?utf-8?q?Gr=C3=BCsse?="), YES),
    ("prefix", text("subject", Operator.PREFIX, "he"), subject("Hello"), YES),
    ("prefix, inside", text("subject", Operator.PREFIX, "el"), subject("Hello"), NO),
    ("suffix", text("subject", Operator.SUFFIX, "x", "lo"), subject("Hello"), YES),
    ("glob", text("subject", Operator.GLOB, "h?l*o"), subject("Hello"), YES),
    ("glob is the whole text", text("subject", Operator.GLOB, "h*l"), subject("Hello"), NO),
    ("matches", text("subject", Operator.MATCHES, "^h.l"), subject("Hello"), YES),
    ("matches with case", text("subject", Operator.MATCHES, "(?-i)^h.l"), subject("Hello"), NO),
    ("text test on an address", text("sender.address", Operator.PREFIX, "ALICE"), {}, YES),
    ("gt", number("message.size", Operator.GT, 1000), {}, NO),
    ("ge", number("message.size", Operator.GE, 1000), {}, YES),
    ("lt", number("message.size", Operator.LT, 1001), {}, YES),
    ("le", number("message.size", Operator.LE, 999), {}, NO),
    ("exists", exists("subject", True), subject(""), YES),
    ("exists, absent", exists("subject", True), {"headers": []}, NO),
    ("exists: false, absent", exists("subject", False), {"headers": []}, YES),
    ("exists: false, present", exists("subject", False), subject("x"), NO),
    ("exists, headers missing", exists("subject", True), {"headers": [], "complete": False}, UNKNOWN),
    ("exists: false, headers missing", exists("subject", False), {"headers": [], "complete": False}, UNKNOWN),
    ("exists, there and more missing", exists("subject", True), {**subject("x"), "complete": False}, YES),
    ("hit in what is known", one_of("subject", S, "x"), {**subject("x"), "complete": False}, YES),
    ("no hit in what is known", one_of("subject", S, "y"), {**subject("x"), "complete": False}, UNKNOWN),
    ("unreadable", one_of("client.helo", S, "x"), {"helo": "", "unreadable": {"client.helo": "?"}}, UNKNOWN),
    ("from of a hostile header", one_of("header.from.domain", D, "y"), {"headers": [("From", "a@x <b@y>")]}, YES),
    ("not in a hostile header", one_of("header.from.domain", D, "z"), {"headers": [("From", "a@x <b@y>")]}, UNKNOWN),
    ("long: contains", text("subject", Operator.CONTAINS, "inx"), LONG, YES),
    ("long: prefix", text("subject", Operator.PREFIX, "begin"), LONG, YES),
    ("long: contains, not in the part", text("subject", Operator.CONTAINS, "end"), LONG, UNKNOWN),
    ("long: suffix is not known", text("subject", Operator.SUFFIX, "x"), LONG, UNKNOWN),
    ("long: glob is not known", text("subject", Operator.GLOB, "begin*x"), LONG, UNKNOWN),
    ("long: matches", text("subject", Operator.MATCHES, "^beginx"), LONG, YES),
    ("long: an anchor at the end is not known", text("subject", Operator.MATCHES, "x$"), LONG, UNKNOWN),
    ("at least: gt", number("disclosed.count", Operator.GT, 50), MANY, YES),
    ("at least: gt too much", number("disclosed.count", Operator.GT, 5000), MANY, UNKNOWN),
    ("at least: ge", number("disclosed.count", Operator.GE, 1000), MANY, YES),
    ("at least: lt", number("disclosed.count", Operator.LT, 50), MANY, NO),
    ("at least: lt perhaps", number("disclosed.count", Operator.LT, 5000), MANY, UNKNOWN),
    ("at least: le", number("disclosed.count", Operator.LE, 999), MANY, NO),
    ("at least: equals perhaps", one_of("disclosed.count", None, 1000), MANY, UNKNOWN),
    ("at least: equals less", one_of("disclosed.count", None, 3), MANY, NO),
    ("at least so many recipients", number("rcpt.count", Operator.GT, 1), {**TWO, "unreadable": {"rcpt": "x"}}, YES),
    ("perhaps more recipients", number("rcpt.count", Operator.GT, 2), {**TWO, "unreadable": {"rcpt": "x"}}, UNKNOWN),
    ("always", Always(), {}, YES),
    ("never", Never(), {}, NO),
    ("unknowable", LASTING, {}, UNKNOWN),
]  # fmt: skip


@pytest.mark.parametrize(("condition", "given", "expected"), [row[1:] for row in TESTS], ids=[row[0] for row in TESTS])
def test_tests(condition: Condition, given: dict[str, Any], expected: Truth) -> None:
    """Each operator, on fields that are there, absent, or known in part; explain and cause agree."""
    known = facts(**given)
    assert expected is evaluate(condition, known)
    assert expected is explain(condition, known).truth
    assert bool(causes(condition, known)) is (expected is UNKNOWN)


LISTS: dict[str, Any] = {
    "suspended": ("login", ["Alice@example.com"]),
    "partners": ("domain", [".example.net", "example.org"]),
    "nets": ("ip", ["192.0.2.0/24", "2001:db8::/32"]),
    "words": ("string", ["Hello"]),
    "patterns": ("regex", ["inv.?oice"]),
    "people": ("map", {"alice@example.com": "x@example.com"}),
    "down": "no file",
}


@pytest.mark.parametrize(
    ("test", "given", "expected"),
    [
        (listed("login", "suspended"), {}, YES),
        (listed("login", "suspended"), {"login": "bob@example.com"}, NO),
        (listed("login", "suspended"), {"login": ""}, NO),
        (listed("login", "people"), {}, YES),
        (listed("sender.domain", "partners"), {"sender": "a@b.example.net"}, YES),
        (listed("sender.domain", "partners"), {"sender": "a@example.net"}, NO),
        (listed("client.ip", "nets"), {}, YES),
        (listed("client.ip", "nets"), {"client": "2001:db8::1"}, YES),
        (listed("client.net", "nets"), {}, YES),
        (listed("subject", "words"), subject("HELLO"), YES),
        (listed("subject", "patterns"), subject("your INVOICE"), YES),
        (listed("subject", "patterns"), subject("hello"), NO),
        (listed("login", "down"), {}, UNKNOWN),
        (listed("login", "down"), {"login": ""}, NO),
        (listed("login", "nowhere"), {}, UNKNOWN),
        (listed("subject", "words"), LONG, UNKNOWN),
    ],
    ids=lambda value: str(value)[:40],
)
def test_named_lists(test: FieldTest, given: dict[str, Any], expected: Truth) -> None:
    """`in` asks the list; one that can't be asked is a doubt only for a field that is there."""
    assert expected is evaluate(test, facts(FakePolicies(lists=LISTS), **given))


def test_the_cause_of_a_list_that_is_not_there() -> None:
    """A missing list is a doubt that passes, and says its name."""
    known = facts(FakePolicies(lists=LISTS))
    assert Cause(Doubt.PASSING, "list nowhere is not loaded") == cause(listed("login", "nowhere"), known)
    assert Cause(Doubt.PASSING, "no file") == cause(listed("login", "down"), known)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (("outbound", "internal"), YES),
        (("outbound",), UNKNOWN),
        (("internal",), UNKNOWN),
        (("inbound", "local"), NO),
    ],
)
def test_a_direction_in_doubt(wanted: tuple[str, ...], expected: Truth) -> None:
    """Without `own-domains` a login's message is outbound or internal, certainly nothing else."""
    known = facts(FakePolicies(lists={"own-domains": "down"}))
    test = one_of("direction", S, *wanted)
    assert expected is evaluate(test, known)
    assert expected is explain(test, known).truth


RCPT = ["a@x.example", "b@y.example", "c@x.example"]
AT_X, AT_Z = one_of("rcpt.domain", D, "x.example"), one_of("rcpt.domain", D, "z.example")
IN_DOUBT = AnyOf((AT_X, PASSING))


@pytest.mark.parametrize(
    ("quantifier", "child", "rcpt", "expected"),
    [
        (Quantifier.ANY, AT_X, RCPT, YES),
        (Quantifier.ANY, AT_Z, RCPT, NO),
        (Quantifier.ALL, AT_X, RCPT, NO),
        (Quantifier.ALL, AT_X, RCPT[:1], YES),
        (Quantifier.NO, AT_X, RCPT, NO),
        (Quantifier.NO, AT_Z, RCPT, YES),
        (Quantifier.ANY, AT_X, [], NO),
        (Quantifier.ALL, AT_X, [], NO),
        (Quantifier.NO, AT_X, [], YES),
        (Quantifier.ANY, IN_DOUBT, RCPT[1:2], UNKNOWN),
        (Quantifier.ANY, IN_DOUBT, RCPT, YES),
        (Quantifier.ALL, IN_DOUBT, RCPT, UNKNOWN),
        (Quantifier.ALL, AllOf((AT_X, PASSING)), RCPT, NO),
        (Quantifier.NO, IN_DOUBT, RCPT, NO),
        (Quantifier.NO, IN_DOUBT, RCPT[1:2], UNKNOWN),
        (Quantifier.ANY, one_of("login", L, "alice@example.com"), RCPT, YES),
    ],
)
def test_quantifiers(quantifier: Quantifier, child: Condition, rcpt: list[str], expected: Truth) -> None:
    """any, all and no over the recipients; over nobody any and all are NO, no is YES."""
    known = facts(rcpt=rcpt)
    assert expected is evaluate(Recipients(quantifier, child), known)
    assert expected is explain(Recipients(quantifier, child), known).truth
    assert bool(causes(Recipients(quantifier, child), known)) is (expected is UNKNOWN)


@pytest.mark.parametrize(
    ("quantifier", "child", "rcpt", "expected"),
    [
        (Quantifier.ANY, AT_X, RCPT, YES),
        (Quantifier.ANY, AT_Z, RCPT, UNKNOWN),
        (Quantifier.ALL, AT_X, RCPT, NO),
        (Quantifier.ALL, AT_X, RCPT[:1], UNKNOWN),
        (Quantifier.ALL, AT_X, [], UNKNOWN),
        (Quantifier.NO, AT_Z, RCPT, UNKNOWN),
        (Quantifier.NO, AT_X, RCPT, NO),
    ],
)
def test_quantifiers_with_an_unreadable_recipient(
    quantifier: Quantifier, child: Condition, rcpt: list[str], expected: Truth
) -> None:
    """A recipient that could not be read may be anybody."""
    known = facts(rcpt=rcpt, unreadable={"rcpt.address": "not UTF-8"})
    condition = Recipients(quantifier, child)
    assert expected is evaluate(condition, known)
    assert bool(causes(condition, known)) is (expected is UNKNOWN)


def test_one_recipient() -> None:
    """A per_recipient rule asks the fields of the recipient at hand."""
    known = facts(rcpt=RCPT)
    recipients = known.transaction.envelope.recipients
    assert [YES, NO, YES] == [evaluate(AT_X, known, one) for one in recipients]
    assert "rcpt.domain: x.example" == hit(AT_X, known, recipients[0])


TRUE: Condition = Always()
FALSE: Condition = Never()
trees = st.recursive(
    st.sampled_from([TRUE, FALSE, PASSING, LASTING]),
    lambda child: st.one_of(
        st.lists(child, min_size=1, max_size=3).map(lambda some: AllOf(tuple(some))),
        st.lists(child, min_size=1, max_size=3).map(lambda some: AnyOf(tuple(some))),
        child.map(Not),
    ),
    max_leaves=12,
)


def _kleene(condition: Condition) -> Truth:
    """The definition: minimum, maximum, 2 minus."""
    match condition:
        case AllOf(children):
            return min(_kleene(child) for child in children)
        case AnyOf(children):
            return max(_kleene(child) for child in children)
        case Not(child):
            return Truth(2 - _kleene(child))
    return YES if condition == TRUE else NO if condition == FALSE else UNKNOWN


KNOWN = facts()


@given(trees)
def test_kleene(tree: Condition) -> None:
    """However it takes short cuts, the answer is the definition's, and explain and the causes agree."""
    expected = _kleene(tree)
    assert expected is evaluate(tree, KNOWN)
    assert expected is explain(tree, KNOWN).truth
    assert bool(causes(tree, KNOWN)) is (expected is UNKNOWN)


@given(trees, trees)
def test_laws(one: Condition, other: Condition) -> None:
    """De Morgan, commutation, double negation, idempotence."""
    assert evaluate(Not(AllOf((one, other))), KNOWN) is evaluate(AnyOf((Not(one), Not(other))), KNOWN)
    assert evaluate(Not(AnyOf((one, other))), KNOWN) is evaluate(AllOf((Not(one), Not(other))), KNOWN)
    assert evaluate(AllOf((one, other)), KNOWN) is evaluate(AllOf((other, one)), KNOWN)
    assert evaluate(Not(Not(one)), KNOWN) is evaluate(one, KNOWN)
    assert evaluate(AnyOf((one, one)), KNOWN) is evaluate(one, KNOWN)


def _settled(condition: Condition, truths: dict[int, Condition], at: list[int]) -> Condition:
    """The tree with its UNKNOWN leaves replaced, in order."""
    match condition:
        case AllOf(children):
            return AllOf(tuple(_settled(child, truths, at) for child in children))
        case AnyOf(children):
            return AnyOf(tuple(_settled(child, truths, at) for child in children))
        case Not(child):
            return Not(_settled(child, truths, at))
        case Unknowable():
            at[0] += 1
            return truths.get(at[0] - 1, TRUE)
    return condition


@given(trees)
def test_a_certain_answer_holds_whatever_the_doubts_turn_out_to_be(tree: Condition) -> None:
    """YES and NO do not depend on any UNKNOWN leaf."""
    counted = [0]
    _settled(tree, {}, counted)
    truth = evaluate(tree, KNOWN)
    if truth is UNKNOWN or counted[0] > 6:
        return
    for assignment in product([TRUE, FALSE], repeat=counted[0]):
        assert truth is evaluate(_settled(tree, dict(enumerate(assignment)), [0]), KNOWN)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (AllOf((PASSING, LASTING)), Doubt.PASSING),
        (AllOf((LASTING, LASTING)), Doubt.LASTING),
        (AnyOf((LASTING, FALSE)), Doubt.LASTING),
        (AllOf((LASTING, AllOf((PASSING, FALSE)))), None),
        (AllOf((LASTING, AnyOf((PASSING, TRUE)))), Doubt.LASTING),
        (Not(LASTING), Doubt.LASTING),
        (AnyOf((Not(PASSING), LASTING)), Doubt.PASSING),
    ],
)
def test_which_cause(condition: Condition, expected: Doubt | None) -> None:
    """Lasting only if every doubt that matters is; a doubt in a branch that is certain does not matter."""
    if expected is None:
        assert [] == causes(condition, KNOWN)
    else:
        assert expected is cause(condition, KNOWN).doubt


def test_depth() -> None:
    """The deepest tree that the builder allows is answered."""
    tree: Condition = PASSING
    for _ in range(64):
        tree = AllOf((Not(tree), TRUE))
    assert UNKNOWN is evaluate(tree, KNOWN)
    assert UNKNOWN is explain(tree, KNOWN).truth
    assert Doubt.PASSING is cause(tree, KNOWN).doubt


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (listed("login", "suspended"), "login in suspended: alice@example.com"),
        (one_of("sender.domain", D, "example.com"), "sender.domain: example.com"),
        (text("subject", Operator.CONTAINS, "ell"), "subject: ell"),
        (text("subject", Operator.MATCHES, "^h"), "subject: ^h"),
        (number("message.size", Operator.GE, 1000), "message.size: 1000"),
        (one_of("sender.null", None, False), "sender.null: false"),
        (exists("login", True), "login"),
        (AllOf((exists("login", True), listed("login", "suspended"))), "login, login in suspended: alice@example.com"),
        (AnyOf((one_of("login", L, "bob"), one_of("subject", S, "hello"))), "subject: hello"),
        (Not(one_of("login", L, "bob")), "not login"),
        (Recipients(Quantifier.ANY, one_of("rcpt.domain", D, "example.net")), "rcpt.domain: example.net"),
        (Recipients(Quantifier.NO, AT_Z), "no_rcpt rcpt.domain"),
        (AllOf(tuple(text("subject", Operator.CONTAINS, c) for c in "helo")), "subject: h, subject: e, subject: l"),
        (Always(), ""),
    ],
)
def test_hit(condition: Condition, expected: str) -> None:
    """What made it YES, for the trail: field, list, and the entry that hit."""
    known = facts(FakePolicies(lists=LISTS))
    assert YES is evaluate(condition, known)
    assert expected == hit(condition, known)


def test_explain() -> None:
    """The whole tree: each test with its values, truth and hit; what a short cut would skip is there too."""
    tree = AllOf((one_of("login", L, "bob"), Not(listed("login", "suspended")), listed("login", "nowhere")))
    evidence = explain(tree, facts(FakePolicies(lists=LISTS)))
    assert NO is evidence.truth
    login, negated, nowhere = evidence.children
    assert (NO, ("alice@example.com",)) == (login.truth, login.reading.values)
    assert (NO, YES) == (negated.truth, negated.children[0].truth)
    assert "alice@example.com" == negated.children[0].hit
    assert UNKNOWN is nowhere.truth
    assert Cause(Doubt.PASSING, "list nowhere is not loaded") == nowhere.reading.cause


def test_explain_recipients() -> None:
    """A quantifier has one child for each recipient, in order."""
    evidence = explain(Recipients(Quantifier.ANY, AT_X), facts(rcpt=RCPT))
    assert [YES, NO, YES] == [child.truth for child in evidence.children]
    assert [("x.example",), ("y.example",), ("x.example",)] == [child.reading.values for child in evidence.children]


ANY_X = Recipients(Quantifier.ANY, AT_X)
ANY_B = Recipients(Quantifier.ANY, one_of("rcpt.localpart", S, "b"))


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (ANY_X, "ac"),
        (AllOf((ANY_X, exists("login", True))), "ac"),
        (AllOf((ANY_X, ANY_B)), "abc"),
        (AnyOf((AllOf((ANY_B, FALSE)), ANY_X)), "ac"),
        (Recipients(Quantifier.ALL, exists("rcpt.domain", True)), "abc"),
        (AnyOf((Recipients(Quantifier.ALL, AT_X), TRUE)), ""),
        (Recipients(Quantifier.NO, AT_Z), ""),
        (Not(Recipients(Quantifier.ANY, AT_Z)), ""),
        (exists("login", True), ""),
    ],
)
def test_matched_recipients(condition: Condition, expected: str) -> None:
    """Those whom the any_rcpt and all_rcpt tests picked; a branch that is NO picks nobody."""
    known = facts(rcpt=RCPT)
    assert expected == "".join(one.address[0] for one in matched_recipients(condition, known))
    assert expected == "".join(one.address[0] for one in matched_recipients(condition, known, possible=True))


def test_recipients_who_may_be_matched() -> None:
    """With `possible` those in doubt are there too."""
    known = facts(rcpt=RCPT)
    condition = Recipients(Quantifier.ANY, IN_DOUBT)
    assert "ac" == "".join(one.address[0] for one in matched_recipients(condition, known))
    assert "abc" == "".join(one.address[0] for one in matched_recipients(condition, known, possible=True))


def test_the_operator_registry_is_complete() -> None:
    """Every operator has its row, and every list type a field that fits it."""
    assert set(Operator) == set(OPERATORS)
    assert set(ListKind) == set().union(*FITTING_KINDS.values())
    assert all(kind in FITTING_KINDS[type_] for type_, kind in NATURAL_KIND.items())
    assert {FieldType.NUMBER, FieldType.BOOLEAN} == set(FieldType) - set(NATURAL_KIND)
