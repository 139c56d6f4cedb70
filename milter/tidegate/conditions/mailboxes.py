"""The mailboxes of an address header (RFC 5322 section 3.4), or why they can't be told.

Promises: linear time, no exception on any bytes, and honesty: an address is reported only if it certainly is a mailbox
of the header, and a header that may hold others comes with the reason. Refuses to guess what a mail program would make
of `a@x <b@y>`, of a quote that never ends, or of an address in a comment: the first has one certain mailbox (b@y) and
a doubt, the second none.

Theory. Nearly all headers are lists of `a@b`, `Name <a@b>` and `"Name" <a@b>`: one regular expression reads such a
mailbox up to its comma. All others go through a scanner that knows quoted strings, nested comments, angle brackets with
source routes, and groups. A mistake inside one mailbox costs that mailbox; one that leaves open where the next begins
ends the reading. Display names are never addresses, so encoded words in them are not looked into.
"""

from __future__ import annotations

import re

from tidegate.conditions.domains import WHITE, fold_domain, is_domain

MAX_ADDRESSES = 1000
MAX_BYTES = 65536

# For the end of a character class: its last character, the hyphen, must stay the last.
_ATEXT = rb"A-Za-z0-9!#$%&'*+/=?^_`{|}~.-"
_ADDRESS = rb"([" + _ATEXT + rb"]++@[A-Za-z0-9_-]++(?:\.[A-Za-z0-9_-]++)*)"
_NAME = rb"(?:\"[ !#-\[\]-~\x80-\xff]*+\" *+)?[ \t\x80-\xff" + _ATEXT + rb"]*+"
# Runs of one character class are possessive, so nothing is tried twice. Groups are not: before Python 3.11.5 a
# possessive group that fails inside leaves the matcher at a wrong place (gh-106052), and Debian 12 has 3.11.2.
_MAILBOX = re.compile(
    rb"[ \t]*+(?:\r?\n[ \t]++)?(?:" + _ADDRESS + rb"|" + _NAME + rb"<" + _ADDRESS + rb">)[ \t]*+(?:(,)|\Z)"
)

_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*"'
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n[ \t])|\n(?![ \t])")
_BLANK = re.compile(r"[ \t\r\n]++")
_ATOM = re.compile(r"[^ \t\r\n\"()<>@,:;\[\]\\]++")
_QUOTED = re.compile(_STRING, re.DOTALL)
_LITERAL = re.compile(r"\[[^\[\]\\\"<>]*+\]")
_ANGLE = re.compile(r'<([^<>"\\]*+(?:' + _STRING + r'[^<>"\\]*+)*)>', re.DOTALL)
_COMMENT_TEXT = re.compile(r"[^()\\]*+(?:\\.[^()\\]*+)*", re.DOTALL)
_ROUTE = re.compile(r"@[^@:,\s]++(?:,@[^@:,\s]++)*:")
_REMARK = re.compile(r"\([^()@\\]*+\)")
_LOOSE = re.compile(r" ?([@.]) ?")
_OPEN = re.compile(r"<([^<>()\"\\,:;]*+)\Z")
_LOCALPART = re.compile(rf'(?:{_STRING}|[^\s"(),:;<>@\[\]\\]++)\Z', re.DOTALL)


def header_mailboxes(raw: bytes) -> tuple[tuple[str, ...], str]:
    """The addresses of one header value, as written, and why there may be others ("" where all are known)."""
    found: list[str] = []
    position = 0
    if len(raw) <= MAX_BYTES:
        while (mailbox := _MAILBOX.match(raw, position)) is not None:
            if len(found) == MAX_ADDRESSES:
                return tuple(found), f"more than {MAX_ADDRESSES} addresses"
            found.append((mailbox[1] or mailbox[2]).decode("ascii"))
            if not mailbox[3]:
                return tuple(found), ""
            position = mailbox.end()
    # What is not UTF-8 becomes lone surrogates: harmless in a display name, never part of a readable address.
    text = raw[:MAX_BYTES].decode("utf-8", "surrogateescape")
    if _CONTROL.search(text):
        return (), "a control character"
    return _Scanner(text, cut=len(raw) > MAX_BYTES).read()


