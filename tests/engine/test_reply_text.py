"""The one sanitiser, and what placeholders stand for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders.transactions import NOW, FakePolicies, a_transaction
from tidegate.conditions.facts import Facts
from tidegate.conditions.placeholders import OF_LIMITS, PLACEHOLDERS, expand, names
from tidegate.engine.placeholders import Values
from tidegate.engine.reply import header_value, make_reply, safe_text, temporary, uninspected
from tidegate.model import Actions, Always, Recipient, ReplyTemplate, Rule, Template


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("Gr\u00fc\u00dfe", "Gru?e"),
        ("two\r\nlines\tand\x00more", "two lines and more"),
        ("100%", "100%"),
        ("\ud800", "-"),
        ("", "-"),
        (" \r\n ", "-"),
        ("\u65e5\u672c", "?"),
        ("x" * 500, "x" * 397 + "..."),
    ],
)
def test_safe_text(text: str, expected: str) -> None:
    """One line of printable ASCII, never empty, at most 400 characters."""
    assert expected == safe_text(text)


@given(st.text(alphabet=st.characters(), max_size=600))
def test_safe_text_of_anything(text: str) -> None:
    """Whatever the text."""
    safe = safe_text(text)
    assert safe.isascii()
    assert safe.isprintable()
    assert 0 < len(safe) <= 400


@given(st.text(max_size=300), st.dictionaries(st.sampled_from(sorted(PLACEHOLDERS)), st.text(max_size=600)))
def test_replies_and_headers_of_anything(text: str, values: dict[str, str]) -> None:
    """A reply is well-formed and a header value is one header, whatever text and values are."""
    make_reply(ReplyTemplate(550, "5.7.1", Template(text)), values)
    value = header_value(Template(text), values)
    assert value.isascii()
    assert "\r" not in value
    assert all(line[:1] in (" ", "\t") for line in value.split("\n")[1:])


def test_our_own_replies() -> None:
    """The reference is in them, where there is one."""
    assert "451 4.3.0 Temporary failure in our policy check, please try again later (R)" == str(temporary("R"))
    assert "451 4.3.0 Temporary failure in our policy check, please try again later" == str(temporary(""))
    assert "550 5.7.1 This message can't be inspected (R)" == str(uninspected("R"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no braces", "no braces"),
        ("{ref}", "R3F"),
        ("{login}", "-"),
        ("{unknown}", "-"),
        ("{{ref}}", "{ref}"),
        ("{{{ref}}}", "{R3F}"),
        ("a {{ b }} {ref}", "a { b } R3F"),
    ],
)
def test_expand(text: str, expected: str) -> None:
    """Placeholders are filled in, doubled braces are braces, what has no value is `-`."""
    assert expected == expand(text, {"ref": "R3F", "login": ""})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{ref} {rule}", (["ref", "rule"], True)),
        ("{{ref}}", ([], True)),
        ("{{{ref}}}", (["ref"], True)),
        ("{ref", ([], False)),
        ("ref}", ([], False)),
        ("{re f}", ([], False)),
    ],
)
def test_names(text: str, expected: tuple[list[str], bool]) -> None:
    """The names in a text, and whether every brace belongs to one."""
    assert expected == names(text)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ref", "R3F"),
        ("rule", "r"),
        ("queue_id", "4XyZ12abcd"),
        ("login", "alice@example.com"),
        ("client.ip", "192.0.2.10"),
        ("client.name", "client.example.com"),
        ("sender.address", "Alice@Example.com"),
        ("sender.domain", "Example.com"),
        ("rcpt.address", "bob@example.net"),
        ("rcpt.count", "1"),
        ("subject", "hello"),
        ("message.size", "1000"),
        ("direction", "outbound"),
    ],
)
def test_values(name: str, expected: str) -> None:
    """Every placeholder of the closed set, as the client wrote it."""
    facts = Facts(a_transaction(sender="Alice@Example.com"), FakePolicies(), NOW)
    assert expected == Values(Rule("r", Always(), Actions()), facts)[name]


def test_every_placeholder_has_a_value() -> None:
    """The closed set and its values are one; on an empty message nothing fails, and the null sender is `<>`."""
    empty = a_transaction(sender="", login="", rcpt=(), headers=(), client="", name="", message=False)
    values = Values(Rule("r", Always(), Actions()), Facts(empty, FakePolicies(), NOW))
    assert {*PLACEHOLDERS, *OF_LIMITS} == set(values)
    assert len(PLACEHOLDERS) + len(OF_LIMITS) == len(values)
    assert "<>" == values["sender.address"]
    assert all(isinstance(values[name], str) for name in values)


def test_the_recipient_of_a_per_recipient_rule() -> None:
    """`{rcpt.address}` is the one it is about."""
    facts = Facts(a_transaction(), FakePolicies(), NOW)
    assert (
        "eve@example.org" == Values(Rule("r", Always(), Actions()), facts, Recipient("eve@example.org"))["rcpt.address"]
    )
