"""One list of a real Redis as this host has it: followed where it moves on, kept where it can't be believed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.builders.redisserver import RedisServer
from tests.builders.storesettings import StoreWords
from tidegate.image.replica import Base, LiveMembers, Replica
from tidegate.model import Conventions, LiveSource
from tidegate.replicas import mirror as mirrors
from tidegate.replicas import snapshot
from tidegate.replicas.mirror import Mirror, Trouble, Wanted, fits
from tidegate.store.connection import open_store
from tidegate.store.lists import LOG, Entry, ListStore, Removal

NOW = 1_800_000_000.0
PLAIN = Conventions()


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def store(server: RedisServer) -> ListStore:
    return ListStore(open_store(StoreWords(server.url), 2.0))


def a_mirror(form: str = "login", allows: bool = False, conventions: Conventions = PLAIN) -> Mirror:
    return Mirror(Wanted("l", form, allows), conventions)


def look(mirror: Mirror, store: ListStore, now: float = NOW) -> bool:
    """As the keeper looks."""
    versions = store.versions()
    return mirror.follow(store, "l" in versions, versions.get("l"), now, lambda: None)


def found(mirror: Mirror, *values: str, now: float = NOW) -> list[str]:
    """Who of them is on the list that is in force."""
    assert mirror.base is not None
    members = LiveMembers(
        "l", LiveSource("l", mirror.wanted.form), False, frozenset(), Replica(mirror.base, mirror.changes)
    )
    return [value for value in values if members.find(value, now) is not None]


def people(count: int, word: str = "p") -> list[str]:
    return [f"{word}{number}" for number in range(count)]


def put(store: ListStore, *keys: str) -> None:
    store.write("l", [Entry(key) for key in keys], NOW)


def test_it_is_followed_step_by_step(store: ListStore) -> None:
    """The first time as a whole, then by what changed; an entry that ends needs no look."""
    mirror = a_mirror()
    put(store, "Bob", "eve")
    assert look(mirror, store)
    assert ["bob", "eve"] == found(mirror, "bob", "eve", "joe")
    base = mirror.base
    store.write("l", [Removal("eve"), Entry("joe", NOW + 5)], NOW)
    assert look(mirror, store)
    assert base is mirror.base
    assert ["bob", "joe"] == found(mirror, "bob", "eve", "joe")
    assert ["bob"] == found(mirror, "bob", "eve", "joe", now=NOW + 5)
    assert not look(mirror, store, NOW + 9)
    assert (NOW + 9, None) == (mirror.confirmed, mirror.trouble)


def test_many_changes_are_worked_in(store: ListStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past a bound they become a new base; nothing else changes."""
    monkeypatch.setattr(mirrors, "MAX_CHANGES", 3)
    mirror = a_mirror()
    put(store, "a")
    look(mirror, store)
    before = mirror.base
    store.write("l", [Removal("a"), *[Entry(one) for one in "bcde"]], NOW)
    look(mirror, store)
    assert mirror.base is not before
    assert ({}, ["b", "c", "d", "e"]) == (mirror.changes, found(mirror, *"abcde"))


def test_a_log_that_does_not_reach_back(store: ListStore) -> None:
    """Then the list is copied again."""
    mirror = a_mirror()
    put(store, "a")
    look(mirror, store)
    for number in range(LOG + 1):
        put(store, f"p{number}")
    assert look(mirror, store)
    assert 3 == len(found(mirror, "a", "p0", f"p{LOG}"))
    assert mirror.trouble is None


def test_a_list_that_never_was_is_empty(store: ListStore) -> None:
    """Redis answers, and holds none: nobody is on it; whoever comes later counts."""
    mirror = a_mirror()
    assert look(mirror, store)
    assert (True, []) == (mirror.missing, found(mirror, "bob"))
    assert not look(mirror, store)
    put(store, "bob")
    assert look(mirror, store)
    assert (False, ["bob"]) == (mirror.missing, found(mirror, "bob"))


