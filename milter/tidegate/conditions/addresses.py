"""Addresses, domains and logins in the one form in which they are compared, and the mailboxes of a header.

Promises: linear time, no exception on any bytes, and honesty: a header whose mailboxes can't be told with certainty is
unreadable, never half read. Refuses to guess what a mail program would make of it.

Theory. RFC 5322 section 3.4 lists mailboxes and groups. The fast path is a regular expression for what nearly all mail
has (`a@b`, `Name <a@b>`, `"Name" <a@b>`); everything else goes through one small tokenizer that knows quoted strings,
comments, angle brackets, groups, and nothing more.
"""

from __future__ import annotations

import re
from functools import lru_cache

from tidegate.model import Conventions

MAX_ADDRESSES = 1000
MAX_BYTES = 65536

_ATOM = rb"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]"
_PLAIN = re.compile(
    rb"\s*(?:(?:\"[^\"\\\x00<>@]*\"|[A-Za-z0-9!#$%&'*+/=?^_`{|}~. -]*?)\s*<(" + _ATOM + rb"+@[A-Za-z0-9.-]+)>"
    rb"|(" + _ATOM + rb"+@[A-Za-z0-9.-]+))\s*\Z"
)
_TOKEN = re.compile(r"\s+|[^\s\"()<>@,:;\[\]\\]+|[\"()<>@,:;\[\]\\]")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z")


@lru_cache(maxsize=4096)
def fold_domain(text: str) -> str:
    """Lower-case A-labels (RFC 5890) without a trailing dot; what IDNA can't encode stays as it is, lower case."""
    text = text.rstrip(".")
    if text.isascii():
        return text.lower()
    try:
        return text.lower().encode("idna").decode("ascii").lower()
    except UnicodeError:
        return text.lower()


def is_domain(text: str) -> bool:
    """Is `text` (folded) a host name, or an address literal as in RFC 5321 section 4.1.3?"""
    if text.startswith("[") and text.endswith("]"):
        return True
    return len(text) <= 253 and all(_LABEL.match(label) for label in text.split("."))


def split_address(text: str) -> tuple[str, str] | None:
    """(localpart, domain) at the last `@`; None where there is none or one side is empty."""
    local, at, domain = text.rpartition("@")
    return (local, domain) if at and local and domain else None


def fold_address(text: str, conventions: Conventions) -> str:
    """The form in which addresses are compared: no angle brackets, no source route, no case, domain as A-labels.

    With a recipient delimiter the tag goes too. A text without `@` is only folded.
    """
    text = text.strip()
    if text.startswith("<") and text.endswith(">"):
        text = text[1:-1]
    if text.startswith("@"):  # RFC 5321 appendix C: @a,@b:user@c
        text = text.partition(":")[2] or text
    parts = split_address(text)
    if parts is None:
        return text.lower()
    local, domain = parts
    if len(local) > 2 and local[0] == local[-1] == '"' and "\\" not in local:
        local = local[1:-1]
    delimiter = conventions.recipient_delimiter
    if delimiter and not local.startswith(delimiter):
        local = local.partition(delimiter)[0]
    return f"{local.lower()}@{fold_domain(domain)}"


def fold_login(text: str, conventions: Conventions) -> str:
    """A login without case, completed with the default realm where it has none."""
    text = text.strip().lower()
    if text and "@" not in text and conventions.default_realm:
        return f"{text}@{conventions.default_realm.lower()}"
    return text


def header_mailboxes(raw: bytes) -> tuple[tuple[str, ...], str]:
    """The addresses of one header value, as written, and why it can't be read ("" where it can)."""
    plain = _PLAIN.match(raw) if len(raw) < 1000 else None
    if plain is not None:
        return ((plain[1] or plain[2]).decode("ascii"),), ""
    if len(raw) > MAX_BYTES:
        return (), f"address header of more than {MAX_BYTES} bytes"
    if b"\0" in raw:
        return (), "NUL in an address header"
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return (), "address header is not UTF-8"
    return _Mailboxes(text).read()


