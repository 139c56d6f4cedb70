"""A real daemon in a temporary folder: started, asked, fed with messages over the raw milter protocol, and stopped.

`Daemon` is a context manager; whatever a test does, its processes are gone afterwards. Waiting is polling with a limit.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.builders.patience import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 20.0  # seconds for anything that a test waits for
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.environ.get("PYTHONPATH", str(ROOT / "milter"))}

ACCEPT_ALL = "version: 1\nrules: []\n...\n"


def reject_all(rule: str = "stop", code: str = "550 5.7.1", text: str = "stopped by {rule}") -> str:
    """A policy file whose one rule refuses every outbound message of the client below."""
    reply = f'{{code: "{code}", text: "{text}"}}'
    return f"version: 1\nrules:\n  - id: {rule}\n    when: always\n    do: {{reject: {reply}}}\n...\n"


def until(condition: Callable[[], Any], what: str, limit: float = LIMIT) -> Any:
    """Poll until `condition` gives something true; fails the test after `limit` seconds (patience.py)."""
    end = time.monotonic() + limit * PATIENCE
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.03)
    raise AssertionError(f"not within {limit:g} s: {what}")


class Session:
    """One milter connection, as Postfix's smtpd would have it."""

    def __init__(self, path: str | Path) -> None:
        self._link = socket.socket(socket.AF_UNIX)
        self._link.settimeout(15)
        self._link.connect(str(path))
        self._command(b"O", struct.pack("!III", 6, 0x1FF, 0x1FFFFF), answers=True)

    def _send(self, letter: bytes, data: bytes = b"") -> None:
        self._link.sendall(struct.pack("!I", len(data) + 1) + letter + data)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._link.recv(size - len(data))
            if not part:
                raise ConnectionError("the milter closed the connection")
            data += part
        return data

    def _receive(self) -> tuple[str, bytes]:
        (size,) = struct.unpack("!I", self._exactly(4))
        packet = self._exactly(size)
        return chr(packet[0]), packet[1:]

    def _command(self, letter: bytes, data: bytes, answers: bool) -> tuple[str, bytes]:
        self._send(letter, data)
        if not answers:
            return "c", b""
        reply = self._receive()
        if letter == b"O":
            self._quiet = struct.unpack("!III", reply[1][:12])[2]
        return reply

    def _event(self, letter: bytes, data: bytes, silent: int) -> tuple[str, bytes]:
        return self._command(letter, data, not self._quiet & silent)

    def _macros(self, letter: bytes, **values: str) -> None:
        pairs = "".join(f"{name}\0{value}\0" for name, value in values.items())
        self._send(b"D", letter + pairs.encode())

    def greet(self, client: str = "192.0.2.7") -> None:
        """CONNECT and HELO."""
        self._macros(b"C", **{"j": "mx.example.com", "{daemon_name}": "ORIGINATING", "v": "Postfix 3.7.11"})
        self._event(b"C", b"client.example.com\0004" + struct.pack("!H", 4711) + f"{client}\0".encode(), 0x1000)
        self._event(b"H", b"client.example.com\0", 0x2000)

    def mail(self, sender: str = "alice@example.com", login: str = "alice") -> tuple[str, bytes]:
        """MAIL of somebody with a login; the answer's letter and data."""
        self._macros(
            b"M",
            **{"{auth_authen}": login, "{auth_type}": "PLAIN", "{mail_addr}": sender, "i": "4ABC"},
        )
        return self._event(b"M", f"<{sender}>\0".encode(), 0x4000)

    def envelope(
        self,
        sender: str = "alice@example.com",
        recipients: Sequence[str] = ("bob@example.net",),
        login: str = "alice",
    ) -> str:
        """MAIL and RCPT; "" or the reply that ended it."""
        letter, data = self.mail(sender, login)
        for recipient in recipients:
            if letter not in "c":
                break
            self._macros(b"R", **{"{rcpt_addr}": recipient})
            letter, data = self._event(b"R", f"<{recipient}>\0".encode(), 0x8000)
        return "" if letter == "c" else answer(letter, data)

    def content(self, message_id: str = "") -> str:
        """DATA to end of message; the reply as text: `accept`, `550 5.7.1 …`, `451 …`, `tempfail`."""
        self._macros(b"T", i="4ABC")
        letter, data = self._event(b"T", b"", 0x10000)
        if letter != "c":
            return answer(letter, data)
        headers = [("From", "alice@example.com"), ("To", "bob@example.net"), ("Subject", "hello")]
        headers += [("Message-ID", message_id)] if message_id else []
        for name, value in headers:
            self._event(b"L", f"{name}\0{value}\0".encode(), 0x80)
        self._event(b"N", b"", 0x40000)
        self._event(b"B", b"text\r\n", 0x80000)
        self._macros(b"E", i="4ABC")
        self._send(b"E")
        while True:
            letter, data = self._receive()
            if letter in "acrtdy":
                return answer(letter, data)

    def message(self, login: str = "alice", message_id: str = "") -> str:
        """One whole message."""
        return self.envelope(login=login) or self.content(message_id)

    def abort(self) -> None:
        """RSET."""
        self._send(b"A")

    def closed(self) -> bool:
        """Did the milter close the connection?"""
        self._link.settimeout(0)
        try:
            return self._link.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True
        finally:
            self._link.settimeout(15)

    def close(self) -> None:
        self._link.close()


