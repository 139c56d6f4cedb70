"""A raw milter client: what Postfix says to a milter, packet by packet, and what came back, edits included.

    with MilterClient(path) as client:
        client.greet()
        client.mail("alice@example.com", login="alice")
        client.rcpt("bob@example.net")
        outcome = client.content([("Subject", "hello")])

Every event sends the macros that Postfix 3.7 sends with it. An event that was negotiated as silent answers `SILENT`.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

ALL_ACTIONS = 0x1FF
ALL_STEPS = 0x1FFFFF
NO_CONNECT, NO_HELO, NO_MAIL, NO_RCPT, NO_BODY, NO_HEADERS, NO_EOH = 0x1, 0x2, 0x4, 0x8, 0x10, 0x20, 0x40
NO_UNKNOWN, NO_DATA = 0x100, 0x200
QUIET = {"C": 0x1000, "H": 0x2000, "M": 0x4000, "R": 0x8000, "T": 0x10000, "N": 0x40000, "B": 0x80000, "L": 0x80}
_UNWANTED = {"C": NO_CONNECT, "H": NO_HELO, "R": NO_RCPT, "T": NO_DATA, "N": NO_EOH, "B": NO_BODY, "L": NO_HEADERS}
_WORDS = {"c": "continue", "a": "accept", "r": "reject", "t": "tempfail", "d": "discard"}
_EDITS = {
    "h": "addheader",
    "i": "insheader",
    "m": "chgheader",
    "+": "addrcpt",
    "2": "addrcpt",
    "-": "delrcpt",
    "e": "chgfrom",
    "q": "quarantine",
    "b": "replacebody",
}
Bytes = str | bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What the milter said to one event: a word, or a reply as text (`451 4.3.0 …`)."""

    text: str

    @property
    def code(self) -> int:
        """The SMTP code of a reply; 0 for the words."""
        return int(self.text[:3]) if self.text[:3].isdigit() else 0


SILENT, CONTINUE = Answer("silent"), Answer("continue")
_GOES_ON = (SILENT, CONTINUE)


