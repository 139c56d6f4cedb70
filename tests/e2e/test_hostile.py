"""Hostile mail: each gets one defined reply, memory stays bounded, and the next message is served."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness.client import Client, a_message, stuffed
from tests.e2e.harness.daemon import descendants
from tests.e2e.harness.postfix import until
from tests.e2e.harness.site import ALICE, BOB, OpenSite, Site
from tests.e2e.harness.texts import SITE, a_rule, on_subject, refuse, rules

EIGHT_BIT = bytes(range(0x80, 0x100))
POLICY = rules(
    on_subject("stop-me", refuse()),
    a_rule("words", "{subject: {matches: 'evil.*words'}}", refuse()),
    a_rule("reply-to", "{header.reply-to.domain: bad.example}", refuse()),
    a_rule("visible", "{disclosed.external_count: {gt: 5000}}", refuse()),
    a_rule("from", "{header.from.aligned: false}", "{add_header: {X-Unaligned: yes}}"),
    a_rule("label", "{direction: outbound}", "{add_header: {X-Seen: once}, prefix_subject: '[x] '}"),
)
LOGINS = "version: 1\nlists:\n  logins: {type: map, items: {alice@example.com: [alice@example.com]}}\n...\n"
MEMORY = 300_000  # KiB that one process of the daemon may have


@pytest.fixture(scope="module")
def shared(open_site: OpenSite) -> Site:
    """One site for all of this module; Postfix passes on whatever it can."""
    return open_site(
        {"10-site.yaml": SITE, "15-logins.yaml": LOGINS, "20.yaml": POLICY},
        postfix={"header_size_limit": "2000000", "line_length_limit": "65536", "message_size_limit": "40000000"},
    )


@pytest.fixture
def site(shared: Site) -> Iterator[Site]:
    """After each test: the workers are those of before, small, and serve."""
    before = shared.daemon.workers()
    yield shared
    assert 250 == shared.send("after it").final.code
    assert 550 == shared.send("stop-me after it").final.code
    assert sorted(before) == sorted(shared.daemon.workers())
    assert shared.daemon.process is not None
    family = [shared.daemon.process.pid, *descendants(shared.daemon.process.pid)]
    assert [] == [(pid, resident(pid)) for pid in family if resident(pid) > MEMORY]


def resident(pid: int) -> int:
    """KiB of a process in memory."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")), 0)


def header(name: bytes, value: bytes) -> bytes:
    """One header line."""
    return name + b": " + value + b"\n"


MESSAGES: dict[str, bytes] = {
    "10,000 headers": b"".join(header(b"X-H%d" % n, b"v") for n in range(10_000)) + b"\nx\n",
    "10,000 subjects": header(b"Subject", b"s") * 10_000 + b"\nx\n",
    "10,000 From": header(b"From", b"a@example.com") * 10_000 + b"\nx\n",
    "a header of 1 MB": header(b"X-Big", b"\n ".join([b"a" * 900] * 1_100)) + b"\nx\n",
    "a subject of 1 MB": header(b"Subject", b"\n ".join([b"evil " * 180] * 1_100)) + b"\nx\n",
    "a From of 1 MB": header(b"From", b",\n ".join([b"<a@example.com>" * 40] * 1_500)) + b"\nx\n",
    "a To of 10,000 addresses": header(b"To", b",\n ".join(b"u%d@example.net" % n for n in range(10_000))) + b"\nx\n",
    "1,000 nested comments": header(b"From", b"(" * 1_000 + b")" * 1_000 + b" a@example.com") + b"\nx\n",
    "an open comment": header(b"From", b"(" * 20_000) + b"\nx\n",
    "an open quote": header(b"Reply-To", b'"' + b"\\" * 20_001) + b"\nx\n",
    "8-bit in every field": b"".join(
        header(name, EIGHT_BIT) for name in (b"From", b"To", b"Cc", b"Sender", b"Reply-To", b"Subject", b"X-Any")
    )
    + b"\n"
    + EIGHT_BIT,
    "an 8-bit header name": b"X-\xe4\xff: x\nSubject: y\n\nx\n",
    "NUL bytes": header(b"Subject", b"a\0b\0") + header(b"From", b"a\0@example.com") + b"\nx\0y\n",
    "encoded words of nonsense": header(
        b"Subject", b"=?utf-8?b?////?= =?x?q?=ZZ?= =?utf-7?b?+?= =?utf-8?q?" + b"=?" * 500
    )
    + b"\nx\n",
    "an encoding of encodings": header(b"Subject", b" ".join([b"=?utf-8?q?=F0=9F?="] * 2_000)) + b"\nx\n",
    "an unknown charset": header(b"Subject", b"=?rot13?q?evil?= =?idna?q?x?= =?punycode?q?x?= =?zlib?b?x?=") + b"\nx\n",
    "no header at all": b"\nx\n",
    "no body": b"Subject: x\n",
    "nothing": b"",
    "From of the wrong shapes": header(b"From", b'@@@,,,;;;<<<>>>:::()()"""') + header(b"From", b"group:;") + b"\nx\n",
    "a line of 60,000": b"Subject: x\n\n" + b"y" * 60_000 + b"\n",
    "colons": b": x\n:\n::\nSubject\n\nx\n",
}


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES.keys())
def test_message(site: Site, message: bytes) -> None:
    """One reply at the dot, and it is none of ours that says 5xx without a rule."""
    with site.client() as client:
        outcome = client.send(ALICE, [BOB], message)
        assert outcome.replies[-1][0] == "dot"
        assert 1 == len(outcome.final.lines)
        assert outcome.final.code in (250, 451), outcome.final
        # The connection is good for the next one.
        assert 250 == client.send(ALICE, [BOB], a_message("next in session")).final.code


