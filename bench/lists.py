"""What a live list costs: building the copy of a million logins, a look-up, and the memory of each worker.

    PYTHONPATH=milter:. python3 -m bench.lists [ENTRIES]

Two processes map one sealed memory file, as workers do, and look up 100,000 logins each, half of which are on the list.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time

from tidegate.channel import memory
from tidegate.image.replica import LiveMembers, Rows, write_changes, write_replica
from tidegate.model import Conventions, ListItem, LiveSource
from tidegate.replicas.entries import EntryReader
from tidegate.replicas.held import Copy, Holding

LOOKUPS = 100_000
WORKERS = 2


def name(number: int) -> str:
    """A login as sites have them."""
    return f"user.{number * 7919 % 10_000_019}@dept{number % 40}.example.com"


def built(entries: int) -> tuple[bytes, float]:
    """The base, from texts as Redis has them, and the seconds that it took."""
    began = time.perf_counter()
    reader, rows = EntryReader("login", Conventions()), Rows("login", os.urandom(16), Conventions())
    items = (reader.item(name(number), None, ()) for number in range(entries))
    rows.add(item for item in items if isinstance(item, ListItem))
    return write_replica("bench", "1-1-1", rows), time.perf_counter() - began


def pss() -> int:
    """Proportional set size of this process, in KiB (proc(5), smaps_rollup)."""
    with open("/proc/self/smaps_rollup", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:"))


def timed(members: LiveMembers, values: list[str]) -> float:
    """Microseconds of CPU time for one look-up."""
    began = time.process_time()
    for value in values:
        members.find(value, 1.0)
    return (time.process_time() - began) / len(values) * 1e6


def worker(number: int, base: int, changes: int, entries: int, ready: int, go: tuple[int, int]) -> None:
    """One process: maps, looks up, waits until all have, and says what it was charged."""
    gc.freeze()
    on = [name((one * 31 + number) % entries) for one in range(LOOKUPS // 2)]
    off = [f"x{one}@nowhere.example" for one in range(LOOKUPS // 2)]
    before = pss()
    holding = Holding()
    holding.take(Copy("bench", "login", base, changes, False))
    members = LiveMembers("bench", LiveSource("bench", "login"), False, frozenset(), holding.replicas["bench", "login"])
    hit, miss = timed(members, on), timed(members, off)
    assert all(members.find(value, 1.0) for value in on[:1000])
    os.write(ready, b"x")
    os.read(go[0], 1)
    print(json.dumps({"worker": number, "hit_us": round(hit, 2), "miss_us": round(miss, 2),
                      "pss_mb": round((pss() - before) / 1024, 1)}), flush=True)  # fmt: skip
    os.write(ready, b"x")
    os.read(go[1], 1)
    os._exit(0)


def main(entries: int) -> None:
    """Prints one JSON object a line."""
    data, seconds = built(entries)
    print(json.dumps({"entries": entries, "build_s": round(seconds, 2), "megabytes": round(len(data) / 1e6, 1)}))
    sys.stdout.flush()
    changes = {f"change{number}@example.com": ListItem(f"change{number}@example.com") for number in range(500)}
    base, beside = memory("bench", data), memory("bench", write_changes(changes))
    del data
    ready, said = os.pipe()
    gates = [os.pipe(), os.pipe()]  # all hold it while each is measured, and until all are
    children = []
    for number in range(WORKERS):
        pid = os.fork()
        if pid == 0:
            worker(number, base, beside, entries, said, (gates[0][0], gates[1][0]))
        children.append(pid)
    for _, gate in gates:
        for _ in range(WORKERS):
            os.read(ready, 1)
        os.write(gate, b"x" * WORKERS)
    for pid in children:
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
