"""Lists in an image answer exactly as the items say, whatever the list's size."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders.rules import a_list
from tidegate import image
from tidegate.conditions.members import glob_matches, is_glob, lookup_keys, prefix_of
from tidegate.image import lists
from tidegate.image.lists import Members
from tidegate.model import Doubt, ListItem, ListKind, Loaded, MemberListData

NOW = 1_000_000.0


def opened(*data: MemberListData) -> image.Generation:
    """A generation of nothing but lists."""
    return image.Generation(image.build(Loaded(lists=data), 1))


def members(data: MemberListData) -> Members:
    """One list, as a generation answers for it."""
    found = opened(data).list(data.name)
    assert found is not None
    return found


@pytest.fixture(params=["dict", "hashes"], autouse=True)
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs on both ways to keep a list."""
    if request.param == "hashes":
        monkeypatch.setattr(lists, "SMALL", -1)


@pytest.mark.parametrize(
    ("kind", "items", "value", "expected"),
    [
        pytest.param("address", ["a@example.com"], "a@example.com", "a@example.com", id="address"),
        pytest.param("address", ["a@"], "a@example.com", "a@", id="localpart"),
        pytest.param("address", ["@.example.com"], "a@b.example.com", "@.example.com", id="below a domain"),
        pytest.param("address", ["@.example.com"], "a@example.com", None, id="below is not itself"),
        pytest.param("address", ["*-bot@example.com"], "x-bot@example.com", "*-bot@example.com", id="glob"),
        pytest.param("domain", [".example.com"], "a.b.example.com", ".example.com", id="parent"),
        pytest.param("domain", ["example.com"], "b.example.com", None, id="a domain is itself"),
        pytest.param("ip", ["10.0.0.0/8", "192.0.2.1/32"], "10.2.3.4", "10.0.0.0/8", id="network"),
        pytest.param("ip", ["2001:db8::/32"], "2001:db8::1", "2001:db8::/32", id="network of IPv6"),
        pytest.param("ip", ["10.0.0.0/8"], "11.0.0.1", None, id="another network"),
        pytest.param("ip", ["10.0.0.0/8"], "rubbish", None, id="no address"),
        pytest.param("string", ["hello"], "HeLLo", "hello", id="string"),
        pytest.param("login", ["alice"], "alice", "alice", id="login"),
        pytest.param("regex", ["casino", "win.*prize"], "WIN a prize", "win.*prize", id="pattern"),
        pytest.param("regex", ["(?-i)Casino"], "casino", None, id="pattern with case"),
        pytest.param("regex", ["a.c"], "a.c", "a.c", id="a pattern is not compared as text"),
        pytest.param("regex", ["a[.]c"], "a[.]c", None, id="not even where it is the text"),
        pytest.param("login", ["=x", "[x"], "[x", "[x", id="signs that the image uses itself"),
        pytest.param("login", ["\udcff"], "\udcff", "\udcff", id="a lone surrogate"),
        pytest.param("login", [], "a", None, id="an empty list"),
    ],
)
def test_find(kind: str, items: list[str], value: str, expected: str | None) -> None:
    """The item that covers the value, by the list's type."""
    assert expected == members(a_list("l", ListKind(kind), *items)).find(value, NOW)


def test_items_lapse() -> None:
    """An item is found until its end, that second excluded; another with the same key goes on."""
    found = members(a_list("l", ListKind.LOGIN, ListItem("a", end=NOW), ListItem("b", end=NOW), ListItem("b")))
    assert [found.find("a", NOW - 1), found.find("a", NOW), found.find("b", NOW)] == ["a", None, "b"]


def test_patterns_and_globs_lapse() -> None:
    """So do items that are no keys."""
    words = members(a_list("l", ListKind.REGEX, ListItem("a+", end=NOW), ListItem("aa", end=NOW + 5)))
    assert [words.find("aaa", NOW + 5), words.find("aaa", NOW)] == [None, "aa"]
    globs = members(a_list("g", ListKind.DOMAIN, ListItem("*.example.com", end=NOW)))
    assert [globs.find("a.example.com", NOW - 1), globs.find("a.example.com", NOW)] == ["*.example.com", None]


