"""Header values as text: unfolded, RFC 2047 decoded, never raising.

Promises: linear time, a best effort for whatever was sent (unknown charsets, raw 8-bit, broken encoded words), at most
MAX_TEXT characters. Refuses to call a header unreadable because it is ugly; only what is cut is in doubt.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from quopri import decodestring

MAX_TEXT = 65536

_WORD = re.compile(r"=\?([A-Za-z0-9_.:+-]{1,60})(?:\*[A-Za-z0-9-]*)?\?([bBqQ])\?([^? \t]*)\?=")
_BETWEEN = re.compile(r"(=\?[^? ]+\?[bBqQ]\?[^? \t]*\?=)\s+(?==\?[^? ]+\?[bBqQ]\?[^? \t]*\?=)")


def header_text(raw: bytes) -> tuple[str, bool]:
    """The text of one header value, and whether all of it is there (False: cut at MAX_TEXT)."""
    whole = len(raw) <= MAX_TEXT
    if not whole:
        raw = raw[:MAX_TEXT]
    try:
        text = raw.decode("ascii")
    except UnicodeDecodeError:
        text = _eight_bit(raw)
    if "\n" in text or "\r" in text or "\0" in text:
        text = text.replace("\r", "").replace("\n", "").replace("\0", "")
    if "=?" in text:
        text = _WORD.sub(_decode, _BETWEEN.sub(r"\1", text))
    return text.strip(" \t"), whole


def _eight_bit(raw: bytes) -> str:
    """UTF-8 where it is (RFC 6532), otherwise Latin-1, which reads any byte."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _decode(word: re.Match[str]) -> str:
    """One encoded word (RFC 2047 section 2); what can't be decoded stays as it was written."""
    charset, encoding, payload = word[1], word[2].lower(), word[3].encode("ascii", "ignore")
    try:
        if encoding == "b":
            data = b64decode(payload + b"=" * (-len(payload) % 4))
        else:
            data = decodestring(payload.replace(b"_", b" "), header=False)
        text = data.decode(charset, "replace")
    except (binascii.Error, ValueError, LookupError):
        return word[0]
    return text.replace("\r", "").replace("\n", " ").replace("\0", "")
