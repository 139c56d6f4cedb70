"""Messages in a folder, with their envelopes beside them, as what is replayed.

NAME.eml is a message as it stands in a file: headers, an empty line, the body. NAME.json beside it has its envelope and
connection, under the keys of cases (policy/examples.py): `sender rcpt login auth_type client client_name helo daemon
tls tls_cipher local size`, and `time` (POSIX seconds, or as in 2027-06-30T18:00+02:00). Without it the envelope is read
from the message: Return-Path; Delivered-To and X-Original-To, else To, Cc and Bcc; the time is the file's.
Promises: one file is in memory at a time; one that can't be used is named, with the reason, and passed over.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from tidegate import trial
from tidegate.conditions.mailboxes import header_mailboxes
from tidegate.model import Conventions, Message, Recipient, Source, Transaction
from tidegate.policy.examples import Case
from tidegate.policy.suggest import did_you_mean, shown
from tidegate.replay.message import Kept

LARGEST = 256 << 20
"""Bytes of a message."""

_TEXTS = ("login", "auth_type", "client_name", "helo", "daemon", "tls", "tls_cipher")
KEYS = ("sender", "rcpt", *_TEXTS, "client", "local", "size", "time")
"""Of NAME.json."""

_ENVELOPE_LARGEST = 4 << 20  # bytes of NAME.json
_NAMED = 100  # files that are named; of the others there is the number


class EnvelopeError(Exception):
    """What is wrong with an envelope; the text is for the person who wrote it."""


@dataclass(slots=True)
class Files:
    """How far a reader is, and what it had to pass over."""

    total: int = 0  # files
    done: int = 0
    messages: int = 0
    guessed: int = 0  # without an envelope of their own
    unusable: int = 0
    reasons: list[tuple[str, str]] = field(default_factory=list)  # (file, why)

    @property
    def lost(self) -> int:
        """Messages that can't be used."""
        return self.unusable


def read_folder(folder: str, since: float, conventions: Conventions, files: Files) -> Iterator[Kept]:
    """The messages of a folder and of those in it, in the order of their names; those from before `since` are left out.

    `files` is kept up to date. Raises OSError where the folder can't be read.
    """
    os.listdir(folder)  # a walk would pass over it in silence
    paths = [
        os.path.join(place, name)
        for place, _, names in sorted(os.walk(folder))
        for name in sorted(names)
        if name.endswith(".eml")
    ]
    files.total = len(paths)
    for path in paths:
        try:
            one = _message(path, conventions, files)
        except (EnvelopeError, trial.BadCaseError) as error:
            _pass_over(files, path, str(error))
        except OSError as error:
            _pass_over(files, path, error.strerror or str(error))
        else:
            if one.time >= since:
                files.messages += 1
                yield one
        files.done += 1


def _pass_over(files: Files, path: str, why: str) -> None:
    files.unusable += 1
    if len(files.reasons) < _NAMED:
        files.reasons.append((path, why))


def _message(path: str, conventions: Conventions, files: Files) -> Kept:
    data = _bytes(path, LARGEST)
    moment = os.stat(path).st_mtime
    envelope = Path(path).with_suffix(".json")
    if envelope.exists():
        case, told = _case(_bytes(str(envelope), _ENVELOPE_LARGEST))
        moment = moment if told is None else told
    else:
        case = None
        files.guessed += 1
    name = Path(path).name
    source = Source(name, data)
    found = trial.transaction_of(case or Case(message=name), conventions, lambda _name: source)
    if case is None:
        found = _guessed(found)
    return Kept(moment, replace(found, reference=name))


def _bytes(path: str, largest: int) -> bytes:
    with open(path, "rb", opener=_unblocked) as file:
        data = file.read(largest + 1)
    if len(data) > largest:
        raise EnvelopeError(f"it is larger than {largest} bytes")
    return data


def _unblocked(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def _case(data: bytes) -> tuple[Case, float | None]:
    """The case of a NAME.json, and its time. Raises EnvelopeError."""
    try:
        written = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise EnvelopeError(f"its envelope is not JSON: {error}") from error
    if not isinstance(written, dict):
        raise EnvelopeError('its envelope is not a map such as {"sender": "a@example.com", "rcpt": ["b@example.net"]}')
    for key in written:
        if key not in KEYS:
            raise EnvelopeError(f"its envelope has no key {shown(key)}{did_you_mean(key, KEYS)}")
    values: dict[str, Any] = {key: _text(written, key) for key in _TEXTS if key in written}
    if "client" in written:
        values["client"] = _client(_text(written, "client"))
    if "local" in written:
        if not isinstance(written["local"], bool):
            raise EnvelopeError("its envelope: `local` is true or false")
        values["local"] = written["local"]
    if "size" in written:
        values["size"] = _size(written["size"])
    sender = _text(written, "sender").strip("<>") if "sender" in written else None
    case = Case(sender=sender, recipients=_recipients(written.get("rcpt")), message="message", **values)
    return case, _time(written["time"]) if "time" in written else None


def _text(written: Mapping[str, Any], key: str) -> str:
    value = written[key]
    if not isinstance(value, str):
        raise EnvelopeError(f"its envelope: `{key}` is not a text")
    return value


def _client(text: str) -> str:
    try:
        return str(ip_address(text.strip()))
    except ValueError:
        raise EnvelopeError(f"its envelope: `client`: {shown(text)} is not an address") from None


def _size(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise EnvelopeError("its envelope: `size` is a number of bytes")
    return value


def _recipients(value: Any) -> tuple[str, ...]:
    those = [value] if isinstance(value, str) else value
    if not isinstance(those, list) or not those or not all(isinstance(one, str) and one for one in those):
        raise EnvelopeError("its envelope: `rcpt` is an address, or a list of them")
    return tuple(those)


def _time(value: Any) -> float:
    """POSIX seconds, or a date, which is local time where it names no other."""
    try:
        if isinstance(value, str):
            return datetime.fromisoformat(value).timestamp()
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value).timestamp()  # so that no other clock is asked for it later
    except (ValueError, OverflowError, OSError):
        pass
    raise EnvelopeError("its envelope: `time` is POSIX seconds, or as in 2027-06-30T18:00+02:00")


def _guessed(found: Transaction) -> Transaction:
    """With the envelope that the headers tell."""
    message = found.message or Message()
    senders = _addresses(message.headers, ("return-path",))
    recipients = _addresses(message.headers, ("delivered-to", "x-original-to")) or _addresses(
        message.headers, ("to", "cc", "bcc")
    )
    if not recipients:
        raise EnvelopeError("it has no envelope: write one into a file of its name that ends in .json")
    sender = senders[0] if senders else ("" if _has(message.headers, "return-path") else found.envelope.sender)
    rows = tuple(Recipient(one, f"<{one}>") for one in recipients)
    return replace(found, envelope=replace(found.envelope, sender=sender, recipients=rows))


def _addresses(headers: Sequence[tuple[str, bytes]], names: Sequence[str]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for name, value in headers:
        if name.lower() in names:
            found.update(dict.fromkeys(header_mailboxes(value)[0]))
    return tuple(found)


def _has(headers: Sequence[tuple[str, bytes]], wanted: str) -> bool:
    return any(name.lower() == wanted for name, _ in headers)
