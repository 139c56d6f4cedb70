"""The one sanitiser: whatever a text expands to becomes one safe line.

A reply is printable ASCII, at most 400 characters, its code, enhanced code and disposition of one class (RFC 5321
section 4.2, RFC 3463). A header value has no control characters and is RFC 2047 encoded where it isn't ASCII.
Doubling `%` for libmilter's setreply is front/'s.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from email.header import Header

from tidegate.conditions.placeholders import expand
from tidegate.model import Reply, ReplyTemplate, Template

MAX_REPLY = 400
MAX_HEADER = 900  # with its name below the 998 characters of RFC 5322 section 2.1.1
TEMPORARY = "Temporary failure in our policy check, please try again later"
UNINSPECTED = "This message can't be inspected"
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


def safe_text(text: str) -> str:
    """One line of printable ASCII, 1 to 400 characters; letters lose their accents, the rest becomes `?`."""
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text)
        text = "".join(c for c in text if not unicodedata.combining(c))
    text = _CONTROL.sub(" ", text)
    text = _UNPRINTABLE.sub("?", text).strip()
    if len(text) > MAX_REPLY:
        text = f"{text[: MAX_REPLY - 3]}..."
    return text or "-"


def make_reply(template: ReplyTemplate, values: Mapping[str, str]) -> Reply:
    """The reply of a rule, with its placeholders filled in."""
    return Reply(template.code, template.enhanced, safe_text(expand(template.text.text, values)))


def temporary(reference: str) -> Reply:
    """Our own deferral: one for every fault of ours and every doubt that will pass."""
    return Reply(451, "4.3.0", _with_reference(TEMPORARY, reference))


def uninspected(reference: str) -> Reply:
    """The refusal of `on_uninspected: reject` where the rule has no 5xx text of its own."""
    return Reply(550, "5.7.1", _with_reference(UNINSPECTED, reference))


def _with_reference(text: str, reference: str) -> str:
    return safe_text(f"{text} ({reference})" if reference else text)


def header_text(template: Template, values: Mapping[str, str]) -> str:
    """What a header text expands to: one line without control characters, at most 900 characters, not yet encoded."""
    return _CONTROL.sub(" ", expand(template.text, values))[:MAX_HEADER]


def header_value(template: Template, values: Mapping[str, str]) -> str:
    """A header value ready for the message: `header_text`, in encoded words where it isn't ASCII."""
    return encoded(header_text(template, values))


def encoded(text: str) -> str:
    """`text` as it may stand in a header (RFC 2047); long values are folded by newline and blank."""
    if text.isascii():
        return text
    return Header(text, "utf-8", maxlinelen=76).encode(linesep="\n")
