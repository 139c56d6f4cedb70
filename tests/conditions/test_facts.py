"""What each field holds: normalised, absent, or unreadable with its cause."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from tests.builders.transactions import NOW, FakeList, FakePolicies, a_transaction
from tidegate.conditions.facts import Facts
from tidegate.conditions.fields import FIELDS
from tidegate.conditions.headers import MAX_TEXT
from tidegate.model import Conventions, Doubt, ListKind, Reading, Recipient

OWN = {"own-domains": ("domain", ["example.com", ".example.com"])}
LOGINS = {
    "logins": (
        "map",
        {
            "alice@example.com": ["alice@example.com", "@sales.example.com"],
            "bob@example.com": ["example.com", ".example.com"],
            "robot@example.com": "robot-*@example.com",
        },
    )
}


def facts(policies: FakePolicies | None = None, **given: Any) -> Facts:
    """The facts of a_transaction(**given)."""
    return Facts(a_transaction(**given), FakePolicies() if policies is None else policies, NOW)


PLAIN_FIELDS: list[tuple[str, dict[str, Any], tuple[Any, ...]]] = [
    ("client.ip", {"client": "192.0.2.1"}, ("192.0.2.1",)),
    ("client.ip", {"client": "2001:DB8:0::1"}, ("2001:db8::1",)),
    ("client.ip", {"client": "IPv6:2001:db8::1"}, ("2001:db8::1",)),
    ("client.ip", {"client": "::ffff:192.0.2.1"}, ("192.0.2.1",)),
    ("client.ip", {"client": "fe80::1%eth0"}, ("fe80::1",)),
    ("client.ip", {"client": ""}, ()),
    ("client.net", {"client": "10.1.2.3"}, ("10.1.2.0/24",)),
    ("client.net", {"client": "2001:db8:1:2:3::4"}, ("2001:db8:1:2::/64",)),
    ("client.net", {"client": "::ffff:10.1.2.3"}, ("10.1.2.0/24",)),
    ("client.name", {"name": "Host.Example.com."}, ("host.example.com",)),
    ("client.name", {"name": "unknown"}, ()),
    ("client.name", {"name": "[192.0.2.1]"}, ()),
    ("client.helo", {"helo": "Some.Host"}, ("Some.Host",)),
    ("login", {"login": "Alice@Example.com"}, ("alice@example.com",)),
    ("login", {"login": ""}, ()),
    ("auth.type", {}, ("PLAIN",)),
    ("daemon.name", {}, ("ORIGINATING",)),
    ("tls.version", {"tls": ("", "")}, ()),
    ("sender.address", {"sender": "A@Example.COM"}, ("a@example.com",)),
    ("sender.domain", {"sender": "a@b@Example.COM"}, ("example.com",)),
    ("sender.localpart", {"sender": "Abc@example.com"}, ("abc",)),
    ("sender.localpart", {"sender": "root"}, ("root",)),
    ("sender.domain", {"sender": "root"}, ()),
    ("sender.address", {"sender": ""}, ()),
    ("sender.null", {"sender": ""}, (True,)),
    ("sender.null", {}, (False,)),
    ("rcpt.count", {"rcpt": ["a@x", "b@x"]}, (2,)),
    ("subject", {"headers": [("SUBJECT", "=?utf-8?q?Gr=C3=BC?=")]}, ("Grü",)),
    ("subject", {"headers": [("Subject", "one"), ("Subject", "two")]}, ("one", "two")),
    ("subject", {"headers": []}, ()),
    ("subject", {"headers": [("Subject", "")]}, ("",)),
    ("header.x-tag", {"headers": [("X-Tag", "a"), ("Other", "b"), ("x-tag", "c")]}, ("a", "c")),
    ("header.count", {"headers": [("A", "1"), ("B", "2")]}, (2,)),
    ("message.size", {"size": 77}, (77,)),
    ("header.from.address", {"headers": [("From", "A <A@X.example>, b@y.example")]}, ("a@x.example", "b@y.example")),
    ("header.from.address", {"headers": [("From", "a@x"), ("From", "b@y")]}, ("a@x", "b@y")),
    ("header.from.domain", {"headers": [("From", "a@x.example, b@x.example")]}, ("x.example",)),
    ("header.sender.address", {"headers": [("Sender", "s@x.example")]}, ("s@x.example",)),
    ("header.reply-to.domain", {"headers": [("Reply-To", "s@x.example")]}, ("x.example",)),
    ("disclosed.count", {"headers": [("To", "a@x, B <b@x>"), ("Cc", "A@x, c@y"), ("Bcc", "d@z")]}, (3,)),
    ("disclosed.count", {"headers": []}, (0,)),
    ("disclosed.count", {"headers": [("To", "undisclosed-recipients:;")]}, (0,)),
]


@pytest.mark.parametrize(("name", "given", "expected"), PLAIN_FIELDS, ids=lambda value: str(value)[:50])
def test_fields(name: str, given: dict[str, Any], expected: tuple[Any, ...]) -> None:
    """What a field holds in a message that can be read."""
    assert Reading(expected) == facts(**given).read(name)


def test_every_registered_field_is_read() -> None:
    """Each row of the registry has a reader, with and without a message, and each has the type it says."""
    for given in ({}, {"message": False}, {"headers": [], "client": "", "login": "", "sender": ""}):
        known = facts(**given)
        for row in FIELDS.values():
            reading = known.read_recipient(row.name, Recipient("a@x")) if row.recipient else known.read(row.name)
            for value in reading.values:
                expected = {"number": int, "boolean": bool}.get(row.type.value, str)
                assert expected is type(value), row.name


def test_an_unknown_field_is_a_bug() -> None:
    """The builder lets only registered names through."""
    with pytest.raises(KeyError):
        facts().read("no.such")


@pytest.mark.parametrize("client", ["unknown", "300.1.1.1", "010.0.0.1", "2001:::1", "1.2.3"])
def test_a_client_that_is_no_address_is_unreadable(client: str) -> None:
    """It is neither absent nor guessed."""
    known = facts(client=client)
    for name in ("client.ip", "client.net"):
        reading = known.read(name)
        assert () == reading.values
        assert reading.cause is not None
        assert Doubt.LASTING is reading.cause.doubt


def test_conventions_hold_for_values() -> None:
    """Tags and realms are treated as in lists."""
    policies = FakePolicies(conventions=Conventions(default_realm="example.com", recipient_delimiter="+"))
    known = facts(policies, login="Alice", sender="a+tag@example.com", headers=[("From", "a+x@example.com")])
    assert Reading(("alice@example.com",)) == known.read("login")
    assert Reading(("a@example.com",)) == known.read("sender.address")
    assert Reading(("a@example.com",)) == known.read("header.from.address")
    assert Reading(("b@x",)) == known.read_recipient("rcpt.address", Recipient("b+1@x"))


@pytest.mark.parametrize(
    ("name", "address", "expected"),
    [
        ("rcpt.address", "Bob@Example.NET", ("bob@example.net",)),
        ("rcpt.domain", "bob@Example.NET", ("example.net",)),
        ("rcpt.localpart", "Bob@example.net", ("bob",)),
        ("rcpt.domain", "postmaster", ()),
        ("rcpt.localpart", "postmaster", ("postmaster",)),
        ("rcpt.external", "bob@example.net", (True,)),
        ("rcpt.external", "bob@example.com", (False,)),
        ("rcpt.external", "bob@a.example.com", (False,)),
    ],
)
def test_recipient_fields(name: str, address: str, expected: tuple[Any, ...]) -> None:
    """A recipient's fields, with `own-domains`."""
    assert Reading(expected) == facts(FakePolicies(lists=OWN)).read_recipient(name, Recipient(address))


