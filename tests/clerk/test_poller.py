"""What the clerk says to the fleet, and what it makes of a Redis that takes no writes."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.builders.redisserver import RedisServer, until
from tests.builders.revisions import a_text, put
from tests.builders.storesettings import StoreWords
from tidegate.clerk.follow import MISSED, Follower
from tidegate.clerk.poller import Poller
from tidegate.revisions import Node, read_node
from tidegate.store.connection import open_store
from tidegate.store.nodes import heard
from tidegate.store.revisions import Revisions

NODE = Node("mx1", version="1", loaded=3, states={"active": 2}, troubled=("stale rule r",))


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def poller(server: RedisServer, tmp_path: Path) -> Poller:
    link = open_store(StoreWords(server.url, environment="test"), 0.5)
    return Poller(Follower(Revisions(link), str(tmp_path)), link, 0.1, lambda: 0.5)


def reports(server: RedisServer) -> list[Node]:
    """What the fleet has heard."""
    found = [read_node(one.report) for one in heard(open_store(StoreWords(server.url, environment="test"), 5.0))]
    assert all(isinstance(one, Node) for one in found)
    return [one for one in found if isinstance(one, Node)]


def test_it_says_what_we_run(server: RedisServer, poller: Poller) -> None:
    """With the time and the head that it saw; again after ten seconds, and at once where something changed."""
    editor = Revisions(open_store(StoreWords(server.url, environment="test"), 5.0))
    put(editor, {"r": a_text("r")})
    poller.tell(NODE)
    poller.step(1000.0)
    assert [replace(NODE, at=1000, head=1)] == reports(server)
    poller.step(1005.0)
    assert 1000 == reports(server)[0].at
    poller.step(1010.0)
    assert 1010 == reports(server)[0].at
    poller.tell(replace(NODE, loaded=4))
    poller.step(1011.0)
    assert (1011, 4) == (reports(server)[0].at, reports(server)[0].loaded)
    assert 0 < server.ask("TTL", editor.keys.node("mx1")) <= 90


def _replica(server: RedisServer) -> Callable[[], object]:
    server.ask("REPLICAOF", "127.0.0.1", "1")
    server.settings("replica-serve-stale-data", "yes")
    return lambda: server.ask("REPLICAOF", "NO", "ONE")


def _full(server: RedisServer) -> Callable[[], object]:
    server.settings("maxmemory", 1)
    return lambda: server.settings("maxmemory", 0)


def _wrong_type(server: RedisServer) -> Callable[[], object]:
    keys = open_store(StoreWords(server.url, environment="test"), 5.0).keys
    server.ask("DEL", keys.nodes)
    server.ask("SET", keys.nodes, "x")
    return lambda: server.ask("DEL", keys.nodes)


@pytest.mark.parametrize("trouble", [_replica, _full, _wrong_type], ids=["READONLY", "OOM", "a wrong type"])
def test_a_redis_that_takes_no_writes(server: RedisServer, poller: Poller, trouble: Callable[..., object]) -> None:
    """The policy is followed all the same; one alert says that the fleet does not hear of us, and it clears."""
    put(Revisions(open_store(StoreWords(server.url, environment="test"), 5.0)), {"r": a_text("r")})
    poller.tell(NODE)
    end = trouble(server)
    for now in range(1000, 1000 + 2 * MISSED):
        poller.step(float(now))
    assert (["redis-unwritable"], True, 1) == (list(poller.found.alerts), poller.found.up, poller.found.number)
    assert callable(end)
    end()
    poller.step(1020.0)
    assert {} == dict(poller.found.alerts)
    assert [1020] == [one.at for one in reports(server)]


def test_scripts_may_be_forgotten(server: RedisServer, poller: Poller) -> None:
    """SCRIPT FLUSH costs nothing: the script is sent again."""
    poller.tell(NODE)
    poller.step(1000.0)
    server.ask("SCRIPT", "FLUSH")
    poller.step(1010.0)
    assert ([1010], {}) == ([one.at for one in reports(server)], dict(poller.found.alerts))


def test_a_hung_redis_delays_nobody(server: RedisServer, poller: Poller) -> None:
    """The thread waits for it alone: whoever tells it something goes on, and is woken when there is something new."""
    poller.start()
    assert select.select([poller.wakeup], [], [], 15)[0]
    os.read(poller.wakeup, 100)
    server.freeze()
    poller.tell(NODE)
    poller.accept()
    assert poller.found.row
    until(lambda: not poller.found.up, "it is missed")
    server.thaw()
    until(lambda: poller.found.up and reports(server), "it goes on by itself")


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"format": 1}', b'{"format": 1, "name": 3}', b"\xff", b"[" * 9999]
)
def test_a_report_that_is_none(data: bytes) -> None:
    """Whatever somebody writes there, it is a flaw and no exception."""
    assert not isinstance(read_node(data), Node)


def test_a_newer_release_says_more() -> None:
    """What we do not know is passed over."""
    data = NODE.canonical().replace(b'{"', b'{"added":[1,{}],"', 1)
    assert NODE == read_node(data)