class _Mailboxes:
    """The tokenizer's state: one mailbox at a time, until the header ends or stops making sense."""

    def __init__(self, text: str) -> None:
        self._tokens: list[str] = _TOKEN.findall(text)
        self._position = 0
        self._found: list[str] = []
        self._phrase: list[str] = []  # words before a bracket, or a bare addr-spec
        self._angle: str | None = None
        self._group = False

    def read(self) -> tuple[tuple[str, ...], str]:
        """All mailboxes, or the first reason why not."""
        while (token := self._next()) is not None:
            trouble = self._take(token)
            if trouble:
                return tuple(self._found), trouble
            if len(self._found) > MAX_ADDRESSES:
                return tuple(self._found), f"more than {MAX_ADDRESSES} addresses in one header"
        trouble = self._end_mailbox() or ("group without its end" if self._group else "")
        return tuple(self._found), trouble

    def _next(self) -> str | None:
        if self._position >= len(self._tokens):
            return None
        self._position += 1
        return self._tokens[self._position - 1]

    def _take(self, token: str) -> str:
        if token.isspace():
            if self._phrase and self._phrase[-1] != " ":
                self._phrase.append(" ")
            return ""
        if token == "(":
            return self._comment()
        if token == "<":
            return "two addresses in one mailbox" if self._angle is not None else self._bracket()
        if token in (",", ";", ":"):
            return self._separator(token)
        if token in (">", ")", "\\"):
            return f"a stray {token}"
        if self._angle is not None:
            return "text behind an address"
        if token == '"':
            return self._quoted(self._phrase)
        self._phrase.append(token)
        return ""

    def _separator(self, token: str) -> str:
        """A comma ends a mailbox, a colon begins a group (RFC 5322 section 3.4), a semicolon ends it."""
        if token == ":":
            if self._group or self._angle is not None or "@" in self._phrase:
                return "a stray colon"
            self._group, self._phrase = True, []
            return ""
        trouble = self._end_mailbox()
        if token == ";":
            if not self._group:
                return trouble or "a stray semicolon"
            self._group = False
        return trouble

    def _quoted(self, into: list[str]) -> str:
        text = ['"']
        while (token := self._next()) is not None:
            text.append(token)
            if token == "\\":
                text.append(self._next() or "")
            elif token == '"':
                into.append("".join(text))
                return ""
        return "quoted text without its end"

    def _comment(self) -> str:
        depth = 1
        while depth:
            token = self._next()
            if token is None:
                return "comment without its end"
            if token == "\\":
                self._next()
            depth += (token == "(") - (token == ")")
        return ""

    def _bracket(self) -> str:
        if "@" in self._phrase:
            return "an address before an address"
        inside: list[str] = []
        while (token := self._next()) is not None:
            if token == ">":
                self._angle = "".join(inside)
                return ""
            if token == '"':
                trouble = self._quoted(inside)
                if trouble:
                    return trouble
            elif token in ("<", "(", ")", "\\", ";") or token.isspace():
                return "an address that can't be read"
            else:
                inside.append(token)
        return "bracket without its end"

    def _end_mailbox(self) -> str:
        """One mailbox is complete: keep its address. An empty one (RFC 5322 section 4.4, obsolete) is nothing."""
        angle, phrase = self._angle, "".join(self._phrase).strip()
        self._angle, self._phrase = None, []
        if angle is None:
            if not phrase:
                return ""
            angle = phrase
        route, colon, rest = angle.partition(":")
        if colon and route.startswith("@"):
            angle = rest
        parts = split_address(angle)
        if parts is None or not _is_addr_spec(*parts):
            return "a mailbox without a readable address"
        self._found.append(angle)
        return ""


def _is_addr_spec(local: str, domain: str) -> bool:
    quoted = len(local) > 1 and local[0] == local[-1] == '"'
    return (quoted or not any(c in local for c in ' @,:;<>"\\[]')) and is_domain(fold_domain(domain))
