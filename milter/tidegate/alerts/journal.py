"""Alerts in the journal, or in syslog: always, and by itself, since the decision log is often a file.

Promises: one datagram for a notification, with syslog's priority of its severity, and in the journal with fields to
search by (`journalctl TIDEGATE_KEY=…`); never waits; where neither takes it, it is lost: the log has it too.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Any

JOURNAL = "/run/systemd/journal/socket"  # systemd's native protocol, https://systemd.io/JOURNAL_NATIVE_PROTOCOL/
SYSLOG = "/dev/log"  # RFC 3164
_MAIL = 2 << 3  # syslog's facility
_PRIORITY = {"warning": 4, "error": 3, "critical": 2, "emergency": 1}  # 0 would write to every terminal
_NOTICE = 5
_FIELDS = ("key", "subject", "code", "place", "cure", "event", "status", "id")
_LIMIT = 8000  # bytes of a text: a datagram has to fit


def tell(values: Mapping[str, Any], journal: str = JOURNAL, syslog: str = SYSLOG) -> bool:
    """Was it taken?"""
    status = values.get("status")
    priority = _PRIORITY.get(str(values.get("severity")), _NOTICE) if status == "firing" else _NOTICE
    text = f"alert {values.get('event')}: {values.get('text')}"
    return _send(journal, _entry(priority, text, values)) or _send(syslog, _classic(priority, text))


def _entry(priority: int, text: str, values: Mapping[str, Any]) -> bytes:
    fields = {"MESSAGE": text, "PRIORITY": str(priority), "SYSLOG_IDENTIFIER": "tidegate", "SYSLOG_FACILITY": "2"}
    fields |= {f"TIDEGATE_{name.upper()}": str(values[name]) for name in _FIELDS if values.get(name)}
    return b"".join(name.encode() + b"=" + _line(value) + b"\n" for name, value in fields.items())


def _classic(priority: int, text: str) -> bytes:
    return f"<{_MAIL | priority}>tidegate[{os.getpid()}]: ".encode() + _line(text)


def _line(text: str) -> bytes:
    flat = "".join(one if one.isprintable() else "?" for one in text)
    return flat.encode("utf-8", "replace")[:_LIMIT]


def _send(path: str, data: bytes) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as link:
        link.setblocking(False)
        try:
            link.sendto(data, path)
        except OSError:
            return False
        return True
