"""List items: how each type is written, and under which keys a value is looked up.

Build time (`normalise`) and run time (`lookup_keys`) are on one page on purpose: an item is found if and only if its
key is one of the value's look-up keys, or its glob or pattern fits. The index uses the same keys.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from tidegate.conditions.addresses import fold_address, fold_domain, fold_login, is_domain, split_address
from tidegate.conditions.text import fold
from tidegate.model import Conventions, ListKind

_QUAD = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\Z", re.ASCII)
V6 = 128
"""Added to the prefix length of an IPv6 network, so that one number names family and length."""


class MemberForm(Enum):
    """How an item covers values: by its key, as a glob, as a pattern."""

    EXACT = "exact"
    GLOB = "glob"
    PATTERN = "pattern"


@dataclass(frozen=True, slots=True)
class Member:
    """One normalised item."""

    key: str
    form: MemberForm = MemberForm.EXACT


def normalise(kind: ListKind, text: str, conventions: Conventions) -> Member | str:
    """The item as it is stored, or what is wrong with it, for a person. Patterns are not checked here."""
    text = text.strip()
    if not text:
        return "the item is empty"
    if kind is ListKind.IP:
        return _network(text)
    if kind is ListKind.DOMAIN:
        return _domain(text)
    if kind is ListKind.ADDRESS:
        return _address(text, conventions)
    if kind is ListKind.REGEX:
        return Member(text, MemberForm.PATTERN)
    if kind is ListKind.STRING:
        return Member(fold(text))
    return Member(fold_login(text, conventions))


def _domain(text: str) -> Member | str:
    if "@" in text:
        return f"{text!r} is an address, not a domain"
    if "*" in text or "?" in text:
        return Member(fold_domain(text), MemberForm.GLOB)
    bare = fold_domain(text.removeprefix("."))
    if not is_domain(bare):
        return f"{text!r} is not a domain name"
    return Member(f".{bare}" if text.startswith(".") else bare)


def _address(text: str, conventions: Conventions) -> Member | str:
    local, at, domain = text.rpartition("@")
    if not at:
        return f"{text!r} has no @; write user@example.com, user@ (anywhere) or @example.com (all of it)"
    if "*" in text or "?" in text:
        return Member(f"{local.lower()}@{fold_domain(domain)}", MemberForm.GLOB)
    if domain and not is_domain(fold_domain(domain.removeprefix("."))):
        return f"{domain!r} is not a domain name"
    if not local:
        dot = "." if domain.startswith(".") else ""
        return Member(f"@{dot}{fold_domain(domain.removeprefix('.'))}") if domain else f"{text!r} covers nothing"
    if not domain:
        return Member(f"{local.lower()}@")
    return Member(fold_address(text, conventions))


def _network(text: str) -> Member | str:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return f"{text!r} is not an address or a network"
    if "/" in text and ipaddress.ip_network(text.partition("/")[0]).network_address != network.network_address:
        return f"{text!r} has bits set behind its prefix; write {network}"
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped:
        if network.prefixlen < 96:
            return f"{text!r} covers more than IPv4-mapped addresses"
        network = ipaddress.ip_network(f"{network.network_address.ipv4_mapped}/{network.prefixlen - 96}")
    return Member(str(network))


def prefix_of(key: str) -> int:
    """The number that names family and prefix length of a network key, e.g. 24, or 128+64 for an IPv6 /64."""
    length = int(key.rpartition("/")[2])
    return length + V6 if ":" in key else length


def lookup_keys(kind: ListKind, value: str, prefixes: Sequence[int] = ()) -> tuple[str, ...]:
    """Every key under which `value` (normalised as its field's readings are) can be found.

    `prefixes` are the prefix lengths that occur in the list (`prefix_of`); only addresses of the IP type use them.
    """
    if kind is ListKind.DOMAIN:
        return (value, *parents(value))
    if kind is ListKind.ADDRESS:
        return _address_keys(value)
    if kind is ListKind.IP:
        return _network_keys(value, prefixes)
    if kind is ListKind.STRING:
        return (fold(value),)
    return (value,)


def parents(domain: str) -> tuple[str, ...]:
    """`.example.com` and `.com` for a.example.com: the keys that cover everything below."""
    found = []
    dot = domain.find(".")
    while dot >= 0:
        found.append(domain[dot:])
        dot = domain.find(".", dot + 1)
    return tuple(found)


def _address_keys(value: str) -> tuple[str, ...]:
    parts = split_address(value)
    if parts is None:
        return (value,) if value else ()
    local, domain = parts
    return (value, f"{local}@", f"@{domain}", *(f"@{parent}" for parent in parents(domain)))


def _network_keys(value: str, prefixes: Sequence[int]) -> tuple[str, ...]:
    if "/" in value:  # client.net: found by itself, or by a wider network
        network = ipaddress.ip_network(value)
        own = network.prefixlen + (V6 if network.version == 6 else 0)
        return tuple(
            str(network.supernet(new_prefix=length % V6 if length > V6 or network.version == 6 else length))
            for length in prefixes
            if (length >= V6) == (network.version == 6) and length <= own
        )
    quad = _QUAD.match(value)
    if quad is None:
        number = int(ipaddress.IPv6Address(value))
        return tuple(_v6(number, length - V6) for length in prefixes if length >= V6)
    number = (int(quad[1]) << 24) | (int(quad[2]) << 16) | (int(quad[3]) << 8) | int(quad[4])
    return tuple(_v4(number, length) for length in prefixes if length < V6)


def _v4(number: int, length: int) -> str:
    masked = number >> (32 - length) << (32 - length)
    return f"{masked >> 24}.{masked >> 16 & 255}.{masked >> 8 & 255}.{masked & 255}/{length}"


def _v6(number: int, length: int) -> str:
    masked = number >> (128 - length) << (128 - length)
    return f"{ipaddress.IPv6Address(masked)}/{length}"


def glob_matches(pattern: str, text: str) -> bool:
    """`*` is any run of characters, `?` any one; both folded by the caller. No back-tracking beyond the last star."""
    at = mark = 0
    star = -1
    for_pattern = len(pattern)
    while at < len(text):
        place = mark
        if place < for_pattern and pattern[place] == "*":
            star, resume, mark = place, at, place + 1
        elif place < for_pattern and pattern[place] in ("?", text[at]):
            at, mark = at + 1, place + 1
        elif star >= 0:
            resume += 1
            at, mark = resume, star + 1
        else:
            return False
    return all(c == "*" for c in pattern[mark:])


def glob_expression(pattern: str) -> str:
    """The same as a regular expression source that fits the whole text."""
    middle = "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return f"^{middle}$"
