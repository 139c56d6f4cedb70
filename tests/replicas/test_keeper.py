"""The clerk's thread for lists, poll by poll: whatever Redis does, what is in force stays, and recovers by itself."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.builders.redisserver import RedisServer
from tests.builders.storesettings import StoreWords
from tidegate.image.replica import LiveMembers
from tidegate.model import Conventions, LiveSource
from tidegate.replicas import keeper as keepers
from tidegate.replicas.held import Copy, Holding
from tidegate.replicas.keeper import ListKeeper, Put
from tidegate.replicas.mirror import Wanted
from tidegate.store.connection import open_store
from tidegate.store.lists import Entry, ListStore, Removal

NOW = 1_800_000_000.0


class Supervisor:
    """The other end of the channel: holds what it is handed, as a worker would."""

    def __init__(self) -> None:
        self.holding = Holding()
        self.told: dict[str, dict[str, Any]] = {}
        self.whole: dict[str, Any] = {}
        self.reads = True
        self.copies = 0

    def send(self, word: str, **values: Any) -> bool:
        if word == "list" and self.reads:
            self.told[values["name"]] = values
        elif word == "lists" and self.reads:
            self.whole = values
        return self.reads

    def send_with(self, descriptors: Sequence[int], word: str, **values: Any) -> bool:
        assert word == "replica"
        if self.reads:
            self.copies += 1
            base, changes = descriptors
            self.holding.take(Copy(values["name"], values["form"], base, changes, False))
        return self.reads

    def on(self, value: str, name: str = "suspended") -> bool:
        """Is the login on the list that was handed over?"""
        replica = self.holding.replicas.get((name, "login"))
        members = LiveMembers("l", LiveSource(name, "login"), False, frozenset(), replica)
        return members.cause is None and members.find(value, time.time()) is not None


class Scene:
    """A keeper, its Redis, its state directory and who listens."""

    def __init__(self, server: RedisServer, state: Path) -> None:
        self.server, self.state = server, state
        self.supervisor = Supervisor()
        self.store = ListStore(open_store(StoreWords(server.url), 2.0))
        self.keeper = self.another(self.supervisor)

    def another(self, supervisor: Supervisor) -> ListKeeper:
        link = open_store(StoreWords(self.server.url), 0.3)
        keeper = ListKeeper(link, supervisor, str(self.state), Conventions(), node="mx1")
        keeper.want([Wanted("suspended", "login")])
        return keeper

    def put(self, *keys: str) -> None:
        self.store.write("suspended", [Entry(key) for key in keys], time.time())

    def look(self) -> dict[str, Any]:
        self.keeper.look()
        return self.supervisor.told["suspended"]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with RedisServer() as server:
        yield Scene(server, tmp_path)


def test_it_hands_over_what_is_new(scene: Scene) -> None:
    """Once for each change, the base once for many."""
    scene.put("bob")
    told = scene.look()
    assert (True, "", True) == (told["read"], told["trouble"], scene.supervisor.on("bob"))
    scene.look()
    assert 1 == scene.supervisor.copies
    scene.store.write("suspended", [Removal("bob"), Entry("eve")], NOW)
    scene.look()
    assert (2, False, True) == (scene.supervisor.copies, scene.supervisor.on("bob"), scene.supervisor.on("eve"))


def test_a_supervisor_that_does_not_read_gets_it_later(scene: Scene) -> None:
    """Nothing is lost where its channel is full."""
    scene.put("bob")
    scene.supervisor.reads = False
    scene.keeper.look()
    assert not scene.supervisor.on("bob")
    scene.supervisor.reads = True
    scene.keeper.look()
    assert scene.supervisor.on("bob")


def freeze(server: RedisServer) -> Callable[[], None]:
    server.freeze()
    return server.thaw


def refuse(server: RedisServer) -> Callable[[], None]:
    server.settings("requirepass", "secret")
    server.password = "secret"
    server.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def again() -> None:
        server.settings("requirepass", "")
        server.password = ""

    return again


def foreign(server: RedisServer) -> Callable[[], None]:
    server.ask("RENAME", "{tidegate:prod}:lists", "aside")
    server.ask("SET", "{tidegate:prod}:lists", "x")
    return lambda: server.ask("RENAME", "aside", "{tidegate:prod}:lists")


def strange_log(server: RedisServer) -> Callable[[], None]:
    server.ask("RENAME", "{tidegate:prod}:listlog:suspended", "aside")
    server.ask("SET", "{tidegate:prod}:listlog:suspended", "x")
    server.ask("HSET", "{tidegate:prod}:lists", "suspended", f"9-{int(time.time() * 1e6) + 10**9}-1")

    def again() -> None:
        server.ask("DEL", "{tidegate:prod}:listlog:suspended")
        server.ask("HSET", "{tidegate:prod}:lists", "suspended", f"9-{int(time.time() * 1e6) + 10**9}-1")

    return again


@pytest.mark.parametrize("trouble", [freeze, refuse, foreign, strange_log], ids=lambda one: str(one.__name__))
def test_trouble_changes_nothing_and_passes(scene: Scene, trouble: Callable[[RedisServer], Callable[[], None]]) -> None:
    """Hung, NOAUTH, another type under our keys: who was on the list is, it is told why, and it recovers by itself."""
    scene.put("bob")
    scene.look()
    confirmed = scene.supervisor.told["suspended"]["confirmed"]
    end = trouble(scene.server)
    told = scene.look()
    assert ("list-behind", confirmed, True) == (told["trouble"], told["confirmed"], scene.supervisor.on("bob"))
    assert told["why"]
    end()
    told = scene.look()
    assert ("", True, True) == (told["trouble"], told["confirmed"] > confirmed, scene.supervisor.on("bob"))


def test_a_dead_redis_is_asked_now_and_then(scene: Scene) -> None:
    """After three failures in a row the breaker keeps the polls from it; the lists serve."""
    scene.put("bob")
    scene.look()
    scene.server.kill()
    for _ in range(5):
        assert "list-behind" == scene.look()["trouble"]
    assert scene.supervisor.on("bob")


def test_a_restart_has_what_was_in_force(scene: Scene) -> None:
    """From disk, before Redis is asked; a damaged copy is told and counts as never read."""
    scene.put("bob")
    scene.look()
    scene.server.kill()
    later = Supervisor()
    keeper = scene.another(later)
    keeper.restore()
    assert later.on("bob")
    (scene.state / "replicas" / "suspended.login.base").write_bytes(b"damaged")
    last = Supervisor()
    keeper = scene.another(last)
    keeper.restore()
    keeper.look()
    assert (False, False) == (last.on("bob"), last.told["suspended"]["read"])
    assert last.whole["damaged"]


def test_a_damaged_copy_costs_no_other_list(scene: Scene) -> None:
    """Not even where it can't be set aside."""
    scene.put("bob")
    scene.look()
    folder = scene.state / "replicas"
    (folder / "a.login.base").write_bytes(b"damaged")
    (folder / "a.login.damaged").mkdir()
    (folder / "b.login.base").mkdir()
    later = Supervisor()
    keeper = scene.another(later)
    keeper.restore()
    keeper.look()
    assert later.on("bob")
    assert ["replicas/a.login.base", "replicas/b.login.base"] == [
        one.partition(":")[0] for one in later.whole["damaged"]
    ]
    assert (folder / "b.login.base").exists()  # nobody knows that it is damaged


