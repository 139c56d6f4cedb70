"""List items: how they are written, what is wrong with them, and what they cover."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tidegate.conditions.members import (
    Member,
    MemberForm,
    glob_matches,
    grant_keys,
    lookup_keys,
    normalise,
    normalise_grant,
    own_keys,
    parents,
    prefix_of,
    shape_of,
    shapes_of,
)
from tidegate.model import Conventions, ListKind

PLAIN = Conventions()
EXACT, GLOB, PATTERN = MemberForm.EXACT, MemberForm.GLOB, MemberForm.PATTERN

GOOD = [
    (ListKind.IP, "192.0.2.1", "192.0.2.1/32", EXACT),
    (ListKind.IP, "10.0.0.0/8", "10.0.0.0/8", EXACT),
    (ListKind.IP, "10.0.0.0/255.0.0.0", "10.0.0.0/8", EXACT),
    (ListKind.IP, "2001:DB8::/32", "2001:db8::/32", EXACT),
    (ListKind.IP, "2001:db8::1", "2001:db8::1/128", EXACT),
    (ListKind.IP, "::ffff:192.0.2.1", "192.0.2.1/32", EXACT),
    (ListKind.IP, "::ffff:10.0.0.0/104", "10.0.0.0/8", EXACT),
    (ListKind.IP, "::/0", "::/0", EXACT),
    (ListKind.IP, "0.0.0.0/0", "0.0.0.0/0", EXACT),
    (ListKind.DOMAIN, "Example.COM.", "example.com", EXACT),
    (ListKind.DOMAIN, ".Example.com", ".example.com", EXACT),
    (ListKind.DOMAIN, "m\u00fcnchen.example", "xn--mnchen-3ya.example", EXACT),
    (ListKind.DOMAIN, ".m\u00fcnchen.example", ".xn--mnchen-3ya.example", EXACT),
    (ListKind.DOMAIN, "*.example.com", "*.example.com", GLOB),
    (ListKind.ADDRESS, "A@Example.com", "a@example.com", EXACT),
    (ListKind.ADDRESS, "<a@example.com>", "a@example.com", EXACT),
    (ListKind.ADDRESS, "a@", "a@", EXACT),
    (ListKind.ADDRESS, "@Example.com", "@example.com", EXACT),
    (ListKind.ADDRESS, "@.example.com", "@.example.com", EXACT),
    (ListKind.ADDRESS, "Sales-*@example.com", "sales-*@example.com", GLOB),
    (ListKind.ADDRESS, "*@*.example.com", "*@*.example.com", GLOB),
    (ListKind.LOGIN, "Alice", "alice", EXACT),
    (ListKind.MAP, "Alice@Example.com", "alice@example.com", EXACT),
    (ListKind.STRING, " Stra\u00dfe ", "strasse", EXACT),
    (ListKind.REGEX, "(?-i)Foo+", "(?-i)Foo+", PATTERN),
]

BAD = [
    (ListKind.IP, "10.1.2.3/8", "'10.1.2.3/8' has bits set behind its prefix; write 10.0.0.0/8"),
    (ListKind.IP, "2001:db8::1/32", "'2001:db8::1/32' has bits set behind its prefix; write 2001:db8::/32"),
    (ListKind.IP, "10.0.0.0/33", "'10.0.0.0/33' has the prefix length '33'; write a number from 0 to 32"),
    (ListKind.IP, "10.0.0.0/", "'10.0.0.0/' has the prefix length ''; write a number from 0 to 32"),
    (
        ListKind.IP,
        "example.com",
        "'example.com' is not an address or a network; write 192.0.2.1, 10.0.0.0/8 or 2001:db8::/32",
    ),
    (
        ListKind.IP,
        "010.0.0.1",
        "'010.0.0.1' is not an address or a network; write 192.0.2.1, 10.0.0.0/8 or 2001:db8::/32",
    ),
    (ListKind.IP, "fe80::1%eth0", "'fe80::1%eth0' has a zone; write the address without %eth0"),
    (ListKind.DOMAIN, "a@example.com", "'a@example.com' is an address, not a domain"),
    (ListKind.DOMAIN, "a..example", "'a..example' is not a domain name"),
    (ListKind.DOMAIN, ".", "'.' is not a domain name"),
    (
        ListKind.ADDRESS,
        "alice",
        "'alice' has no @; write user@example.com, user@ (anywhere) or @example.com (all of it)",
    ),
    (ListKind.ADDRESS, "@", "'@' covers nothing; write user@example.com, user@ (anywhere) or @example.com (all of it)"),
    (ListKind.ADDRESS, "a@b c", "'b c' is not a domain name"),
    (
        ListKind.ADDRESS,
        "Alice <a@example.com",
        "'Alice <a@example.com' is not an address; write only what stands between < and >",
    ),
    (
        ListKind.ADDRESS,
        "a@.example.com",
        "'a@.example.com' is one localpart below a domain; write the glob a@*.example.com",
    ),
    (ListKind.STRING, "  ", "the item is empty"),
    (ListKind.STRING, "a\0b", "'a\\x00b' holds a control character"),
    (ListKind.LOGIN, "x" * 1001, "the item has 1001 characters; at most 1000 are allowed"),
]


@pytest.mark.parametrize(("kind", "text", "key", "form"), GOOD, ids=lambda value: str(value))
def test_normalise(kind: ListKind, text: str, key: str, form: MemberForm) -> None:
    """An item has one key."""
    assert Member(key, form) == normalise(kind, text, PLAIN)


@pytest.mark.parametrize(("kind", "text", "message"), BAD, ids=lambda value: str(value)[:30])
def test_what_is_wrong(kind: ListKind, text: str, message: str) -> None:
    """A bad item gets a message with its cure."""
    assert message == normalise(kind, text, PLAIN)


def test_conventions_are_applied_to_items() -> None:
    """Items are completed and stripped as values are."""
    conventions = Conventions(default_realm="example.com", recipient_delimiter="+")
    assert Member("alice@example.com") == normalise(ListKind.LOGIN, "Alice", conventions)
    assert Member("a@example.com") == normalise(ListKind.ADDRESS, "a+tag@example.com", conventions)
    assert Member("a@") == normalise(ListKind.ADDRESS, "a+tag@", conventions)


OWN = [
    (ListKind.ADDRESS, "first.last@mail.example.com"),
    (ListKind.DOMAIN, ".example.com"),
    (ListKind.LOGIN, "alice"),
    (ListKind.MAP, "alice@example.com"),
    (ListKind.STRING, "x-project_7"),
]


@pytest.mark.parametrize(("kind", "text"), OWN, ids=[text for _, text in OWN])
def test_what_is_its_own_key_is_told_at_once(kind: ListKind, text: str) -> None:
    """Items as they mostly are need no normalising."""
    own = own_keys(kind, PLAIN)
    assert own is not None
    assert own.match(text)


@given(
    st.sampled_from(list(ListKind)),
    st.text(alphabet="aZ1@.-_+*#/ \n", max_size=12) | st.sampled_from(["a@" + "b" * 64, "a@" + "b.c" * 99, "x" * 254]),
    st.sampled_from([PLAIN, Conventions("example.com", "+"), Conventions("", "-_")]),
)
@settings(max_examples=500)
def test_own_keys_are_what_normalise_makes_of_them(kind: ListKind, text: str, conventions: Conventions) -> None:
    """What the expression takes as its own key, normalising leaves as it is."""
    own = own_keys(kind, conventions)
    if own is not None and own.match(text):
        assert Member(text) == normalise(kind, text, conventions)


@given(
    st.sampled_from([ListKind.ADDRESS, ListKind.DOMAIN, ListKind.IP]),
    st.lists(
        st.sampled_from(
            ["a@b.c", "a@", "@b.c", "@.b.c", "b.c", ".c", "c", "192.0.2.0/24", "2001:db8::/32", "0.0.0.0/0"]
        )
    ),
)
def test_shapes_of_many_keys_are_those_of_each(kind: ListKind, keys: list[str]) -> None:
    """Asked together, keys have the shapes that they have alone."""
    keys = [key for key in keys if ("/" in key) is (kind is ListKind.IP)]
    assert tuple(sorted({shape_of(kind, key) for key in keys})) == shapes_of(kind, keys)


@given(st.sampled_from(list(ListKind)), st.text(max_size=40))
def test_normalise_never_raises(kind: ListKind, text: str) -> None:
    """Any text is an item or has a message."""
    assert isinstance(normalise(kind, text, PLAIN), Member | str)


COVERED = [
    (ListKind.DOMAIN, "example.com", "example.com", True),
    (ListKind.DOMAIN, "example.com", "a.example.com", False),
    (ListKind.DOMAIN, ".example.com", "a.example.com", True),
    (ListKind.DOMAIN, ".example.com", "b.a.example.com", True),
    (ListKind.DOMAIN, ".example.com", "example.com", False),
    (ListKind.DOMAIN, ".example.com", "badexample.com", False),
    (ListKind.ADDRESS, "a@example.com", "a@example.com", True),
    (ListKind.ADDRESS, "a@", "a@anything.example", True),
    (ListKind.ADDRESS, "a@", "ba@anything.example", False),
    (ListKind.ADDRESS, "@example.com", "x@example.com", True),
    (ListKind.ADDRESS, "@example.com", "x@a.example.com", False),
    (ListKind.ADDRESS, "@.example.com", "x@a.example.com", True),
    (ListKind.ADDRESS, "@.example.com", "x@example.com", False),
    (ListKind.ADDRESS, "@example.com", '"y@example.com"@evil.example', False),
    (ListKind.IP, "10.0.0.0/8", "10.255.1.1", True),
    (ListKind.IP, "10.0.0.0/8", "11.0.0.1", False),
    (ListKind.IP, "192.0.2.1", "192.0.2.1", True),
    (ListKind.IP, "0.0.0.0/0", "192.0.2.1", True),
    (ListKind.IP, "0.0.0.0/0", "2001:db8::1", False),
    (ListKind.IP, "::/0", "2001:db8::1", True),
    (ListKind.IP, "::/0", "192.0.2.1", False),
    (ListKind.IP, "2001:db8::/32", "2001:db8:1::1", True),
    (ListKind.IP, "2001:db8::1", "2001:db8::1", True),
    (ListKind.IP, "10.1.2.0/24", "10.1.2.0/24", True),
    (ListKind.IP, "10.0.0.0/8", "10.1.2.0/24", True),
    (ListKind.IP, "10.1.2.1", "10.1.2.0/24", False),
    (ListKind.IP, "2001:db8::/64", "2001:db8::/64", True),
    (ListKind.IP, "2001:db8::/32", "2001:db8::/64", True),
    (ListKind.IP, "::/0", "2001:db8::/64", True),
    (ListKind.IP, "10.0.0.0/8", "not an address", False),
    (ListKind.STRING, "Hello", "HELLO", True),
    (ListKind.LOGIN, "Alice", "alice", True),
    (ListKind.MAP, "Alice", "alice", True),
]


@pytest.mark.parametrize(("kind", "item", "value", "covered"), COVERED, ids=lambda value: str(value))
def test_lookup_keys(kind: ListKind, item: str, value: str, covered: bool) -> None:
    """A value finds exactly the items that cover it, whether it asks for every shape of key or only for theirs."""
    member = normalise(kind, item, PLAIN)
    assert isinstance(member, Member)
    assert covered is (member.key in lookup_keys(kind, value))
    assert covered is (member.key in lookup_keys(kind, value, [shape_of(kind, member.key)]))


@given(st.ip_addresses(), st.integers(0, 128))
def test_networks_as_the_standard_library(address: ipaddress.IPv4Address | ipaddress.IPv6Address, length: int) -> None:
    """The key of an address at a prefix length is the network that the standard library makes."""
    length = min(length, address.max_prefixlen)
    network = str(ipaddress.ip_network(f"{address}/{length}", strict=False))
    assert (network,) == lookup_keys(ListKind.IP, str(address), (prefix_of(network),))


@pytest.mark.parametrize(
    ("grant", "address", "covered"),
    [
        ("a@example.com", "a@example.com", True),
        ("@example.com", "x@example.com", True),
        ("example.com", "x@example.com", True),
        ("example.com", "x@a.example.com", False),
        (".example.com", "x@a.example.com", True),
        ("@.example.com", "x@a.example.com", True),
        (".example.com", "x@example.com", False),
        ("a@", "a@other.example", True),
        ("b@example.com", "a@example.com", False),
    ],
)
def test_grants(grant: str, address: str, covered: bool) -> None:
    """The map `logins` grants addresses, or whole domains with or without @."""
    member = normalise_grant(grant, PLAIN)
    assert isinstance(member, Member)
    assert covered is (member.key in grant_keys(address))


def _brute(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(_brute(pattern[1:], text[at:]) for at in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and _brute(pattern[1:], text[1:])


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=10))
@example("", "")
@example("*", "")
@example("a*b*", "aabba")
def test_globs_as_by_brute_force(pattern: str, text: str) -> None:
    """Two pointers come to what trying everything comes to."""
    assert _brute(pattern, text) is glob_matches(pattern, text)


@given(st.text(max_size=10))
def test_a_glob_without_wildcards_is_the_text(text: str) -> None:
    """Other characters stand for themselves."""
    plain = text.replace("*", "").replace("?", "")
    assert glob_matches(plain, plain)


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        pytest.param("a.example.com", (".example.com", ".com"), id="a name"),
        pytest.param(f"{'x' * 1000}.{'y' * 500}.com", (f".{'y' * 500}.com", ".com"), id="longer than an item"),
        pytest.param(f"{'y' * 2000}.{'x' * 1200}.com", (".com",), id="below what no item can be"),
        pytest.param("a." * 1500, (), id="more labels than a name has, all too long"),
        pytest.param("a." * 127 + "b", tuple("." + "a." * n + "b" for n in range(126, -1, -1)), id="127 labels"),
    ],
)
def test_parents(domain: str, expected: tuple[str, ...]) -> None:
    """Every suffix of the first 127 labels that an item can have, the longest first."""
    assert expected == parents(domain)
