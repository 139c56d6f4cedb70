"""The shipped ACL file, in a real Redis: what each role does works, and what it must not do is refused."""

from __future__ import annotations

import hashlib
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders.redisserver import RedisSaysNoError, RedisServer, Wire
from tests.builders.stored import document, put, rule
from tests.builders.storesettings import StoreWords
from tidegate.limits import Charge
from tidegate.limits.counter import Grant
from tidegate.settings import Listen, ListenKind, Settings
from tidegate.store import nodes
from tidegate.store.connection import Fault, StoreError, open_store
from tidegate.store.contents import Content, fetch
from tidegate.store.counting import Wanted
from tidegate.store.lists import Entry, ListStore, Removal
from tidegate.store.opening import open_ledger, open_shelf
from tidegate.store.revisions import Moved, Revisions

ROOT = Path(__file__).resolve().parents[2]
ROLES = ("daemon", "editor", "viewer")
WORD = "a word of the test"
OWN = "{tidegate:prod}:"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """With the file as its ACL file, its users switched on; and with something under each of our keys."""
    folder = tmp_path_factory.mktemp("acl")
    text = (ROOT / "docs" / "redis.acl").read_text("utf-8")
    digest = hashlib.sha256(WORD.encode()).hexdigest()
    assert len(ROLES) == text.count(" off resetpass ")
    (folder / "users.acl").write_text(
        f"user default on nopass ~* &* +@all\n{text.replace(' off resetpass ', f' on #{digest} ')}", "utf-8"
    )
    (folder / "secret").write_text(f"{WORD}\n", "utf-8")
    # DEBUG is off by default: here it has to be the ACL that refuses it.
    with RedisServer(f"aclfile {folder}/users.acl", "enable-debug-command yes") as server:
        yield server


def at(server: RedisServer, role: str, environment: str = "prod") -> StoreWords:
    secret = str(Path(server.ask("CONFIG", "GET", "aclfile")[1]).parent / "secret")
    return StoreWords(server.url, f"tidegate-prod-{role}", secret, environment=environment)


def revisions(server: RedisServer, role: str, environment: str = "prod") -> Revisions:
    return Revisions(open_store(at(server, role, environment), 5.0))


@pytest.fixture(autouse=True)
def filled(server: RedisServer) -> None:
    """A revision, a counter, a list, a node, and another environment's revision."""
    server.flush()
    for environment in ("prod", "test"):
        own = Revisions(open_store(StoreWords(server.url, environment=environment), 5.0))
        assert isinstance(put(own, {rule("stop"): document("stop")}), Moved)
    nodes.say(own.link, "mx9", b"{}", 1.0)
    for name in ("prod", "test"):
        server.ask("HSET", f"{{tidegate:{name}}}:limit:a", "d", 1)
        server.ask("HSET", f"{{tidegate:{name}}}:list:suspended", "mallory", "{}")


def test_the_users_can_do_nothing_until_they_get_a_password() -> None:
    """The file as it is shipped opens nothing to anybody."""
    for line in (ROOT / "docs" / "redis.acl").read_text("utf-8").splitlines():
        words = line.split()
        assert ["off", "resetpass"] == words[2:4]
        assert not {"nopass", "~*", "allkeys", "+@all", "allcommands", "&*"} & set(line.replace("(", "( ").split())


def test_the_editor_edits(server: RedisServer) -> None:
    """A revision is committed; what is there is fetched; the fleet is seen."""
    own = revisions(server, "editor")
    assert isinstance(put(own, {rule("halt"): document("halt")}, author="editor"), Moved)
    assert isinstance(fetch(own, own.head()), Content)
    assert "editor" == own.log(1)[0].fields["author"]
    assert () == nodes.heard(own.link)


