"""The index: which key a condition is found by, and that nothing that is YES or UNKNOWN is ever left aside."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders.transactions import NOW, FakePolicies, ListSpec, a_transaction
from tidegate.conditions.evaluate import evaluate
from tidegate.conditions.facts import Facts
from tidegate.engine.candidates import candidates, candidates_at_rcpt
from tidegate.engine.index import MAX_WRITTEN_OUT, Key, Slot, build_index, necessary
from tidegate.model import (
    Actions,
    AllOf,
    Always,
    AnyOf,
    Cause,
    Condition,
    Conventions,
    Disposition,
    Doubt,
    Ending,
    EntryState,
    Exempt,
    ListItem,
    ListKind,
    MemberListData,
    Mode,
    Never,
    Not,
    Operator,
    Quantifier,
    Recipient,
    Recipients,
    Rule,
    Scalar,
    Transaction,
    Truth,
    Unknowable,
)
from tidegate.model import Test as FieldTest  # pytest would collect a class called Test

ONE_OF, IN = Operator.ONE_OF, Operator.IN
KINDS = {
    "login": ListKind.LOGIN,
    "sender.address": ListKind.ADDRESS,
    "sender.domain": ListKind.DOMAIN,
    "rcpt.address": ListKind.ADDRESS,
    "rcpt.domain": ListKind.DOMAIN,
    "client.ip": ListKind.IP,
    "header.from.address": ListKind.ADDRESS,
    "header.from.domain": ListKind.DOMAIN,
}


def is_one_of(field: str, *values: Scalar) -> FieldTest:
    """A value or a list of values standing alone."""
    kind = None if isinstance(values[0], bool | int) else KINDS.get(field, ListKind.STRING)
    return FieldTest(field, ONE_OF, values, None, kind)


def has(field: str, operator: Operator, *values: str) -> FieldTest:
    """One operator on texts."""
    return FieldTest(field, operator, values)


def listed(field: str, name: str) -> FieldTest:
    """`in: NAME`."""
    return FieldTest(field, IN, (), name, KINDS.get(field, ListKind.STRING))


def list_data(policies: FakePolicies) -> dict[str, MemberListData]:
    """The lists of a FakePolicies as the loader has them."""
    return {
        name: MemberListData(
            name,
            one.kind,
            tuple(ListItem(key, one.grants.get(key, ())) for key in one.members),
            one.cause.text if one.cause is not None else None,
        )
        for name, one in policies.lists.items()
    }


def indexed(rules: Sequence[Rule], lists: Mapping[str, ListSpec | str] | None = None) -> FakePolicies:
    """A policy set with its real index, which has passed through JSON as an image's has."""
    bare = FakePolicies(rules, dict(lists or {}))
    index = build_index(rules, list_data(bare))
    assert json.loads(json.dumps([index.exact, index.lists, index.literals, index.expressions, index.shapes]))
    return FakePolicies(rules, dict(lists or {}), index=index)


def rules_for(*conditions: Condition) -> list[Rule]:
    """One rule for each condition."""
    return [Rule(f"r{number}", one, Actions(Ending(Disposition.HOLD))) for number, one in enumerate(conditions)]