def test_without_own_domains_every_domain_is_external() -> None:
    """Nothing is internal where nobody said what is."""
    assert Reading((True,)) == facts().read_recipient("rcpt.external", Recipient("bob@example.com"))


FROM_RELAY = {"login": "", "client": "10.1.1.1"}
RELAY = {"relay-networks": ("ip", ["10.0.0.0/8"])}
DIRECTIONS: list[tuple[str, dict[str, Any], dict[str, Any], tuple[str, ...]]] = [
    ("local", {}, {"local": True, "login": ""}, ("local",)),
    ("login", OWN, {}, ("outbound",)),
    ("login, all own", OWN, {"rcpt": ["a@example.com"]}, ("internal",)),
    ("login, one external", OWN, {"rcpt": ["a@example.com", "b@example.net"]}, ("outbound",)),
    ("login, no own domains", {}, {"rcpt": ["a@example.com"]}, ("outbound",)),
    ("login, no recipient yet", OWN, {"rcpt": []}, ("outbound",)),
    ("no login", OWN, {"login": ""}, ("inbound",)),
    ("relay client", RELAY, FROM_RELAY, ("outbound",)),
    ("relay client, all own", {**RELAY, **OWN}, {**FROM_RELAY, "rcpt": ["a@example.com"]}, ("internal",)),
    ("other client", RELAY, {"login": "", "client": "192.0.2.1"}, ("inbound",)),
    ("no client", RELAY, {"login": "", "client": ""}, ("inbound",)),
    ("relay networks down", {"relay-networks": "down"}, {"login": ""}, ()),
    ("relay networks down, but a login", {"relay-networks": "down"}, {}, ("outbound",)),
    ("relay networks down, but local", {"relay-networks": "down"}, {"login": "", "local": True}, ("local",)),
    ("client unreadable", RELAY, {"login": "", "client": "?"}, ()),
    ("client unreadable, nobody asks", {}, {"login": "", "client": "?"}, ("inbound",)),
    ("own domains down", {"own-domains": "down"}, {}, ()),
    ("own domains down, but inbound", {"own-domains": "down"}, {"login": ""}, ("inbound",)),
    ("own domains of another type", {"own-domains": ("string", ["example.com"])}, {}, ()),
    ("login unreadable", {}, {"login": "", "unreadable": {"login": "not UTF-8"}}, ()),
    ("login unreadable, but a relay client", RELAY, {**FROM_RELAY, "unreadable": {"login": "?"}}, ("outbound",)),
    ("a recipient unreadable", OWN, {"rcpt": ["a@example.com"], "unreadable": {"rcpt": "not UTF-8"}}, ()),
    ("a recipient unreadable, one external", OWN, {"unreadable": {"rcpt": "not UTF-8"}}, ("outbound",)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("lists", "given", "expected"), [row[1:] for row in DIRECTIONS], ids=[row[0] for row in DIRECTIONS]
)
def test_direction(lists: dict[str, Any], given: dict[str, Any], expected: tuple[str, ...]) -> None:
    """Local, outbound, internal, inbound; unknown where a list that it needs can't be asked."""
    reading = facts(FakePolicies(lists=lists), **given).read("direction")
    assert expected == reading.values
    assert (reading.cause is None) is bool(expected)


def _from(*values: str | bytes) -> dict[str, Any]:
    return {"headers": [("From", value) for value in values]}


YES, NO, UNKNOWN, ABSENT = (True,), (False,), "unknown", ()
ALIGNED: list[tuple[str, str, dict[str, Any], Any]] = [
    ("own address", "sender.aligned", {}, YES),
    ("other address", "sender.aligned", {"sender": "ceo@example.com"}, NO),
    ("granted domain", "sender.aligned", {"sender": "x@sales.example.com"}, YES),
    ("grant is not for below", "sender.aligned", {"sender": "x@a.sales.example.com"}, NO),
    ("bare domain grant", "sender.aligned", {"login": "bob@example.com", "sender": "x@example.com"}, YES),
    ("dotted domain grant", "sender.aligned", {"login": "bob@example.com", "sender": "x@a.example.com"}, YES),
    ("glob grant", "sender.aligned", {"login": "robot@example.com", "sender": "robot-7@example.com"}, YES),
    ("glob grant does not fit", "sender.aligned", {"login": "robot@example.com", "sender": "robot@example.com"}, NO),
    ("login not in the map", "sender.aligned", {"login": "eve@example.com"}, NO),
    ("null sender", "sender.aligned", {"sender": ""}, YES),
    ("no login", "sender.aligned", {"login": ""}, ABSENT),
    ("no login, null sender", "sender.aligned", {"login": "", "sender": ""}, ABSENT),
    ("login unreadable", "sender.aligned", {"login": "", "unreadable": {"login": "?"}}, UNKNOWN),
    ("sender unreadable", "sender.aligned", {"sender": "", "unreadable": {"sender": "?"}}, UNKNOWN),
    ("quoted @", "sender.aligned", {"sender": '"alice@example.com"@evil.example'}, NO),
    ("from", "header.from.aligned", {}, YES),
    ("from, case", "header.from.aligned", _from("ALICE@EXAMPLE.COM"), YES),
    ("from, other", "header.from.aligned", _from("ceo@example.com"), NO),
    ("from, one of two", "header.from.aligned", _from("alice@example.com, ceo@example.com"), NO),
    ("from, all of two", "header.from.aligned", _from("alice@example.com, x@sales.example.com"), YES),
    ("two from, one other", "header.from.aligned", _from("alice@example.com", "ceo@example.com"), NO),
    ("two from, both covered", "header.from.aligned", _from("alice@example.com", "alice@example.com"), YES),
    ("no from", "header.from.aligned", {"headers": []}, ABSENT),
    ("no sender header", "header.sender.aligned", {}, ABSENT),
    ("reply-to", "header.reply-to.aligned", {"headers": [("Reply-To", "x@elsewhere.example")]}, NO),
    ("from without login", "header.from.aligned", {"login": ""}, ABSENT),
    ("from unreadable", "header.from.aligned", _from('"alice <alice@example.com>'), UNKNOWN),
    ("from part unreadable", "header.from.aligned", _from("alice@example.com, x"), UNKNOWN),
    ("from part unreadable, part other", "header.from.aligned", _from("ceo@example.com, x"), NO),
    ("address before bracket", "header.from.aligned", _from("ceo@example.com <alice@example.com>"), UNKNOWN),
    ("address before other bracket", "header.from.aligned", _from("alice@example.com <ceo@example.com>"), NO),
    ("encoded address before own", "header.from.aligned", _from("=?utf-8?q?ceo=40x?= <alice@example.com>"), YES),
    ("encoded address before other", "header.from.aligned", _from("=?utf-8?q?alice=40example.com?= <e@y>"), NO),
    ("address in comment", "header.from.aligned", _from("alice@example.com (ceo@example.com)"), UNKNOWN),
    ("raw 8-bit in the address", "header.from.aligned", _from(b"alice\xff@example.com"), UNKNOWN),
    ("NUL", "header.from.aligned", _from(b"alice@example.com\0"), UNKNOWN),
    ("full-width at", "header.from.aligned", _from("x@evil.example\uff20example.com"), UNKNOWN),
    ("empty from", "header.from.aligned", _from(""), ABSENT),
    ("incomplete, covered so far", "header.from.aligned", {"complete": False}, UNKNOWN),
    ("incomplete, other", "header.from.aligned", {**_from("ceo@example.com"), "complete": False}, NO),
    ("incomplete, none so far", "header.sender.aligned", {"complete": False}, UNKNOWN),
]  # fmt: skip


@pytest.mark.parametrize(("name", "given", "expected"), [row[1:] for row in ALIGNED], ids=[row[0] for row in ALIGNED])
def test_aligned(name: str, given: dict[str, Any], expected: Any) -> None:
    """YES only if every mailbox is covered, NO if a readable one is not, unknown where it can't be told."""
    reading = facts(FakePolicies(lists=LOGINS), **given).read(name)
    assert expected == (UNKNOWN if reading.cause is not None and not reading.values else reading.values)
    if expected is UNKNOWN:
        assert reading.cause is not None
        assert Doubt.LASTING is reading.cause.doubt


@pytest.mark.parametrize("lists", [{}, {"logins": "down"}, {"logins": ("login", ["alice@example.com"])}])
def test_aligned_without_a_map(lists: dict[str, Any]) -> None:
    """Without a map that can be asked nothing is known; the null sender is aligned all the same."""
    policies = FakePolicies(lists=lists)
    for name in ("sender.aligned", "header.from.aligned"):
        reading = facts(policies).read(name)
        assert () == reading.values
        assert reading.cause is not None
        assert Doubt.PASSING is reading.cause.doubt
    assert Reading((True,)) == facts(policies, sender="").read("sender.aligned")


def test_disclosed_external() -> None:
    """Only those outside `own-domains` count; where it can't be asked, nothing is certain."""
    given: dict[str, Any] = {"headers": [("To", "a@example.com, b@x, c@x"), ("Cc", "d@sub.example.com, B@x")]}
    assert Reading((2,)) == facts(FakePolicies(lists=OWN), **given).read("disclosed.external_count")
    assert Reading((4,)) == facts(**given).read("disclosed.external_count")
    reading = facts(FakePolicies(lists={"own-domains": "down"}), **given).read("disclosed.external_count")
    assert (0,) == reading.values
    assert reading.cause is not None


def test_disclosed_is_a_lower_bound_where_a_part_is_unreadable() -> None:
    """What was counted for certain counts, with a cause."""
    reading = facts(headers=[("To", "a@x, b@x, c")]).read("disclosed.count")
    assert (2,) == reading.values
    assert reading.cause is not None
    many = ", ".join(f"u{at}@x" for at in range(3000))
    reading = facts(headers=[("To", many)]).read("disclosed.count")
    assert (1000,) == reading.values
    assert reading.cause is not None
    assert Doubt.LASTING is reading.cause.doubt


def test_many_headers_of_one_name_are_bounded() -> None:
    """The caps hold for all headers of a name together."""
    comment = "(" + "x" * 60000 + ")"
    reading = facts(headers=[("From", comment)] * 50 + [("From", "a@x")]).read("header.from.address")
    assert () == reading.values
    assert reading.cause is not None
    reading = facts(headers=[("X", "y" * 65536)] * 50).read("header.x")
    assert 16 == len(reading.values)
    assert reading.cause is not None


def test_an_incomplete_message() -> None:
    """Headers beyond the cap may hold anything: every header field has a lasting cause."""
    known = facts(complete=False, headers=[("Subject", "x")])
    for name, values in (("subject", ("x",)), ("header.x-none", ()), ("header.count", (1,)), ("disclosed.count", (0,))):
        reading = known.read(name)
        assert values == reading.values
        assert reading.cause is not None
        assert Doubt.LASTING is reading.cause.doubt
    assert Reading((1000,)) == known.read("message.size")


def test_before_the_message() -> None:
    """At RCPT the headers have not come: a doubt that passes."""
    known = facts(message=False)
    for name in ("subject", "header.from.address", "message.size", "header.count", "disclosed.count"):
        cause = known.read(name).cause
        assert cause is not None
        assert Doubt.PASSING is cause.doubt


def test_a_long_header_is_cut() -> None:
    """The readable part is there, with a cause, and is known as cut."""
    known = facts(headers=[("Subject", "short"), ("Subject", "x" * (MAX_TEXT + 1))])
    reading = known.read("subject")
    assert ("short", "x" * MAX_TEXT) == reading.values
    assert reading.cause is not None
    assert Doubt.LASTING is reading.cause.doubt
    assert ("x" * MAX_TEXT,) == known.cut["subject"]


@pytest.mark.parametrize(
    ("field", "names"),
    [
        ("client.helo", ["client.helo"]),
        ("client.ip", ["client.ip", "client.net"]),
        ("sender.address", ["sender.address", "sender.domain", "sender.localpart", "sender.null"]),
        ("sender", ["sender.address", "sender.domain", "sender.localpart", "sender.null"]),
        ("login", ["login", "sender.aligned", "direction"]),
        ("headers", ["header.x", "subject", "header.from.address", "header.count", "disclosed.count"]),
        ("header.subject", ["header.subject", "subject"]),
        ("header.to", ["disclosed.count", "disclosed.external_count"]),
        ("rcpt", ["rcpt.count"]),
    ],
)
def test_what_front_could_not_read(field: str, names: list[str]) -> None:
    """A thing that could not be read makes every field that depends on it unreadable, not absent."""
    known = facts(login="", sender="", client="", helo="", headers=[], unreadable={field: "not UTF-8"})
    for name in names:
        cause = known.read(name).cause
        assert cause is not None, name
        assert "not UTF-8" in cause.text


def test_a_login_that_can_not_be_read_is_one_all_the_same() -> None:
    """Somebody has logged in, so the mail goes outward, and the rules for that are asked."""
    known = facts(login="", unreadable={"login": "not UTF-8"})
    envelope = replace(known.transaction.envelope, auth_type="PLAIN")
    known = Facts(replace(known.transaction, envelope=envelope), known.policies, known.now)
    assert ("outbound",) == known.read("direction").values
    assert known.read("login").cause is not None


def test_folded_texts_are_kept() -> None:
    """Text tests share one case-folded reading."""
    known = facts(headers=[("Subject", "STRASSE"), ("Subject", "Straße")])
    assert ("strasse", "strasse") == known.folded("subject")
    assert known.folded("subject") is known.folded("subject")


_odd = st.text(st.characters(), max_size=20) | st.text('a@.<>":,\u00fc\uff20\u3002[]%/0129', max_size=20)
_headers = st.lists(
    st.tuples(st.sampled_from(["From", "To", "Cc", "Subject", "Sender", "X"]), st.binary(max_size=60)), max_size=4
)


@hypothesis_given(
    client=_odd, sender=_odd, login=_odd, rcpt=st.lists(_odd, max_size=2), name=_odd, helo=_odd, headers=_headers
)
def test_reading_never_raises(**given: Any) -> None:
    """Whatever a client sends, every field is read, is absent, or has a cause."""
    lists = {**OWN, **LOGINS, "relay-networks": ("ip", ["10.0.0.0/8", "::/1"])}
    for policies in (FakePolicies(lists=lists), FakePolicies(conventions=Conventions("r", "+-"))):
        known = facts(policies, **given)
        for row in FIELDS.values():
            if not row.recipient:
                known.read(row.name)
                known.folded(row.name)
                continue
            for recipient in known.transaction.envelope.recipients:
                known.read_recipient(row.name, recipient)
        known.read("header.x")


@pytest.mark.parametrize(
    ("stale", "doubted", "login", "expected"),
    [
        (False, ["alice"], "alice", True),
        (False, ["bob"], "bob", None),
        (False, [""], "bob", None),
        (False, [""], "alice", True),
        (False, ["bob"], "eve", False),
        (True, ["alice"], "alice", None),
        (True, [""], "alice", None),
        (True, ["other"], "alice", True),
        (True, [""], "bob", False),
    ],
    ids=[
        "another line allows it", "its line is bad", "a bad line of nobody knows whom", "that is not hers",
        "somebody else's is", "the last good map allows it", "nothing of it is repeated", "it is repeated",
        "the last good map refuses it",
    ],
)  # fmt: skip
def test_aligned_by_a_map_in_doubt(stale: bool, doubted: list[str], login: str, expected: bool | None) -> None:
    """Last good may refuse and not allow; a map without one of its lines the other way round."""
    logins = FakeList("logins", ListKind.MAP, {"alice": "alice@example.com"}, stale=stale, doubted=frozenset(doubted))
    reading = Facts(a_transaction(login=login), FakePolicies(lists={"logins": logins}), NOW).read("sender.aligned")
    assert expected == (None if reading.cause is not None else reading.values[0])
