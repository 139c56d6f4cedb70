"""Ways around a rule (P3): one address, login, header or word in other clothes is still what the rule means.

Postfix runs with the two settings under which the clothes are the most: percent hack and `!` for its own domain (its
default), bytes that are not UTF-8 in addresses; and with the one that our main.cf has against NUL.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.harness.client import Client, a_message
from tests.e2e.harness.site import ALICE, BOB, OpenSite, Site
from tests.e2e.harness.texts import SITE, a_rule, refuse, rules
from tests.e2e.test_snippets import main_cf

POLICY = rules(
    a_rule("sender", "{sender.domain: evil.example}", refuse()),
    a_rule("recipient", "{any_rcpt: {domain: [evil.example, b\u00fccher.example]}}", refuse()),
    a_rule("from", "{header.from.domain: evil.example}", refuse()),
    a_rule("header", "{header.x-bad: {exists: true}}", refuse()),
    a_rule("word", "{subject: {contains: secret}}", refuse()),
    a_rule("pattern", "{subject: {matches: '^hidden\\b'}}", refuse()),
)


@pytest.fixture(scope="module")
def site(open_site: OpenSite) -> Site:
    """One site for all of this module."""
    return open_site(
        {"10-site.yaml": SITE, "20.yaml": POLICY},
        postfix={
            "mydestination": "example.com",
            "local_recipient_maps": "",
            "smtputf8_enable": "no",
            "message_strip_characters": main_cf()["message_strip_characters"],
        },
    )


@pytest.fixture
def client(site: Site) -> Iterator[Client]:
    """Logged in."""
    with site.client() as one:
        yield one


def final(client: Client, sender: bytes, recipient: bytes, message: bytes) -> int:
    """The code at the dot; AssertionError where Postfix itself refuses something before."""
    for line in (b"MAIL FROM:" + sender, b"RCPT TO:" + recipient, b"DATA"):
        client.raw(line + b"\r\n")
        assert client.reply().code in (250, 354), line
    return client.finish(message).code


ADDRESSES = [
    b"<a@evil.example>",
    b"<A@EVIL.Example>",
    b"a@evil.example",
    b"<a@evil.example.>",
    b'<"a"@evil.example>',
    b'<"a b"@evil.example>',
    b"< a @evil.example >",
    b"<(a comment)a@evil.example>",
    b"<a@evil.example(a comment)>",
    b"<@relay.example:a@evil.example>",
    b"<@example.com:a@evil.example>",
    b"<a%evil.example@example.com>",
    b"<a%evil.example>",
    b"<evil.example!a>",
    b"<evil.example!a@example.com>",
    b'<"a@evil.example"@example.com>',
    b"<a@evil.example@example.com>",
    b"<\xe4\xff@evil.example>",
]


@pytest.mark.parametrize("address", ADDRESSES, ids=repr)
def test_an_address(client: Client, address: bytes) -> None:
    """As sender and as recipient, as somebody may type it."""
    assert 550 == final(client, address, b"<bob@example.net>", a_message("hello"))
    assert 550 == final(client, b"<alice@example.com>", address, a_message("hello"))


HEADERS = [
    b"From: a@evil.example",
    b"fROM:a@EVIL.example.",
    b"X-A: b\nFrom : a@evil.example",
    b"From:\n\ta@evil.example",
    b"From: b@ok.example\nFrom: a@evil.example",
    b"From: b@ok.example, a@evil.example",
    b"From: A group: b@ok.example, a@evil.example;",
    b'From: "b@ok.example" <a@evil.example>',
    b"From: a @ evil . example",
    b"From: A <a(b@)@evil.example>\nFrom: A <a(b)@evil.example(c)>",
    b"From: A <a@evil.example",
    b"From: <@ok.example:a@evil.example>",
    b"From: a@evil\0.example",
    b"From: =?utf-8?q?b=40ok=2Eexample?= <a@evil.example>",
    b"X-Bad: x",
    b"X-Bad:",
    b"X-Bad\t : x",
    b"x-bad:x",
    b"X-Bad\0: x",
    b"From somebody Mon Jan  1\nX-Bad: x",
    b"Subject: a secret",
    b"Subject : SECRET",
    b"Subject: first\nSubject: secret",
    b"Subject: =?utf-8?q?sec?=\n =?iso-8859-1?b?cmV0?=",
    b"Subject: a =?us-ascii*en?Q?=73ecret?=",
    b"Subject: =?utf-7?q?+AHM-ecret?=",
    b"Subject: se\0cret",
    b"Subject: \r\n hidden words",
    b"Subject:\thidden",
    b"Subject: =?utf-8?q??=hidden words",
]


@pytest.mark.parametrize("header", HEADERS, ids=repr)
def test_a_header(client: Client, header: bytes) -> None:
    """However it is written, folded, encoded, repeated."""
    assert 550 == final(client, b"<alice@example.com>", b"<bob@example.net>", header + b"\n\nbody\n")


@pytest.mark.parametrize("login", ["mallory", "MALLORY", "Mallory@Example.COM", "mallory@example.com"])
def test_a_login(site: Site, login: str) -> None:
    """With and without its realm, in any case."""
    assert 550 == site.send("hello", login=login, sender=ALICE, to=BOB).final.code


def test_an_international_domain(site: Site) -> None:
    """Its A-label is the same domain."""
    assert 550 == site.send("hello", to="bob@XN--Bcher-KVA.example").final.code