LISTS = {
    "small": MemberListData("small", ListKind.LOGIN, (ListItem("a@x"), ListItem("b@x"))),
    "large": MemberListData("large", ListKind.LOGIN, tuple(ListItem(f"u{n}@x") for n in range(201))),
    "strings": MemberListData("strings", ListKind.STRING, (ListItem("a@x"),)),
    "globs": MemberListData("globs", ListKind.ADDRESS, (ListItem("sales-*@x.example"), ListItem("@y.example"))),
    "broken": MemberListData("broken", ListKind.LOGIN, unavailable="can't be read"),
    "stale": MemberListData("stale", ListKind.LOGIN, (ListItem("a@x"),), state=EntryState.STALE),
    "empty": MemberListData("empty", ListKind.LOGIN),
}
LOGIN = is_one_of("login", "a@x")
A_LOGIN = (Key(Slot.EXACT, "login", "a@x"),)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        pytest.param(Always(), None, id="always"),
        pytest.param(Never(), (), id="never"),
        pytest.param(Unknowable(Cause(Doubt.PASSING, "x")), None, id="unknowable"),
        pytest.param(LOGIN, A_LOGIN, id="value"),
        pytest.param(Not(LOGIN), None, id="not"),
        pytest.param(AllOf((has("subject", Operator.CONTAINS, "x"), LOGIN)), A_LOGIN, id="all: the best child"),
        pytest.param(AllOf((Not(LOGIN), LOGIN)), A_LOGIN, id="all: not is no key"),
        pytest.param(AllOf((is_one_of("direction", "outbound"), LOGIN)), A_LOGIN, id="direction hardly selects"),
        pytest.param(AllOf((is_one_of("client.ip", "0.0.0.0/0"), LOGIN)), A_LOGIN, id="a wide net hardly selects"),
        pytest.param(
            AnyOf((LOGIN, is_one_of("sender.domain", ".y"))),
            (*A_LOGIN, Key(Slot.EXACT, "sender.domain", ".y")),
            id="any: the union",
        ),
        pytest.param(AnyOf((LOGIN, Always())), None, id="any: one child without"),
        pytest.param(
            Recipients(Quantifier.ANY, is_one_of("rcpt.domain", "d")),
            (Key(Slot.EXACT, "rcpt.domain", "d"),),
            id="any_rcpt",
        ),
        pytest.param(
            Recipients(Quantifier.ALL, is_one_of("rcpt.domain", "d")),
            (Key(Slot.EXACT, "rcpt.domain", "d"),),
            id="all_rcpt",
        ),
        pytest.param(Recipients(Quantifier.NO, is_one_of("rcpt.domain", "d")), None, id="no_rcpt"),
        pytest.param(listed("login", "small"), (*A_LOGIN, Key(Slot.EXACT, "login", "b@x")), id="a small list"),
        pytest.param(listed("login", "large"), (Key(Slot.LIST, "login", "large"),), id="a large list"),
        pytest.param(listed("login", "strings"), (Key(Slot.LIST, "login", "strings"),), id="a list of another type"),
        pytest.param(listed("login", "stale"), (Key(Slot.LIST, "login", "stale"),), id="a stale list"),
        pytest.param(listed("login", "empty"), (Key(Slot.LIST, "login", "empty"),), id="an empty list"),
        pytest.param(listed("login", "broken"), None, id="a broken list"),
        pytest.param(listed("login", "missing"), None, id="a missing list"),
        pytest.param(
            listed("sender.address", "globs"),
            (
                Key(Slot.LITERAL, "sender.address", r"(?s)^sales\-.*@x\.example$"),
                Key(Slot.EXACT, "sender.address", "@y.example"),
            ),
            id="globs of a list",
        ),
        pytest.param(is_one_of("sender.null", True), (Key(Slot.EXACT, "sender.null", "true"),), id="sender.null"),
        pytest.param(is_one_of("sender.null", False), None, id="not sender.null"),
        pytest.param(is_one_of("rcpt.count", 3), None, id="a number"),
        pytest.param(FieldTest("rcpt.count", Operator.GT, (3,)), None, id="greater than"),
        pytest.param(FieldTest("login", Operator.EXISTS, (True,)), None, id="exists"),
        pytest.param(has("subject", Operator.CONTAINS, "A.b"), (Key(Slot.LITERAL, "subject", r"a\.b"),), id="contains"),
        pytest.param(has("subject", Operator.PREFIX, "a"), (Key(Slot.LITERAL, "subject", "^a"),), id="prefix"),
        pytest.param(has("subject", Operator.SUFFIX, "a"), (Key(Slot.LITERAL, "subject", "a$"),), id="suffix"),
        pytest.param(has("subject", Operator.GLOB, "a?b*"), (Key(Slot.LITERAL, "subject", "(?s)^a.+b.*$"),), id="glob"),
        pytest.param(
            has("subject", Operator.MATCHES, "(?-i)A+"), (Key(Slot.EXPRESSION, "subject", "(?-i)A+"),), id="matches"
        ),
    ],
)
def test_necessary_keys(condition: Condition, expected: tuple[Key, ...] | None) -> None:
    """A rule is found by the keys of which one must hit; the most selective ones are taken."""
    assert expected == necessary(condition, LISTS)


def test_only_what_concerns_the_message() -> None:
    """A thousand rules about others are no candidates; those about this message are."""
    others = [is_one_of("login", f"u{n}@x") for n in range(1000)]
    rules = rules_for(*others, is_one_of("login", "alice@example.com"), Always())
    assert {1000, 1001} == candidates(Facts(a_transaction(), indexed(rules), NOW), indexed(rules))