class _Scanner:
    """Where it stands in the text, and the mailbox that it is in."""

    def __init__(self, text: str, cut: bool) -> None:
        self._text = text
        self._cut = cut
        self._position = 0
        self._found: list[str] = []
        self._trouble = f"longer than {MAX_BYTES} bytes" if cut else ""
        self._words: list[str] = []  # a display name, or a bare address; a blank or comment is " "
        self._at = False  # an @ stands among the words
        self._angles = 0
        self._group = False

    def read(self) -> tuple[tuple[str, ...], str]:
        """All mailboxes that are certain, and the first reason why there may be others."""
        sure = True
        while sure and self._position < len(self._text) and len(self._found) <= MAX_ADDRESSES:
            sure = self._step()
        if sure and not self._cut:  # else the last mailbox may go on behind the cut
            self._end_mailbox()
            if self._group:
                self._doubt("group without its end")
        if len(self._found) > MAX_ADDRESSES:
            return tuple(self._found[:MAX_ADDRESSES]), f"more than {MAX_ADDRESSES} addresses"
        return tuple(self._found), self._trouble

    def _doubt(self, why: str) -> None:
        self._trouble = self._trouble or why

    def _stop(self, why: str) -> bool:
        self._doubt(why)
        return False

    def _step(self) -> bool:
        """One token. False: nobody can say where the next mailbox begins."""
        text, position = self._text, self._position
        token = _ATOM.match(text, position)
        if token is not None:
            return self._word(token.group())
        character = text[position]
        if character in WHITE:
            self._advance(_BLANK.match(text, position))
            self._words.append(" ")
            return True
        if character == '"':
            token = _QUOTED.match(text, position)
            return self._word(token.group()) if token is not None else self._stop("quoted text without its end")
        if character == "[":
            token = _LITERAL.match(text, position)
            return self._word(token.group()) if token is not None else self._stop("a stray [")
        if character == "(":
            return self._comment()
        if character == "<":
            return self._angle(_ANGLE.match(text, position))
        if character == "@":
            self._at = True
            return self._word("@")
        self._position += 1
        if character in ",;:":
            return self._separator(character)
        return self._stop(f"a stray {character}")

    def _advance(self, token: re.Match[str] | None) -> None:
        self._position = token.end() if token is not None else self._position + 1

    def _word(self, text: str) -> bool:
        self._position += len(text)
        if self._angles:
            self._doubt("text behind an address")
        self._words.append(text)
        return True

    def _comment(self) -> bool:
        """RFC 5322 section 3.2.2: comments nest. One that holds an address is read as one by some programs."""
        begin = self._position
        depth = 0
        while self._position < len(self._text):
            character = self._text[self._position]
            if character == "\\":
                break  # a backslash at the very end
            depth += 1 if character == "(" else -1
            self._position += 1
            if not depth:
                if "@" in self._text[begin : self._position]:
                    self._doubt("an address in a comment")
                self._words.append(" ")
                return True
            self._advance(_COMMENT_TEXT.match(self._text, self._position))
        return self._stop("comment without its end")

    def _angle(self, token: re.Match[str] | None) -> bool:
        if token is None:
            rest = _OPEN.match(self._text, self._position)  # read as if it had one: nothing else is in sight
            if rest is not None and not self._cut:
                self._keep(rest[1].strip(WHITE))
            return self._stop("bracket without its end")
        if self._at:
            self._doubt("an address before an address")
        if self._angles:
            self._doubt("two addresses in one mailbox")
        self._position = token.end()
        self._angles += 1
        self._keep(token[1].strip(WHITE))
        return True

    def _separator(self, character: str) -> bool:
        """A comma ends a mailbox, a colon begins a group (RFC 5322 section 3.4), a semicolon ends it."""
        if character == ":":
            if self._group or self._angles or self._at or not "".join(self._words).strip():
                return self._stop("a stray colon")
            self._group = True
            self._words.clear()
            return True
        self._end_mailbox()
        if character == ";":
            if not self._group:
                return self._stop("a stray semicolon")
            self._group = False
        return True

    def _end_mailbox(self) -> None:
        """Keep a bare address. An empty mailbox (RFC 5322 section 4.4, obsolete) is nothing."""
        text = "".join(self._words).strip(" ")
        if text and not self._angles:
            self._keep(text)
        self._words.clear()
        self._at, self._angles = False, 0

    def _keep(self, text: str) -> None:
        route = _ROUTE.match(text)
        if route is not None:
            text = text[route.end() :]
        tight = _tight(text)
        if tight != text:
            self._doubt("blanks or comments in an address")
            text = tight
        local, _, domain = text.rpartition("@")
        if _LOCALPART.match(local) and local.isprintable() and is_domain(fold_domain(domain)):
            self._found.append(text)
        else:
            self._doubt("a mailbox without a readable address")


def _tight(text: str) -> str:
    """An address without the blanks and comments around its dots and its @ (RFC 5322 section 4.4: to be accepted)."""
    if '"' in text:
        return text
    return _LOOSE.sub(r"\1", _BLANK.sub(" ", _REMARK.sub(" ", text))).strip(" ")
