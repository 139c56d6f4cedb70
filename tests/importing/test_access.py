"""Postfix access tables as rules: the verdict is what Postfix's own look-up comes to."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

import pytest

from tests.importing.judging import at_rcpt, opened, verdict
from tidegate.importing.access import imported
from tidegate.importing.accesskeys import Subject
from tidegate.model import Disposition

ACTIONS = {
    "OK": Disposition.ACCEPT,
    "DUNNO": Disposition.ACCEPT,
    "REJECT go away": Disposition.REJECT,
    "450 4.2.0 later": Disposition.DEFER,
    "HOLD look": Disposition.HOLD,
    "DISCARD": Disposition.DISCARD,
}
DOMAINS = ("b.example", "a.b.example", "c.a.b.example", "other.example", "example")
NAMES = ("x", "y")
ADDRESSES = [f"{name}@{domain}" for name in NAMES for domain in DOMAINS]
KEYS = [*ADDRESSES, *DOMAINS, *(f"{name}@" for name in NAMES)]


def _lookups(address: str) -> list[str]:
    """In the order of access(5), EMAIL ADDRESS PATTERNS, where parent domains match what is below them."""
    local, _, domain = address.rpartition("@")
    parents = [domain]
    while "." in domain:
        domain = domain.partition(".")[2]
        parents.append(domain)
    return [address, *parents, f"{local}@"]


def _decides(table: dict[str, str], keys: Sequence[str]) -> Disposition:
    return next((ACTIONS[table[key]] for key in keys if key in table), Disposition.ACCEPT)


def _lines(table: dict[str, str]) -> list[tuple[int, str, str]]:
    return [(number, key, action) for number, (key, action) in enumerate(table.items(), 1)]


@pytest.mark.parametrize("seed", range(12))
def test_a_sender_has_the_verdict_of_its_most_specific_key(seed: int) -> None:
    """Random tables, every address that a key could be about."""
    chance = random.Random(seed)
    table = {key: chance.choice(list(ACTIONS)) for key in chance.sample(KEYS, 7)}
    found = imported(_lines(table), Subject.SENDER, "texthash")
    assert found.untranslated == ()
    generation = opened(found)
    got = {address: verdict(generation, sender=address).disposition for address in ADDRESSES}
    assert got == {address: _decides(table, _lookups(address)) for address in ADDRESSES}


@pytest.mark.parametrize("seed", range(6))
def test_a_recipient_is_refused_alone(seed: int) -> None:
    """Refusals are given at RCPT, by the most specific key."""
    chance = random.Random(seed)
    actions = [one for one, what in ACTIONS.items() if what not in (Disposition.HOLD, Disposition.DISCARD)]
    table = {key: chance.choice(actions) for key in chance.sample(KEYS, 7)}
    generation = opened(imported(_lines(table), Subject.RECIPIENT, "texthash"))
    got = {address: at_rcpt(generation, address) for address in ADDRESSES}
    assert got == {address: _decides(table, _lookups(address)) for address in ADDRESSES}


CLIENTS = {
    "an-address": ({"192.0.2.1": "REJECT x"}, "192.0.2.1", "h.b.example", Disposition.REJECT),
    "octets": ({"192.0.2": "REJECT x"}, "192.0.2.99", "h.b.example", Disposition.REJECT),
    "beyond-the-octets": ({"192.0.2": "REJECT x"}, "192.0.3.1", "h.b.example", Disposition.ACCEPT),
    "an-exception-inside": ({"192.0": "REJECT x", "192.0.2.1": "OK"}, "192.0.2.1", "h.b.example", Disposition.ACCEPT),
    "the-network-around-it": ({"192.0": "REJECT x", "192.0.2.1": "OK"}, "192.0.2.2", "h.b.example", Disposition.REJECT),
    "pairs": ({"2001:db8:1": "REJECT x"}, "2001:db8:1:2::3", "h.b.example", Disposition.REJECT),
    "a-name": ({"b.example": "REJECT x"}, "192.0.2.1", "h.b.example", Disposition.REJECT),
    "the-name-comes-first": (
        {"b.example": "OK", "192.0.2": "REJECT x"},
        "192.0.2.1",
        "h.b.example",
        Disposition.ACCEPT,
    ),
    "no-name": ({"unknown": "450 4.7.1 who"}, "192.0.2.1", "", Disposition.DEFER),
}


@pytest.mark.parametrize("case", CLIENTS)
def test_a_client_is_looked_up_by_name_then_by_address(case: str) -> None:
    """access(5), HOST NAME/ADDRESS PATTERNS."""
    table, client, name, expected = CLIENTS[case]
    generation = opened(imported(_lines(table), Subject.CLIENT, "texthash"))
    assert verdict(generation, client=client, name=name).disposition is expected


ORDERED = {
    "the-first-pattern": (("/^x@/", "OK"), ("/@b\\.example$/", "REJECT x")),
    "a-later-pattern": (("/^y@other/", "REJECT x"), ("/example$/", "450 4.1.1 x")),
    "negation": (("!/^x@/", "REJECT x"), ("/./", "HOLD look")),
    "case-counts": (("/^X@/i", "REJECT x"), ("/^X@/", "HOLD look")),
    "a-milder-one-first": (("/^x@b/", "HOLD look"), ("/^x@/", "REJECT x"), ("/a\\.b/", "OK"), ("/./", "450 4.1.1 x")),
}


def _fits(pattern: str, address: str) -> bool:
    """regexp_table(5): case does not count unless `i` turns that round."""
    negated, body = pattern.startswith("!"), pattern.lstrip("!")
    flags = 0 if body.endswith("i") else re.IGNORECASE
    return (re.search(body.strip("!").rstrip("i")[1:-1], address, flags) is not None) != negated


@pytest.mark.parametrize("case", ORDERED)
def test_a_table_of_patterns_is_read_from_the_top(case: str) -> None:
    """The first pattern that fits decides, also where a later one is stricter."""
    rows = ORDERED[case]
    outcomes = {**ACTIONS, "REJECT x": Disposition.REJECT, "450 4.1.1 x": Disposition.DEFER}
    generation = opened(imported([(n, key, act) for n, (key, act) in enumerate(rows, 1)], Subject.SENDER, "pcre"))
    for address in ADDRESSES:
        expected = next((outcomes[act] for key, act in rows if _fits(key, address)), Disposition.ACCEPT)
        assert verdict(generation, sender=address).disposition is expected, address


def test_networks_are_read_from_the_top() -> None:
    """cidr_table(5)."""
    rows = [(1, "192.0.2.0/28", "OK"), (2, "192.0.2.0/24", "REJECT x"), (3, "2001:db8::/32", "REJECT x")]
    generation = opened(imported(rows, Subject.CLIENT, "cidr"))
    for client, expected in (
        ("192.0.2.3", Disposition.ACCEPT),
        ("192.0.2.30", Disposition.REJECT),
        ("2001:db8::1", Disposition.REJECT),
        ("198.51.100.1", Disposition.ACCEPT),
    ):
        assert verdict(generation, client=client).disposition is expected, client


UNTRANSLATED = {
    "a-restriction": ("x@b.example", "permit_mynetworks", "texthash", "restriction of Postfix"),
    "a-filter": ("x@b.example", "FILTER smtp:x", "texthash", "content filter"),
    "a-match-in-a-reply": ("/^(.*)@b/", "REJECT $1", "pcre", "matched"),
    "if": ("if", "/x/", "pcre", "`if`"),
    "endif": ("endif", "", "pcre", "`if`"),
    "two-classes": ("x@b.example", "550 4.7.1 x", "texthash", "two classes"),
    "a-key-below": (".b.example", "REJECT", "texthash", "never looked up"),
    "no-address": ("a b", "REJECT", "texthash", "no address"),
    "flags": ("/x/x", "REJECT", "pcre", "flags"),
}


@pytest.mark.parametrize("case", UNTRANSLATED)
def test_what_has_no_equal_is_told_with_its_line(case: str) -> None:
    """And the rest is translated."""
    key, action, table, why = UNTRANSLATED[case]
    good = ("/^y@/" if table == "pcre" else "y@b.example", "REJECT no")
    found = imported([(7, key, action), (8, *good)], Subject.SENDER, table)
    assert [one.line for one in found.untranslated] == [7]
    assert why in found.untranslated[0].why
    assert verdict(opened(found), sender="y@b.example").disposition is Disposition.REJECT


def test_a_warning_is_a_rule_in_shadow() -> None:
    """The log says `would`, and the message goes on, past what stands behind it in the table."""
    found = imported([(1, "/^x@/", "WARN odd"), (2, "/./", "REJECT no")], Subject.SENDER, "pcre")
    generation = opened(found)
    got = verdict(generation, sender="x@b.example")
    assert (got.disposition, got.would) == (Disposition.ACCEPT, Disposition.HOLD)
    assert verdict(generation, sender="y@b.example").disposition is Disposition.REJECT


def test_a_table_of_many_thousand_keys_is_one_list() -> None:
    """In time that grows with the table and not with its square."""
    keys = [(number, f"user{number}@d{number % 50}.example", "REJECT no") for number in range(20_000)]
    found = imported([*keys, (20_001, "d7.example", "OK")], Subject.SENDER, "texthash")
    assert len(found.rules) == 1
    assert len(found.lists[0].items) == 20_000
