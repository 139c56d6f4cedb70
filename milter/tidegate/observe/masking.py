"""What of a client's words may stand in a log line: masked where the settings ask for it, and always harmless.

Promises: after `harmless` a value can neither begin a line nor end its own quotes, in JSON and in logfmt, and moves no
terminal's cursor; after `masked` and `without_people` nobody can be written to. Never raises.
"""

from __future__ import annotations

import re

# Control characters, the line ends that only Unicode knows, and halves of surrogate pairs.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_ADDRESS = re.compile(r"[^\s<>()\[\],;:'\"=@]+@[^\s<>()\[\],;:'\"=@]+")
_ENTRY = re.compile(r"[^\s,:]+@[^\s,]*")


def masked(text: str) -> str:
    """`a***@example.com`: enough to recognise, too little to write to."""
    local, at, domain = text.rpartition("@")
    if not at:
        return f"{text[:1]}***" if text else ""
    return f"{local[:1]}***@{domain}"


def without_people(text: str, login: str = "") -> str:
    """A free text (a reply, a reason) with every address in it masked, and this login."""
    if "@" in text:
        text = _ADDRESS.sub(lambda found: masked(found[0]), text)
    if login and "@" not in login:
        text = re.sub(rf"(?<![\w.-]){re.escape(login)}(?![\w.-])", lambda _: masked(login), text, flags=re.IGNORECASE)
    return text


def without_entries(text: str, login: str = "") -> str:
    """The same for list entries: `user@` and `@domain` are addresses there, and a login may stand without its realm."""
    text = _ENTRY.sub(lambda found: masked(found[0]), text)
    for name in dict.fromkeys((login, login.partition("@")[0])):
        text = without_people(text, name) if name and "@" not in name else text
    return text


def harmless(text: str) -> str:
    r"""`text` as one log value: controls as `\x1b`, double quotes single, no backslash at the end.

    structlog's LogfmtRenderer escapes a quote but no backslash, so that `\"` in a value would end it for a reader.
    """
    if text.isprintable() and '"' not in text and not text.endswith("\\"):
        return text
    text = _UNSAFE.sub(_escaped, text).replace('"', "'")
    return f"{text[:-1]}/" if text.endswith("\\") else text


def _escaped(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
