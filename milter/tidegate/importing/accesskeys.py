"""The keys of an access table, each as a test of ours.

Source: access(5), regexp_table(5), pcre_table(5), cidr_table(5).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from tidegate.importing.actions import Effect
from tidegate.importing.words import Value
from tidegate.importing.writing import some

_PATTERN = re.compile(r"(!?)([/!|~^%])(.*)\2([a-zA-Z]*)")
_OCTETS = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){0,3}")
_PAIRS = re.compile(r"[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){1,7}")
_DOMAIN = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*")
_LOCALPART = re.compile(r"[^\s@]+")
_NEVER = "`.example.com` is never looked up where `example.com` covers what is below it, which is Postfix's default"


class Subject(Enum):
    """What a table is asked about."""

    SENDER = "sender"
    RECIPIENT = "recipient"
    CLIENT = "client"
    HELO = "helo"


@dataclass(frozen=True, slots=True)
class Key:
    """One key: the field that it tests, its items in a list of `kind` ("": it is no list), and its action."""

    line: int
    text: str
    effect: Effect
    field: str
    items: tuple[str, ...]
    kind: str = ""
    test: Value = ""  # where it is no list


def indexed_key(line: int, text: str, effect: Effect, subject: Subject, _table: str) -> Key | str:
    """A key of a table that is asked with ever less of the address, or why it can't be translated."""
    key = text.lower()
    if subject is Subject.CLIENT and (network := _network(key)):
        return Key(line, key, effect, "client.ip", (_cidr(network),), "ip")
    if key.startswith("."):
        return _NEVER
    if subject in (Subject.CLIENT, Subject.HELO):
        if not _DOMAIN.fullmatch(key):
            return "it is neither a name nor an address"
        if key == "unknown" and subject is Subject.CLIENT:  # the name of a client that has none
            return Key(line, key, effect, "client.name", (key,), test={"client.name": {"exists": False}})
        if subject is Subject.CLIENT:
            return Key(line, key, effect, "client.name", (key, f".{key}"), "domain")
        return Key(line, key, effect, "client.helo", (key,), test={"client.helo": {"glob": [key, f"*.{key}"]}})
    field = f"{'rcpt' if subject is Subject.RECIPIENT else 'sender'}.address"
    if key == "<>":
        if subject is Subject.RECIPIENT:
            return "no recipient is the null address"
        return Key(line, key, effect, "sender.null", (key,), test={"sender.null": True})
    local, at, domain = key.rpartition("@")
    if not at and _DOMAIN.fullmatch(key):
        return Key(line, key, effect, field, (f"@{key}", f"@.{key}"), "address")
    if at and _LOCALPART.fullmatch(local) and (not domain or _DOMAIN.fullmatch(domain)):
        return Key(line, key, effect, field, (key,), "address")
    return "it is no address, domain or localpart"


def ordered_key(line: int, text: str, effect: Effect, subject: Subject, table: str) -> Key | str:
    """A key of a table that is read from the top."""
    if table == "cidr":
        if subject is not Subject.CLIENT:
            return "networks are of clients"
        network = _cidr(text)
        return Key(line, text, effect, "client.ip", (network,), "ip") if network else "it is no network"
    found = _PATTERN.fullmatch(text)
    if found is None:
        return "it is no pattern between slashes"
    if found[4] not in ("", "i"):
        return f"the flags {found[4]} have no equal"
    field = {
        Subject.SENDER: "sender.address",
        Subject.RECIPIENT: "rcpt.address",
        Subject.CLIENT: "client.name",
        Subject.HELO: "client.helo",
    }[subject]
    pattern = f"(?-i){found[3]}" if found[4] else found[3]  # `i` makes case count: it is ignored without
    test: Value = {field: {"matches": pattern}}
    return Key(line, text, effect, field, (pattern,), test={"not": test} if found[1] else test)


def identity(key: Key) -> str:
    """Its text as it is looked up; of a network its canonical form."""
    return key.items[0] if key.kind == "ip" else key.text


def more_general(key: Key) -> list[str]:
    """The identities of the keys that are looked up after this one, for all that it covers. Of an indexed table."""
    if key.kind == "ip":
        return _networks_around(key.items[0])
    local, at, domain = key.text.rpartition("@")
    if at and not domain:
        return []
    parents = [domain] if at else []
    while "." in domain:
        domain = domain.partition(".")[2]
        parents.append(domain)
    return [*parents, f"{local}@"] if at else parents


def looked_up_last(key: Key) -> bool:
    """Is every name or domain looked up before it? A client's address, and a localpart."""
    return key.kind == "ip" or key.text.endswith("@")


def asked_by(keys: Sequence[Key], subject: Subject, anybody: bool = False, named: str = "") -> Value:
    """One test for all of them; `anybody`: of any recipient; `named`: by the list of that name."""
    tests: list[Value] = []
    for field in dict.fromkeys(key.field for key in keys if key.kind):
        items = [item for key in keys if key.field == field and key.kind for item in key.items]
        tests.append({field: {"in": named or items}})
    tests += [key.test for key in keys if not key.kind]
    if anybody:
        tests = [_of_any(test) for test in tests]
    return some(tests)


def _of_any(test: Value) -> Value:
    """A test of `rcpt.address` as one of any recipient."""
    assert isinstance(test, dict)
    if "not" in test:
        return {"any_rcpt": {"not": {"address": test["not"]["rcpt.address"]}}}
    return {"any_rcpt": {"address": test["rcpt.address"]}}


def _network(key: str) -> str:
    """`192.0.2` is 192.0.2.0/24, `2001:db8` is 2001:db8::/32; "" where it is no address."""
    try:
        return str(ipaddress.ip_address(key))
    except ValueError:
        pass
    if _OCTETS.fullmatch(key):
        octets = key.split(".")
        return _cidr(".".join([*octets, *["0"] * (4 - len(octets))]) + f"/{8 * len(octets)}")
    if _PAIRS.fullmatch(key):
        return _cidr(f"{key}::/{16 * (key.count(':') + 1)}")
    return ""


def _cidr(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text.replace("[", "").replace("]", ""), strict=False))
    except ValueError:
        return ""


def _networks_around(network: str) -> list[str]:
    """The networks that a lookup would ask for next: one octet, or one pair of them, less each time."""
    found = ipaddress.ip_network(network, strict=False)
    step = 8 if found.version == 4 else 16
    around = range((found.prefixlen - 1) // step * step, 0, -step)
    return [str(found.supernet(new_prefix=length)) for length in around]
