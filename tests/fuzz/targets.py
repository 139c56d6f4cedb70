"""What is fuzzed: four doors through which hostile bytes come, each with what has to hold whatever the bytes are.

A target takes bytes and returns nothing. It raises AssertionError where a promise is broken; any other exception is a
finding too, since none of these doors may raise.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.builders.policies import NOW
from tests.builders.sessions import Front
from tidegate import image
from tidegate.conditions.headers import header_text
from tidegate.conditions.mailboxes import header_mailboxes
from tidegate.engine.reply import MAX_HEADER, encoded, header_value, make_reply, safe_text
from tidegate.model import Conventions, Reply, ReplyTemplate, Source, Template
from tidegate.policy.load import load

Target = Callable[[bytes], None]

_POLICY = b"""version: 1
lists:
  own-domains: {type: domain, items: [example.com]}
  logins: {type: map, items: {alice@example.com: [alice@example.com]}}
rules:
  - {id: spoof, when: {header.from.aligned: false}, do: {reject: {code: "553 5.7.1", text: "{rule} {subject}"}}}
  - {id: word, when: {subject: {matches: 'se+cret'}}, do: {hold: {reason: "{sender.address}"}}}
  - {id: label, when: {any_rcpt: {external: true}}, do: {set_header: {X-Label: "{subject}"}, prefix_subject: "[x] "}}
  - {id: at, per_recipient: true, when: {rcpt.localpart: nobody}, do: {reject: {code: "550 5.1.1", text: "no"}}}
  - {id: many, when: {disclosed.count: {gt: 3}}, do: {remove_rcpt: matched@example.net}}
...
"""
_REPLY_CODES = {0: "continue", 1: "reject", 2: "discard", 4: "tempfail", 7: "noreply"}  # mfapi.h, SMFIS_*


def _no_file(name: str) -> Source:
    return Source(name, error="No such file or directory")


def reader(data: bytes) -> None:
    """A policy file: an answer, and an image that can be built of it."""
    loaded = load([Source("a.yaml", data)], _no_file, Conventions(), NOW)
    for problem in loaded.problems:
        assert problem.place.source, problem
    image.Generation(image.build(loaded, 1))


def reply(data: bytes) -> None:
    """What placeholders expand to: one safe line."""
    text = data.decode("utf-8", "surrogateescape")
    for shown in (safe_text(text), make_reply(_TEMPLATE, {"subject": text}).text):
        assert shown.isascii(), shown
        assert shown.isprintable(), shown
        assert 1 <= len(shown) <= 400, len(shown)
    Reply(550, "5.7.1", safe_text(text))  # raises where code, class or text are not as they have to be
    value = header_value(Template("{subject}"), {"subject": text})
    assert value.isascii(), value
    assert all(line[:1] in (" ", "\t") for line in value.split("\n")[1:]), value
    assert "\r" not in value, value
    encoded(text[:MAX_HEADER].encode("utf-8", "replace").decode())


_TEMPLATE = ReplyTemplate(550, "5.7.1", Template("refused: {subject}"))


def headers(data: bytes) -> None:
    """A header's value, as text and as mailboxes."""
    text, _whole = header_text(data)
    assert not {*"\r\n\0"} & {*text}, text
    text.encode("utf-8")
    for address in header_mailboxes(data)[0]:
        assert not {*"\r\n\0"} & {*address}, address


def callbacks(data: bytes) -> None:
    """A session: whatever the order and the content of events, each answer is one that libmilter knows, a fault is no
    5xx, and after the last message nothing is left."""
    front = Front(_generation(), greet=False)
    for event in data.split(b"\xff"):
        _play(front, event[:1], event[1:])
    assert 0 == front.tally.counts["exception"], front.log.texts
    for line in front.lines():
        assert not (line["disposition"] == "fault" and str(line.get("reply")).startswith("5")), line


def _play(front: Front, letter: bytes, data: bytes) -> None:
    name, _, value = data.partition(b"\0")
    text = name.decode("utf-8", "replace")
    match letter:
        case b"C":
            answer = front.connect(text, (value.decode("utf-8", "replace"), 25) if value else None)
        case b"H":
            answer = front.helo(text)
        case b"M":
            answer = front.mail(text, value, login={"{auth_authen}": value.decode("utf-8", "replace")})
        case b"R":
            answer = front.rcpt(text, value)
        case b"L":
            answer = front.header(text or "X", value)
        case b"B":
            answer = front.event("body", data)
        case b"E":
            answer = front.end_of_message()
        case b"A":
            answer = front.event("abort")
        case b"Q":
            answer = front.event("close")
        case _:
            return
    assert answer in _REPLY_CODES, (letter, answer)


def _generation() -> image.Generation:
    global _built
    if _built is None:
        _built = image.Generation(image.build(load([Source("a.yaml", _POLICY)], _no_file, Conventions(), NOW), 1))
    return _built


_built: image.Generation | None = None

TARGETS: dict[str, Target] = {"reader": reader, "callbacks": callbacks, "reply": reply, "headers": headers}

SEEDS: dict[str, tuple[bytes, ...]] = {
    "reader": (_POLICY, b"version: 1\nrules:\n  - id: a\n    when: always\n    do: {bcc: a@b.example}\n...\n"),
    "callbacks": (
        b"\xff".join(
            (
                b"Cclient.example\x00192.0.2.7",
                b"Hclient.example",
                b"Malice@example.com\0alice@example.com",
                b"Rbob@example.net\0<bob@example.net>",
                b"LFrom\0Alice <alice@example.com>",
                b"LSubject\0=?utf-8?q?se=65cret?=",
                b"Btext",
                b"E",
            )
        ),
        b"Ma@b\xffRnobody@b\xffA\xffM\xffRx@example.net\xffLTo\0a@b, c@d, e@f, g@h\xffE\xffQ",
    ),
    "reply": (b"hello", "Grüße {ref} %s".encode(), b"\r\n550 no"),
    "headers": (b"=?utf-8?B?aGVsbG8=?= x", b'"A, B" <a@b.example> (c), g: d@e.example;', b"=?utf-7?q?+2D0-?="),
}
