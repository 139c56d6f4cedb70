"""The closed set of `{placeholders}` for replies and header values, and how they are filled in.

policy/ checks a text against this page at load; engine/ fills it in. Values come from the client and can hold
anything: making the result safe is engine/reply.py's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

PLACEHOLDERS: dict[str, str] = {
    "ref": "the reference that the log and `tidegate why` know",
    "rule": "the rule's id",
    "queue_id": "Postfix's queue id",
    "login": "the login",
    "client.ip": "the client's address",
    "client.name": "the client's host name",
    "sender.address": "the envelope sender",
    "sender.domain": "its domain",
    "rcpt.address": "the recipient (per_recipient rules), or the first one",
    "rcpt.count": "how many recipients",
    "subject": "the decoded subject",
    "message.size": "bytes",
    "direction": "local, outbound, internal or inbound",
}

OF_LIMITS: dict[str, str] = {
    "limit.name": "the limit that is exceeded",
    "limit.used": "how much of it was used before this message",
    "limit.max": "its maximum",
    "limit.retry": "when there is room again, e.g. `12 min`",
}
"""Placeholders of rules with `limits`."""

_PART = re.compile(r"\{\{|\}\}|\{([^{}\s]*)\}|[{}]")
_BRACES = {"{{": "{", "}}": "}"}


def names(text: str) -> tuple[list[str], bool]:
    """The placeholder names in `text`, and whether every brace belongs to one (`{{` and `}}` are braces)."""
    found: list[str] = []
    for part in _PART.finditer(text):
        if part[1] is not None:
            found.append(part[1])
        elif part[0] not in _BRACES:
            return found, False
    return found, True


def expand(text: str, values: Mapping[str, str]) -> str:
    """`text` with its placeholders filled in; a name without a value becomes `-`."""
    if "{" not in text and "}" not in text:
        return text
    return _PART.sub(lambda part: _BRACES.get(part[0]) or values.get(part[1] or "", "") or "-", text)
