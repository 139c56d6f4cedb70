"""The header block of a message file, as a milter gets it from Postfix.

Promises: linear time, never raises, values stay the bytes that they are, with their line breaks as LF (Postfix hands
folded headers over so). Refuses to decode: conditions/headers.py does that for files and for live mail alike.
"""

from __future__ import annotations

import re

from tidegate.model import Message

# RFC 5322 section 2.2: printable ASCII without the colon; Postfix allows blanks before the colon (section 4.5).
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:")
_MBOX = b"From "


def read_message(data: bytes) -> Message:
    """Headers in order, and the size in bytes with CRLF line ends, as SMTP would carry it."""
    headers: list[tuple[str, list[bytes]]] = []
    lines = data.split(b"\n")
    size = len(data) + sum(not line.endswith(b"\r") for line in lines[:-1])
    for number, raw in enumerate(lines):
        line = raw.removesuffix(b"\r")
        if not line:
            break
        if line[:1] in (b" ", b"\t"):
            if headers:
                headers[-1][1].append(line)
            continue
        found = _FIELD.match(line)
        if found is None:
            if number == 0 and line.startswith(_MBOX):
                continue
            break  # Postfix takes what is no header for the begin of the body
        # libmilter hands the value over without the one blank behind the colon.
        headers.append((found[1].decode("ascii"), [line[found.end() :].removeprefix(b" ")]))
    return Message(tuple((name, b"\n".join(parts)) for name, parts in headers), size)
