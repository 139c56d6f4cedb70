"""`python bench/propagation.py`: how long a policy revision takes from `put` to every worker, and what idle hosts cost.

One private redis-server. Real daemons, 1 and 3 of them with two workers each and the default `redis_poll`, without a
canary: the time from the commit until the last worker of the last daemon has the new generation. 200 pollers (the
clerk's own code, a thread each): the time until the last has fetched and recorded a revision of 20 changed entries
among 500; then nobody changes anything, and Redis's own counters say how many commands a second they cost.

    python bench/propagation.py [--quick] [--json FILE]

Exit status 1 where a revision takes 5 s or longer to reach all workers. The simulated pollers share one interpreter
and one disk, so their figure is an upper bound.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.builders.daemon import ACCEPT_ALL, Daemon
from tests.builders.redisserver import RedisServer
from tests.builders.revisions import a_text, put
from tests.builders.stored import revisions_of
from tidegate.clerk.follow import Follower
from tidegate.clerk.poller import Poller
from tidegate.revisions import Node
from tidegate.store.revisions import Revisions

HOSTS = (1, 3)
POLLERS, POLL = 200, 2.0
ENTRIES, CHANGED = 500, 20
WORST = 5.0  # seconds: the promise
_LIMIT = 30.0  # seconds until something is given up


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured of so many hosts; seconds."""

    hosts: str
    median: float
    worst: float


def wait(condition: Callable[[], bool]) -> float:
    """Until it holds; when (monotonic) that was seen."""
    end = time.monotonic() + _LIMIT
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("bench/propagation: a revision did not arrive")
        time.sleep(0.01)
    return time.monotonic()


def texts(turn: int, changed: int, count: int) -> dict[str, str]:
    """A policy of `count` rules, of which the first `changed` say something else every turn."""
    when = '{subject: {contains: "never said"}}'
    return {
        f"r{number}": a_text(f"r{number}", f"turn{turn if number < changed else 0}", when) for number in range(count)
    }


def has(daemon: Daemon, number: int) -> bool:
    """Do all its workers have the generation of this revision?"""
    status = daemon.ask(do="status", brief=True)
    if not status or status["redis"]["revision"]["number"] != number:
        return False
    generations = {worker["generation"] for worker in status["workers"]}
    return generations == {status["generation"]["number"]}


def daemons(server: RedisServer, folder: Path, count: int, turns: int) -> Row:
    """`count` daemons, and so many revisions, each at another moment of their polls."""
    editor = revisions_of(server, f"d{count}")
    found = []
    with ExitStack() as stack:
        hosts = []
        for number in range(count):
            place = folder / f"h{count}-{number}"
            place.mkdir()
            host = stack.enter_context(
                Daemon(place, workers=2, redis=server.url, environment=f"d{count}", node=f"h{number}")
            )
            host.policy(ACCEPT_ALL)
            host.start()
            hosts.append(host)
        for turn in range(1, turns + 1):
            tell(f"{count} daemons: revision {turn} of {turns}")
            time.sleep(random.random() * POLL)
            put(editor, texts(turn, 1, 1))
            began = time.monotonic()
            found.append(wait(lambda turn=turn: all(has(host, turn) for host in hosts)) - began)  # type: ignore[misc]
    return Row(f"{count} daemon{'s' if count > 1 else ''}, all workers", statistics.median(found), max(found))


class Simulated:
    """So many hosts that poll: the clerk's code, a thread each."""

    def __init__(self, server: RedisServer, folder: Path, count: int) -> None:
        self.pollers: list[Poller] = []
        for number in range(count):
            place = folder / f"p{number}"
            place.mkdir()
            revisions = revisions_of(server, "many")
            poller = Poller(Follower(Revisions(revisions.link), str(place)), revisions.link, POLL, random.random)
            poller.tell(Node(f"p{number}", version="bench", words=("word",) * 150))
            self.pollers.append(poller)

    def start(self) -> None:
        """Not in step, as no fleet is."""
        for poller in self.pollers:
            threading.Timer(random.random() * POLL, poller.start).start()

    def have(self, number: int) -> bool:
        """Has everybody fetched and recorded it?"""
        return all(poller.found.number == number for poller in self.pollers)


def calls(server: RedisServer) -> int:
    """Commands that Redis has executed."""
    lines = server.ask("INFO", "stats").split("\r\n")
    return int(next(line for line in lines if line.startswith("total_commands_processed:")).partition(":")[2])


def simulated(server: RedisServer, folder: Path, turns: int, idle: float) -> tuple[Row, float]:
    """The time until all pollers have a revision, and commands a second while nothing happens."""
    editor = revisions_of(server, "many")
    put(editor, texts(0, 0, ENTRIES))
    many = Simulated(server, folder, POLLERS)
    many.start()
    wait(lambda: many.have(1))
    found = []
    for turn in range(2, turns + 2):
        tell(f"{POLLERS} pollers: revision {turn - 1} of {turns}")
        time.sleep(random.random() * POLL)
        put(editor, texts(turn, CHANGED, ENTRIES))
        began = time.monotonic()
        found.append(wait(lambda turn=turn: many.have(turn)) - began)  # type: ignore[misc]
    tell(f"{POLLERS} pollers, idle")
    time.sleep(POLL)
    before, began = calls(server), time.monotonic()
    time.sleep(idle)
    rate = (calls(server) - before) / (time.monotonic() - began)
    return Row(f"{POLLERS} simulated pollers", statistics.median(found), max(found)), rate


def tell(text: str) -> None:
    """Progress, on a terminal."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


def main() -> int:
    """Measure, print, write; the exit status."""
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    options.add_argument("--quick", action="store_true", help="fewer turns")
    options.add_argument("--json", default="bench/results-propagation.json")
    chosen = options.parse_args()
    turns, idle = (3, 5.0) if chosen.quick else (7, 10.0)
    with RedisServer() as server, tempfile.TemporaryDirectory(prefix="tgb-") as folder:
        rows = [daemons(server, Path(folder), count, turns) for count in HOSTS]
        row, rate = simulated(server, Path(folder), turns, idle)
        rows.append(row)
    tell("")
    print(f"{'from put to':<32} {'median s':>9} {'worst s':>9}")
    for one in rows:
        print(f"{one.hosts:<32} {one.median:>9.2f} {one.worst:>9.2f}")
    print(f"{POLLERS} idle pollers: {rate:.0f} commands a second")
    Path(chosen.json).write_text(json.dumps({"rows": [asdict(one) for one in rows], "idle": rate}, indent=2) + "\n")
    return 1 if any(one.worst >= WORST for one in rows[: len(HOSTS)]) else 0


if __name__ == "__main__":
    sys.exit(main())
