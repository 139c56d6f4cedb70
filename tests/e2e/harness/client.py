"""A mail client that shows its whole dialogue: each command, and each reply line by line.

Promises: what a test sends goes out as written (raw bytes, pipelined, cut off anywhere); a reply is a value; `send`
walks one message through MAIL, RCPT, DATA and the dot and keeps every reply. Refuses: retrying, and hiding a reply.
"""

from __future__ import annotations

import base64
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


@dataclass(frozen=True, slots=True)
class Reply:
    """One SMTP reply. `lines` are as they came, code included; an empty one means the connection ended."""

    lines: tuple[str, ...]

    @property
    def code(self) -> int:
        return int(self.lines[-1][:3]) if self.lines else 0

    @property
    def good(self) -> bool:
        return 200 <= self.code < 400

    @property
    def text(self) -> str:
        """Everything after the code, the lines joined by blanks."""
        return " ".join(line[4:] for line in self.lines)

    @property
    def enhanced(self) -> str:
        """The enhanced status code, "" where there is none."""
        word = self.text.partition(" ")[0]
        return word if word.count(".") == 2 else ""

    def __str__(self) -> str:
        return " / ".join(self.lines) or "(connection closed)"


@dataclass(slots=True)
class Outcome:
    """One message's replies, in order, each with the stage it answers: mail, rcpt, data, dot."""

    replies: list[tuple[str, Reply]] = field(default_factory=list)

    @property
    def final(self) -> Reply:
        """The first reply that is not good, else the last one: what the sender learns."""
        refusals = [reply for _, reply in self.replies if not reply.good]
        return refusals[0] if refusals else self.replies[-1][1]

    @property
    def stage(self) -> str:
        """The stage that `final` answers."""
        return next((stage for stage, reply in self.replies if reply is self.final), "")

    @property
    def queue_id(self) -> str:
        """Postfix's queue id, out of `250 2.0.0 Ok: queued as ID`."""
        return self.replies[-1][1].text.partition("queued as ")[2].strip()

    def codes(self, stage: str) -> list[int]:
        """The codes of all replies of one stage."""
        return [reply.code for at, reply in self.replies if at == stage]


class Client:
    """One SMTP connection to a loopback port."""

    def __init__(self, port: int, timeout: float = 30.0) -> None:
        self.dialogue: list[str] = []
        self._link = socket.create_connection(("127.0.0.1", port), timeout)
        self._stream = self._link.makefile("rb")
        self.banner = self.reply()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection without QUIT."""
        self._stream.close()
        self._link.close()

    def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._link.sendall(data)

    def reply(self) -> Reply:
        """Read one reply. Empty where the server closed."""
        lines: list[str] = []
        while True:
            try:
                line = self._stream.readline()
            except ConnectionError:
                line = b""
            if not line:
                return Reply(())
            lines.append(line.decode("utf-8", "backslashreplace").rstrip("\r\n"))
            if lines[-1][3:4] != "-":
                self.dialogue.append(f"S: {' / '.join(lines)}")
                return Reply(tuple(lines))

    def command(self, text: str | bytes) -> Reply:
        """Send one line, read its reply."""
        data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        self.dialogue.append(f"C: {data[:200].decode('utf-8', 'backslashreplace')}")
        try:
            self.raw(data + b"\r\n")
        except ConnectionError:
            return Reply(())
        return self.reply()

    def hello(self, name: str = "client.test") -> Reply:
        return self.command(f"EHLO {name}")

    def xclient(self, **attributes: str) -> Reply:
        """XCLIENT (the service trusts loopback), and the EHLO that has to follow."""
        self.hello()
        answer = self.command("XCLIENT " + " ".join(f"{name.upper()}={value}" for name, value in attributes.items()))
        return self.hello() if answer.good else answer

    def login(self, user: str, password: str) -> Reply:
        """AUTH PLAIN (RFC 4616)."""
        self.hello()
        return self.command("AUTH PLAIN " + base64.b64encode(f"\0{user}\0{password}".encode()).decode())

    def envelope(self, sender: str, recipients: Sequence[str], parameters: str = "") -> Outcome:
        """MAIL and all RCPTs; stops where MAIL is refused."""
        outcome = Outcome()
        outcome.replies.append(("mail", self.command(f"MAIL FROM:<{sender}> {parameters}".rstrip())))
        if outcome.final.good:
            outcome.replies += [("rcpt", self.command(f"RCPT TO:<{address}>")) for address in recipients]
        return outcome

    def send(self, sender: str, recipients: Sequence[str], message: bytes, parameters: str = "") -> Outcome:
        """One message. DATA is sent where at least one recipient was accepted, the dot where DATA was."""
        outcome = self.envelope(sender, recipients, parameters)
        if 250 in outcome.codes("rcpt"):
            outcome.replies.append(("data", self.command("DATA")))
            if outcome.replies[-1][1].code == 354:
                outcome.replies.append(("dot", self.finish(message)))
        return outcome

    def finish(self, message: bytes) -> Reply:
        """The content and the dot."""
        try:
            self.raw(stuffed(message) + b".\r\n")
        except ConnectionError:
            return Reply(())
        return self.reply()

    def quit(self) -> Reply:
        """QUIT, and close."""
        answer = self.command("QUIT")
        self.close()
        return answer


def stuffed(message: bytes) -> bytes:
    """CRLF line ends, a closing one, and leading dots doubled (RFC 5321 section 4.5.2)."""
    lines = message.replace(b"\r\n", b"\n").removesuffix(b"\n").split(b"\n")
    return b"".join((b"." + line if line.startswith(b".") else line) + b"\r\n" for line in lines)


def a_message(subject: str = "hello", body: str = "Hello.", **headers: str) -> bytes:
    """A small message; `x_tag="a"` writes `X-Tag: a`. From and To are alice and bob unless given."""
    fields = {"from": "Alice <alice@example.com>", "to": "bob@example.net", "subject": subject} | headers
    names = {name: name.replace("_", "-").title() for name in fields}
    head = "".join(f"{names[name]}: {value}\n" for name, value in fields.items())
    return f"{head}\n{body}\n".encode("utf-8", "surrogateescape")
