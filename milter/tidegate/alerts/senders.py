"""How one notification leaves: a POST, a command, a mail. Each sender makes one attempt; the channel tries again.

Promises: an attempt ends within the channel's timeout; no shell; the token of a webhook is read at each attempt, so it
can be renewed. Refuses: queues and retries (channel.py in this folder).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from tidegate.alerts.plan import ChannelPlan
from tidegate.alerts.posting import UndeliveredError, post

_TOKEN = 8192  # bytes


class Sender(Protocol):
    """One attempt."""

    def send(self, values: Mapping[str, Any]) -> str:
        """Deliver. Returns what there is to say of it, mostly nothing. Raises UndeliveredError."""
        ...

    def trouble(self, now: float) -> str:
        """What is wrong behind the attempt, "" as far as one can see: nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Webhook:
    """JSON to a URL."""

    plan: ChannelPlan

    def send(self, values: Mapping[str, Any]) -> str:
        post(self.plan.target[0], encoded(values), self.plan.timeout, bearer(self.plan))
        return ""

    def trouble(self, now: float) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class Command:
    """JSON on a command's standard input; exit status 0 means that it was delivered."""

    plan: ChannelPlan

    def send(self, values: Mapping[str, Any]) -> str:
        try:
            process = subprocess.Popen(
                self.plan.target,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise UndeliveredError(f"{self.plan.target[0]} can't be started: {why}") from error
        try:
            process.communicate(encoded(values) + b"\n", self.plan.timeout)
        except subprocess.TimeoutExpired:
            raise UndeliveredError(f"it did not end within {self.plan.timeout:g} s") from None
        finally:
            _end(process)
        if process.returncode:
            raise UndeliveredError(f"it ended with {_status(process.returncode)}")
        return ""

    def trouble(self, now: float) -> str:
        return ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """Whatever is left of it and of what it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except OSError:
        pass  # nothing is left
    process.wait()
    if process.stdin:
        try:
            process.stdin.close()
        except OSError:
            return  # it never read its input


def _status(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit status {code}"


def encoded(values: Any) -> bytes:
    """JSON, in ASCII, since a message may hold half a surrogate."""
    return json.dumps(values).encode("ascii", "backslashreplace")


def bearer(plan: ChannelPlan) -> dict[str, str]:
    """The header that a token file makes. Raises UndeliveredError where it can't be read."""
    if not plan.token_file:
        return {}
    try:
        with open(plan.token_file, "rb") as file:
            token = file.read(_TOKEN).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UndeliveredError(f"{plan.token_file} can't be read: {error}") from error
    if not token or not token.isprintable():
        raise UndeliveredError(f"{plan.token_file} holds no token")
    return {"Authorization": f"Bearer {token}"}