def test_a_flushed_redis_takes_nobody_off(server: RedisServer, store: ListStore) -> None:
    """Nor does a list that begins anew in it, until a person says that it is meant."""
    mirror = a_mirror()
    put(store, "bob", "eve")
    store.write("l", [Removal("eve")], NOW)
    look(mirror, store)
    server.flush()
    assert not look(mirror, store)
    assert (Trouble.GUARDED, ["bob"]) == (mirror.trouble, found(mirror, "bob"))
    put(store, "joe")
    assert not look(mirror, store)
    assert "older" in mirror.why
    mirror.accept = True
    assert look(mirror, store)
    assert (None, ["joe"]) == (mirror.trouble, found(mirror, "bob", "joe"))


def test_what_is_gone_can_be_meant(server: RedisServer, store: ListStore) -> None:
    """Confirmed, a list that Redis holds no more is empty."""
    mirror = a_mirror()
    put(store, "bob")
    look(mirror, store)
    server.flush()
    mirror.accept = True
    assert look(mirror, store)
    assert ([], False, True) == (found(mirror, "bob"), mirror.accept, mirror.missing)


def test_an_old_dump_takes_nobody_off(server: RedisServer, store: ListStore) -> None:
    """Neither at once, nor when its own history goes on past ours: then it is compared as a whole."""
    mirror = a_mirror()
    put(store, "a")
    old = {key: server.ask("DUMP", key) for key in server.ask("KEYS", "*")}
    put(store, *people(30))
    look(mirror, store)
    server.flush()
    for key, data in old.items():
        server.ask("RESTORE", key, 0, data)
    assert not look(mirror, store)
    assert "older version" in mirror.why
    put(store, "x")
    put(store, "y")
    assert not look(mirror, store)
    assert "30 of 31 entries are gone at once" in mirror.why
    assert 31 == len(found(mirror, "a", *people(30)))


@pytest.mark.parametrize(
    ("held", "kept", "allows", "taken"),
    [(30, 16, False, True), (30, 14, False, False), (30, 28, True, True), (150, 120, True, False),
     (12, 1, False, False), (10, 1, False, True), (3, 0, False, False)],
    ids=["a third", "more than half", "a few that allow", "a fifth that allow", "eleven of twelve", "few", "all"],
)  # fmt: skip
def test_what_arrives_whole(
    server: RedisServer, store: ListStore, held: int, kept: int, allows: bool, taken: bool
) -> None:
    """More than half and more than ten gone at once are not believed; of a list that lets mail pass, a tenth."""
    mirror = a_mirror(allows=allows)
    put(store, *people(held))
    look(mirror, store)
    server.ask("DEL", "{tidegate:prod}:listlog:l")
    store.write("l", [Removal(one) for one in people(held)[kept:]], NOW)
    server.ask("DEL", "{tidegate:prod}:listlog:l")
    assert taken is look(mirror, store)
    assert (kept if taken else held) == len(found(mirror, *people(held)))
    assert (mirror.trouble is None) is taken


def test_single_removals_act_at_once(store: ListStore) -> None:
    """However many: by the log they are what somebody did."""
    mirror = a_mirror()
    put(store, *people(30))
    look(mirror, store)
    store.write("l", [Removal(one) for one in people(30)], NOW)
    assert look(mirror, store)
    assert [] == found(mirror, *people(30))


def test_a_list_that_was_evicted_is_not_empty(server: RedisServer, store: ListStore) -> None:
    """On a host that never saw it: its version counts entries that Redis does not have any more."""
    put(store, "bob")
    server.ask("DEL", "{tidegate:prod}:list:l")
    mirror = a_mirror()
    assert not look(mirror, store)
    assert (None, Trouble.GUARDED) == (mirror.base, mirror.trouble)


def test_a_damaged_version(server: RedisServer, store: ListStore) -> None:
    """It stays as it was."""
    mirror = a_mirror()
    put(store, "bob")
    look(mirror, store)
    server.ask("HSET", "{tidegate:prod}:lists", "l", "x")
    assert not look(mirror, store)
    assert (["bob"], Trouble.GUARDED) == (found(mirror, "bob"), mirror.trouble)