@dataclass(frozen=True, slots=True)
class Edit:
    """One edit at end of message, its arguments as they came (`chgheader` begins with the index)."""

    call: str
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to end of message (or what came before it), and the edits."""

    answer: Answer
    edits: tuple[Edit, ...] = ()


class MilterClient:
    """One milter connection. `version`, `actions` and `steps` are what we, as the MTA, offer."""

    def __init__(
        self,
        place: str | Path,
        *,
        version: int = 6,
        actions: int = ALL_ACTIONS,
        steps: int = ALL_STEPS,
        timeout: float = 15.0,
    ) -> None:
        self._buffer = b""
        self._link = socket.socket(socket.AF_UNIX)
        self._link.settimeout(timeout)
        self._link.connect(str(place))
        self._send("O", struct.pack("!III", version, actions, steps))
        letter, data = self._receive()
        assert letter == "O", (letter, data)
        self.version, self.actions, self.steps = struct.unpack("!III", data[:12])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self.close()

    def _send(self, letter: str, data: bytes = b"") -> None:
        self._link.sendall(struct.pack("!I", len(data) + 1) + letter.encode() + data)

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            part = self._link.recv(65536)
            if not part:
                raise ConnectionError("the milter closed the connection")
            self._buffer += part
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def _receive(self) -> tuple[str, bytes]:
        (size,) = struct.unpack("!I", self._exactly(4))
        packet = self._exactly(size)
        return chr(packet[0]), packet[1:]

    def macros(self, letter: str, values: Mapping[str, Bytes]) -> None:
        """Send the macros of the event `letter`."""
        pairs = b"".join(_bytes(name) + b"\0" + _bytes(value) + b"\0" for name, value in values.items())
        self._send("D", letter.encode() + pairs)

    def event(self, letter: str, data: bytes = b"") -> Answer:
        """Send one event, if the milter wants it, and take its answer, if it gives one."""
        if self.steps & _UNWANTED.get(letter, 0):
            return SILENT
        self._send(letter, data)
        if self.steps & QUIET.get(letter, 0):
            return SILENT
        return _answer(*self._receive())

    def connect(
        self,
        name: Bytes = "client.example.com",
        address: str = "192.0.2.7",
        port: int = 4711,
        *,
        family: str = "4",
        macros: Mapping[str, Bytes] | None = None,
    ) -> Answer:
        """CONNECT. Families: 4, 6, L (a local socket), U (unknown)."""
        usual = {"j": "mx.example.com", "{daemon_name}": "ORIGINATING", "v": "Postfix 3.7.11"}
        self.macros("C", usual if macros is None else macros)
        place = b"" if family == "U" else struct.pack("!H", port) + _bytes(address) + b"\0"
        return self.event("C", _bytes(name) + b"\0" + family.encode() + place)

    def helo(self, name: Bytes = "client.example.com", tls: tuple[str, str] | None = None) -> Answer:
        """HELO or EHLO; with `tls` (version, cipher) the one after STARTTLS."""
        self.macros("H", {"{tls_version}": tls[0], "{cipher}": tls[1]} if tls else {})
        return self.event("H", _bytes(name) + b"\0")

    def greet(self) -> None:
        """CONNECT and HELO."""
        self.connect()
        self.helo()

    def mail(
        self,
        sender: Bytes = "alice@example.com",
        *parameters: str,
        login: Bytes = "alice@example.com",
        given: Bytes | None = None,
        macros: Mapping[str, Bytes] | None = None,
    ) -> Answer:
        """MAIL. `given` is the argument as typed, `macros` replaces the macros."""
        values: dict[str, Bytes] = {"i": ""}
        if login:
            values |= {"{auth_type}": "PLAIN", "{auth_authen}": login}
        values |= {"{mail_addr}": sender, "{mail_host}": "", "{mail_mailer}": "smtp"}
        self.macros("M", values if macros is None else macros)
        argument = b"<" + _bytes(sender) + b">" if given is None else _bytes(given)
        return self.event("M", b"".join(_bytes(one) + b"\0" for one in (argument, *parameters)))

    def rcpt(
        self,
        recipient: Bytes = "bob@example.net",
        given: Bytes | None = None,
        macros: Mapping[str, Bytes] | None = None,
    ) -> Answer:
        """RCPT."""
        values: Mapping[str, Bytes] = {"{rcpt_addr}": recipient, "{rcpt_mailer}": "smtp"}
        self.macros("R", values if macros is None else macros)
        argument = b"<" + _bytes(recipient) + b">" if given is None else _bytes(given)
        return self.event("R", argument + b"\0")

    def data(self, queue_id: str = "4XyZ12abcd") -> Answer:
        """DATA."""
        self.macros("T", {"i": queue_id})
        return self.event("T")

    def header(self, name: Bytes, value: Bytes) -> Answer:
        """One header field."""
        return self.event("L", _bytes(name) + b"\0" + _bytes(value) + b"\0")

    def end_of_headers(self) -> Answer:
        """The blank line."""
        return self.event("N")

    def body(self, block: bytes = b"text\r\n") -> Answer:
        """One block of the body."""
        return self.event("B", block)

    def end_of_message(self, queue_id: str = "4XyZ12abcd") -> Outcome:
        """The dot: all edits, then the answer."""
        self.macros("E", {"i": queue_id})
        self._send("E")
        edits = []
        while True:
            letter, data = self._receive()
            if letter not in _EDITS:
                return Outcome(_answer(letter, data), tuple(edits))
            edits.append(_edit(letter, data))

    def content(
        self, headers: Iterable[tuple[Bytes, Bytes]] = (("Subject", "hello"),), body: bytes = b"text\r\n"
    ) -> Outcome:
        """From DATA to the dot, or to the first event that gets another answer than `continue`."""
        answers = [self.data()]
        answers += [self.header(name, value) for name, value in headers]
        answers += [self.end_of_headers()]
        answers += [self.body(body)] if body else []
        for answer in answers:
            if answer not in _GOES_ON:
                return Outcome(answer)
        return self.end_of_message()

    def message(
        self,
        headers: Iterable[tuple[Bytes, Bytes]] = (("Subject", "hello"),),
        *,
        sender: str = "alice@example.com",
        recipients: Sequence[str] = ("bob@example.net",),
        login: str = "alice@example.com",
    ) -> Outcome:
        """One whole message, or what ended it before its content."""
        answers = [self.mail(sender, login=login)]
        if answers[0] in _GOES_ON:
            answers = [self.rcpt(one) for one in recipients]
        refused = [one for one in answers if one not in _GOES_ON]
        return Outcome(refused[0]) if len(refused) == len(answers) else self.content(headers)

    def abort(self) -> None:
        """RSET, or a lost client."""
        self._send("A")

    def quit(self) -> None:
        """QUIT, and wait until the milter has closed its end."""
        self._send("Q")
        while self._link.recv(4096):
            continue

    def close(self) -> None:
        """Drop the connection."""
        self._link.close()


def _bytes(value: Bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")


def _answer(letter: str, data: bytes) -> Answer:
    if letter == "y":
        return Answer(data.rstrip(b"\0").decode())
    return Answer(_WORDS.get(letter, f"unknown {letter}"))


def _edit(letter: str, data: bytes) -> Edit:
    number: tuple[str, ...] = ()
    if letter in "im":
        number, data = (str(struct.unpack("!I", data[:4])[0]),), data[4:]
    parts = data.removesuffix(b"\0").split(b"\0")
    return Edit(_EDITS[letter], (*number, *(one.decode("utf-8", "surrogateescape") for one in parts)))