def test_the_daemon_reads_and_counts(server: RedisServer) -> None:
    """It fetches revisions, reports itself, counts; and its counters can be looked at, reset and granted."""
    own = revisions(server, "daemon")
    assert isinstance(fetch(own, own.head()), Content)
    nodes.say(own.link, "mx1", b"{}", 1.0)
    assert ["mx1"] == [one.name for one in nodes.heard(own.link)]
    with tempfile.TemporaryDirectory() as state:
        login = at(server, "daemon")
        settings = Settings(
            listen=Listen(ListenKind.UNIX, path="/x"),
            policies="/x",
            state=state,
            redis=server.url,
            redis_user=login.redis_user,
            redis_password_file=login.redis_password_file,
        )
        ledger = open_ledger(settings)
        charges = (
            Charge("rate", "hour", "ann", 300, 3600.0, 2),
            Charge("rate", "many", "ann", 300, 3600.0, 2, members=("a", "b")),
        )
        for used in (0, 2):
            found = ledger.charge(charges, f"message {used}", time.time(), True)
            assert [(used, False, None), (used and 2, False, None)] == [
                (one.used, one.local, one.cause) for one in found
            ]
        shelf = open_shelf(settings)
        shelf.grant(Grant("ann", 10, time.time() + 60, time.time(), "me", "a test"))
        assert [10] == [one.amount for one in shelf.grants("ann")]
        assert 2 == shelf.reset(Wanted(key="ann"), "me", "a test")
        assert {"grant", "reset"} == {one.what for one in shelf.deeds()}
        assert shelf.forget(["ann"], False)
        shelf.close()


@pytest.mark.parametrize("role", ["daemon", "editor"])
def test_lists_are_written(server: RedisServer, role: str) -> None:
    """By a person, and by a daemon whose rule suspends somebody; each is in the audit stream."""
    server.ask("DEL", f"{OWN}list:suspended")
    lists = ListStore(open_store(at(server, role), 5.0))
    lists.write("suspended", [Entry("mallory", by=role, until=time.time() + 60)], time.time())
    assert 1 == lists.size("suspended")
    lists.write("suspended", [Removal("mallory")], time.time())
    assert "list" == revisions(server, "viewer").log(1)[0].fields["event"]


def test_the_viewer_views(server: RedisServer) -> None:
    """All of the policy, the fleet, the audit stream."""
    own = revisions(server, "viewer")
    assert isinstance(fetch(own, own.head()), Content)
    assert [1] == [number for number, _ in own.history([1])]
    assert 1 == len(own.log(5))
    assert () == nodes.heard(own.link)


def _commit(own: Revisions) -> None:
    put(own, {rule("halt"): document("halt")})


def _say(own: Revisions) -> None:
    nodes.say(own.link, "mx1", b"{}", 1.0)


@pytest.mark.parametrize(
    ("role", "deed"),
    [("daemon", _commit), ("viewer", _commit), ("viewer", _say), ("editor", _say)],
    ids=lambda value: value if isinstance(value, str) else value.__name__[1:],
)
def test_what_others_do(server: RedisServer, role: str, deed: object) -> None:
    """Our own scripts, run by whom they are not meant for."""
    assert callable(deed)
    with pytest.raises(StoreError) as caught:
        deed(revisions(server, role))
    assert Fault.REFUSED is caught.value.fault