def test_a_map_has_values() -> None:
    """The values of exactly this key; of several live items with the key all of them."""
    data = a_list(
        "l", ListKind.MAP, ListItem("a", ("x@example.com", "example.net")), ListItem("b", ("y",), NOW), ListItem("c")
    )
    found = members(data)
    assert found.values("a", NOW) == ("x@example.com", "example.net")
    assert (
        found.values("b", NOW - 1), found.values("b", NOW), found.values("c", NOW), found.values("d", NOW),
    ) == (("y",), None, (), None)  # fmt: skip
    assert found.find("a", NOW) == "a"


def test_only_a_map_has_values() -> None:
    """Any other list has no values to give."""
    assert None is members(a_list("l", ListKind.LOGIN, "a")).values("a", NOW)


def test_a_list_that_can_not_be_asked_says_why() -> None:
    """It covers nothing, and its cause makes the tests on it UNKNOWN."""
    found = members(MemberListData("l", ListKind.LOGIN, (ListItem("a"),), unavailable="the file is gone"))
    assert found.cause is not None
    assert (found.cause.doubt, found.cause.text) == (Doubt.PASSING, "list l: the file is gone")
    assert (found.find("a", NOW), found.values("a", NOW)) == (None, None)


def test_equal_hashes_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Items whose hashes collide are verified by their text."""
    monkeypatch.setattr(lists, "_hash", lambda key, salt: 7)
    found = members(a_list("l", ListKind.LOGIN, "a", "b", "c"))
    assert [found.find(key, NOW) for key in "abcd"] == ["a", "b", "c", None]


def test_hundreds_of_globs_are_asked_together() -> None:
    """Each value finds its own glob, with `?` for one character of any length in bytes."""
    found = members(a_list("l", ListKind.ADDRESS, *[f"ü{n}-*@exa?ple.com" for n in range(200)]))
    assert [found.find(value, NOW) for value in ("ü7-x@exaßple.com", "ü199-@example.com", "ü7-x@exaple.com")] == [
        "ü7-*@exa?ple.com",
        "ü199-*@exa?ple.com",
        None,
    ]


_KEY = st.text(alphabet="ab.@*?", min_size=1, max_size=6).filter(lambda text: text != "@")  # which is no item


@given(st.sampled_from([ListKind.ADDRESS, ListKind.DOMAIN, ListKind.LOGIN]), st.lists(_KEY, max_size=20), _KEY)
@settings(max_examples=150, deadline=None)
def test_find_is_what_the_words_say(kind: ListKind, items: list[str], value: str) -> None:
    """An item covers a value if it is one of its look-up keys, or a glob that fits; nothing else does."""
    globs = [item for item in items if kind is not ListKind.LOGIN and is_glob(item)]
    covering = {item for item in items if item in lookup_keys(kind, value)}
    covering |= {glob for glob in globs if glob_matches(glob, value)}
    found = members(a_list("l", kind, *items)).find(value, NOW)
    assert (found in covering) if covering else found is None


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)), max_size=12), st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_networks_cover_what_they_cover(networks: list[tuple[int, int]], value: int) -> None:
    """An address is found if and only if one of the networks holds it."""
    masked = [(number >> (32 - length) << (32 - length), length) for number, length in networks]
    keys = [f"{_quad(number)}/{length}" for number, length in masked]
    assert all(prefix_of(key) == length for key, (_, length) in zip(keys, masked, strict=True))
    covering = {
        key for key, (number, length) in zip(keys, masked, strict=True) if (value ^ number) >> (32 - length) == 0
    }
    found = members(a_list("l", ListKind.IP, *keys)).find(_quad(value), NOW)
    assert (found in covering) if covering else found is None


def _quad(number: int) -> str:
    return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))
