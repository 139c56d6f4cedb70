"""Domain names in the one form in which they are compared: lower-case A-labels (RFC 5890) without a trailing dot.

Promises: linear time, no exception on any text, and that folding twice changes nothing. A-labels are made by the
standard library's codec (IDNA 2003: it maps `ß` to `ss`, which IDNA 2008 does not); policy and mail go through the same
function, so both sides agree. Refuses to turn into a domain what only looks like one after mapping: a full-width
commercial at (U+FF20) in a domain must not become the `@` that decides whose domain it is.
"""

from __future__ import annotations

import re
from functools import lru_cache

WHITE = " \t\r\n\f\v"
"""Blanks of RFC 5322 and their ASCII relatives; Unicode's blanks are characters like others."""

_MAX_NAME = 253  # RFC 1035 section 2.3.4, as text
_HOST = re.compile(r"[a-z0-9_*?-]++(?:\.[a-z0-9_*?-]++)*\Z")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z")
_LITERAL = re.compile(r"\[[0-9a-z:.-]{1,100}\]\Z")


@lru_cache(maxsize=4096)
def fold_domain(text: str) -> str:
    """Lower-case A-labels without a trailing dot; what IDNA can't encode stays as it is, in lower case.

    `*` and `?` of a glob and one dot before it (`.example.com`) are kept.
    """
    text = text.lstrip(WHITE).rstrip(f"{WHITE}.").lower()
    if text.isascii() or len(text) > _MAX_NAME:
        return text
    dot = "." if text.startswith(".") else ""
    try:
        name = text.removeprefix(".").encode("idna").decode("ascii").lower().rstrip(".")
    except UnicodeError:
        return text
    return f"{dot}{name}" if _HOST.match(name) else text


def is_domain(text: str) -> bool:
    """Is `text` (folded) a host name, or an address literal (RFC 5321 section 4.1.3)?"""
    if text.startswith("["):
        return _LITERAL.match(text) is not None
    return len(text) <= _MAX_NAME and all(_LABEL.match(label) for label in text.split("."))
