"""Lists: items and files, what is tolerated and what is told."""

from __future__ import annotations

import pytest

from tests.builders.policies import codes, load_text, problems_of, states
from tidegate.model import Conventions, ListItem, ListKind, MemberListData


def a_list(
    written: str, *, name: str = "l", conventions: Conventions | None = None, **files: str | bytes
) -> MemberListData:
    """The list that a policy comes to."""
    loaded = load_text(f"version: 1\nlists: {{{name}: {written}}}\n...\n", files=files, conventions=conventions)
    return loaded.loaded.lists[0]


def keys(data: MemberListData) -> list[str]:
    """The keys of its items."""
    return [item.key for item in data.items]


@pytest.mark.parametrize(
    ("kind", "items", "wanted"),
    [
        (
            "address",
            '[A@Example.COM, "@example.net", b@, "x-*@example.org"]',
            ["a@example.com", "@example.net", "b@", "x-*@example.org"],
        ),
        ("domain", "[Example.COM, .example.net]", ["example.com", ".example.net"]),
        ("login", "[Bob, BOB, eve]", ["bob", "eve"]),
        ("ip", '[10.0.0.0/8, 192.0.2.1, "2001:db8::/32"]', ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"]),
        ("string", "[One, TWO]", ["one", "two"]),
        ("regex", "['^Inv']", ["^Inv"]),
        ("login", "[]", []),
    ],
)
def test_items(kind: str, items: str, wanted: list[str]) -> None:
    """Normalised as what is looked up, each once. A list may be empty: nobody is suspended."""
    data = a_list(f"{{type: {kind}, items: {items}}}")
    assert (ListKind(kind), wanted, None) == (data.kind, keys(data), data.unavailable)


def test_an_item_may_end() -> None:
    """Of two equal ones the later end counts."""
    data = a_list("{type: login, items: [{item: bob, until: 2027-06-30}, {item: bob, until: 2027-07-31}]}")
    assert (ListItem("bob", (), 1817078400.0),) == data.items


def test_the_login_map() -> None:
    """Keys are logins, values are addresses and domains in the form in which they are asked for."""
    written = '{type: map, items: {Bob: [B@Example.com, "@example.net"], eve: example.org}}'
    data = a_list(written, name="logins", conventions=Conventions(default_realm="example.com"))
    assert (
        ListItem("bob@example.com", ("b@example.com", "@example.net")),
        ListItem("eve@example.com", ("example.org",)),
    ) == data.items


def test_another_map_holds_texts() -> None:
    """Its values are as they are written."""
    assert (ListItem("a", ("One two", "Three")),) == a_list("{type: map, items: {A: [One two, Three]}}").items


FILES: list[tuple[str, str, bytes, list[str]]] = [
    ("plain", "domain", b"example.com\nexample.net\n", ["example.com", "example.net"]),
    ("comments", "domain", b"# ours\n\nexample.com # here\n  # more\n", ["example.com"]),
    ("crlf and bom", "domain", b"\xef\xbb\xbfexample.com\r\n\r\nexample.net\r\n", ["example.com", "example.net"]),
    ("no last newline", "login", b"bob\neve", ["bob", "eve"]),
    ("a hash in a text", "string", b"a # b\n", ["a # b"]),
    ("a hash in a pattern", "regex", b"a #b\n", ["a #b"]),
    ("empty", "login", b"", []),
]


@pytest.mark.parametrize(("kind", "data", "wanted"), [row[1:] for row in FILES], ids=[row[0] for row in FILES])
def test_files(kind: str, data: bytes, wanted: list[str]) -> None:
    """One item to a line."""
    assert wanted == keys(a_list(f"{{type: {kind}, file: f}}", f=data))


def test_a_texthash_map() -> None:
    """Two columns, values by commas or blanks, lines that begin with a blank continue."""
    data = a_list(
        "{type: map, file: f}",
        name="logins",
        f="bob  b@example.com, c@example.com\n# x\n\n  @example.net\neve e@x.org\n",
    )
    assert (
        ListItem("bob", ("b@example.com", "c@example.com", "@example.net")),
        ListItem("eve", ("e@x.org",)),
    ) == data.items


def test_a_bad_line_is_skipped_alone() -> None:
    """With a warning at its line; the list counts."""
    lines = "".join(f"example{n}.com\n" for n in range(20)) + "not one\n"
    loaded = load_text("version: 1\nlists: {l: {type: domain, file: lists/f}}\n...\n", files={"lists/f": lines})
    assert ["bad-line"] == codes(loaded)
    assert "lists/f:21:1" == str(loaded.loaded.problems[0].place)
    assert "not one" == loaded.loaded.problems[0].excerpt
    assert (20, "active") == (len(loaded.loaded.lists[0].items), states(loaded)["list l"])


@pytest.mark.parametrize(
    ("good", "bad", "broken"), [(19, 2, False), (18, 2, False), (17, 2, True), (3, 1, False), (0, 1, True)]
)
def test_a_tenth_of_bad_lines(good: int, bad: int, broken: bool) -> None:
    """More than a tenth, and the list as a whole is not to be trusted; one bad line alone never costs a list."""
    lines = "".join(f"example{n}.com\n" for n in range(good)) + "not one\n" * bad
    data = a_list("{type: domain, file: f}", f=lines)
    assert broken == (data.unavailable is not None)


def test_many_bad_lines_are_told_in_few_words() -> None:
    """The first twenty, and how many more."""
    lines = "not one\n" * 1000
    loaded = load_text("version: 1\nlists: {l: {type: domain, file: f}}\n...\n", files={"f": lines})
    told = problems_of(loaded, "bad-line")
    assert (20, "981 more lines like these") == (len(told), told[-1].message)


def test_doubled_keys_hide_no_bad_line() -> None:
    """Each kind of trouble is told by itself, and counted by itself."""
    lines = "".join(f"user{n} a@example.com\n" for n in range(300)) + "user1 b@example.com\n" * 30 + "x b@@c\n" * 25
    loaded = load_text("version: 1\nlists: {logins: {type: map, file: f}}\n...\n", files={"f": lines})
    doubled, bad = problems_of(loaded, "duplicate-key-line"), problems_of(loaded, "bad-line")
    assert (20, "11 more lines like these") == (len(doubled), doubled[-1].message)
    assert (20, "6 more lines like these") == (len(bad), bad[-1].message)


@pytest.mark.parametrize("data", [b"\xff\xfee\0x\0", b"\0" * 100, b"\xff\xff\n\xfe\n", b"x y\n" * 10])
def test_hostile_files(data: bytes) -> None:
    """Are a problem of the list."""
    assert a_list("{type: domain, file: f}", f=data).unavailable


def test_a_broken_list_has_no_items_but_exists() -> None:
    """Its tests are UNKNOWN, not NO."""
    data = a_list("{type: domain, items: ['not one', example.com]}")
    assert ((), True) == (data.items, data.unavailable is not None)


@pytest.mark.parametrize(
    ("line", "doubted"),
    [
        (b"bob@example.com b@@x", ("bob@example.com",)),
        (b"bob@example.com", ("bob@example.com",)),
        (b"Bob@Example.COM \xff", ("bob@example.com",)),
        (b"b\xffb@example.com bob@example.com", ("",)),
        (b"b\x01b bob@example.com", ("",)),
        (b"", ()),
    ],
    ids=["a bad value", "no value", "a value in another encoding", "such a key", "a key that can't be one", "good"],
)
def test_a_map_knows_the_keys_of_its_bad_lines(line: bytes, doubted: tuple[str, ...]) -> None:
    """As far as they can be read, so that only those logins are in doubt."""
    data = a_list("{type: map, file: f}", name="logins", f=b"alice@example.com alice@example.com\n" + line + b"\n")
    assert (["alice@example.com"], doubted) == (keys(data), data.doubted)


def test_a_list_of_another_type_is_in_no_doubt() -> None:
    """A bad line of it is skipped, alone."""
    assert () == a_list("{type: domain, file: f}", f=b"example.com\nexample com\n").doubted