@pytest.mark.parametrize(
    ("field", "unreadable"),
    [("client.helo", "client.helo"), ("client.ip", "client.ip"), ("rcpt.domain", "rcpt.address"), ("login", "login")],
)
def test_unreadable_field(field: str, unreadable: str) -> None:
    """Every rule keyed on a field that can't be read is a candidate; rules keyed on others are not."""
    value = "203.0.113.0/24" if field == "client.ip" else "nobody"
    test: Condition = is_one_of(field, value)
    pattern: Condition = has(field, Operator.CONTAINS, "nobody")
    if field.startswith("rcpt."):
        test, pattern = Recipients(Quantifier.ANY, test), Recipients(Quantifier.ANY, pattern)
    rules = rules_for(test, pattern, is_one_of("sender.domain", "elsewhere"))
    policies = indexed(rules)
    assert set() == candidates(Facts(a_transaction(), policies, NOW), policies)
    assert {0, 1} == candidates(Facts(a_transaction(unreadable={unreadable: "bytes"}), policies, NOW), policies)


def test_absent_field() -> None:
    """An absent field makes no candidates."""
    policies = indexed(rules_for(is_one_of("login", "alice@example.com"), has("login", Operator.PREFIX, "a")))
    assert set() == candidates(Facts(a_transaction(login=""), policies, NOW), policies)


def test_only_indexed_fields_are_read() -> None:
    """A message costs the fields that occur in the index, no others."""
    policies = indexed(rules_for(is_one_of("login", "u@x"), is_one_of("sender.domain", "y")))
    facts = Facts(a_transaction(), policies, NOW)
    candidates(facts, policies)
    assert {"login", "sender.address", "sender.domain"} == set(facts._readings)  # a domain is read off its address


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"mode": Mode.OFF}, ()),
        ({"state": EntryState.EXPIRED}, ()),
        ({"state": EntryState.TRIPPED}, ()),
        ({"state": EntryState.SKIPPED}, ()),
        ({"state": EntryState.SKIPPED, "do": Actions(exempt=Exempt(("x",)))}, (0,)),
        ({"state": EntryState.DEFERRING}, (0,)),
        ({"mode": Mode.SHADOW}, (0,)),
        ({"per_recipient": True}, ()),
    ],
    ids=str,
)
def test_rules_that_take_no_part(changes: dict[str, object], expected: tuple[int, ...]) -> None:
    """What is off is not in the index; a skipped exempt is, for it makes refusals temporary."""
    rule = replace(Rule("r", Always(), Actions()), **changes)  # type: ignore[arg-type]
    assert expected == build_index([rule], {}).unkeyed


def test_written_out_lists_are_bounded() -> None:
    """Many rules on many small lists do not blow up the index."""
    lists = {
        f"l{n}": MemberListData(f"l{n}", ListKind.LOGIN, tuple(ListItem(f"{n}-{k}@x") for k in range(200)))
        for n in range(300)
    }
    index = build_index(rules_for(*[listed("login", name) for name in lists]), lists)
    assert len(index.exact["login"]) <= MAX_WRITTEN_OUT
    assert index.lists["login"]


TEXTS = ("hello", "HELLO", "straße", "STRASSE", "grün", "x", "a b", "")
LEAVES: tuple[Condition, ...] = (
    is_one_of("login", "alice@example.com"),
    is_one_of("login", "bob@example.com"),
    listed("login", "logins-list"),
    listed("login", "broken"),
    is_one_of("sender.domain", ".example.com"),
    is_one_of("sender.address", "alice@", "stra*@example.com"),
    listed("sender.address", "addresses"),
    is_one_of("client.ip", "192.0.2.0/24"),
    is_one_of("sender.null", True),
    Recipients(Quantifier.ANY, is_one_of("rcpt.domain", "example.net")),
    Recipients(Quantifier.ALL, has("rcpt.address", Operator.SUFFIX, "example.net")),
    Recipients(Quantifier.NO, is_one_of("rcpt.domain", "example.net")),
    has("subject", Operator.CONTAINS, "strasse"),
    has("subject", Operator.PREFIX, "hel"),
    has("subject", Operator.GLOB, "stra?e", "h*o"),
    has("subject", Operator.MATCHES, "^gr.n$"),
    is_one_of("subject", "hello"),
    is_one_of("header.x-tag", "x"),
    is_one_of("header.from.domain", "example.com"),
    is_one_of("direction", "outbound"),
    FieldTest("rcpt.count", Operator.GT, (1,)),
    FieldTest("login", Operator.EXISTS, (False,)),
    Unknowable(Cause(Doubt.PASSING, "x")),
    Never(),
)