def answer(letter: str, data: bytes) -> str:
    """A milter reply for a test to compare."""
    if letter == "y":
        return data.rstrip(b"\0").decode()
    return {"a": "accept", "c": "accept", "r": "reject", "t": "tempfail", "d": "discard"}[letter]


class Daemon:
    """`tidegate run` on a folder of its own."""

    def __init__(
        self,
        folder: Path,
        workers: int = 1,
        prefix: Sequence[str] = (),
        program: Sequence[str] = ("-m", "tidegate"),
        **settings: object,
    ) -> None:
        self.folder = folder
        self.policies = folder / "policies"
        self.state = folder / "state"
        self.socket = folder / "run" / "t.sock"
        self.config = folder / "tidegate.yaml"
        self.log = folder / "log" / "tidegate.log"
        for place in (self.policies, self.socket.parent, self.log.parent):
            place.mkdir(exist_ok=True)
        self._prefix, self._program = list(prefix), list(program)
        self._settings: dict[str, object] = {
            "listen": f"unix:{self.socket}",
            "policies": self.policies,
            "state": self.state,
            "workers": workers,
            "log": self.log,
            "poll": "0.2s",
            "alerts": "{syslog: false}",  # a test is no news for the machine's journal
            "canary_share": "off",
            **settings,
        }
        self.write_settings()
        self.process: subprocess.Popen[bytes] | None = None

    def write_settings(self, **changes: object) -> None:
        self._settings |= changes
        self.config.write_text("".join(f"{key}: {value}\n" for key, value in self._settings.items()))

    def policy(self, text: str, name: str = "10-test.yaml") -> None:
        """Write a policy file as an editor does: aside, then renamed."""
        draft = self.policies / f".{name}.swp"
        draft.write_text(text)
        draft.replace(self.policies / name)

    def start(self, *options: str, wait: bool = True) -> Daemon:
        command = [*self._prefix, sys.executable, *self._program, "run", "--config", str(self.config), *options]
        self.errors = self.folder / "errors"
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(command, stderr=errors, env=ENVIRONMENT, cwd=ROOT)
        if wait:
            until(self.serves, f"the daemon serves\n{self.errors.read_text()}")
        return self

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        if value is not None and self.log.exists():
            print(self.log.read_text()[-6000:])
            print(self.errors.read_text()[-3000:])
        if self.process and self.process.poll() is None:
            workers = self.workers()
            self.process.kill()
            self.process.wait()
            for pid in workers:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue  # it drained already

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def serves(self) -> bool:
        """Is the socket in place and somebody behind it?"""
        if self.process and self.process.poll() is not None:
            raise AssertionError(f"exit {self.process.returncode}: {self.errors.read_text()}")
        try:
            Session(self.socket).close()
        except OSError:
            return False
        return True

    def ask(self, **request: object) -> dict[str, Any]:
        """One control request; {} while nobody answers."""
        try:
            with socket.socket(socket.AF_UNIX) as link:
                link.settimeout(5)
                link.connect(str(self.state / "control"))
                link.sendall(json.dumps(request).encode() + b"\n")
                with link.makefile("rb") as lines:
                    return dict(json.loads(lines.readline() or b"{}"))
        except OSError:
            return {}

    def status(self) -> dict[str, Any]:
        return self.ask(do="status")

    def workers(self) -> list[int]:
        return [worker["pid"] for worker in self.status().get("workers", ())]

    def generation(self) -> int:
        """The generation that every worker runs; -1 while they differ."""
        numbers = {worker["generation"] for worker in self.status().get("workers", ())}
        return numbers.pop() if len(numbers) == 1 else -1

    def alerts(self) -> set[str]:
        return {alert["code"] for alert in self.status().get("alerts", ())}

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> float:
        """TERM; the seconds until it was gone. Fails the test where that takes too long or the status isn't 0."""
        assert self.process is not None
        began = time.monotonic()
        self.signal(signal.SIGTERM)
        status = self.process.wait(LIMIT)
        assert status == 0, self.errors.read_text()
        return time.monotonic() - began

    def message(self) -> str:
        """The reply to one message on a connection of its own."""
        session = Session(self.socket)
        try:
            session.greet()
            return session.message()
        finally:
            session.close()

    def lines(self, event: str) -> list[dict[str, Any]]:
        """The log lines of one event."""
        records = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [record for record in records if record.get("event") == event]
