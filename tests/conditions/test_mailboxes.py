"""The mailboxes of address headers: all of them, or a reason why there may be others."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tidegate.conditions import mailboxes
from tidegate.conditions.addresses import header_mailboxes
from tidegate.conditions.mailboxes import MAX_ADDRESSES, MAX_BYTES

READABLE: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "plain": (b"a@x.example", ("a@x.example",)),
    "bracket alone": (b"<a@x.example>", ("a@x.example",)),
    "name": (b"Alice Example <a@x.example>", ("a@x.example",)),
    "name with dots": (b"Dr. A. Example <a@x.example>", ("a@x.example",)),
    "quoted name": (b'"Example, Alice" <a@x.example>', ("a@x.example",)),
    "quoted and bare words": (b'"Example" A <a@x.example>', ("a@x.example",)),
    "no blank": (b'"A"<a@x.example>', ("a@x.example",)),
    "an address as quoted name is a name": (b'"ceo@x.example" <evil@y.example>', ("evil@y.example",)),
    "an encoded address is a name": (b"=?utf-8?q?ceo=40x.example?= <evil@y.example>", ("evil@y.example",)),
    "encoded bracket in a name": (b"=?utf-8?q?=3Cceo=40x=3E=2C?= <evil@y.example>", ("evil@y.example",)),
    "raw Latin-1 name": (b"M\xfcller <a@x.example>", ("a@x.example",)),
    "raw UTF-8 name": (b"M\xc3\xbcller <a@x.example>", ("a@x.example",)),
    "quoted pair in a name": (rb'"say \"hi\"" <a@x.example>', ("a@x.example",)),
    "two": (b"a@x.example, B <b@y.example>", ("a@x.example", "b@y.example")),
    "two, one with a comma in its name": (b'"A, B" <a@x.example>,b@y.example', ("a@x.example", "b@y.example")),
    "folded": (b"a@x.example,\r\n\tB\n <b@y.example>", ("a@x.example", "b@y.example")),
    "empty mailboxes are nothing": (b",a@x.example,,b@y.example,", ("a@x.example", "b@y.example")),
    "comment": (b"a@x.example (Alice)", ("a@x.example",)),
    "nested comment": (b"(one (two) \\) three) a@x.example", ("a@x.example",)),
    "a quote in a comment": (b'(don"t) a@x.example', ("a@x.example",)),
    "group": (b"Team: a@x.example, B <b@y.example>;", ("a@x.example", "b@y.example")),
    "empty group": (b"undisclosed-recipients:;", ()),
    "group among others": (b"z@x.example, T: a@x.example;, b@y.example", ("z@x.example", "a@x.example", "b@y.example")),
    "source route": (b"<@r.example,@s.example:a@x.example>", ("a@x.example",)),
    "quoted localpart": (b'"a b"@x.example', ('"a b"@x.example',)),
    "quoted localpart in a bracket": (b'A <"a@b>"@x.example>', ('"a@b>"@x.example',)),
    "address literal": (b"a@[192.0.2.1]", ("a@[192.0.2.1]",)),
    "international": ("Jürgen <jürgen@münchen.example>".encode(), ("jürgen@münchen.example",)),
    "odd but certain dots": (b"a..b.@x.example", ("a..b.@x.example",)),
    "empty": (b"", ()),
    "blanks": (b"  \t ", ()),
}

HOSTILE: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "an address before a bracket": (b"ceo@x.example <evil@y.example>", ("evil@y.example",)),
    "two brackets": (b"<ceo@x.example> <evil@y.example>", ("ceo@x.example", "evil@y.example")),
    "text behind a bracket": (b"<ceo@x.example> evil@y.example", ("ceo@x.example",)),
    "an @ behind a bracket": (b"<ceo@x.example>@y.example", ("ceo@x.example",)),
    "quote without end": (b'"ceo <ceo@x.example>', ()),
    "quote without end behind an address": (b'a@x.example, "ceo <ceo@x.example>', ("a@x.example",)),
    "comment without end": (b"ceo@x.example (", ()),
    "bracket without end": (b"A <ceo@x.example", ("ceo@x.example",)),
    "bracket without end before another": (b"A <ceo@x.example, b@y.example", ()),
    "group without end": (b"A: ceo@x.example", ("ceo@x.example",)),
    "address in a comment": (b"evil@y.example (ceo@x.example)", ("evil@y.example",)),
    "comment inside an address": (b"ceo(x)@x.example", ("ceo@x.example",)),
    "comment inside a bracket": (b"A <ceo@x.example(x)>", ("ceo@x.example",)),
    "blanks around the @": (b"ceo\t@ x.example", ("ceo@x.example",)),
    "blanks around dots": (b"A <c . eo@x.\r\n example>", ("c.eo@x.example",)),
    "blanks between words": (b"the ceo@x.example", ()),
    "NUL": (b"ceo@x.example\0", ()),
    "bare CR": (b"ceo@x.example\rFrom: evil@y.example", ()),
    "raw 8-bit in the localpart": (b"c\xe9o@x.example", ()),
    "raw 8-bit in the domain": (b"ceo@\xe9.example", ()),
    "no-break space in the localpart": ("ceo\u00a0@x.example".encode(), ()),
    "zero-width space in the localpart": ("c\u200beo@x.example".encode(), ()),
    "full-width at": ("a@x\uff20y.example".encode(), ()),
    "no @": (b"ceo", ()),
    "a name alone": (b"The Ceo", ()),
    "empty bracket": (b"The Ceo <>", ()),
    "stray colon": (b"a:b:c@x.example;", ()),
    "stray semicolon": (b"ceo@x.example;evil@y.example", ("ceo@x.example",)),
    "backslash outside quotes": (b"a\\@x.example", ()),
    "stray >": (b"ceo@x.example>", ()),
    "two @": (b"a@b@x.example", ()),
    "no domain": (b"ceo@", ()),
}


@pytest.mark.parametrize(("raw", "expected"), READABLE.values(), ids=READABLE.keys())
def test_readable(raw: bytes, expected: tuple[str, ...]) -> None:
    """Whatever RFC 5322 allows and mail has is read, without a doubt."""
    assert (expected, "") == header_mailboxes(raw)


@pytest.mark.parametrize(("raw", "expected"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile(raw: bytes, expected: tuple[str, ...]) -> None:
    """What programs read in different ways has a doubt, and only those addresses that are certain."""
    found, why = header_mailboxes(raw)
    assert expected == found
    assert why


@pytest.mark.parametrize(
    "raw",
    [
        b"a@x.example",
        b"<a@x.example>",
        b"Alice Example <a@x.example>",
        b'"Example, Alice" <a@x.example>',
        b'"ceo@x.example" <a@x.example>',
        b"=?utf-8?q?J=C3=BCrgen?= <a@x.example>",
        b"M\xc3\xbcller <a@x.example>, b@y.example,\r\n\tC <c@z.example>",
    ],
)
def test_common_forms_need_no_scanner(raw: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nearly all mail has is read by the expression alone: the scanner costs ten times as much."""
    monkeypatch.setattr(mailboxes, "_Scanner", None)
    assert "" == header_mailboxes(raw)[1]