def test_a_pattern_finds_in_a_long_subject(site: Site) -> None:
    """Length alone does not hide a word."""
    subject = b"\n ".join([b"evil " * 100, *[b"x" * 900] * 20, b"words"])
    assert 550 == site.send(message=header(b"Subject", subject) + b"\nx\n").final.code


def test_10000_recipients(site: Site) -> None:
    """Each recipient is answered, the message gets one reply, and all of them get it."""
    recipients = [f"u{number}@example.net" for number in range(10_000)]
    with site.client() as client:
        client.command(f"MAIL FROM:<{ALICE}>")
        for start in range(0, len(recipients), 500):
            part = recipients[start : start + 500]
            client.raw("".join(f"RCPT TO:<{one}>\r\n" for one in part).encode())
            assert {250} == {client.reply().code for _ in part}
        client.command("DATA")
        assert 250 == client.finish(a_message("ten thousand")).code
    until(lambda: sum(len(one.recipients) for one in site.sink.holding("ten thousand")) == 10_000, "all got it", 60.0)


@pytest.mark.parametrize(
    "address",
    [
        "a" * 4_000 + "@example.net",
        "a@" + ".".join(["b" * 60] * 65),
        "a@" + "." * 200,
        '"' + "\\a" * 900 + '"@example.net',
        "@" * 300,
        "a@[IPv6:::1]",
        "a@xn--" + "9" * 50 + ".example",
        "\u00e4\u00f6\u00fc@b\u00fccher.example",
        "a@b@c@example.net",
        "<>",
        " ",
    ],
    ids=lambda address: address[:24].encode("ascii", "backslashreplace").decode(),
)
@pytest.mark.parametrize("place", ["sender", "recipient"])
def test_address(site: Site, address: str, place: str) -> None:
    """An address of any shape is Postfix's to refuse; what it accepts gets our one reply."""
    with site.client() as client:
        extra = "SMTPUTF8" if not address.isascii() else ""
        sender, recipient = (address, BOB) if place == "sender" else (ALICE, address)
        outcome = client.send(sender, [recipient], a_message("odd address"), extra)
        if outcome.replies[-1][0] == "dot":
            assert outcome.final.code in (250, 451), outcome.final
        client.command("RSET")
        assert 250 == client.send(ALICE, [BOB], a_message("next in session")).final.code


@pytest.mark.parametrize(
    "hello",
    [
        b"EHLO \xff\xfe\xe4",
        b"HELO " + b"x" * 2_000,
        b"EHLO [IPv6:zzz]",
        b"EHLO ..",
        b"EHLO a\tb",
        b"EHLO \xc3\xa4.example",
    ],
    ids=["8-bit", "2,000 letters", "a bad literal", "dots", "a tab", "UTF-8"],
)
def test_hello(site: Site, hello: bytes) -> None:
    """A HELO that is not UTF-8 is a field that can't be read, not a fault; an ordinary message passes."""
    with site.client() as client:
        client.command(hello)
        outcome = client.send(ALICE, [BOB], a_message("odd hello"))
        assert outcome.final.code in (250, 501, 503), outcome.final


@pytest.mark.parametrize("login", ["\u00e4@example.com", "x" * 1_500, "a b c", "%s%n{ref}", "'; --", "a@b@c"])
def test_login_of_odd_letters(site: Site, login: str) -> None:
    """A login is data: it is served, or Postfix refuses the XCLIENT."""
    encoded = "".join(
        f"+{byte:02X}" if byte <= 32 or byte in b"+=" or byte > 126 else chr(byte) for byte in login.encode()
    )
    with Client(site.submission) as client:
        if client.xclient(login=encoded, addr="192.0.2.7").good:
            outcome = client.send(ALICE, [BOB], a_message("odd login"))
            assert outcome.final.code in (250, 451), outcome.final


DROPS = ("connect", "hello", "mail", "rcpt", "data", "headers", "body", "dot")


@pytest.mark.parametrize("stage", DROPS)
def test_the_client_drops(site: Site, stage: str) -> None:
    """A client that goes away at any stage leaves nothing behind: no message, no session."""
    for _ in range(5):
        client = Client(site.submission)
        if stage != "connect":
            client.xclient(login=ALICE, addr="192.0.2.7")
        if stage not in ("connect", "hello"):
            client.command(f"MAIL FROM:<{ALICE}>")
        if stage not in ("connect", "hello", "mail"):
            client.command(f"RCPT TO:<{BOB}>")
        if stage in ("data", "headers", "body", "dot"):
            client.command("DATA")
        if stage in ("headers", "body"):
            client.raw(b"Subject: stop-me dropped\r\nX-Half: \r\n" + (b"\r\nhalf" if stage == "body" else b""))
        if stage == "dot":
            client.raw(stuffed(a_message("stop-me dropped")) + b".\r\n")
        client.close()
    until(lambda: sum(one["sessions"] for one in site.daemon.status()["workers"]) == 0, "no session is left", 20.0)
    assert [] == site.sink.holding("stop-me dropped")


def test_100_sessions_at_once(site: Site) -> None:
    """A hundred open sessions, each with a message: all are answered."""
    clients = [site.client() for _ in range(100)]
    try:
        for client in clients:
            client.envelope(ALICE, [BOB])
        assert {354} == {client.command("DATA").code for client in clients}
        for number, client in enumerate(clients):
            client.raw(stuffed(a_message(f"crowd {number}")) + b".\r\n")
        assert {250} == {client.reply().code for client in clients}
    finally:
        for client in clients:
            client.close()
