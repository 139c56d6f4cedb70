"""Lists in Redis under a real daemon: in force on all workers at once, and whatever becomes of Redis they stay so."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.builders.daemon import Daemon, Session, until
from tests.builders.redisserver import RedisServer
from tests.builders.storesettings import StoreWords
from tidegate.cli import main
from tidegate.live import snapshot
from tidegate.store.connection import open_store
from tidegate.store.lists import Entry, ListStore

POLICY = """version: 1
lists:
  suspended: {type: login, redis: suspended}
  vip: {type: login, redis: vip, max_stale: 1h}
rules:
  - id: suspended-account
    when: {login: {in: suspended}}
    except: [{name: vip, when: {login: {in: vip}}}]
    do: {reject: {code: "550 5.7.1", text: "suspended"}}
...
"""


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def lists_of(server: RedisServer) -> ListStore:
    return ListStore(open_store(StoreWords(server.url), 2.0))


def put(server: RedisServer, *entries: Entry, name: str = "suspended") -> str:
    return str(lists_of(server).write(name, entries, time.time()).version)


def a_daemon(folder: Path, server: RedisServer, workers: int = 2) -> Daemon:
    daemon = Daemon(folder, workers=workers, redis=server.url, node="mx1")
    daemon.policy(POLICY)
    daemon.state.mkdir(exist_ok=True)
    snapshot.write(str(daemon.state), snapshot.Snapshot(1, "prod", time.time()))  # no policy of its own in this Redis
    return daemon


def known(daemon: Daemon, name: str = "suspended") -> dict[str, Any]:
    """What the status says of a list."""
    rows = daemon.status().get("lists", {}).get("live", ())
    return next((dict(row) for row in rows if row["list"] == name), {})


def in_force(daemon: Daemon, version: str, name: str = "suspended") -> None:
    until(
        lambda: known(daemon, name).get("version") == version and known(daemon, name)["in_force"],
        f"version {version} of {name} on all workers",
    )


def person(daemon: Daemon, *words: str) -> tuple[int, list[str]]:
    """A command with --wait: its exit code, and the hosts on all of whose workers it was in force."""
    done = CliRunner().invoke(main, [*words, "--config", str(daemon.config), "--wait", "--json"])
    return done.exit_code, json.loads(done.stdout)["wait"]["hosts"]


def on_disk(daemon: Daemon, version: str, name: str = "suspended") -> None:
    record = daemon.state / "replicas" / f"{name}.login.changes"
    until(lambda: record.exists() and version.encode() in record.read_bytes(), "the copy on disk is of this version")


def reply(daemon: Daemon, login: str) -> str:
    session = Session(daemon.socket)
    try:
        session.greet()
        return session.message(login).partition(" ")[0]
    finally:
        session.close()


def replies(daemon: Daemon, login: str) -> set[str]:
    """The answers of several connections: of all workers, nearly surely."""
    return {reply(daemon, login) for _ in range(12)}


def test_entries_act_without_a_new_generation(tmp_path: Path, server: RedisServer) -> None:
    """Put on, taken off, at its end by the clock; a message keeps the list that it began with."""
    with a_daemon(tmp_path, server) as daemon:
        daemon.start()
        until(lambda: known(daemon).get("read"), "the empty list is read")
        until(lambda: "list-missing" in daemon.alerts(), "it is told that Redis holds none")
        generation = daemon.generation()
        assert {"accept"} == replies(daemon, "alice")

        early = Session(daemon.socket)
        early.greet()
        early.envelope(login="alice")
        assert (0, ["mx1"]) == person(daemon, "suspend", "Alice", "--reason", "phished", "--for", "1h")
        assert {"550"} == replies(daemon, "alice")
        assert "accept" == early.content()
        early.close()

        in_force(daemon, put(server, Entry("alice"), name="vip"), "vip")
        assert {"accept"} == replies(daemon, "alice")
        assert (0, ["mx1"]) == person(daemon, "list", "rm", "vip", "alice")
        assert (0, ["mx1"]) == person(daemon, "release", "alice")
        in_force(daemon, put(server, Entry("mallory", time.time() + 1.5)))
        assert ({"accept"}, {"550"}) == (replies(daemon, "alice"), replies(daemon, "mallory"))
        until(lambda: reply(daemon, "mallory") == "accept", "the entry ends")
        assert generation == daemon.generation()
        until(lambda: not daemon.alerts() & {"list-missing", "list-unread", "list-behind"}, "no alert stands")


def test_without_redis_the_list_stays(tmp_path: Path, server: RedisServer) -> None:
    """Killed, restarted without it, emptied: who was suspended stays so, and one alert says why."""
    with a_daemon(tmp_path, server) as daemon:
        daemon.start()
        version = put(server, Entry("alice"))
        in_force(daemon, version)
        on_disk(daemon, version)
        server.kill()
        assert {"550"} == replies(daemon, "alice")
        daemon.stop()
        daemon.start()
        until(lambda: reply(daemon, "alice") == "550", "a restart without Redis has the list")
        assert "accept" == reply(daemon, "bob")
        server.start()  # it saved nothing
        until(lambda: "list-guarded" in daemon.alerts(), "an empty Redis is told")
        assert {"550"} == replies(daemon, "alice")
        told = CliRunner().invoke(main, ["suspend", "eve", "--reason", "phished", "--config", str(daemon.config)])
        assert (1, True) == (told.exit_code, "stored, and not in force" in told.output), told.output
        assert "accept" == reply(daemon, "eve")
        assert daemon.ask(do="confirm-list", list="suspended").get("done")
        until(lambda: reply(daemon, "eve") == "550", "what was stored is in force")
        until(lambda: reply(daemon, "alice") == "accept", "a person said that it is meant")
        until(lambda: "list-guarded" not in daemon.alerts(), "the alert is gone")


def test_a_list_that_was_never_read_defers(tmp_path: Path, server: RedisServer) -> None:
    """Without Redis from the first start, whoever may be on it waits; then it is read, and acts."""
    put(server, Entry("mallory"))
    server.freeze()
    with a_daemon(tmp_path, server, workers=1) as daemon:
        daemon.start()
        assert "451" == reply(daemon, "alice")
        until(lambda: "list-unread" in daemon.alerts(), "it is told")
        server.thaw()
        until(lambda: reply(daemon, "alice") == "accept", "Redis goes on, the list is read")
        assert "550" == reply(daemon, "mallory")
        until(lambda: "list-unread" not in daemon.alerts(), "the alert is gone")


def test_a_clerk_that_dies_takes_no_list_with_it(tmp_path: Path, server: RedisServer) -> None:
    """The supervisor has the copies; a new worker gets them, a new clerk goes on from where the disk is."""
    with a_daemon(tmp_path, server, workers=1) as daemon:
        daemon.start()
        in_force(daemon, put(server, Entry("alice")))
        on_disk(daemon, known(daemon)["version"])
        (clerk,) = daemon.status()["clerk"]
        os.kill(clerk, 9)
        os.kill(daemon.workers()[0], 9)
        until(lambda: daemon.status().get("clerk", [clerk]) not in ([], [clerk]), "a new clerk")
        until(lambda: daemon.serves() and reply(daemon, "alice") == "550", "a new worker has the list")
        in_force(daemon, put(server, Entry("bob")))
        assert ["550", "550"] == [reply(daemon, "alice"), reply(daemon, "bob")]


def test_an_old_list_lets_nobody_pass(tmp_path: Path, server: RedisServer) -> None:
    """Past its `max_stale` what it lets through is in doubt; what another list stops stays stopped."""
    with a_daemon(tmp_path, server, workers=1) as daemon:
        daemon.policy(POLICY.replace("max_stale: 1h", "max_stale: 2s"))
        daemon.start()
        in_force(daemon, put(server, Entry("alice"), name="vip"), "vip")
        in_force(daemon, put(server, Entry("alice"), Entry("mallory")))
        assert ["accept", "550"] == [reply(daemon, "alice"), reply(daemon, "mallory")]
        server.kill()
        until(lambda: known(daemon, "vip")["overdue"], "nobody has confirmed it for two seconds")
        until(lambda: reply(daemon, "alice") == "451", "an exception by an old list is in doubt")
        assert ["550", "accept"] == [reply(daemon, "mallory"), reply(daemon, "bob")]
        server.start()
        put(server, Entry("x"))
        put(server, Entry("x"), name="vip")
        for name in ("vip", "suspended"):
            daemon.ask(do="confirm-list", list=name)
        until(lambda: reply(daemon, "alice") == "accept", "Redis is there again, and what it holds is meant")


SUSPENDING = POLICY.replace(
    "...",
    """  - id: outbreak
    when: {sender.address: spam@example.com}
    do: {defer: {code: "451 4.7.1", text: "no"}, suspend: {list: suspended, for: 1h}}
  - {id: quiet, mode: shadow, when: {login: carol}, do: {suspend: {list: suspended, for: 1h}}}
