"""Addresses and logins in the one form in which they are compared.

Promises: linear time, no exception on any text, one form for each address (folding twice changes nothing), and that the
last `@` of a folded address is the one before its domain. Refuses to judge whether an address exists or is well formed:
what can't be taken apart is only put into lower case.
"""

from __future__ import annotations

import re

from tidegate.conditions.domains import WHITE, fold_domain, is_domain
from tidegate.conditions.mailboxes import MAX_ADDRESSES, MAX_BYTES, header_mailboxes
from tidegate.model import Conventions

__all__ = [
    "MAX_ADDRESSES",
    "MAX_BYTES",
    "fold_address",
    "fold_domain",
    "fold_login",
    "header_mailboxes",
    "is_domain",
    "split_address",
]

_PLAIN = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]++@[A-Za-z0-9_-]++(?:\.[A-Za-z0-9_-]++)*\Z")
_ROUTE = re.compile(r"@[^@:,]++(?:,@[^@:,]++)*:")  # RFC 5321 appendix C: @a,@b:user@c
_QUOTED = re.compile(r'"([^"\\]*+(?:\\.[^"\\]*+)*)"\Z', re.DOTALL)
_SPECIAL = re.compile(r'[@:<>,;()\[\]"\\]')
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def split_address(text: str) -> tuple[str, str] | None:
    """(localpart, domain) at the last `@`; None where there is none or one side is empty."""
    local, at, domain = text.rpartition("@")
    return (local, domain) if at and local and domain else None


def fold_address(text: str, conventions: Conventions) -> str:
    """The form in which addresses are compared: no brackets, no source route, no case, the domain as A-labels.

    With a recipient delimiter (one or several characters, as in Postfix's recipient_delimiter) the tag goes too. A
    localpart is quoted only where it must be, so that `"a"@b` and `a@b` are one. A text without `@` is only put into
    lower case.
    """
    if _PLAIN.match(text) is not None:
        text = text.lower()
        if not conventions.recipient_delimiter:
            return text
        local, _, domain = text.rpartition("@")
        return f"{_untagged(local, conventions.recipient_delimiter)}@{domain}"
    text = _unrouted(_unbracketed(text.strip(WHITE)))
    parts = split_address(text)
    if parts is None:
        return text.lower()
    local, domain = parts
    quoted = _QUOTED.match(local)
    if quoted is not None:
        local = _ESCAPED.sub(r"\1", quoted[1])
    local = _untagged(local.lower(), conventions.recipient_delimiter)
    if not local or _SPECIAL.search(local) or local != local.strip(WHITE):
        local = '"' + local.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{local}@{fold_domain(domain)}"


def fold_login(text: str, conventions: Conventions) -> str:
    """A login without case, completed with the default realm where it has none."""
    text = text.strip(WHITE).lower()
    if text and "@" not in text and conventions.default_realm:
        return f"{text}@{conventions.default_realm.lower()}"
    return text


def _unbracketed(text: str) -> str:
    """`text` without one pair of angle brackets; two pairs are nobody's address."""
    if text.startswith("<") and text.endswith(">"):
        inner = text[1:-1].strip(WHITE)
        if not (inner.startswith("<") and inner.endswith(">")):
            return inner
    return text


def _unrouted(text: str) -> str:
    route = _ROUTE.match(text)
    if route is not None:
        rest = text[route.end() :].strip(WHITE)
        if "@" in rest and not rest.startswith("@"):
            return rest
    return text


def _untagged(local: str, delimiters: str) -> str:
    """The localpart before its first delimiter; one that begins with a delimiter has no tag (Postfix split_addr)."""
    for at, character in enumerate(local if delimiters else ""):
        if character in delimiters:
            return local[:at] if at else local
    return local
