"""Cases: a transaction as an admin writes it, in a rule's `examples:` and in scenario files.

A case says only what matters to it. What it leaves out is filled in here, once, so that a case means the same
everywhere: a sender that is the login where that is an address, one recipient outside, a client without a name.
Refuses to judge: trial/ makes a transaction of a case.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from tidegate.conditions.fields import FIELDS
from tidegate.model import Place
from tidegate.policy import elsewhere
from tidegate.policy.dates import read_moment
from tidegate.policy.findings import Findings, kind_of
from tidegate.policy.nodes import Mapping, Node, Scalar, Sequence, Tag
from tidegate.policy.suggest import did_you_mean, shown

DEFAULT_SENDER = "somebody@example.org"
DEFAULT_RECIPIENT = "somebody@example.net"
DEFAULT_CLIENT = "192.0.2.1"
UNAVAILABLE = "unavailable"

CASE_KEYS: dict[str, str] = {
    "sender": 'the envelope sender; "" or "<>" is the null sender',
    "rcpt": "one recipient, or a list",
    "login": "the SASL login",
    "auth_type": "the SASL mechanism",
    "client": "the client's address",
    "client_name": "the client's host name",
    "helo": "the name given in HELO",
    "daemon": "milter_macro_daemon_name",
    "tls": "the TLS version, e.g. TLSv1.3",
    "tls_cipher": "the cipher suite",
    "headers": "{NAME: TEXT or list of texts}, or a list of such maps where order matters",
    "subject": "short for the header Subject",
    "size": "the message's size in bytes",
    "message": "a file with a whole message, instead of headers",
    "local": "true: submitted by sendmail(1)",
    "lists": "{NAME: items}, instead of the policy's; `unavailable` for a list that can't be read",
    "limits": "{RULE/NAME: what is used of that limit}; `unavailable` where the count can't be asked; 0, if left out",
    "unreadable": "fields that are there but can't be read",
    "now": "the clock, e.g. 2027-06-30T18:00; now, if left out",
}
_TEXTS = ("login", "auth_type", "client_name", "helo", "daemon", "tls", "tls_cipher", "message")
_HEADER_NAME = re.compile(r"[!-9;-~]{1,200}\Z")


@dataclass(frozen=True, slots=True)
class CaseList:
    """A list as a case has it: items as written (a map's with their values), or that it can't be read."""

    name: str
    items: tuple[tuple[str, tuple[str, ...]], ...] = ()
    unavailable: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """A transaction as written. `now` is POSIX seconds; `size` None: as large as its headers; `sender` None: the login
    where that is an address, with the default realm if need be."""

    sender: str | None = None
    recipients: tuple[str, ...] = (DEFAULT_RECIPIENT,)
    login: str = ""
    auth_type: str = ""
    client: str = DEFAULT_CLIENT
    client_name: str = ""
    helo: str = ""
    daemon: str = ""
    tls: str = ""
    tls_cipher: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    size: int | None = None
    message: str = ""  # a path relative to the file in which the case stands
    local: bool = False
    lists: tuple[CaseList, ...] = ()
    limits: tuple[tuple[str, int | None], ...] = ()  # `RULE/NAME` or `NAME`; None: unavailable
    unreadable: tuple[str, ...] = ()
    now: float | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """One case of a rule, and whether the rule matches it."""

    expect_match: bool
    case: Case
    place: Place


EXAMPLE_KEYS: dict[str, str] = {"match": "cases that the rule matches", "no_match": "cases that it does not"}


def build_examples(node: Node, findings: Findings) -> tuple[Example, ...]:
    """`examples: {match: [CASE…], no_match: [CASE…]}`."""
    written = findings.mapping(node, "`examples`", "examples: {match: [{sender: a@example.com}]}")
    if written is None:
        return ()
    keys = findings.keys(written, "`examples`", EXAMPLE_KEYS)
    found: list[Example] = []
    for key, value in keys.items():
        items = findings.sequence(value, f"`{key}`")
        for item in items.items if items else ():
            case = build_case(item, findings)
            if case is not None:
                found.append(Example(key == "match", case, item.place))
    return tuple(found)


def build_case(node: Node, findings: Findings) -> Case | None:
    """One case; None after its problems were named."""
    written = findings.mapping(node, "a case", "{sender: a@example.com, rcpt: [b@example.net]}")
    if written is None:
        return None
    before = findings.errors()
    keys = findings.keys(written, "a case", CASE_KEYS, (), elsewhere.CASE_KEYS)
    texts = {key: findings.text(keys[key], f"`{key}`") or "" for key in _TEXTS if key in keys}
    client = _client(keys["client"], findings) if "client" in keys else DEFAULT_CLIENT
    headers = _headers(keys["headers"], findings) if "headers" in keys else []
    if "subject" in keys:
        headers += _subject(keys["subject"], findings)
    if "message" in keys and headers:
        findings.add("bad-value", "`message` brings its own headers; write either", keys["message"])
    recipients = findings.texts(keys["rcpt"], "`rcpt`") if "rcpt" in keys else None
    size = findings.whole(keys["size"], "`size`") if "size" in keys else None
    local = bool(findings.flag(keys["local"], "`local`")) if "local" in keys else False
    lists = _lists(keys["lists"], findings) if "lists" in keys else ()
    limits = _limits(keys["limits"], findings) if "limits" in keys else ()
    unreadable = _unreadable(keys["unreadable"], findings) if "unreadable" in keys else ()
    now = read_moment(keys["now"], "`now`", findings) if "now" in keys else None
    sender = _sender(keys["sender"], findings) if "sender" in keys else None
    if findings.errors() > before:
        return None
    return Case(
        sender=sender,
        recipients=tuple(text for text, _ in recipients) if recipients else (DEFAULT_RECIPIENT,),
        client=client,
        headers=tuple(headers),
        size=size,
        local=local,
        lists=lists,
        limits=limits,
        unreadable=unreadable,
        now=now.begin if now else None,
        **texts,
    )


def _sender(node: Node, findings: Findings) -> str:
    if isinstance(node, Scalar) and node.tag is Tag.TEXT and node.text in ("", "<>"):
        return ""
    return findings.text(node, "`sender`") or ""


def _client(node: Node, findings: Findings) -> str:
    text = findings.text(node, "`client`") or DEFAULT_CLIENT
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        findings.add("bad-item", f"`client`: {shown(text)} is not an address", node, cure="write e.g. 192.0.2.1")
        return DEFAULT_CLIENT


def _subject(node: Node, findings: Findings) -> list[tuple[str, str]]:
    if isinstance(node, Scalar) and node.tag is Tag.TEXT:
        return [("Subject", node.text)]  # empty, or of blanks alone, it is one too
    text = findings.text(node, "`subject`")
    return [] if text is None else [("Subject", text)]


def _headers(node: Node, findings: Findings) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for part in node.items if isinstance(node, Sequence) else (node,):
        written = findings.mapping(part, "`headers`", "headers: {X-Name: text}")
        for key, value in written.pairs if written else ():
            if not _HEADER_NAME.match(key.text):
                findings.add("bad-header-name", f"{shown(key.text)} is not a header name", key)
            found += [(key.text, text) for text in _header_texts(key.text, value, findings)]
    return found


def _header_texts(name: str, node: Node, findings: Findings) -> list[str]:
    found: list[str] = []
    for item in node.items if isinstance(node, Sequence) else (node,):
        if isinstance(item, Scalar) and item.tag is Tag.TEXT:
            found.append(item.text)  # an empty header is one too
        else:
            findings.text(item, f"the header {shown(name)}")
    return found


def _lists(node: Node, findings: Findings) -> tuple[CaseList, ...]:
    written = findings.mapping(node, "`lists`", "lists: {suspended: [alice]}")
    found: list[CaseList] = []
    for key, value in written.pairs if written else ():
        name = key.text
        if isinstance(value, Scalar) and value.text == UNAVAILABLE:
            found.append(CaseList(name, unavailable=True))
        elif isinstance(value, Mapping):
            rows = [(one.text, findings.texts(many, f"`{name}`") or ()) for one, many in value.pairs]
            found.append(CaseList(name, tuple((one, tuple(text for text, _ in many)) for one, many in rows)))
        elif isinstance(value, Sequence):
            texts = [findings.text(item, f"an item of `{name}`") or "" for item in value.items]
            found.append(CaseList(name, tuple((text, ()) for text in texts)))
        else:
            message = f"`{name}` is a list of items, a map or `{UNAVAILABLE}`, not {kind_of(value)}"
            findings.add("wrong-type", message, value)
    return tuple(found)


def _limits(node: Node, findings: Findings) -> tuple[tuple[str, int | None], ...]:
    written = findings.mapping(node, "`limits`", "limits: {rate-per-login/hour: 290}")
    found: list[tuple[str, int | None]] = []
    for key, value in written.pairs if written else ():
        if isinstance(value, Scalar) and value.text == UNAVAILABLE:
            found.append((key.text, None))
        else:
            found.append((key.text, findings.whole(value, f"{shown(key.text)}") or 0))
    return tuple(found)


_OTHERS = ("recipients", "headers")
"""What can be unreadable without being a field."""


def _unreadable(node: Node, findings: Findings) -> tuple[str, ...]:
    found: list[str] = []
    for text, where in findings.texts(node, "`unreadable`") or ():
        if text.lower() not in FIELDS and text not in _OTHERS and not text.lower().startswith("header."):
            near = did_you_mean(text, (*FIELDS, *_OTHERS))
            findings.add("unknown-field", f"there is no field {shown(text)}{near}", where)
        found.append(text.lower())
    return tuple(found)
