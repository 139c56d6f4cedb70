"""`make bench`: Tidegate beside a C no-op, a pymilter no-op and rspamd, in one run, in one table, and as JSON.

Cells: 1 and 16 connections, 1 and 20 messages per connection; 20 headers, 4 KiB. Servers take turns within a cell and
the cell is repeated, so that a noisy neighbour hits all of them; the figure is the median of the repeats. Only ratios
within one run mean anything.

    python bench/run.py [--quick] [--json FILE] [--no-postfix]

Exit status 1 where a target of the README is missed by more than the run's own noise.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import policy, postfix, reload, servers

CELLS = ((1, 1), (16, 1), (16, 20), (1, 20))
HEADERS, BODY = 20, 4096
RULES = (10, 1_000, 10_000)


@dataclass(frozen=True, slots=True)
class Row:
    """One server in one cell: medians over the repeats."""

    server: str
    connections: int
    per_connection: int
    cpu_per_1000: float
    rate: float
    p50_ms: float
    p99_ms: float
    failures: int


def load(server: servers.Server, connections: int, per_connection: int, messages: int) -> dict[str, float]:
    """One burst; returns what the client printed, and the server's CPU seconds as `cpu`."""
    before = server.cpu()
    figures = servers.burst(server.spec, connections, messages, per_connection, HEADERS, BODY)
    figures["cpu"] = server.cpu() - before
    return figures


def cell(running: list[servers.Server], shape: tuple[int, int], messages: int, repeats: int) -> Iterator[Row]:
    """All servers in one cell, turn by turn."""
    bursts: dict[str, list[dict[str, float]]] = {server.name: [] for server in running}
    for turn in range(repeats):
        for server in running if turn % 2 == 0 else reversed(running):
            progress(f"{shape[0]} connections x {shape[1]}, round {turn + 1}/{repeats}: {server.name}")
            bursts[server.name].append(load(server, *shape, messages))
    for name, figures in bursts.items():
        middle = {key: statistics.median(f[key] for f in figures) for key in ("cpu", "p50_ms", "p99_ms", "seconds")}
        yield Row(
            name,
            *shape,
            cpu_per_1000=middle["cpu"] / messages * 1000,
            rate=messages / middle["seconds"],
            p50_ms=middle["p50_ms"],
            p99_ms=middle["p99_ms"],
            failures=int(sum(f["failures"] for f in figures)),
        )


@dataclass(frozen=True, slots=True)
class Footprint:
    """One server's processes together, after the load: how many, and bytes of RSS and PSS."""

    server: str
    processes: int
    rss: int
    pss: int


def footprint(server: servers.Server) -> Footprint:
    """What it holds now. RSS counts what processes share once for each of them, PSS once."""
    rows = server.memory()
    return Footprint(server.name, len(rows), sum(row.rss for row in rows), sum(row.pss for row in rows))


