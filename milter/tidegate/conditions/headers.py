"""Header values as text: unfolded, RFC 2047 decoded, never raising.

Promises: linear time, a best effort for whatever was sent (unknown charsets, raw 8-bit, broken encoded words), no line
breaks and no NUL in the result, at most MAX_TEXT bytes read. Refuses to call a header unreadable because it is ugly;
only what is cut is in doubt.
"""

from __future__ import annotations

import binascii
import codecs
import re
from base64 import b64decode
from encodings.aliases import aliases
from quopri import decodestring

MAX_TEXT = 65536

# Charset, encoding, payload (RFC 2047 section 2). Blanks in a payload are against the RFC, and mail programs show them.
_WORD = re.compile(r"=\?([A-Za-z0-9_.:+-]{1,60})(?:\*[A-Za-z0-9-]{0,60})?\?([bBqQ])\?([^?]*+)\?=")
_LINES = re.compile(r"[\r\n\0]+")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")

# Only charsets: a codec that is no text encoding raises, these two take quadratic time, and a name that Python does not
# know would be looked for in the file system, once for each word of a hostile header.
_CHARSETS = (frozenset(aliases) | frozenset(aliases.values())) - {"idna", "punycode", "mbcs", "dbcs", "ansi", "oem"}
_RENAMED = {"utf_8": "utf-8", "unknown_8bit": "utf-8", "x_gbk": "gbk", "ks_c_5601_1987": "cp949", "gb2312": "gb18030"}


def header_text(raw: bytes) -> tuple[str, bool]:
    """The text of one header value, and whether all of it is there (False: cut at MAX_TEXT bytes)."""
    whole = len(raw) <= MAX_TEXT
    if not whole:
        raw = raw[:MAX_TEXT]
    text = raw.decode("ascii") if raw.isascii() else _eight_bit(raw, whole)
    if b"\n" in raw or b"\0" in raw or b"\r" in raw:
        text = _LINES.sub("", text)  # RFC 5322 section 2.2.3: the blank behind the line break stays
    if "=?" in text:
        text = _decoded(text)
    return text.strip(" \t"), whole


def _eight_bit(raw: bytes | bytearray, whole: bool = True) -> str:
    """UTF-8 where it is (RFC 6532), otherwise Latin-1, which reads any byte. A cut may have split a character."""
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(raw, final=whole)
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _decoded(text: str) -> str:
    """`text` with its encoded words decoded; those of one charset that follow each other are one text."""
    parts: list[str] = []
    charset, data = "", bytearray()
    position = 0
    for word in _WORD.finditer(text):
        between = text[position : word.start()]
        joined = bool(charset) and not between.strip(" \t")  # blanks between two words are not shown
        if not joined or charset != word[1].lower():
            parts.append(_characters(charset, data))
            charset, data = word[1].lower(), bytearray()
        if not joined:
            parts.append(between)
        data += _payload(word[2], word[3])
        position = word.end()
    parts.append(_characters(charset, data))
    parts.append(text[position:])
    return "".join(parts)


def _payload(encoding: str, payload: str) -> bytes:
    raw = payload.encode("utf-8")
    if encoding in "qQ":
        return decodestring(raw, header=True)
    raw = _NOT_BASE64.sub(b"", raw)
    if len(raw) % 4 == 1:  # six bits are no byte
        raw = raw[:-1]
    try:
        return b64decode(raw + b"=" * (-len(raw) % 4))
    except binascii.Error:
        return raw


def _characters(charset: str, data: bytearray) -> str:
    """The text of decoded words. An unknown charset is read as raw 8-bit text is."""
    if not data:
        return ""
    name = charset.replace("-", "_").replace(".", "_")
    if name in _RENAMED or name in _CHARSETS:
        try:
            text = data.decode(_RENAMED.get(name, name), "replace")
        except (ValueError, LookupError):  # a codec that is no charset, a decoder that refuses in spite of `replace`
            text = _eight_bit(data)
    else:
        text = _eight_bit(data)
    if text.isprintable():
        return text
    # UTF-7 can spell half of a surrogate pair, which no UTF-8 has.
    return _LINES.sub(" ", text.replace("\0", "")).encode("utf-8", "replace").decode("utf-8")
