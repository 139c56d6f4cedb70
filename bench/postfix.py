"""End to end: the same mail through a private Postfix without and with a filter, to a transport that discards it.

Postfix's own CPU is most of it, so the figure to look at is what the filter adds.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench import servers
from tests.e2e.harness.postfix import Postfix, Service, until

_SESSIONS = 20
_TURNS = 3


@dataclass(frozen=True, slots=True)
class Through:
    """One run of smtp-source against one Postfix service."""

    name: str
    messages: int
    seconds: float
    filter_cpu: float

    def text(self) -> str:
        """One line for a person."""
        rate = self.messages / self.seconds
        added = self.filter_cpu / self.messages * 1000
        return f"through Postfix, {self.name:16}{rate:9.0f} msg/s{added:9.3f} CPU s/1000 in the filter"


def measure(filters: Sequence[servers.Server], messages: int) -> list[Through]:
    """Without a filter and with each of `filters`, in turns; medians. The first turn only warms up the disk."""
    services: list[tuple[servers.Server | None, Service]] = [(None, Service([], submission=False))]
    services += [(server, Service([server.spec], submission=False)) for server in filters]
    turns: list[list[tuple[float, float]]] = [[] for _ in services]
    settings = {"default_transport": "discard", "relay_transport": "discard"}
    with Postfix(9, [service for _, service in services], settings=settings) as mail:
        for _ in range(_TURNS + 1):
            for (server, service), measured in zip(services, turns, strict=True):
                before, start = server.cpu() if server else 0.0, time.monotonic()
                _send(mail, service.port, messages)
                measured.append((time.monotonic() - start, server.cpu() - before if server else 0.0))
                until(lambda: not mail.queue(), "the queue is empty", 120.0)  # or its rest burdens the next turn
    return [
        Through(server.name if server else "no filter", messages, *map(statistics.median, zip(*told[1:], strict=True)))
        for (server, _), told in zip(services, turns, strict=True)
    ]


def _send(mail: Postfix, port: int, messages: int) -> None:
    """A burst of smtp-source(1), one message per connection. Raises RuntimeError where a message is not accepted."""
    program = shutil.which("smtp-source", path="/usr/sbin:/usr/bin") or "smtp-source"
    command = [program, "-s", str(_SESSIONS), "-m", str(messages), "-l", "4096"]
    command += ["-f", "a@bench.example", "-t", "b@example.net", f"inet:127.0.0.1:{port}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise RuntimeError(f"smtp-source: {done.stderr}\n{mail.log()[-2000:]}")