def a_condition(roll: random.Random, depth: int = 3, leaves: Sequence[Condition] = LEAVES) -> Condition:
    """A random tree of the tests above."""
    kind = roll.choice(("leaf", "leaf", "all", "any", "not")) if depth else "leaf"
    if kind == "leaf":
        return roll.choice(leaves)
    if kind == "not":
        return Not(a_condition(roll, depth - 1, leaves))
    children = tuple(a_condition(roll, depth - 1, leaves) for _ in range(roll.randint(1, 3)))
    return AllOf(children) if kind == "all" else AnyOf(children)


def a_message(roll: random.Random) -> Transaction:
    """A random message that the tests above can be about, with unreadable and missing parts."""
    unreadable = {
        name: "bytes" for name in ("client.helo", "login", "sender.address", "rcpt.address") if roll.random() < 0.1
    }
    return a_transaction(
        sender=roll.choice(("alice@example.com", "straße@example.com", "x@a.example.com", "", "x@other.example")),
        login=roll.choice(("alice@example.com", "bob@example.com", "")),
        rcpt=roll.sample(("bob@example.net", "eve@Example.ORG", "x@a.example.net"), roll.randint(1, 3)),
        headers=(
            ("From", roll.choice(("<alice@example.com>", "broken <", "x@other.example"))),
            ("Subject", roll.choice(TEXTS)),
            ("X-Tag", roll.choice(TEXTS)),
        ),
        client=roll.choice(("192.0.2.10", "198.51.100.1", "2001:db8::1")),
        complete=roll.random() < 0.9,
        unreadable=unreadable,
    )


SPECS: dict[str, ListSpec | str] = {
    "logins-list": ("login", ["bob@example.com"]),
    "addresses": ("address", ["x@", "@other.example", "STRA*@example.com"]),
    "broken": "can't be read",
}


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**40))
def test_no_rule_that_is_yes_or_unknown_is_left_aside(seed: int) -> None:
    """Asking all rules finds none that the index does not, whatever messages it was asked of before."""
    roll = random.Random(seed)
    rules = rules_for(*[a_condition(roll) for _ in range(12)])
    policies = indexed(rules, SPECS)
    for _ in range(6):
        message = a_message(roll)
        facts = Facts(message, policies, NOW)
        asked = {number for number, rule in enumerate(rules) if evaluate(rule.when, facts) is not Truth.NO}
        found = candidates(facts, policies)
        assert set() == asked - found
        assert found == candidates(Facts(message, policies, NOW), indexed(rules, SPECS)), "it remembers something else"


ABOUT_ALL = rules_for(
    is_one_of("login", "alice@example.com"),
    Recipients(Quantifier.ANY, is_one_of("rcpt.domain", "example.net")),
    is_one_of("header.from.domain", "example.com"),
)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({}, (1, 1, 1), id="all is plain"),
        pytest.param({"login": "x" * 600}, (0, 1, 1), id="a text that is too long"),
        pytest.param({"headers": (("From", "broken <"),)}, (1, 1, 0), id="a header that can't be read"),
        pytest.param({"headers": ()}, (1, 1, 0), id="no header"),
        pytest.param({"complete": False}, (0, 0, 0), id="headers are missing"),
        pytest.param({"unreadable": {"client.helo": "bytes"}}, (0, 0, 0), id="something was not readable"),
    ],
)
def test_what_is_remembered(given: dict[str, object], expected: tuple[int, int, int]) -> None:
    """Plain texts of the sender, of a recipient, and of the From header are; nothing that is in doubt is."""
    policies = indexed(ABOUT_ALL)
    headers = (("From", "<alice@example.com>"),)
    candidates(Facts(a_transaction(**{"headers": headers, **given}), policies, NOW), policies)  # type: ignore[arg-type]
    asks = policies.asks
    memories = (asks.senders, asks.recipients, asks.mailboxes[0][2])
    assert expected == tuple(len(memory.young) for memory in memories)