ANYBODY = [
    ("FLUSHALL",),
    ("FLUSHDB",),
    ("KEYS", "*"),
    ("CONFIG", "GET", "*"),
    ("CONFIG", "SET", "maxmemory", 1),
    ("SHUTDOWN",),
    ("DEBUG", "SLEEP", 0),
    ("ACL", "LIST"),
    ("ACL", "SETUSER", "x"),
    ("REPLICAOF", "127.0.0.1", 1),
    ("CLIENT", "KILL", "TYPE", "normal"),
    ("MONITOR",),
    ("PUBLISH", "x", "y"),
    ("SUBSCRIBE", "x"),
    ("SCRIPT", "FLUSH"),
    ("RANDOMKEY",),
    ("DBSIZE",),
    ("CLIENT", "PAUSE", 1),
    ("FUNCTION", "FLUSH"),
    ("FUNCTION", "LOAD", "#!lua name=x\nredis.register_function('x', function() end)"),
    ("RENAME", f"{OWN}head", f"{OWN}limit:x"),
    ("DEL", f"{OWN}head"),
    ("DEL", f"{OWN}log"),
    ("EXPIRE", f"{OWN}head", 1),
    ("HDEL", f"{OWN}entries", "x"),
    ("DEL", f"{OWN}revisions"),
    ("XTRIM", f"{OWN}log", "MAXLEN", 0),
    ("XDEL", f"{OWN}log", "1-1"),
    ("SET", f"{OWN}log", "x"),
    ("MIGRATE", "127.0.0.1", 1, f"{OWN}head", 0, 1),
    ("GET", "something of others"),
    ("SET", "something of others", "x"),
    ("HGET", "{tidegate:test}:head", "number"),
    ("HSET", "{tidegate:test}:head", "number", 1),
    ("HGETALL", "{tidegate:test}:limit:a"),
    ("EVAL", "return redis.call('HSET', '{tidegate:test}:head', 'number', 1)", 0),
    ("EVAL", f"return redis.call('DEL', '{OWN}head')", 0),
    ("EVAL", "return redis.call('DEL', KEYS[1])", 1, f"{OWN}log"),
    ("EVAL", "return redis.call('FLUSHALL')", 0),
]
ONE = {
    "daemon": [
        ("HSET", f"{OWN}head", "number", 1),
        ("HSET", f"{OWN}entries", "a", "b"),
        ("HSET", f"{OWN}manifests", "a", "b"),
        ("HSET", f"{OWN}revisions", 1, "b"),
        ("HSET", f"{OWN}unreviewed", "a", "b"),
        ("EVAL", "return redis.call('HSET', KEYS[1], 'number', 1)", 1, f"{OWN}head"),
        ("EVAL", f"return redis.call('HSET', '{OWN}head', 'number', 1)", 1, f"{OWN}limit:a"),
        ("XADD", f"{OWN}revisions", "*", "a", "b"),
    ],
    "editor": [
        ("HSET", f"{OWN}limit:a", "d", 9),
        ("HGETALL", f"{OWN}limit:a"),
        ("DEL", f"{OWN}limit:a"),
        ("SET", f"{OWN}node:mx1", "{}"),
        ("HSET", f"{OWN}unreviewed", "a", "b"),
        ("SCAN", 0),
        ("EVAL", f"return redis.call('HSET', '{OWN}limit:a', 'd', 9)", 1, f"{OWN}head"),
        ("EVAL", "return redis.call('DEL', KEYS[1])", 1, f"{OWN}head"),
        ("DEL", f"{OWN}entries"),
    ],
    "viewer": [
        ("HSET", f"{OWN}head", "number", 1),
        ("XADD", f"{OWN}log", "*", "a", "b"),
        ("HSET", f"{OWN}list:suspended", "ann", "{}"),
        ("HGETALL", f"{OWN}limit:a"),
        ("SET", f"{OWN}node:mx1", "{}"),
        ("EVAL", "return 1", 0),
        ("SCAN", 0),
    ],
}


REFUSAL = re.compile(r"NOPERM|ERR The user executing the script can't|ACL failure in script")


def _answer(wire: Wire, command: tuple[str | int, ...]) -> str:
    try:
        return f"allowed: {wire.ask(*command)!r}"
    except RedisSaysNoError as error:
        return str(error)


@pytest.mark.parametrize("role", ROLES)
def test_what_it_must_not_do(server: RedisServer, role: str) -> None:
    """Each command alone, directly and from a script: refused by the ACL, for no other reason."""
    with Wire(server.path) as wire:
        wire.ask("AUTH", f"tidegate-prod-{role}", WORD)
        answers = {command: _answer(wire, command) for command in (*ANYBODY, *ONE[role])}
    assert {} == {command: said for command, said in answers.items() if not REFUSAL.match(said)}
    assert "1" == server.ask("HGET", f"{OWN}head", "number")


def test_nobody_without_a_password(server: RedisServer) -> None:
    """A wrong one is told as such."""
    other = StoreWords(server.url, "tidegate-prod-editor")
    with pytest.raises(StoreError) as caught:
        Revisions(open_store(other, 5.0)).head()
    assert Fault.REFUSED is caught.value.fault