def test_bad_entries_cost_themselves(server: RedisServer, store: ListStore) -> None:
    """What does not fit the list's type, or is half-written, is left out and counted."""
    server.ask("HSET", "{tidegate:prod}:list:l", "10.0.0.1/8", "{}", "rubbish", "{}", "192.0.2.1", "half {")
    store.write("l", [Entry("10.0.0.0/8")], NOW, repair=True)
    mirror = a_mirror("ip")
    look(mirror, store)
    assert ["10.1.2.3"] == found(mirror, "10.1.2.3", "192.0.2.1")
    assert {"10.0.0.1/8", "rubbish", "192.0.2.1"} == mirror.bad.keys()
    store.write("l", [Removal("rubbish"), Entry("192.0.2.1"), Removal("10.0.0.1/8")], NOW)
    look(mirror, store)
    assert (["192.0.2.1"], {}) == (found(mirror, "192.0.2.1"), mirror.bad)


def test_globs_have_an_end(store: ListStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is tried on every value, so a list can't hold any number of them."""
    monkeypatch.setattr(mirrors, "MAX_GLOBS", 2)
    mirror = a_mirror("domain")
    put(store, "a*.example", "b*.example", "c*.example", "plain.example")
    look(mirror, store)
    assert 1 == len(mirror.bad)
    assert 3 == len(found(mirror, "ax.example", "bx.example", "cx.example", "plain.example"))
    store.write("l", [Removal(one) for one in ("a*.example", "b*.example", "c*.example")], NOW)
    put(store, "d*.example", "e*.example", "f*.example")
    look(mirror, store)
    assert ["dx.example", "ex.example"] == found(mirror, "ax.example", "dx.example", "ex.example", "fx.example")


def test_keys_are_written_as_the_site_does(store: ListStore) -> None:
    """A login without a realm is completed, as in the message."""
    mirror = a_mirror(conventions=Conventions("example.com", "+"))
    put(store, "Bob")
    look(mirror, store)
    assert ["bob@example.com"] == found(mirror, "bob@example.com", "bob")


def test_on_disk(store: ListStore, tmp_path: object) -> None:
    """A restart has the list as it was in force, its version and when it was last confirmed."""
    mirror, state = a_mirror(), str(tmp_path)
    put(store, "a", "b")
    look(mirror, store)
    assert mirror.base is not None
    snapshot.write_base(state, mirror.data, mirror.base)
    store.write("l", [Removal("a"), Entry("c")], NOW)
    look(mirror, store)
    snapshot.write(state, mirror.base, mirror.changes, str(mirror.version))
    snapshot.confirm(state, mirror.base, NOW)
    (kept,) = snapshot.read_all(state)
    assert not isinstance(kept, str)
    other = a_mirror()
    assert fits(kept.base, other.wanted, PLAIN)
    other.restore(kept.base, kept.data, kept.changes, kept.version, kept.confirmed)
    assert (["b", "c"], NOW) == (found(other, *"abc"), other.confirmed)
    assert not look(other, store)
    assert not fits(kept.base, Wanted("l", "address"), PLAIN)
    assert not fits(kept.base, other.wanted, Conventions("example.org"))


@pytest.mark.parametrize("damage", [b"", b"x", b"\0" * 5000])
def test_a_damaged_record(store: ListStore, tmp_path: object, damage: bytes) -> None:
    """It is set aside and told; the list counts as never read. Damaged changes leave the base."""
    mirror, state = a_mirror(), str(tmp_path)
    put(store, "a")
    look(mirror, store)
    assert mirror.base is not None
    snapshot.write_base(state, mirror.data, mirror.base)
    folder = tmp_path / "replicas"  # type: ignore[operator]
    (folder / "l.login.changes").write_bytes(damage)
    (kept,) = snapshot.read_all(state)
    assert not isinstance(kept, str)
    (folder / "l.login.base").write_bytes(damage)
    (why,) = snapshot.read_all(state)
    assert isinstance(why, str)
    assert [] == list(snapshot.read_all(state))
    assert isinstance(Base(kept.data), Base)