@given(st.text(alphabet='ab.@<>"(),:;\\[] \t\r\n\0\u00e4', max_size=30))
@example('"a<b@c>')
@example('"a" b <b@c>, d@e')
@example("a@b\r<c@d>")
def test_expression_and_scanner_agree(text: str) -> None:
    """The expression is only a short cut: whatever it reads, the scanner reads the same."""
    expected: tuple[tuple[str, ...], str] = (), "a control character"
    if not mailboxes._CONTROL.search(text):
        expected = mailboxes._Scanner(text, cut=False).read()
    assert expected == header_mailboxes(text.encode())


def test_too_many_addresses() -> None:
    """The first thousand count, and it is said that there are more."""
    exact = b",".join(b"u%d@x.example" % at for at in range(MAX_ADDRESSES))
    assert "" == header_mailboxes(exact)[1]
    for more in (exact + b",z@x.example", exact + b",(c)z@x.example"):
        found, why = header_mailboxes(more)
        assert MAX_ADDRESSES == len(found)
        assert "more than 1000" in why


def test_too_many_bytes() -> None:
    """Up to the cap mailboxes count, but not the one that the cap cuts."""
    raw = b"a@x.example, " + b"B" * MAX_BYTES + b" <b@y.example>"
    assert (("a@x.example",), f"longer than {MAX_BYTES} bytes") == header_mailboxes(raw)
    cut_in_address = b"a@x.example, " + b"b" * (MAX_BYTES - 22) + b"@y.example.org"
    assert ("a@x.example",) == header_mailboxes(cut_in_address)[0]


@given(st.binary(max_size=200))
def test_never_raises_on_bytes(raw: bytes) -> None:
    """Any bytes have an answer, and every address in it has two sides."""
    found, _ = header_mailboxes(raw)
    assert all("@" in address.strip("@") for address in found)


@given(st.text(alphabet='ab@<>"(),:;\\[]. \t\n\u00e4', max_size=40))
def test_never_raises_on_specials(text: str) -> None:
    """The same for texts made of the characters that have a meaning."""
    found, why = header_mailboxes(text.encode())
    assert found or why or not text.strip(' \t\n",') or ":" in text or "(" in text or '"' in text or "," in text


@pytest.mark.parametrize(
    "raw",
    [
        b" " * MAX_BYTES + b"x",
        b'"' * MAX_BYTES,
        b"(" * MAX_BYTES,
        b"<" * MAX_BYTES,
        b"a " * (MAX_BYTES // 2),
        b"a" * MAX_BYTES,
        b'"a" ' * (MAX_BYTES // 4),
        b"a@" * (MAX_BYTES // 2),
        b"\n " * (MAX_BYTES // 2),
        b"@a," * (MAX_BYTES // 3),
        b"<@a," * (MAX_BYTES // 4) + b">",
        b"a@b.c," * (MAX_BYTES // 6),
        b"x <" + b"@a," * (MAX_BYTES // 4) + b">",
        b"x@" + b"\xc3\xbc." * (MAX_BYTES // 4),
        b"(\\" * (MAX_BYTES // 2),
        b'<"' * (MAX_BYTES // 2),
    ],
    ids=lambda raw: repr(raw[:4]),
)
def test_linear_time(raw: bytes) -> None:
    """64 KiB of the worst take a fraction of a second."""
    begin = time.process_time()
    header_mailboxes(raw)
    assert time.process_time() - begin < 0.5


def test_a_strange_host_name() -> None:
    """A host name that DNS would not have still says which address is meant."""
    assert (("a@-x-.example",), "") == header_mailboxes(b"a@-x-.example")