def test_a_disk_that_is_full_is_told(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list is in force all the same, and is written when there is room again."""

    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keepers.snapshot, "write_base", full)
    scene.put("bob")
    scene.look()
    assert (True, True) == (scene.supervisor.on("bob"), "No space" in scene.supervisor.whole["unwritable"])
    monkeypatch.undo()
    monkeypatch.setattr(keepers, "_RETRY", 0.0)
    scene.look()
    scene.look()
    assert "" == scene.supervisor.whole["unwritable"]
    assert (scene.state / "replicas" / "suspended.login.base").exists()


def put(text: str, seconds: float = 3600.0) -> Put:
    return Put("suspended", "login", text, seconds, time.time(), "rule outbreak", "REF")


def test_what_rules_put_there(scene: Scene) -> None:
    """Written with the rule, the host and the message; in force here with the same poll."""
    scene.keeper.put(put("Mallory"))
    scene.keeper.put(put("bad\nlogin"))
    scene.look()
    (entry,) = scene.store.some("suspended", ["mallory"])
    assert entry is not None
    assert ("rule outbreak (mx1)", "REF", True) == (entry.by, entry.why, scene.supervisor.on("mallory"))
    version = scene.store.version("suspended")
    scene.keeper.put(put("mallory"))
    scene.look()
    assert version == scene.store.version("suspended")


def test_it_waits_while_redis_is_down(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what does not fit is counted."""
    monkeypatch.setattr(keepers, "MAX_WAITING", 2)
    scene.put("bob")
    scene.look()
    scene.server.freeze()
    for name in "abc":
        scene.keeper.put(put(name))
    scene.look()
    assert 1 == scene.supervisor.whole["lost"]
    scene.server.thaw()
    scene.look()
    assert [True, True, False] == [scene.supervisor.on(name) for name in "abc"]


@pytest.mark.parametrize("trouble", ["evicted", "another-type"])
def test_a_list_that_cannot_be_written_keeps_nobody_from_the_others(scene: Scene, trouble: str) -> None:
    """The others are followed and written, in the order in which rules put there; it is tried again with each poll."""
    scene.put("bob")
    scene.store.write("other", [Entry("eve"), Entry("zoe")], time.time())
    scene.look()
    key = "{tidegate:prod}:list:other"
    scene.server.ask("RENAME", key, "aside")
    if trouble == "another-type":
        scene.server.ask("SET", key, "x")
    scene.keeper.put(replace(put("carol"), name="other"))
    scene.keeper.put(put("mallory"))
    scene.put("dave")
    assert ("", True, True) == (scene.look()["trouble"], scene.supervisor.on("mallory"), scene.supervisor.on("dave"))
    assert "other" in scene.supervisor.whole["unput"]
    scene.server.ask("RENAME", "aside", key)
    scene.look()
    assert "" == scene.supervisor.whole["unput"]
    assert [True] == [one is not None for one in scene.store.some("other", ["carol"])]


def test_what_is_put_while_others_are_written_is_not_lost(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clerk's own thread goes on putting meanwhile."""
    write = ListStore.write

    def putting(store: ListStore, *arguments: Any, **more: Any) -> Any:
        monkeypatch.undo()
        scene.keeper.put(put("carol"))
        return write(store, *arguments, **more)

    scene.keeper.put(put("mallory"))
    monkeypatch.setattr(ListStore, "write", putting)
    scene.look()
    scene.look()
    assert (True, True) == (scene.supervisor.on("mallory"), scene.supervisor.on("carol"))


def test_what_nobody_asks_any_more(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not told of, and its copy leaves the disk after a month."""
    scene.put("bob")
    scene.look()
    scene.keeper.want([])
    scene.keeper.look()
    assert (scene.state / "replicas" / "suspended.login.base").exists()
    monkeypatch.setattr(keepers, "_KEPT", -1.0)
    scene.keeper.look()
    assert [] == os.listdir(scene.state / "replicas")
