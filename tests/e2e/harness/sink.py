"""The next hop: a small SMTP server that keeps what it is given, envelope parameters and bytes included.

Promises: announces DSN, SIZE, 8BITMIME and SMTPUTF8, as Postfix wants it for what it may have to pass on; one thread
per session; `wait_for` blocks until a message that fits has arrived, so that no test sleeps. A test may make it refuse
recipients. Refuses: anything but a relay's side of SMTP (no AUTH, no TLS, no BDAT).
"""

from __future__ import annotations

import socketserver
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from types import TracebackType
from typing import Protocol, cast

RefuseRecipient = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Recipient:
    """One RCPT: the address without brackets, and its parameters as written (`NOTIFY=NEVER`)."""

    address: str
    parameters: tuple[str, ...]

    @property
    def notify(self) -> str:
        """The value of NOTIFY, "" where it was not given."""
        found = [word.partition("=")[2] for word in self.parameters if word.upper().startswith("NOTIFY=")]
        return found[0].upper() if found else ""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message as the next hop received it."""

    sender: str
    parameters: tuple[str, ...]
    recipients: tuple[Recipient, ...]
    data: bytes  # without dot-stuffing, CRLF line ends

    @property
    def addresses(self) -> tuple[str, ...]:
        """The envelope recipients in the order in which they came."""
        return tuple(recipient.address for recipient in self.recipients)

    @property
    def message(self) -> EmailMessage:
        """The message, parsed."""
        return message_from_bytes(self.data, policy=policy.default)

    def headers(self, name: str) -> list[bytes]:
        """The raw values of one header, unfolded, in order."""
        head = self.data.partition(b"\r\n\r\n")[0].replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ")
        wanted = name.lower().encode() + b":"
        return [line[len(wanted) :].strip() for line in head.split(b"\r\n") if line.lower().startswith(wanted)]


class _Session(socketserver.StreamRequestHandler):
    """One connection of Postfix's smtp client."""

    sender: str
    parameters: tuple[str, ...]
    recipients: list[Recipient]

    def handle(self) -> None:
        sink = cast("_Server", self.server).sink
        self.envelope()
        self.say("220 sink.test ESMTP")
        while line := self.rfile.readline(65536):
            verb, _, rest = line.decode("utf-8", "surrogateescape").strip().partition(" ")
            match verb.upper():
                case "EHLO":
                    self.say("250-sink.test", "250-SIZE 0", "250-8BITMIME", "250-SMTPUTF8", "250-DSN")
                    self.say("250 ENHANCEDSTATUSCODES")
                case "MAIL":
                    self.envelope()
                    self.sender, self.parameters = _path(rest)
                    self.say("250 2.1.0 Ok")
                case "RCPT":
                    self.recipient(sink, *_path(rest))
                case "DATA":
                    self.say("354 go on")
                    data = _dotted(self.rfile)
                    sink.keep(Arrival(self.sender, self.parameters, tuple(self.recipients), data))
                    self.say("250 2.0.0 Ok")
                case "RSET":
                    self.envelope()
                    self.say("250 2.0.0 Ok")
                case "QUIT":
                    self.say("221 2.0.0 Bye")
                    return
                case _:
                    self.say("250 2.0.0 Ok")

    def envelope(self) -> None:
        """Forget the transaction."""
        self.sender = ""
        self.parameters = ()
        self.recipients = []

    def recipient(self, sink: Sink, address: str, parameters: tuple[str, ...]) -> None:
        """Take one recipient, or refuse it as the test wants."""
        refusal = sink.refuse(address)
        if not refusal:
            self.recipients.append(Recipient(address, parameters))
        self.say(refusal or "250 2.1.5 Ok")

    def say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())


def _path(text: str) -> tuple[str, tuple[str, ...]]:
    """`FROM:<a@b> X=1` to the address and the parameters."""
    address, _, rest = text.partition(":")[2].strip().partition(">")
    return address.removeprefix("<"), tuple(rest.split())


class _Lines(Protocol):
    def readline(self) -> bytes: ...


def _dotted(stream: _Lines) -> bytes:
    lines = []
    while (line := stream.readline()) and line != b".\r\n":
        lines.append(line[1:] if line.startswith(b".") else line)
    return b"".join(lines)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128
    sink: Sink


class Sink:
    """Listens on a free loopback port from `with` on; `arrivals` grows."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.refuse: RefuseRecipient = lambda address: ""
        self._news = threading.Condition()
        self._server = _Server(("127.0.0.1", 0), _Session)
        self._server.sink = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def __enter__(self) -> Sink:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def keep(self, arrival: Arrival) -> None:
        """Called by the sessions."""
        with self._news:
            self.arrivals.append(arrival)
            self._news.notify_all()

    def wait_for(self, mark: str, seconds: float = 15.0) -> Arrival:
        """The first arrival whose bytes hold `mark`. Raises TimeoutError with what did arrive."""
        deadline = time.monotonic() + seconds
        with self._news:
            while True:
                if found := self._holding(mark):
                    return found[0]
                if not self._news.wait(deadline - time.monotonic()):
                    subjects = [arrival.headers("subject") for arrival in self.arrivals]
                    raise TimeoutError(f"nothing with {mark!r} arrived within {seconds:g} s; what did: {subjects}")

    def holding(self, mark: str) -> list[Arrival]:
        """All arrivals so far whose bytes hold `mark`."""
        with self._news:
            return self._holding(mark)

    def _holding(self, mark: str) -> list[Arrival]:
        return [arrival for arrival in self.arrivals if mark.encode() in arrival.data]