...""",
)


def spam(daemon: Daemon, login: str) -> str:
    session = Session(daemon.socket)
    try:
        session.greet()
        return (session.envelope("spam@example.com", login=login) or session.content()).partition(" ")[0]
    finally:
        session.close()


def test_a_rule_suspends(tmp_path: Path, server: RedisServer) -> None:
    """Whoever it certainly matches is on the list of all hosts a moment later, also where Redis was down meanwhile."""
    lists_of(server).write("suspended", (), time.time())
    with a_daemon(tmp_path, server) as daemon:
        daemon.policy(SUSPENDING)
        daemon.start()
        until(lambda: known(daemon).get("read"), "the list is read")
        assert ("451", "accept") == (spam(daemon, "mallory"), reply(daemon, "carol"))
        until(lambda: replies(daemon, "mallory") == {"550"}, "mallory is suspended on all workers")
        (entry,) = lists_of(server).some("suspended", ["mallory"])
        assert entry is not None
        assert entry.by.startswith("rule outbreak")
        assert entry.until is not None
        (line,) = [one for one in daemon.lines("decision") if one.get("suspends")]
        assert ["outbreak: suspended"] == line["suspends"]
        assert ["quiet: suspended"] == [one for row in daemon.lines("decision") for one in row.get("would_suspend", ())]
        assert "accept" == reply(daemon, "carol")
        server.freeze()
        assert "451" == spam(daemon, "eve")
        server.thaw()
        until(lambda: reply(daemon, "eve") == "550", "what waited is written when Redis goes on")