def test_what_many_rules_are_about_is_not_remembered() -> None:
    """A text that hundreds of rules name would fill the memory with their numbers."""
    policies = indexed(rules_for(*[is_one_of("login", "alice@example.com")] * 100))
    assert len(candidates(Facts(a_transaction(), policies, NOW), policies)) == 100
    assert policies.asks.senders.young == {}


def test_the_memory_is_bounded() -> None:
    """However many senders there are, and what was forgotten is found again."""
    policies = indexed(ABOUT_ALL)
    for number in range(10_000):
        candidates(Facts(a_transaction(login=f"u{number}@example.com"), policies, NOW), policies)
    assert 2048 <= len(policies.asks.senders.young) + len(policies.asks.senders.old) <= 4096
    assert 0 in candidates(Facts(a_transaction(), policies, NOW), policies)


@pytest.mark.parametrize("glob", ["straß?@example.com", "stra?e@example.com", "*ß*@example.com"])
def test_globs_are_folded_as_texts_are(glob: str) -> None:
    """A glob on an address is not casefolded, the text that the patterns scan is: they find it all the same."""
    rules = rules_for(is_one_of("sender.address", glob))
    policies = indexed(rules)
    facts = Facts(a_transaction(sender="straße@example.com"), policies, NOW)
    assert (Truth.YES, {0}) == (evaluate(rules[0].when, facts), candidates(facts, policies))


def test_conventions_do_not_matter_to_the_index() -> None:
    """Keys are made of normalised operands, so a site's conventions are in them already."""
    rules = rules_for(is_one_of("sender.address", "alice@example.com"))
    policies = FakePolicies(rules, index=build_index(rules, {}), conventions=Conventions(recipient_delimiter="+"))
    assert {0} == candidates(Facts(a_transaction(sender="Alice+tag@EXAMPLE.com"), policies, NOW), policies)


AT_RCPT: tuple[Condition, ...] = (
    is_one_of("rcpt.domain", "example.net", ".example.org"),
    is_one_of("rcpt.address", "bob@example.net"),
    is_one_of("rcpt.external", True),
    has("rcpt.address", Operator.SUFFIX, "example.net"),
    has("rcpt.localpart", Operator.MATCHES, "^b.b$"),
    listed("rcpt.address", "addresses"),
    listed("rcpt.domain", "broken"),
    listed("login", "logins-list"),
    is_one_of("login", "alice@example.com"),
    is_one_of("sender.domain", "example.com"),
    is_one_of("client.ip", "192.0.2.0/24"),
    is_one_of("direction", "outbound"),
    Unknowable(Cause(Doubt.PASSING, "x")),
    Always(),
)


def at_rcpt(rules: Sequence[Rule]) -> FakePolicies:
    """A policy set with the index for RCPT alone."""
    lists = list_data(FakePolicies(rules, SPECS))
    return FakePolicies(rules, SPECS, index_at_rcpt=build_index(rules, lists, at_rcpt=True))


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**40))
def test_no_rule_about_a_recipient_is_left_aside(seed: int) -> None:
    """Asking all per_recipient rules finds none that their index does not."""
    roll = random.Random(seed)
    rules = [
        replace(rule, per_recipient=True) for rule in rules_for(*[a_condition(roll, leaves=AT_RCPT) for _ in range(12)])
    ]
    policies = at_rcpt(rules)
    message = a_message(roll)
    facts = Facts(replace(message, message=None), policies, NOW)
    for one in message.envelope.recipients:
        asked = {number for number, rule in enumerate(rules) if evaluate(rule.when, facts, one) is not Truth.NO}
        assert set() == asked - candidates_at_rcpt(facts, policies, one)


def test_only_what_concerns_the_recipient() -> None:
    """A thousand rules about others are no candidates; one that has nothing but a pattern always is."""
    others = [is_one_of("rcpt.address", f"u{n}@x.example") for n in range(1000)]
    ours = (is_one_of("rcpt.domain", "example.net"), has("rcpt.address", Operator.SUFFIX, "x"))
    rules = [replace(rule, per_recipient=True) for rule in rules_for(*others, *ours)]
    rules.append(replace(rules[1000], id="whole", per_recipient=False))
    policies = at_rcpt(rules)
    facts = Facts(a_transaction(), policies, NOW)
    assert {1000, 1001} == candidates_at_rcpt(facts, policies, Recipient("bob@example.net"))
