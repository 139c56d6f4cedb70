"""A held message that a person has let go: it comes in again, and the rules that held it do not hold it once more.

The command that puts it back adds a header with a *pass*: whose message it was, which rules held it, until when the
pass counts, under an HMAC of a key in the state directory. The worker that judges it again reads whom it came from out
of the pass, and asks those rules without effect; all others judge it as they judge any message.

Promises: a pass counts for one sender, one set of recipients and one Message-ID, from this machine alone, for an hour;
who has seen one can have that message delivered once more to the same people, and nothing else. Refuses: deciding what
becomes of the message.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from tidegate import records

KEY = "release-key"  # in the state directory
HEADER = "X-Tidegate-Released"
LASTS = 3600.0  # seconds for which a pass counts
_FORMAT = b"tidegate-pass-1\0"
_WIDTH = 70  # characters of a folded line


@dataclass(frozen=True, slots=True)
class Pass:
    """Whom the message came from, and the rules that held it. Empty text: absent. `end` in POSIX seconds."""

    end: float
    rules: tuple[str, ...]
    login: str = ""
    auth_type: str = ""
    client_ip: str = ""
    client_name: str = ""
    helo: str = ""


def release_key(state: str | os.PathLike[str]) -> bytes:
    """The key, made where there is none, for the owner of the state directory. Raises OSError."""
    path = Path(state) / KEY
    try:
        return records.read(path)
    except (FileNotFoundError, records.DamagedError):
        records.write(path, secrets.token_hex(32).encode())
        owner = path.parent.stat()  # the daemon's account, which has to read what root wrote
        os.chown(path, owner.st_uid, owner.st_gid)
        return records.read(path)


def known_key(state: str | os.PathLike[str]) -> bytes:
    """The key; b"" where there is none that could be read: then no pass counts."""
    try:
        return records.read(Path(state) / KEY)
    except (OSError, records.DamagedError):
        return b""


def written(pass_: Pass, key: bytes, sender: str, recipients: Iterable[str], message_id: str) -> str:
    """The header's value, folded (RFC 5322 section 2.2.3)."""
    body = base64.b64encode(json.dumps(asdict(pass_), sort_keys=True).encode("ascii", "backslashreplace"))
    text = f"{body.decode('ascii')}.{_mac(key, body, sender, recipients, message_id)}"
    return "\n\t".join(text[at : at + _WIDTH] for at in range(0, len(text), _WIDTH))


def read_pass(
    value: bytes, key: bytes, sender: str, recipients: Iterable[str], message_id: str, now: float
) -> Pass | None:
    """The pass that a header's value is, for this message and now; None for anything else."""
    if not key:
        return None
    body, point, mac = b"".join(value.split()).partition(b".")
    expected = _mac(key, body, sender, recipients, message_id).encode()
    if not point or not hmac.compare_digest(expected, mac):
        return None
    try:
        fields = json.loads(base64.b64decode(body, validate=True))
        found = Pass(**{**fields, "rules": tuple(map(str, fields["rules"]))})
    except (ValueError, TypeError, KeyError):
        return None  # of another release
    return found if now < found.end <= now + LASTS else None


def _mac(key: bytes, body: bytes, sender: str, recipients: Iterable[str], message_id: str) -> str:
    people = "\0".join(sorted({one.lower() for one in recipients}))
    name = "".join(message_id.split())  # folded here, and not there
    bound = f"{sender.lower()}\n{people}\n{name}".encode("utf-8", "surrogateescape")
    return hmac.new(key, _FORMAT + body + b"\0" + bound, hashlib.sha256).hexdigest()
