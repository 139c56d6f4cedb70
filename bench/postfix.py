"""End to end: the same mail through a private Postfix with and without Tidegate, to a transport that discards it.

Postfix's own CPU is most of it, so the figure to look at is what the filter adds.
"""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass

from bench import servers
from tests.e2e.harness.postfix import Postfix, Service

_SESSIONS = 20


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
    """Without a filter, with `server`, and without again (the disk warms up)."""
    endpoint = "{ %s, default_action=tempfail }" % server.spec  # noqa: UP031 - Postfix's braces
    services = [Service([], submission=False), Service([endpoint], submission=False)]
    rows = []
    with Postfix(9, services, settings={"default_transport": "discard", "relay_transport": "discard"}):
        for name, service in (("without", services[0]), ("with", services[1]), ("without", services[0])):
            before, start = server.cpu(), time.monotonic()
            command = ["smtp-source", "-s", str(_SESSIONS), "-m", str(messages), "-l", "4096"]
            command += ["-f", "a@bench.example", "-t", "b@example.net", f"inet:127.0.0.1:{service.port}"]
            subprocess.run(command, check=True, capture_output=True)
            rows.append(Through(name, messages, time.monotonic() - start, server.cpu() - before))
    return rows
