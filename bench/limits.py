"""`python bench/limits.py`: what limits cost, counted in SQLite and in Redis, in one run, in one table, and as JSON.

Servers: Tidegate with 0, 1, 3 and 10 limits on every message, in SQLite and in Redis; rspamd with and without its
ratelimit (one bucket for each login), in the same Redis, where rspamd is installed. They take turns within a cell and
the cell is repeated; the figure is the median. CPU is that of the filter and, told apart, of redis-server. `calls` is
how many scripts the filter had Redis run for a message: at most one, with any number of limits, is the promise. Only
ratios within one run mean anything.

    python bench/limits.py [--quick] [--json FILE]

Exit status 1 where a message costs more than one round trip.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import servers
from tests.builders.redisserver import RedisServer

CELLS = ((1, 20), (16, 20))
LIMITS = (0, 1, 3, 10)
HEADERS, BODY = 20, 4096
_FIELDS = ("login", "sender.address", "sender.domain", "client.ip", "client.net")
_TICKS = 100.0  # of redis-server's CPU time, in /proc
MOST_CALLS = 1.02  # a look of the thread that tends the stores may fall into a cell


@dataclass(frozen=True, slots=True)
class Row:
    """One server in one cell: medians over the repeats."""

    server: str
    connections: int
    per_connection: int
    cpu_per_1000: float
    redis_cpu_per_1000: float
    calls: float
    p50_ms: float
    p99_ms: float
    failures: int


def policy(folder: Path, count: int) -> Path:
    """A policy directory whose one rule has so many limits, none of which is ever exceeded."""
    folder.mkdir()
    limits = "".join(
        f"      - {{name: limit{number}, by: {_FIELDS[number % len(_FIELDS)]}, count: messages, max: 999999999, "
        f"per: {1 + number}h}}\n"
        for number in range(count)
    )
    body = "rules: []\n"
    if count:
        reply = '{defer: {code: "451 4.7.1", text: too many}}'
        body = f"rules:\n  - id: rate\n    when: {{login: {{exists: true}}}}\n    limits:\n{limits}    do: {reply}\n"
    (folder / "10-limits.yaml").write_text(f"version: 1\n{body}...\n", encoding="utf-8")
    return folder


class Redis:
    """The server that all of them share: what it did for whom."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server

    def cpu(self) -> float:
        """Seconds so far."""
        fields = Path(f"/proc/{self._server.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def calls(self) -> int:
        """Scripts that it was asked to run, and commands outside of them, as far as a filter sends any."""
        stats = str(self._server.ask("INFO", "commandstats"))
        counted = ("cmdstat_eval:", "cmdstat_evalsha:")
        lines = [line for line in stats.splitlines() if line.startswith(counted)]
        return sum(int(line.partition("calls=")[2].partition(",")[0]) for line in lines)


def start(stack: ExitStack, folder: Path, redis: RedisServer) -> Iterator[servers.Server]:
    """One server after the other; `stack` stops them."""
    for count in LIMITS:
        what = "1 limit" if count == 1 else f"{count} limits"
        policies = policy(folder / f"policies-{count}", count)
        yield servers.tidegate(stack, folder, f"{what} in SQLite", policies, 2)
        if count:
            options = {"redis": redis.url, "environment": f"bench{count}"}
            yield servers.tidegate(stack, folder, f"{what} in Redis", policies, 2, **options)
    for limited in (False, True):
        try:
            rival = servers.rspamd(stack, folder, redis.path if limited else "")
        except RuntimeError as error:
            print(f"without its rows: {error}", file=sys.stderr)
            return
        if rival is None:
            print("without rspamd, which is not installed: apt-get install rspamd adds its rows", file=sys.stderr)
            return
        yield rival


def cell(
    running: list[servers.Server], redis: Redis, shape: tuple[int, int], messages: int, repeats: int
) -> Iterator[Row]:
    """All servers in one cell, turn by turn."""
    bursts: dict[str, list[dict[str, float]]] = {server.name: [] for server in running}
    for turn in range(repeats):
        for server in running if turn % 2 == 0 else reversed(running):
            before = server.cpu(), redis.cpu(), redis.calls()
            figures = servers.burst(server.spec, shape[0], messages, shape[1], HEADERS, BODY)
            figures["cpu"] = server.cpu() - before[0]
            figures["redis"] = redis.cpu() - before[1]
            figures["calls"] = redis.calls() - before[2]
            bursts[server.name].append(figures)
    for name, all_figures in bursts.items():
        keys = ("cpu", "redis", "calls", "p50_ms", "p99_ms")
        middle = {key: statistics.median(one[key] for one in all_figures) for key in keys}
        yield Row(
            name,
            *shape,
            cpu_per_1000=middle["cpu"] / messages * 1000,
            redis_cpu_per_1000=middle["redis"] / messages * 1000,
            calls=middle["calls"] / messages,
            p50_ms=middle["p50_ms"],
            p99_ms=middle["p99_ms"],
            failures=int(sum(one["failures"] for one in all_figures)),
        )


def table(rows: list[Row]) -> None:
    """Print `rows` cell by cell; the ratio is to the same filter without limits."""
    heads = {"conn x msg": 11, "CPU s/1000": 12, "x none": 8, "Redis s/1000": 13, "calls": 7, "p50 ms": 8, "p99 ms": 8}
    print(f"{'server':24}" + "".join(f"{text:>{width}}" for text, width in heads.items()) + f"{'fail':>6}")
    for shape in CELLS:
        here = [row for row in rows if (row.connections, row.per_connection) == shape]
        for row in here:
            rival = row.server.startswith("rspamd")
            base = next((one for one in here if one.server == ("rspamd" if rival else "0 limits in SQLite")), row)
            print(
                f"{row.server:24}{f'{shape[0]} x {shape[1]}':>11}{row.cpu_per_1000:12.3f}"
                f"{row.cpu_per_1000 / base.cpu_per_1000:8.2f}{row.redis_cpu_per_1000:13.3f}{row.calls:7.2f}"
                f"{row.p50_ms:8.2f}{row.p99_ms:8.2f}{row.failures:6d}"
            )
        print()


def main() -> int:
    """Run everything; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round of each cell")
    parser.add_argument("--json", type=Path, default=servers.ROOT / "bench" / "results-limits.json")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # through the `with`, as for ^C
    messages, repeats = (1000, 1) if options.quick else (4000, 3)
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)  # rspamd looks into it as its own user
        server = stack.enter_context(RedisServer("unixsocketperm 777"))
        server.folder.chmod(0o755)
        running = list(start(stack, folder, server))
        for one in running:
            servers.burst(one.spec, 4, 200, 5, HEADERS, BODY)  # warm-up
        rows = [row for shape in CELLS for row in cell(running, Redis(server), shape, messages, repeats)]
    table(rows)
    worst = max(row.calls for row in rows if not row.server.startswith("rspamd"))
    print(f"{'ok' if worst <= MOST_CALLS else 'MISSED':8}round trips to Redis for a message: {worst:.2f} (at most 1)")
    options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    return 0 if worst <= MOST_CALLS else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RuntimeError as problem:
        sys.exit(f"make bench: {problem}")
