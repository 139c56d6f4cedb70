"""Our own mail, known again: a notification must not wait for the very policy of which it says that it is broken.

Where `non_smtpd_milters` names us, Postfix hands us what sendmail(1) submits, notifications of our own among it. Each
carries an HMAC of its Message-ID under a key of the state directory. Promises: only local mail from the null sender, to
recipients that a `sendmail` channel of the settings names, under our key, is ours: who copies the mark of a message can
write to those recipients, whom anybody may reach, and to nobody else. Refuses: deciding what becomes of it (front).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path

from tidegate import records
from tidegate.alerts.plan import AlertSettings, Kind

KEY = "mail-key"  # in the state directory
HEADER = "X-Tidegate-Notice"
_NAMES = (HEADER.lower(), "message-id")


def key(state: str | os.PathLike[str]) -> bytes:
    """The key, made where there is none. Raises OSError."""
    path = Path(state) / KEY
    try:
        return records.read(path)
    except (FileNotFoundError, records.DamagedError):
        records.write(path, secrets.token_hex(32).encode())
        return records.read(path)


def mark(key: bytes, message_id: str) -> str:
    """What stands in HEADER."""
    return hmac.new(key, message_id.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


class Own:
    """Knows our own mail, in a worker. Reads the key at each look: the clerk may have made it meanwhile."""

    def __init__(self, plan: AlertSettings, state: str) -> None:
        self._path = Path(state) / KEY
        self._recipients = tuple(
            target.lower() for one in plan.channels if one.kind is Kind.SENDMAIL for target in one.target
        )

    def __call__(self, headers: Sequence[tuple[str, bytes]], recipients: Iterable[str]) -> bool:
        """Is the local message with these headers, from the null sender, ours?"""
        if not self._recipients or not all(self._named(one.lower()) for one in recipients):
            return False
        found = {name: value for name, value in ((name.lower(), value) for name, value in headers) if name in _NAMES}
        if len(found) < len(_NAMES):
            return False
        try:
            own = records.read(self._path)
        except (OSError, records.DamagedError):
            return False
        expected = mark(own, _text(found["message-id"]))
        return hmac.compare_digest(expected.encode(), _text(found[HEADER.lower()]).encode())

    def _named(self, address: str) -> bool:
        """Does a channel name it? Postfix completes an address without a domain."""
        return address in self._recipients or address.partition("@")[0] in self._recipients


def _text(value: bytes) -> str:
    return value.decode("ascii", "replace").strip()
