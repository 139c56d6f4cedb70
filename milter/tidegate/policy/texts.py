"""Texts with `{placeholders}`, checked at load: what can't be made one safe line is an admin's mistake.

The closed set itself is conditions/placeholders.py's, because engine/ fills it in and both must agree.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from tidegate.conditions.placeholders import OF_LIMITS, PLACEHOLDERS, expand, names
from tidegate.policy.suggest import did_you_mean, shown

__all__ = ["PLACEHOLDERS", "REFERENCE", "check_template", "expand", "with_reference"]

REFERENCE = "{ref}"
MAX_TEXT = 400
"""Characters of a reply once its placeholders are filled in (the sanitiser cuts there)."""

_GENEROUS = 40
"""Characters that one placeholder is reckoned with: an address or a host name of usual length."""


@lru_cache(maxsize=256)
def check_template(text: str, *, ascii_only: bool = True, limit: int = MAX_TEXT) -> str:
    """What is wrong with a text, for a person; "" where nothing is.

    `ascii_only` is for replies (RFC 5321 section 4.2 allows no other characters without SMTPUTF8); header values are
    encoded later. A policy has few texts that differ, so each is looked at once.
    """
    if not text.strip():
        return "the text is empty"
    if "\r" in text or "\n" in text:
        return "the text has a line break; write it as one line"
    if not text.isprintable() and any(unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") for one in text):
        return "the text holds a control character"
    if ascii_only and (left := _not_ascii(text)):
        return f"{shown(left)} can't be written in ASCII, and a reply has to be"
    found, closed = names(text)
    if not closed:
        return "a brace is left open; write {{ and }} for braces that are meant as such"
    for name in found:
        known = OF_LIMITS if name.startswith("limit.") else PLACEHOLDERS
        if name not in known:
            near = did_you_mean(name, known)
            return f"there is no placeholder {shown('{' + name + '}')}{near or '; there are ' + ', '.join(known)}"
    length = len(expand(text, dict.fromkeys(found, "x" * _GENEROUS)))
    if length > limit:
        return f"the text can grow to {length} characters; at most {limit} are allowed"
    return ""


def with_reference(text: str) -> str:
    """The text of a refusal with `{ref}` in it, so that whoever reads it can ask `tidegate why`."""
    return text if REFERENCE in text.replace("{{", "") else f"{text} ({REFERENCE})"


def _not_ascii(text: str) -> str:
    """The characters that are left when letters lose their accents."""
    if text.isascii():
        return ""
    plain = unicodedata.normalize("NFKD", text)
    return "".join(dict.fromkeys(one for one in plain if not one.isascii() and not unicodedata.combining(one)))
