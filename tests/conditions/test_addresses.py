"""Addresses, domains and logins have one form each, and folding finds it."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tidegate.conditions.addresses import fold_address, fold_domain, fold_login, is_domain, split_address
from tidegate.model import Conventions

PLAIN = Conventions()
TAGS = Conventions(recipient_delimiter="+")

ADDRESSES = {
    "plain": ("a@example.com", "a@example.com"),
    "case of both sides": ("Alice@Example.COM", "alice@example.com"),
    "trailing dot": ("a@example.com.", "a@example.com"),
    "brackets": ("<a@example.com>", "a@example.com"),
    "brackets and blanks": (" < a@example.com > ", "a@example.com"),
    "source route": ("@a.example,@b.example:c@example.com", "c@example.com"),
    "source route in brackets": ("<@a.example:c@example.com>", "c@example.com"),
    "quoted without need": ('"a"@example.com', "a@example.com"),
    "quoted with a blank inside": ('"a b"@example.com', "a b@example.com"),
    "an @ in the localpart is quoted": ("a@b@example.com", '"a@b"@example.com'),
    "and stays so": ('"a@b"@example.com', '"a@b"@example.com'),
    "quoted pair": (r'"a\b"@example.com', "ab@example.com"),
    "international domain": ("a@M\u00fcnchen.example", "a@xn--mnchen-3ya.example"),
    "international localpart is kept": ("J\u00fcrgen@example.com", "j\u00fcrgen@example.com"),
    "full-width at is not an at": ("x@a\uff20example.com", "x@a\uff20example.com"),
    "address literal": ("a@[192.0.2.1]", "a@[192.0.2.1]"),
    "no @": ("Root", "root"),
    "empty": ("", ""),
    "null sender": ("<>", ""),
    "tag is kept without a delimiter": ("a+tag@example.com", "a+tag@example.com"),
}


@pytest.mark.parametrize(("text", "expected"), ADDRESSES.values(), ids=ADDRESSES.keys())
def test_fold_address(text: str, expected: str) -> None:
    """An address has one form."""
    assert expected == fold_address(text, PLAIN)


@pytest.mark.parametrize(
    ("delimiter", "text", "expected"),
    [
        ("+", "a+tag@example.com", "a@example.com"),
        ("+", "a+b+c@example.com", "a@example.com"),
        ("+", "+a@example.com", "+a@example.com"),
        ("+-", "a-b+c@example.com", "a@example.com"),
        ("+", '"a+b"@example.com', "a@example.com"),
        ("+", "a+@example.com", "a@example.com"),
    ],
)
def test_tags_go_with_a_delimiter(delimiter: str, text: str, expected: str) -> None:
    """With recipient_delimiter the tag is not compared; each of its characters delimits, as in Postfix."""
    assert expected == fold_address(text, Conventions(recipient_delimiter=delimiter))


@given(st.text(max_size=40), st.sampled_from([PLAIN, TAGS]))
@example('"@a:b"@x', PLAIN)
@example("@a:@b:c@d", PLAIN)
@example("< <a> >", PLAIN)
@example("a@b\u3002", PLAIN)
@example('"a+ "@b', TAGS)
def test_fold_address_twice_changes_nothing(text: str, conventions: Conventions) -> None:
    """What is stored in a list and what is read from mail is folded to a fixed point."""
    once = fold_address(text, conventions)
    assert once == fold_address(once, conventions)


@given(st.text(alphabet='a@<>":,;\\+. [](){}\uff20\u3002\u00fc', max_size=20), st.sampled_from([PLAIN, TAGS]))
def test_fold_address_of_specials_twice_changes_nothing(text: str, conventions: Conventions) -> None:
    """The same for texts made of the characters that have a meaning."""
    once = fold_address(text, conventions)
    assert once == fold_address(once, conventions)


@given(st.text(max_size=60))
def test_fold_domain_twice_changes_nothing(text: str) -> None:
    """A folded domain is a fixed point, and never gains an @."""
    once = fold_domain(text)
    assert once == fold_domain(once)
    assert ("@" in text) or ("@" not in once)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        (".Example.com", ".example.com"),
        ("M\u00dcNCHEN.example", "xn--mnchen-3ya.example"),
        (".m\u00fcnchen.example", ".xn--mnchen-3ya.example"),
        ("XN--MNCHEN-3YA.example", "xn--mnchen-3ya.example"),
        ("a\u3002example", "a.example"),
        ("\u00fc" * 70 + ".example", "\u00fc" * 70 + ".example"),
        ("*.M\u00fcnchen.example", "*.xn--mnchen-3ya.example"),
        ("", ""),
    ],
)
def test_fold_domain(text: str, expected: str) -> None:
    """Domains are lower-case A-labels without a trailing dot; what IDNA refuses stays."""
    assert expected == fold_domain(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("example.com", True),
        ("localhost", True),
        ("_dmarc.example.com", True),
        ("[192.0.2.1]", True),
        ("[ipv6:2001:db8::1]", True),
        ("a..b", False),
        ("-a.example", False),
        ("", False),
        ("a b.example", False),
        ("[a b]", False),
        ("a." * 130 + "example", False),
    ],
)
def test_is_domain(text: str, expected: bool) -> None:
    """Host names and address literals."""
    assert expected is is_domain(text)


@pytest.mark.parametrize(
    ("text", "realm", "expected"),
    [
        ("Alice", "", "alice"),
        ("Alice", "Example.com", "alice@example.com"),
        ("alice@other.example", "example.com", "alice@other.example"),
        ("", "example.com", ""),
        (" bob ", "", "bob"),
    ],
)
def test_fold_login(text: str, realm: str, expected: str) -> None:
    """Logins have no case, and a realm if one is configured."""
    assert expected == fold_login(text, Conventions(default_realm=realm))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a@b", ("a", "b")), ("a@b@c", ("a@b", "c")), ("a", None), ("@b", None), ("a@", None)],
)
def test_split_address(text: str, expected: tuple[str, str] | None) -> None:
    """The last @ divides; both sides must be there."""
    assert expected == split_address(text)
