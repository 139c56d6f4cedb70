"""Postfix's hold queue: what waits there, its envelope and content, and how it leaves.

Postfix ends the milters' turn where one of them says hold: those behind us never see the message. So `postsuper -H`
sends it on unsigned, and `postsuper -r` too, unless `non_smtpd_milters` names the signer (measured with Postfix 3.7). A
message that is to be signed has to come in anew, through a service that asks us and the signer (cli/held.py).

Promises: only reads, but for `drop`. Refuses: any queue but hold. Source: postqueue(1), postcat(1), postsuper(1).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tidegate.postfix.instance import UnreadableError, run, run_for_bytes

QUEUE_ID = re.compile(r"[A-Za-z0-9]{6,40}")
_NULL = "MAILER-DAEMON"  # how postqueue prints the null sender
_NOTIFY = ((1, "NEVER"), (2, "SUCCESS"), (4, "FAILURE"), (8, "DELAY"))  # Postfix's src/global/dsn_mask.h


@dataclass(frozen=True, slots=True)
class HeldMessage:
    """One message as `postqueue -j` lists it. `arrived` in POSIX seconds, `size` in bytes."""

    queue_id: str
    arrived: float
    size: int
    sender: str
    recipients: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HeldRecipient:
    """One recipient, with NOTIFY and ORCPT (RFC 3461 sections 4.1 and 4.2) as it came."""

    address: str
    notify: tuple[str, ...] = ()
    original: str = ""  # `rfc822;bob@example.net`


@dataclass(frozen=True, slots=True)
class HeldEnvelope:
    """What the queue file says of the transaction; `attributes` are those of the client and the login."""

    sender: str
    recipients: tuple[HeldRecipient, ...]
    attributes: Mapping[str, str] = field(default_factory=dict)


def held(directory: str = "") -> tuple[HeldMessage, ...]:
    """All that is in the hold queue, oldest first. Raises UnreadableError."""
    return tuple(sorted(listed(_text("postqueue", directory, "-j")), key=lambda one: (one.arrived, one.queue_id)))


def listed(output: str) -> Iterator[HeldMessage]:
    """The rows of the hold queue in what `postqueue -j` prints: one JSON object to a line."""
    for line in output.splitlines():
        try:
            row = json.loads(line)
            if row["queue_name"] == "hold":
                addresses = tuple(str(one["address"]) for one in row["recipients"])
                yield HeldMessage(
                    str(row["queue_id"]),
                    float(row["arrival_time"]),
                    int(row["message_size"]),
                    "" if row["sender"] == _NULL else str(row["sender"]),
                    addresses,
                )
        except (ValueError, KeyError, TypeError) as error:
            raise UnreadableError(f"postqueue -j printed what is no row of a queue: {line[:80]}") from error


def envelope(queue_id: str, directory: str = "") -> HeldEnvelope:
    """The envelope of one held message. Raises UnreadableError."""
    return envelope_in(_text("postcat", directory, "-qe", queue_id))


def envelope_in(output: str) -> HeldEnvelope:
    """What `postcat -e` prints. Raises UnreadableError for anything but a message of the hold queue."""
    if not re.match(r"\*\*\* ENVELOPE RECORDS (?:.*/)?hold/", output):
        raise UnreadableError("it is not in the hold queue")
    sender: str | None = None
    attributes: dict[str, str] = {}
    recipients: list[HeldRecipient] = []
    notify, original = 0, ""
    for line in output.splitlines():
        key, _, value = line.partition(": ")
        match key.strip():
            case "sender":
                sender = value.strip()
            case "named_attribute":
                name, _, text = value.partition("=")
                if name == "notify_flags":
                    notify = int(text) if text.isdigit() else 0
                elif name == "dsn_orig_rcpt":
                    original = text
                else:
                    attributes[name] = text
            case "recipient":
                named = tuple(word for bit, word in _NOTIFY if notify & bit)
                recipients.append(HeldRecipient(value.strip(), named, original))
                notify, original = 0, ""
    if sender is None or not recipients:
        raise UnreadableError("its envelope has no sender or no recipient left")
    return HeldEnvelope(sender, tuple(recipients), attributes)


def content(queue_id: str, directory: str = "") -> bytes:
    """Header and body of one message, byte for byte. Raises UnreadableError."""
    return _call("postcat", directory, "-qhb", queue_id)


def header(queue_id: str, directory: str = "") -> str:
    """The header alone, for a person. Raises UnreadableError."""
    return _text("postcat", directory, "-qh", queue_id)


def drop(queue_id: str, directory: str = "") -> None:
    """Delete it from the hold queue, and from no other. Raises UnreadableError where it is not there any more."""
    where = ["-c", directory] if directory else []
    done = run(["postsuper", *where, "-d", queue_id, "hold"])
    if done.returncode or "Deleted: 1 message" not in done.stderr:
        raise UnreadableError(done.stderr.strip() or f"{queue_id} is not in the hold queue any more")


def _text(program: str, directory: str, *arguments: str) -> str:
    return _call(program, directory, *arguments).decode("utf-8", "surrogateescape")


def _call(program: str, directory: str, *arguments: str) -> bytes:
    where = ["-c", directory] if directory else []
    done = run_for_bytes([program, *where, *arguments])
    if done.returncode:
        said = done.stderr.decode("utf-8", "backslashreplace").strip()
        raise UnreadableError(said or f"{program} ended with {done.returncode}")
    return done.stdout
