"""Limits of a real daemon: counted by all its workers, by several daemons, over restarts, and while Redis is down."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from uuid import uuid4

import pytest

from tests.builders.daemon import ENVIRONMENT, Daemon, Session, until
from tests.builders.redisserver import RedisServer

WORKERS = 2
CLIENTS = 16


def policy(most: int, more: str = "", per: str = "1h") -> str:
    """At most so many messages of a login in an hour."""
    limit = f"{{name: hour, by: login, count: messages, max: {most}, per: {per}{more}}}"
    reply = '{code: "451 4.7.1", text: "{limit.used} of {limit.max} used"}'
    return (
        f"version: 1\nrules:\n  - id: rate\n    when: {{login: {{exists: true}}}}\n    limits: [{limit}]\n"
        f"    do: {{defer: {reply}}}\n...\n"
    )


def started(daemon: Daemon) -> Daemon:
    """It serves, and its policy is in force."""
    daemon.start()
    until(lambda: daemon.generation() > 0, "the policy is in force")
    return daemon


def tidegate(daemon: Daemon, *arguments: str) -> tuple[int, str]:
    """The command beside it; exit code and output."""
    command = [sys.executable, "-m", "tidegate", "limits", *arguments, "--config", str(daemon.config)]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert "" == done.stderr
    return done.returncode, done.stdout


def fresh() -> str:
    """The Message-ID of a message that nobody has sent before."""
    return f"<{uuid4().hex}@example.com>"


def sent(daemon: Daemon, login: str = "alice", message_id: str = "") -> str:
    """The reply to one message on a connection of its own."""
    link = Session(daemon.socket)
    link.greet()
    reply = unsigned(link.message(login, message_id or fresh()))
    link.close()
    return reply


def unsigned(reply: str) -> str:
    """Without the reference, which differs each time."""
    return re.sub(r" \([0-9A-Z]{10}\)$", "", reply)


def handed_in(daemons: list[Daemon], count: int, login: str = "alice") -> Counter[str]:
    """So many messages on sixteen connections at once, spread over the daemons; how many got which reply."""

    def session(number: int) -> list[str]:
        link = Session(daemons[number % len(daemons)].socket)
        link.greet()
        replies = [unsigned(link.message(login, fresh())) for _ in range(count // CLIENTS)]
        link.close()
        return replies

    with ThreadPoolExecutor(CLIENTS) as pool:
        return Counter(reply for replies in pool.map(session, range(CLIENTS)) for reply in replies)


def test_one_host(tmp_path: Path) -> None:
    """Sixteen connections to two workers: exactly as many pass as may. A restart forgets nothing, an edit keeps what is
    counted, a grant and a reset count at once, and each login has its own."""
    with Daemon(tmp_path, workers=WORKERS) as daemon:
        daemon.policy(policy(20))
        started(daemon)
        assert {"accept": 20, "451 4.7.1 20 of 20 used": 28} == handed_in([daemon], 48)
        assert 16 == handed_in([daemon], 16, "bob")["accept"]
        daemon.stop()
        daemon.policy(policy(21))
        started(daemon)
        assert ["accept", "451 4.7.1 21 of 21 used"] == [sent(daemon) for _ in range(2)]
        assert (1, 21) == (tidegate(daemon, "show", "alice")[0], used(daemon, "alice"))
        assert 0 == tidegate(daemon, "grant", "alice", "+1", "--for", "1h", "--reason", "a test")[0]
        assert ["accept", "451 4.7.1 22 of 22 used"] == [sent(daemon) for _ in range(2)]
        assert 0 == tidegate(daemon, "reset", "alice", "--reason", "a test")[0]
        assert ("accept", 1) == (sent(daemon), used(daemon, "alice"))


def used(daemon: Daemon, login: str) -> int:
    """What `tidegate limits show` says of its one counter."""
    (counter,) = json.loads(tidegate(daemon, "show", login, "--json")[1])["counters"]
    return int(counter["used"])


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """What the fleet shares."""
    with RedisServer() as made:
        yield made


def fleet(stack: ExitStack, folder: Path, server: RedisServer, text: str, count: int = 2) -> list[Daemon]:
    """Daemons with states of their own and one Redis."""
    found = []
    for number in range(count):
        home = folder / f"host{number}"
        home.mkdir()
        daemon = stack.enter_context(Daemon(home, workers=WORKERS, redis=server.url, environment="test"))
        daemon.policy(text)
        found.append(started(daemon))
    return found


def test_a_fleet(tmp_path: Path, server: RedisServer) -> None:
    """Sixteen connections to three daemons of two workers each: exactly as many pass as may, with one call each."""
    with ExitStack() as stack:
        daemons = fleet(stack, tmp_path, server, policy(20), 3)
        server.ask("CONFIG", "RESETSTAT")
        replies = handed_in(daemons, 48)
        assert {"accept": 20, "451 4.7.1 20 of 20 used": 28} == replies
        calls = server.ask("INFO", "commandstats")
        assert "cmdstat_evalsha:calls=48" in calls or calls_of(calls) <= 48 + len(daemons) * WORKERS
        assert 20 == used(daemons[0], "alice")


def test_the_window_slides(tmp_path: Path, server: RedisServer) -> None:
    """Sixteen connections to two daemons, for two windows and a half: wherever a window of a second is laid, at most
    seven messages were handed in and answered within it; and it did slide."""
    with ExitStack() as stack:
        daemons = fleet(stack, tmp_path, server, policy(7, per="1s"))
        end = time.monotonic() + 2.5

        def session(number: int) -> list[tuple[float, float]]:
            link = Session(daemons[number % len(daemons)].socket)
            link.greet()
            passed = []
            while time.monotonic() < end:
                began = time.monotonic()
                if link.message("alice", fresh()) == "accept":
                    passed.append((began, time.monotonic()))
            link.close()
            return passed

        with ThreadPoolExecutor(CLIENTS) as pool:
            events = [event for passed in pool.map(session, range(CLIENTS)) for event in passed]
        within = [sum(first <= began and ended <= first + 1 for began, ended in events) for first, _ in events]
        assert max(within) <= 7 < len(events)


def calls_of(stats: str) -> int:
    """EVALSHA and EVAL together: the first message of a server that does not know the script needs both."""
    return sum(
        int(line.partition("calls=")[2].partition(",")[0])
        for line in stats.splitlines()
        if line.startswith(("cmdstat_eval:", "cmdstat_evalsha:"))
    )


def known(daemon: Daemon) -> int:
    """What Redis told this host last of the one counter."""
    path = daemon.state / "limits" / "counters.sqlite"
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path, timeout=5)) as link:
        made = link.execute("SELECT count(*) FROM sqlite_master WHERE name = 'known'").fetchone()[0]
        return int((link.execute("SELECT used FROM known").fetchone() or (0,))[0]) if made else 0


@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_redis_goes_away(fault: str, tmp_path: Path, server: RedisServer) -> None:
    """Nobody is deferred for it: each host goes on from the last count, an alert says so, and it ends by itself."""
    with ExitStack() as stack:
        daemons = fleet(stack, tmp_path, server, policy(5))
        one, other = daemons
        assert ["accept"] * 3 == [sent(daemon) for daemon in (one, other, one)]
        until(lambda: (3, 2) == (known(one), known(other)), "all workers of each host know the count")
        if fault == "killed":
            server.kill()
        else:
            server.freeze()
        assert ["accept", "accept", "451 4.7.1 5 of 5 used"] == [sent(one) for _ in range(3)]
        assert ["accept"] * 3 + ["451 4.7.1 5 of 5 used"] == [sent(other) for _ in range(4)]
        until(lambda: all("limits-local" in daemon.alerts() for daemon in daemons), "it is told")
        if fault == "killed":
            server.start()
        else:
            server.thaw()
        until(lambda: not any("limits-local" in daemon.alerts() for daemon in daemons), "it is over")
        # What Redis told and lost, and what each host let through alone. Frozen, it may have counted some of that, too:
        # it does at last what nobody waited for any more.
        until(lambda: used(one, "alice") >= 8, "Redis knows of all that was let through")
        assert fault == "frozen" or 8 == used(other, "alice")
        assert sent(other).startswith("451 4.7.1 ")


def test_a_message_that_comes_again(tmp_path: Path) -> None:
    """Its client did not see our answer: it is not charged twice, and it passes where another one would not."""
    with Daemon(tmp_path, workers=WORKERS) as daemon:
        daemon.policy(policy(2))
        started(daemon)
        again = fresh()
        assert ["accept"] * 4 == [sent(daemon, message_id=again) for _ in range(3)] + [sent(daemon)]
        assert ["451 4.7.1 2 of 2 used", "accept"] == [sent(daemon), sent(daemon, message_id=again)]
        assert 2 == used(daemon, "alice")


def test_a_full_disk(tmp_path: Path) -> None:
    """The host's file can't be written: mail whose fate depends on it waits, `open` lets it through, and it is told."""
    with Daemon(tmp_path) as daemon:
        daemon.policy(policy(5))
        started(daemon)
        assert "accept" == sent(daemon)
        counters = daemon.state / "limits"
        aside = daemon.state / "limits.aside"
        os.rename(counters, aside)
        counters.write_text("no folder")
        assert sent(daemon).startswith("451 4.3.0")
        until(lambda: "limits-unavailable" in daemon.alerts(), "it is told")
        before = daemon.generation()
        daemon.policy(policy(5, ", on_store_down: open"))
        until(lambda: daemon.generation() > before, "the edit is in force")
        assert "accept" == sent(daemon)
        counters.unlink()
        os.rename(aside, counters)
        until(lambda: "limits-unavailable" not in daemon.alerts(), "it is over")
        assert ("accept", 2) == (sent(daemon), used(daemon, "alice"))
