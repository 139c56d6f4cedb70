"""End to end: the same mail through a private Postfix with and without Tidegate, to a transport that discards it.

Postfix's own CPU is most of it, so the figure to look at is what the filter adds.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import time
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
        return f"through Postfix, {self.name:12}{rate:9.0f} msg/s{added:9.3f} CPU s/1000 in the filter"


def measure(server: servers.Server, messages: int) -> list[Through]:
    """Without a filter and with `server`, in turns; medians. The first turn, which warms up the disk, is not told."""
    services = {"without": Service([], submission=False), "with": Service([server.spec], submission=False)}
    turns: dict[str, list[tuple[float, float]]] = {name: [] for name in services}
    settings = {"default_transport": "discard", "relay_transport": "discard"}
    with Postfix(9, list(services.values()), settings=settings) as mail:
        for _ in range(_TURNS + 1):
            for name, service in services.items():
                before, start = server.cpu(), time.monotonic()
                _send(mail, service.port, messages)
                turns[name].append((time.monotonic() - start, server.cpu() - before))
                until(lambda: not mail.queue(), "the queue is empty", 120.0)  # or its rest burdens the next turn
    return [
        Through(name, messages, *(statistics.median(column) for column in zip(*measured[1:], strict=True)))
        for name, measured in turns.items()
    ]


def _send(mail: Postfix, port: int, messages: int) -> None:
    """A burst of smtp-source(1), one message per connection. Raises RuntimeError where a message is not accepted."""
    program = shutil.which("smtp-source", path="/usr/sbin:/usr/bin") or "smtp-source"
    command = [program, "-s", str(_SESSIONS), "-m", str(messages), "-l", "4096"]
    command += ["-f", "a@bench.example", "-t", "b@example.net", f"inet:127.0.0.1:{port}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise RuntimeError(f"smtp-source: {done.stderr}\n{mail.log()[-2000:]}")
