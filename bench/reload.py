"""Measures a reload of a large policy under load: how long until it is in force, and what it does to mail in flight.

The daemon runs without canaries: what is measured is the load and the handing over, not the minute for which a canary
is watched. The same burst runs twice on two connections, first alone, then with an edit and a HUP in the middle;
`added_ms` is how much later the slowest message of the second one was.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from bench import servers

_MESSAGES = 6000


@dataclass(frozen=True, slots=True)
class Reload:
    """`seconds` from HUP until every worker has the new generation; milliseconds of the slowest message."""

    seconds: float
    quiet_ms: float
    busy_ms: float

    @property
    def added_ms(self) -> float:
        """How much the reload added to the slowest message."""
        return self.busy_ms - self.quiet_ms


def _burst(spec: str) -> float:
    return servers.burst(spec, 2, _MESSAGES, 20, 20, 4096)["max_ms"]


def measure(server: servers.Server, policies: Path, state: Path) -> Reload:
    """Edit one rule of `policies` while `server` is under load."""
    quiet = _burst(server.spec)
    before = servers.generation(state)
    results: list[float] = []
    load = threading.Thread(target=lambda: results.append(_burst(server.spec)))
    load.start()
    time.sleep(0.3)
    file = next(policies.glob("*.yaml"))
    file.write_text(file.read_text().replace("description: Rule 5\n", "description: Rule 5 edited\n"))
    start = time.monotonic()
    os.kill(server.process.pid, signal.SIGHUP)
    while servers.generation(state) <= before and time.monotonic() - start < 60:
        time.sleep(0.05)
    seconds = time.monotonic() - start
    load.join()
    return Reload(seconds, quiet, results[0])
