"""Lists in a real Redis: changes are whole, the log tells one history from another, nothing in it is believed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.builders.redisserver import Cluster, RedisServer
from tests.builders.storesettings import StoreWords
from tidegate.store.connection import Fault, StoreError, open_store
from tidegate.store.lists import LOG, Entry, ListStore, Removal, entry_from, version_from

NOW = 1_800_000_000.0


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def lists_of(url: str) -> ListStore:
    return ListStore(open_store(StoreWords(url), 2.0))


def everything(store: ListStore, name: str) -> dict[str, Entry | None]:
    return {key: entry for part in store.entries(name) for key, entry in part}


def test_entries_come_and_go(server: RedisServer) -> None:
    """With who, why and until when; each change moves the version, and is told by the log."""
    store = lists_of(server.url)
    bob = Entry("bob", NOW + 60, "ann", "phished", NOW)
    first = store.write("suspended", [bob, Entry("eve")], NOW)
    assert (1, 2, 0, 2) == (first.version.number, first.added, first.removed, first.version.count)
    second = store.write("suspended", [Removal("eve"), Removal("nobody")], NOW)
    assert (2, 0, 1, 1) == (second.version.number, second.added, second.removed, second.version.count)
    assert {"suspended": second.version} == store.versions()
    assert {"bob": bob} == everything(store, "suspended")
    assert [bob, None] == store.some("suspended", ["bob", "eve"])
    assert ((2, second.version.moment), [Removal("eve")]) == store.since("suspended", first.version)
    assert ((2, second.version.moment), []) == store.since("suspended", second.version)


def test_a_change_that_changes_nothing(server: RedisServer) -> None:
    """Who takes off what is not there moves no version; an empty change makes a list."""
    store = lists_of(server.url)
    made = store.write("l", [], NOW)
    assert (1, 0) == (made.version.number, made.version.count)
    assert made.version == store.write("l", [Removal("x")], NOW).version


@pytest.mark.parametrize(
    ("until", "again", "moves"),
    [
        (None, NOW + 60, False),
        (NOW + 100, NOW + 100, False),
        (NOW + 95, NOW + 100, False),
        (NOW + 50, NOW + 100, True),
        (NOW + 50, None, True),
        (NOW - 1, NOW + 1, True),
    ],
    ids=["for good", "the same", "nearly the same", "longer", "now for good", "had ended"],
)
def test_whoever_is_on_it_stays(server: RedisServer, until: float | None, again: float | None, moves: bool) -> None:
    """With a slack, an entry that holds (nearly) as long already is not written again."""
    store = lists_of(server.url)
    before = store.write("l", [Entry("bob", until)], NOW).version
    after = store.write("l", [Entry("bob", again)], NOW, slack=10.0)
    assert (moves, int(until == NOW - 1)) == (after.version != before, after.added)


def test_what_has_long_ended_is_cleared_away(server: RedisServer) -> None:
    """An hour later, by whoever writes next."""
    store = lists_of(server.url)
    store.write("l", [Entry("bob", NOW)], NOW)
    store.write("l", [Entry("eve")], NOW + 3599)
    assert {"bob", "eve"} == everything(store, "l").keys()
    store.write("l", [Entry("joe")], NOW + 3601)
    assert {"eve", "joe"} == everything(store, "l").keys()


def test_the_log_is_bounded(server: RedisServer) -> None:
    """Who missed more than it holds has to copy the list."""
    store = lists_of(server.url)
    old = store.write("l", [Entry("first")], NOW).version
    later = store.write("l", [Entry("second")], NOW).version
    for number in range(LOG - 1):
        store.write("l", [Entry(f"e{number}")], NOW)
    assert store.since("l", old) is None
    found = store.since("l", later)
    assert found is not None
    assert LOG - 1 == len(found[1])


def test_another_history_is_none_of_ours(server: RedisServer) -> None:
    """After FLUSHALL the numbers begin anew; the time of our own version in the log tells."""
    store = lists_of(server.url)
    store.write("l", [Entry("a")], NOW)
    known = store.write("l", [Entry("b")], NOW).version
    server.flush()
    for name in "xyz":
        store.write("l", [Entry(name)], NOW)
    assert store.since("l", known) is None


def test_every_change_is_audited(server: RedisServer) -> None:
    """Who, why, which list, how many, and the first of them."""
    lists_of(server.url).write("suspended", [Entry("bob")], NOW, "ann", "phished", host="mx1")
    ((_, fields),) = server.ask("XRANGE", "{tidegate:prod}:log", "-", "+")
    told = dict(zip(fields[::2], fields[1::2], strict=True))
    assert ("list", "suspended", "1", "ann", "mx1", "phished", "bob", "suspended +1 -0") == tuple(
        told[name] for name in ("event", "list", "added", "author", "host", "reason", "entries", "changes")
    )


def test_a_list_that_lost_entries_is_not_changed(server: RedisServer) -> None:
    """What Redis evicted, or somebody wrote past us, is told; who says so takes it for the list."""
    store = lists_of(server.url)
    store.write("l", [Entry("a"), Entry("b")], NOW)
    server.ask("HDEL", "{tidegate:prod}:list:l", "a")
    with pytest.raises(StoreError, match="1 entries in Redis, and its version says 2"):
        store.write("l", [Entry("c")], NOW)
    assert {"b"} == everything(store, "l").keys()
    assert 2 == store.write("l", [Entry("c")], NOW, repair=True).version.count


@pytest.mark.parametrize("key", ["lists", "list:l", "listlog:l", "listends:l"])
def test_something_else_under_our_keys(server: RedisServer, key: str) -> None:
    """Nothing is written where one of them is of another type, and it is said which."""
    server.ask("SET", f"{{tidegate:prod}}:{key}", "x")
    store = lists_of(server.url)
    with pytest.raises(StoreError) as caught:
        store.write("l", [Entry("a")], NOW)
    assert Fault.WRONG_TYPE is caught.value.fault
    assert [f"{{tidegate:prod}}:{key}"] == server.ask("KEYS", "*")


@pytest.mark.parametrize(
    "value", ["", "x", "[]", "null", '{"until": "soon"}', '{"until": -1}', '{"values": [1]}', '{"at": []}', "[" * 9999]
)
def test_what_is_no_entry(value: str) -> None:
    """Half-written, or by hand: it is none, whatever it is."""
    assert entry_from("bob", value) is None


@pytest.mark.parametrize("text", ["", "1", "1-2", "0-1-1", "a-b-c", "1-2-3-4", "-1-1-1"])
def test_what_is_no_version(text: str) -> None:
    """The same for versions."""
    assert version_from(text) is None


@pytest.mark.parametrize(
    "fields", [{"t": "x", "ops": "[]"}, {"t": "1", "ops": "{"}, {"ops": "[]"}, {"t": "1", "ops": "[[1]]"}]
)
def test_a_damaged_log_is_an_error(server: RedisServer, fields: dict[str, Any]) -> None:
    """Not a guess."""
    store = lists_of(server.url)
    version = store.write("l", [Entry("a")], NOW).version
    words = [word for pair in fields.items() for word in pair]
    server.ask("XADD", "{tidegate:prod}:listlog:l", "2-0", *words)
    with pytest.raises(StoreError):
        store.since("l", version)


def test_entries_travel_whole(server: RedisServer) -> None:
    """Texts of any letters, values, times."""
    store = lists_of(server.url)
    entry = Entry("jürgen o'neill", NOW + 0.25, "änn", 'he said "no"', NOW, ("a@example.com", "b"))
    store.write("l", [entry], NOW)
    assert {entry.key: entry} == everything(store, "l")
    assert {"until", "by", "why", "at", "values"} == json.loads(entry.value()).keys()


def test_in_a_cluster() -> None:
    """All keys of a list lie on one node."""
    with Cluster() as cluster:
        store = lists_of(cluster.url)
        store.write("l", [Entry("a")], NOW)
        assert {"a"} == everything(store, "l").keys()
        assert store.drop("l")
        assert {} == store.versions()
