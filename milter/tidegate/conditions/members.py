"""List items: how each type is written, and under which keys a value is looked up.

Build time (`normalise`) and run time (`lookup_keys`) are on one page on purpose: an item is found if and only if its
key is one of the value's look-up keys, or its glob or pattern fits. The index uses the same keys.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache, partial

from tidegate.conditions.addresses import fold_address, fold_domain, fold_login, is_domain
from tidegate.conditions.domains import WHITE
from tidegate.conditions.text import fold
from tidegate.model import Conventions, ListKind

V6 = 128
"""Added to the prefix length of an IPv6 network, so that one number names family and length."""

MAX_ITEM = 1000
"""Characters of an item: no address, name or text that a message is compared with is longer."""

_OCTET = r"(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
QUAD = re.compile(rf"{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}\Z")
"""An IPv4 address as RFC 3986 section 3.2.2 writes it: decimal, no leading zeros."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_PLAIN = re.compile(rf"[A-Za-z0-9!#$%&'+/=^_`{{|}}~.-]+@{_LABEL}(?:\.{_LABEL})*\Z")
"""An address as nearly all are: neither quoted nor a glob, its domain a host name (RFC 1123 section 2.1)."""
_MAX_PLAIN = 253  # characters; then its domain is not too long either (RFC 1035 section 2.3.4)

_OWN_LABEL = _LABEL.replace("A-Z", "")
_OWN_NAME = rf"{_OWN_LABEL}(?:\.{_OWN_LABEL})*"

_LOCALPART = re.compile(r'(?:"[^"\\]*+(?:\\.[^"\\]*+)*"|[^\s"(),:;<>@\[\]\\]++)\Z')


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
    """The item as it is stored, or what is wrong with it, for a person. Patterns are not checked here.

    For a map this is the key; its values are `normalise_grant`'s.
    """
    text = text.strip(WHITE)
    if not text:
        return "the item is empty"
    if kind is ListKind.REGEX:
        return Member(text, MemberForm.PATTERN)
    if len(text) > MAX_ITEM:
        return f"the item has {len(text)} characters; at most {MAX_ITEM} are allowed"
    if kind is ListKind.ADDRESS and len(text) <= _MAX_PLAIN and _PLAIN.match(text):
        return Member(fold_address(text, conventions))  # a list of a hundred thousand is read in half the time
    if _CONTROL.search(text):
        return f"{text!r} holds a control character"
    if kind is ListKind.IP:
        return _network(text)
    if kind is ListKind.DOMAIN:
        return _domain(text)
    if kind is ListKind.ADDRESS:
        return _address(text, conventions)
    if kind is ListKind.STRING:
        return Member(fold(text))
    return Member(fold_login(text, conventions))


@lru_cache(maxsize=64)
def own_keys(kind: ListKind, conventions: Conventions) -> re.Pattern[str] | None:
    """Fits items that `normalise` would leave as they are, and that need no look at all; None: of this type none is.

    Nearly all items of long lists are such, and one expression tells it in a tenth of the time that normalising takes.
    """
    length = rf"(?=.{{1,{_MAX_PLAIN}}}\Z)"
    if kind is ListKind.ADDRESS:
        tags = conventions.recipient_delimiter
        local = "".join(re.escape(one) for one in _ATEXT if one not in tags)
        return re.compile(rf"{length}[{local}]+@{_OWN_NAME}\Z")
    if kind is ListKind.DOMAIN:
        return re.compile(rf"{length}\.?{_OWN_NAME}\Z")
    if kind in (ListKind.LOGIN, ListKind.MAP):
        realm = "" if conventions.default_realm else "?"
        return re.compile(rf"{length}[a-z0-9._+-]+(?:@[a-z0-9.-]+){realm}\Z")
    if kind is ListKind.STRING:
        return re.compile(rf"{length}[a-z0-9@._+-]+\Z")
    return None


_ATEXT = "abcdefghijklmnopqrstuvwxyz0123456789!#$%&'+/=^_`{|}~.-"
"""What a localpart may be made of (RFC 5322 section 3.2.3), without capitals and globs."""


def normalise_grant(text: str, conventions: Conventions) -> Member | str:
    """One value of the map `logins`: an address-list item, or a domain-list item that stands for all its addresses."""
    text = text.strip(WHITE)
    return normalise(ListKind.ADDRESS if "@" in text else ListKind.DOMAIN, text, conventions)


def grant_keys(address: str) -> tuple[str, ...]:
    """Every key of `normalise_grant` that covers a folded address."""
    keys = _address_keys(address, EVERY_SHAPE)
    return (*keys, *(key[1:] for key in keys[2:]))


def _domain(text: str) -> Member | str:
    if "@" in text:
        return f"{text!r} is an address, not a domain"
    if is_glob(text):
        return Member(fold_domain(text), MemberForm.GLOB)
    bare = fold_domain(text.removeprefix("."))
    if not is_domain(bare):
        return f"{text!r} is not a domain name"
    return Member(f".{bare}" if text.startswith(".") else bare)


def _address(text: str, conventions: Conventions) -> Member | str:
    if text.startswith("<") and text.endswith(">"):
        text = text[1:-1].strip(WHITE)
    local, at, domain = text.rpartition("@")
    if not at:
        return f"{text!r} has no @; write user@example.com, user@ (anywhere) or @example.com (all of it)"
    if not local and not domain:
        return "'@' covers nothing; write user@example.com, user@ (anywhere) or @example.com (all of it)"
    if is_glob(text):
        return Member(f"{local.lower()}@{fold_domain(domain)}", MemberForm.GLOB)
    if domain and not is_domain(fold_domain(domain.removeprefix("."))):
        return f"{domain!r} is not a domain name"
    if not local:
        dot = "." if domain.startswith(".") else ""
        return Member(f"@{dot}{fold_domain(domain.removeprefix('.'))}")
    if not _LOCALPART.match(local):
        return f"{text!r} is not an address; write only what stands between < and >"
    if domain.startswith("."):
        return f"{text!r} is one localpart below a domain; write the glob {local}@*{domain}"
    if not domain:
        return Member(fold_address(f"{local}@x", conventions).removesuffix("x"))
    return Member(fold_address(text, conventions))


def is_glob(text: str) -> bool:
    """Does an address or domain item hold a wildcard?"""
    return "*" in text or "?" in text


def _network(text: str) -> Member | str:
    if QUAD.match(text):
        return Member(f"{text}/32")
    address, slash, length = text.partition("/")
    try:
        network = ipaddress.ip_network(text, strict=False)
        bare = ipaddress.ip_address(address)
    except ValueError:
        return _not_a_network(text, address, length if slash else None)
    if isinstance(bare, ipaddress.IPv6Address) and bare.scope_id is not None:
        return f"{text!r} has a zone; write the address without %{bare.scope_id}"
    if bare != network.network_address:
        return f"{text!r} has bits set behind its prefix; write {network}"
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        return Member(_v4(int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
    return Member(str(network))


_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
"""IPv4 addresses in IPv6's notation (RFC 4291 section 2.5.5.2); they are compared as IPv4."""


def _not_a_network(text: str, address: str, length: str | None) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return f"{text!r} is not an address or a network; write 192.0.2.1, 10.0.0.0/8 or 2001:db8::/32"
    return f"{text!r} has the prefix length {length!r}; write a number from 0 to {parsed.max_prefixlen}"


def prefix_of(key: str) -> int:
    """The number that names family and prefix length of a network key, e.g. 24, or 128+64 for an IPv6 /64."""
    length = int(key.rpartition("/")[2])
    return length + V6 if ":" in key else length


WHOLE, LOCALPART, AT_DOMAIN, BELOW = 0, 1, 2, 3
"""The shapes of address and domain keys: the whole, `user@`, `@example.com`, `.example.com` with or without @."""

EVERY_SHAPE: Sequence[int] = range(V6 + 129)


def shape_of(kind: ListKind, key: str) -> int:
    """The shape of an item's key. A look-up has to make the keys of those shapes only that some item has."""
    if kind is _IP:
        return prefix_of(key)
    if kind is _DOMAIN:
        return BELOW if key.startswith(".") else WHOLE
    if kind is _ADDRESS:
        if key.startswith("@"):
            return BELOW if key.startswith("@.") else AT_DOMAIN
        return LOCALPART if key.endswith("@") else WHOLE
    return WHOLE


def shapes_of(kind: ListKind, keys: Iterable[str]) -> tuple[int, ...]:
    """All of their shapes, in order."""
    if kind in (_ADDRESS, _DOMAIN):
        keys = {key[:2] + key[-1:] for key in keys}  # the ends of these keys tell, and there are few different ones
    return tuple(sorted({shape_of(kind, key) for key in keys}))


# Names of this module: a member of an enumeration costs Python 3.11 as much as a dict look-up and a call.
_DOMAIN, _ADDRESS, _IP, _STRING = ListKind.DOMAIN, ListKind.ADDRESS, ListKind.IP, ListKind.STRING


def lookup_keys(kind: ListKind, value: str, shapes: Sequence[int] = EVERY_SHAPE) -> tuple[str, ...]:
    """Every key under which `value` (normalised as its field's readings are) can be found.

    `shapes` are those of the items that there are (`shape_of`): keys that nothing can stand under are left out. A value
    that is no address has no keys in a list of networks.
    """
    if kind is _DOMAIN:
        return (value, *parents(value)) if BELOW in shapes else (value,)
    if kind is _ADDRESS:
        return _address_keys(value, shapes)
    if kind is _IP:
        return _network_keys(value, tuple(shapes))
    if kind is _STRING:
        return (fold(value),)
    return (value,)


def keys_of(kind: ListKind | None, shapes: Sequence[int]) -> Callable[[str], Iterable[str]] | None:
    """`lookup_keys` for one kind and what items there are; None: the value is its only key. Kind None: a boolean."""
    if kind is None:
        return _boolean_keys
    if kind is _STRING:
        return lambda value: (fold(value),)
    if kind is _IP:
        return partial(_network_keys, prefixes=tuple(shapes))
    if (kind is _DOMAIN and BELOW in shapes) or (kind is _ADDRESS and tuple(shapes) != (WHOLE,)):
        return partial(lookup_keys, kind, shapes=shapes)
    return None


def _boolean_keys(value: object) -> tuple[str, ...]:
    return ("true",) if value else ("false",)


def parents(domain: str) -> tuple[str, ...]:
    """`.example.com` and `.com` for a.example.com: the keys that cover everything below.

    Without those that no item can have, being longer than MAX_ITEM: of a domain of 64 KB they would be megabytes.
    """
    found: list[str] = []
    longest = len(domain) - MAX_ITEM
    dot = domain.find(".", 1)
    for _ in range(127):  # a name has at most 127 labels (RFC 1035 section 2.3.4)
        if dot < 0:
            break
        if dot >= longest:
            found.append(domain[dot:])
        dot = domain.find(".", dot + 1)
    return tuple(found)


def _address_keys(value: str, shapes: Sequence[int]) -> tuple[str, ...]:
    if len(shapes) == 1 and shapes[0] == WHOLE:
        return (value,)
    local, at, domain = value.rpartition("@")
    if not at:
        return (value,) if value else ()
    keys = [value]
    if LOCALPART in shapes:
        keys.append(f"{local}@")
    if AT_DOMAIN in shapes or BELOW in shapes:
        keys.append(f"@{domain}")
    if BELOW in shapes:
        keys += [f"@{parent}" for parent in parents(domain)]
    return tuple(keys)


@lru_cache(maxsize=4096)
def _network_keys(value: str, prefixes: tuple[int, ...]) -> tuple[str, ...]:
    address, _, length = value.partition("/")  # client.net is found as itself, or by a wider network
    quad = QUAD.match(address)
    if quad is not None:
        number = (int(quad[1]) << 24) | (int(quad[2]) << 16) | (int(quad[3]) << 8) | int(quad[4])
        longest = int(length or 32)
        return tuple([_v4(number, one) for one in prefixes if one <= longest])
    try:
        number = int(ipaddress.IPv6Address(address))
    except ValueError:
        return ()
    longest = int(length or 128) + V6
    # 128 is the IPv6 /0; no IPv4 prefix is longer than 32.
    return tuple([_v6(number, one - V6) for one in prefixes if V6 <= one <= longest])


def _v4(number: int, length: int) -> str:
    masked = number >> (32 - length) << (32 - length)
    return f"{masked >> 24}.{masked >> 16 & 255}.{masked >> 8 & 255}.{masked & 255}/{length}"


def _v6(number: int, length: int) -> str:
    masked = number >> (128 - length) << (128 - length)
    return f"{ipaddress.IPv6Address(masked)}/{length}"


def glob_matches(pattern: str, text: str) -> bool:
    """`*` is any run of characters, `?` any one; both sides folded by the caller.

    What stands between two stars is looked for from where the one before ended: the first place is as good as any
    other. The searches are C's, so that a text made for a pattern costs little more than any text.
    """
    first, *rest = pattern.split("*")
    if not rest:
        return _fits(first, text)
    *middle, last = rest
    position, end = len(first), len(text) - len(last)
    if end < position or not _fits(first, text[:position]) or not _fits(last, text[end:]):
        return False
    for part in middle:
        if "?" in part:
            found = _one_any(part).search(text, position, end)
            position = -1 if found is None else found.start()
        else:
            position = text.find(part, position, end)
        if position < 0:
            return False
        position += len(part)
    return True


def _fits(part: str, text: str) -> bool:
    if "?" not in part:
        return part == text
    return len(part) == len(text) and all(one in ("?", other) for one, other in zip(part, text, strict=True))


@lru_cache(maxsize=1024)
def _one_any(part: str) -> re.Pattern[str]:
    return re.compile("".join("." if one == "?" else re.escape(one) for one in part), re.DOTALL)