def progress(text: str) -> None:
    """One line on a terminal's standard error, overwritten; nothing elsewhere."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def table(rows: list[Row]) -> None:
    """Print `rows` cell by cell with the ratio to the C no-op."""
    heads = {"conn x msg": 11, "CPU s/1000": 12, "x C": 7, "msg/s": 9, "p50 ms": 9, "p99 ms": 9, "fail": 6}
    print(f"{'server':24}" + "".join(f"{text:>{width}}" for text, width in heads.items()))
    for shape in CELLS:
        here = [row for row in rows if (row.connections, row.per_connection) == shape]
        base = next((row.cpu_per_1000 for row in here if row.server == "C no-op"), 0.0)
        for row in here:
            ratio = row.cpu_per_1000 / base if base else 0.0
            print(
                f"{row.server:24}{f'{shape[0]} x {shape[1]}':>11}{row.cpu_per_1000:12.3f}{ratio:7.2f}"
                f"{row.rate:9.0f}{row.p50_ms:9.2f}{row.p99_ms:9.2f}{row.failures:6d}"
            )
        if here:
            print()


def memory_table(sizes: list[Footprint]) -> None:
    """Print what each server holds."""
    print(f"{'server':24}{'processes':>11}{'RSS MB':>12}{'PSS MB':>12}")
    for size in sizes:
        print(f"{size.server:24}{size.processes:11d}{size.rss / 1e6:12.1f}{size.pss / 1e6:12.1f}")
    print()


def targets(rows: list[Row], memory: float, reloaded: reload.Reload) -> list[tuple[str, float, float]]:
    """(what, measured, at most) for each promise about speed."""
    cpu = {(row.server, row.connections, row.per_connection): row.cpu_per_1000 for row in rows}
    found = [
        (
            f"CPU of 1,000 rules / C no-op, {c} x {m}",
            cpu["tidegate 1000", c, m] / cpu["C no-op", c, m],
            1.05 if (c, m) == (16, 1) else 1.0,
        )
        for c, m in CELLS
    ]
    found += [
        (f"CPU of 10,000 rules / 10 rules, {c} x {m}", cpu["tidegate 10000", c, m] / cpu["tidegate 10", c, m], 1.15)
        for c, m in CELLS
    ]
    found.append(("PSS of an added worker, MB", memory / 1e6, 25.0))
    found.append(("reload of 10,000 rules: seconds until in force", reloaded.seconds, 5.0))
    found.append(("reload of 10,000 rules: added to the slowest message, ms", reloaded.added_ms, 25.0))
    return found


def added_worker(folder: Path, policies: Path) -> float:
    """Bytes of PSS that a third worker adds, with 10,000 rules and a list of 100,000 entries."""
    totals = []
    for workers in (2, 3):
        with ExitStack() as stack:
            server = servers.tidegate(stack, folder, f"memory {workers}", policies, workers)
            load(server, 4, 5, 400)
            time.sleep(1)
            totals.append(footprint(server).pss)
    return float(totals[1] - totals[0])


def start(stack: ExitStack, folder: Path) -> Iterator[servers.Server]:
    """One server after the other; `stack` stops them."""
    progress("starting")
    yield servers.c_noop(stack, folder)
    yield servers.pymilter_noop(stack, folder)
    for count in RULES:
        policies = folder / f"policies-{count}"
        policy.write(policies, count, policy.LIST_ENTRIES if count == RULES[-1] else 100)
        yield servers.tidegate(stack, folder, f"tidegate {count}", policies, 2)
    try:
        other = servers.rspamd(stack, folder)
    except RuntimeError as error:
        print(f"without its rows: {error}", file=sys.stderr)
        return
    if other is None:
        print("without rspamd, which is not installed: apt-get install rspamd adds its rows", file=sys.stderr)
    else:
        yield other


def main() -> int:
    """Run everything; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round of each cell")
    parser.add_argument("--json", type=Path, default=servers.ROOT / "bench" / "results.json")
    parser.add_argument("--no-postfix", action="store_true", help="leave out the run through a private Postfix")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # through the `with`, as for ^C
    messages, repeats = (1000, 1) if options.quick else (4000, 3)
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)  # Postfix and rspamd look into it as their own users
        running = list(start(stack, folder))
        by_name = {server.name: server for server in running}
        for server in running:
            load(server, 4, 5, 200)  # warm-up
        rows = [row for shape in CELLS for row in cell(running, shape, messages, repeats)]
        sizes = [footprint(server) for server in running]
        progress("reload")
        big = by_name["tidegate 10000"]
        reloaded = reload.measure(big, folder / "policies-10000", folder / "state-tidegate-10000")
        progress("an added worker")
        memory = added_worker(folder, folder / "policies-10000")
        progress("through Postfix")
        mail = 200 if options.quick else 1000
        through = [] if options.no_postfix else postfix.measure([by_name["C no-op"], by_name["tidegate 1000"]], mail)
    progress("")
    table(rows)
    memory_table(sizes)
    for line in through:
        print(line.text())
    missed = 0
    for what, measured, most in targets(rows, memory, reloaded):
        verdict = "ok" if measured <= most else "MISSED"
        missed += measured > most
        print(f"{verdict:8}{what:58}{measured:9.3f}   (at most {most})")
    options.json.write_text(
        json.dumps(
            {
                "rows": [asdict(row) for row in rows],
                "memory": [asdict(size) for size in sizes],
                "postfix": [asdict(line) for line in through],
                "added_worker_pss": memory,
                "reload": asdict(reloaded),
                "targets": [{"what": w, "measured": m, "at_most": t} for w, m, t in targets(rows, memory, reloaded)],
            },
            indent=1,
        )
    )
    return 1 if missed and not options.quick else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RuntimeError as problem:
        sys.exit(f"make bench: {problem}")
