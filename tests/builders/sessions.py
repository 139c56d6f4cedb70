"""A front without libmilter: a context that plays pymilter's, a desk in memory, and a dialogue callback by callback.

front = Front(FakePolicies([rule]))
front.envelope()
assert TEMPFAIL == front.end_of_message()
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from tidegate.front.callbacks import ACTIONS, callbacks, negotiate
from tidegate.front.desk import Desk, Worker
from tidegate.front.session import Session
from tidegate.live import Live
from tidegate.model import Disposition, PolicySet
from tidegate.observe.counters import ErrorKind, Event
from tidegate.observe.logs import Writer

ALL_STEPS = 0x1FFFFF
CONNECT_MACROS = {"{daemon_name}": "ORIGINATING"}
LOGIN = {"{auth_authen}": "alice@example.com", "{auth_type}": "PLAIN"}


class Unreadable(str):
    """A macro's value that isn't UTF-8: pymilter raises over it."""


class Context:
    """What pymilter hands to a callback. `calls` are the edits and replies that were asked for, in order."""

    def __init__(self) -> None:
        self.macros: dict[str, str] = {}
        self.calls: list[tuple[Any, ...]] = []
        self.refuse: dict[str, BaseException] = {}  # call: what it raises
        self._private: object = None

    def getpriv(self) -> object:
        return self._private

    def setpriv(self, value: object) -> None:
        self._private = value

    def getsymval(self, name: str) -> str | None:
        value = self.macros.get(name)
        if isinstance(value, Unreadable):
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
        return value

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name not in ("setreply", "addheader", "chgheader", "addrcpt", "delrcpt", "chgfrom", "quarantine"):
            raise AttributeError(name)

        def call(*arguments: Any) -> None:
            if name in self.refuse:
                raise self.refuse[name]
            self.calls.append((name, *arguments))

        return call

    @property
    def reply(self) -> str:
        """The last reply that was set, as one text."""
        found = [call[1:] for call in self.calls if call[0] == "setreply"]
        return " ".join(found[-1]) if found else ""


class MemoryLog(Writer):
    """Lines in memory."""

    def __init__(self) -> None:
        super().__init__("stderr")
        self.texts: list[str] = []

    def write(self, text: str) -> None:
        self.texts += text.splitlines()


class MemoryTally:
    """Counts by name."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def verdict(self, disposition: Disposition) -> None:
        self.counts[disposition.name.lower()] += 1

    def error(self, kind: ErrorKind) -> None:
        self.counts[kind.value] += 1

    def event(self, event: Event) -> None:
        self.counts[event.value] += 1

    def seconds(self, seconds: float) -> None:
        self.counts["timed"] += 1

    def rule(self, rule: str, shadow: bool = False) -> None:
        self.counts[f"rule {rule}"] += 1

    def exposed(self, rule: str) -> None:
        self.counts[f"exposed {rule}"] += 1

    def column(self, rule: str) -> int | None:
        return len(rule)


class Front:
    """One worker and one connection, driven by hand."""

    def __init__(
        self,
        policies: PolicySet | None,
        *,
        offered: int = ALL_STEPS,
        deadline: float = 8.0,
        mask: bool = False,
        greet: bool = True,
    ) -> None:
        structlog.reset_defaults()  # a test before may have pointed it elsewhere
        structlog.configure(processors=[structlog.processors.JSONRenderer(default=str)])
        self.live = Live()
        self.live.current = policies  # type: ignore[assignment]
        self.tally, self.log = MemoryTally(), MemoryLog()
        self.desk = Worker.desk = Desk(self.live, self.tally, deadline, mask, self.log)
        self.context = Context()
        self._callbacks = callbacks()
        self.options = [0x1FF, offered, 0, 0]
        self.negotiated = negotiate(self.context, self.options)
        assert self.options[0] == ACTIONS & 0x1FF
        if greet:
            self.connect()
            self.helo()

    @property
    def session(self) -> Session:
        """What the front keeps of this connection."""
        session = self.context.getpriv()
        assert isinstance(session, Session)
        return session

    def event(self, name: str, *arguments: Any, macros: Mapping[str, str] | None = None) -> int:
        """One callback, by pymilter's name for it; its macros stay."""
        self.context.macros |= macros or {}
        return self._callbacks[name](self.context, *arguments)

    def connect(self, name: str = "client.example.com", address: Any = ("192.0.2.7", 4711)) -> int:
        return self.event("connect", name, 2, address, macros=CONNECT_MACROS)

    def helo(self, name: str = "client.example.com") -> int:
        return self.event("helo", name)

    def mail(
        self,
        sender: str = "alice@example.com",
        *parameters: bytes,
        login: Mapping[str, str] | None = None,
        macros: Mapping[str, str] | None = None,
    ) -> int:
        """MAIL; a new one clears the macros of the last."""
        for name in [*LOGIN, "{mail_addr}", "{rcpt_addr}", "i"]:
            self.context.macros.pop(name, None)
        values = {**(LOGIN if login is None else login), "{mail_addr}": sender}
        return self.event("envfrom", f"<{sender}>".encode(), *parameters, macros=values | dict(macros or {}))

    def rcpt(self, recipient: str = "bob@example.net", given: bytes = b"") -> int:
        return self.event("envrcpt", given or f"<{recipient}>".encode(), macros={"{rcpt_addr}": recipient})

    def header(self, name: str = "Subject", value: bytes = b"hello") -> int:
        return self.event("header", name, value)

    def envelope(self, recipients: Sequence[str] = ("bob@example.net",)) -> None:
        """MAIL, RCPT and a header."""
        self.mail()
        for one in recipients:
            self.rcpt(one)
        self.header()

    def end_of_message(self) -> int:
        return self.event("eom", macros={"i": "4XyZ12abcd"})

    def lines(self) -> list[dict[str, Any]]:
        """All decision lines so far."""
        self.desk.flush()
        return [event for event in map(json.loads, self.log.texts) if event.get("event") == "decision"]

    @property
    def numbers(self) -> tuple[int, int]:
        """What the drain looks at: (sessions, messages in hand)."""
        return self.desk.sessions, self.desk.messages
