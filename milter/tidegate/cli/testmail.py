"""`tidegate postfix check --send`: a test message through every service that asks us, and our decision on each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tidegate.cli.output import UnableError
from tidegate.cli.why import lines_of, log_of, parsed
from tidegate.postfix import Instance, Service
from tidegate.postfix.testmessage import Sent, TestMail, send_test

_LOOKS = 30
_LOOK = 0.1  # seconds: the line of accepted mail comes within 50 ms


@dataclass(frozen=True, slots=True)
class Judged:
    """One test message: what Postfix said, and what our log says of it (None: the log can't be read here)."""

    sent: Sent
    disposition: str | None = ""
    rule: str = ""

    @property
    def unjudged(self) -> bool:
        """Did Postfix take it without asking us?"""
        return self.sent.reply.startswith("2") and self.disposition == ""

    @property
    def text(self) -> str:
        """One line for a person."""
        sent = self.sent
        if sent.trouble:
            return f"{sent.service}: the test message was not taken: {sent.trouble}"
        by = f" by {self.rule}" if self.rule else ""
        says = {None: "the decision log can't be read here", "": "NOT JUDGED BY US"}.get(
            self.disposition, f"judged: {self.disposition}{by}"
        )
        if self.disposition == "" and not self.unjudged:
            says = "refused, and not by us"
        return f"{sent.service}: {sent.reply}; {says}"

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self.sent), "disposition": self.disposition, "rule": self.rule, "unjudged": self.unjudged}


def mail_of(sender: str, recipient: str, login: str, password_file: str) -> TestMail:
    """Raises UnableError."""
    password = ""
    if login:
        try:
            with open(password_file, encoding="utf-8") as file:
                password = file.readline().rstrip("\n")
        except OSError as error:
            raise UnableError(f"--password-file {password_file}: {error.strerror}") from error
    return TestMail(sender or recipient, recipient, login, password)


def send_through(instance: Instance, services: Sequence[Service], mail: TestMail, config: str) -> list[Judged]:
    """Through each of them, one after the other."""
    return [_judged(send_test(instance, one, mail), config) for one in services]


def _judged(sent: Sent, config: str) -> Judged:
    if not sent.known_by:
        return Judged(sent)
    try:
        log = log_of(config)
    except UnableError:
        return Judged(sent, None)
    for _ in range(_LOOKS):
        for line in lines_of(log):
            if sent.known_by in line and "disposition" in line:
                event = parsed(line)
                if sent.known_by in (event.get("queue_id"), event.get("ref")):
                    return Judged(sent, str(event["disposition"]), str(event.get("rule", "")))
        time.sleep(_LOOK)
    return Judged(sent)
