"""Who counts for a worker: Redis, and what becomes of a message while it is down. Real faults of a real server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.builders.charges import a_charge
from tests.builders.grants import a_grant
from tests.builders.redisserver import RedisSaysNoError, RedisServer, until
from tests.builders.stores import redis_at
from tidegate.limits import Charge, OnStoreDown, Usage
from tidegate.store.connection import Script, open_store
from tidegate.store.counters import RedisCounters
from tidegate.store.counting import UncountedError
from tidegate.store.countscript import COUNT
from tidegate.store.database import Database
from tidegate.store.debts import Debts
from tidegate.store.ledger import StoreLedger
from tidegate.store.redisshelf import RedisShelf
from tidegate.store.sqlite import Known, SqliteCounters


class Clock:
    """Monotonic seconds that the test moves; the breaker goes by them."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A Redis of our own."""
    with RedisServer() as made:
        yield made


@pytest.fixture
def clock() -> Clock:
    """For the ledger."""
    return Clock()


@pytest.fixture
def ledger(server: RedisServer, tmp_path: Path, clock: Clock) -> StoreLedger:
    """A worker's."""
    return a_ledger(server, tmp_path, clock)


def a_ledger(server: RedisServer, folder: Path, clock: Clock, share: float = 1.0, timeout: float = 0.25) -> StoreLedger:
    """One worker's, of the host with this state directory."""
    shared = RedisCounters(open_store(redis_at(server.url), timeout))
    database = Database(str(folder), 5.0)
    return StoreLedger(SqliteCounters(database, stands_in=True), shared, Debts(database), share, clock)


def charged(ledger: StoreLedger, *charges: Charge, retry_of: str = "", commit: bool = True) -> tuple[Usage, ...]:
    """Charge these."""
    return ledger.charge(charges or (a_charge(),), retry_of, 1_700_000_000.0, commit)


def looked(ledger: StoreLedger, clock: Clock) -> bool:
    """One look of the keeper's thread, later; is Redis back?"""
    clock.now += 10
    ledger.look()
    return not ledger.down


def down_with(fault: str, server: RedisServer) -> None:
    """Cause it."""
    match fault:
        case "killed":
            server.kill()
        case "frozen":
            server.freeze()
        case "a replica":
            server.ask("REPLICAOF", "127.0.0.1", 1)
        case "out of memory":
            server.settings("maxmemory", 1)
        case "a password":
            server.settings("requirepass", "x")
            server.password = "x"
            server.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        case "busy":
            script = "local t = redis.call('TIME')[1] while redis.call('TIME')[1] - t < 60 do end"
            server.settings("lua-time-limit", 1)
            threading.Thread(target=_ignoring, args=(server, "EVAL", script, 0), daemon=True).start()
            until(lambda: _busy(server), "the script runs")


def _ignoring(server: RedisServer, *words: str | int) -> None:
    with suppress(RedisSaysNoError, OSError):  # the script is killed at the end
        server.ask(*words)


def _busy(server: RedisServer) -> bool:
    try:
        server.ask("GET", "x")
    except RedisSaysNoError as error:
        return "BUSY" in str(error)
    return False


def up_again(fault: str, server: RedisServer) -> None:
    """And cure it."""
    match fault:
        case "killed":
            server.start()
        case "frozen":
            server.thaw()
        case "a replica":
            server.ask("REPLICAOF", "NO", "ONE")
        case "out of memory":
            server.settings("maxmemory", 0)
        case "a password":
            server.settings("requirepass", "")
            server.password = ""
        case "busy":
            server.ask("SCRIPT", "KILL")


FAULTS = ("killed", "frozen", "a replica", "out of memory", "a password", "busy")


@pytest.mark.parametrize("fault", FAULTS)
def test_it_goes_on_from_the_last_known_count(
    fault: str, ledger: StoreLedger, server: RedisServer, clock: Clock
) -> None:
    """Two of three are used when Redis fails: one more fits, says that it was counted here, and no other; once Redis is
    back nobody had to do anything."""
    charged(ledger)
    assert [(1, False)] == [(one.used, one.local) for one in charged(ledger)]
    assert {} == ledger.troubles()
    down_with(fault, server)
    told = [charged(ledger)[0] for _ in range(3)]
    assert [(2, 3, False, True), (3, 3, True, True), (3, 3, True, True)] == [
        (one.used, one.maximum, one.exceeded, one.local) for one in told
    ]
    assert ["limits-local"] == list(ledger.troubles())
    up_again(fault, server)
    until(lambda: looked(ledger, clock), "it is counted in Redis again")
    # This server saves nothing: killed, it lost its data, which is told.
    assert (["limits-lost"] if fault == "killed" else []) == list(ledger.troubles())
    assert [False] == [one.local for one in charged(ledger, commit=False)]


def test_only_the_first_three_messages_wait(ledger: StoreLedger, server: RedisServer, clock: Clock) -> None:
    """A hung Redis is asked three times; then the thread alone looks whether it is back."""
    asked = []
    shared = ledger._shared
    assert shared is not None
    real = shared.charge
    shared.charge = lambda *one: asked.append(1) or real(*one)  # type: ignore[method-assign,func-returns-value]
    server.freeze()
    for _ in range(8):
        charged(ledger)
    assert 3 == len(asked)
    server.thaw()
    for _ in range(3):
        charged(ledger)
    assert 3 == len(asked)


@pytest.mark.parametrize(
    ("how", "cause", "exceeded"),
    [(OnStoreDown.LOCAL, False, True), (OnStoreDown.DEFER, True, False), (OnStoreDown.OPEN, False, False)],
)
def test_each_limit_goes_by_its_own_word(
    how: OnStoreDown, cause: bool, exceeded: bool, ledger: StoreLedger, server: RedisServer
) -> None:
    """A full limit while Redis is down, beside another one that is counted here."""
    for _ in range(3):
        charged(ledger, a_charge(on_store_down=how))
    server.kill()
    told, other = charged(ledger, a_charge(on_store_down=how), a_charge(limit="day", stops=False))
    assert (cause, exceeded) == (told.cause is not None, told.exceeded)
    assert (True, None) == (other.local, other.cause)
    if told.cause is not None:
        assert "Redis" in told.cause.text


def test_a_share_of_the_maximum_is_opt_in(server: RedisServer, tmp_path: Path, clock: Clock) -> None:
    """A third of 9, on each of three hosts."""
    ledger = a_ledger(server, tmp_path, clock, share=1 / 3)
    assert 9 == charged(ledger, a_charge(9))[0].maximum
    server.kill()
    assert (3, 1) == (charged(ledger, a_charge(9))[0].maximum, charged(ledger, a_charge(9), commit=False)[0].used - 1)


def test_all_workers_of_a_host_know_the_last_count(server: RedisServer, tmp_path: Path, clock: Clock) -> None:
    """Another worker, or one that starts while Redis is down, goes on from what this one was told last."""
    first = a_ledger(server, tmp_path, clock)
    for _ in range(2):
        charged(first)
    first.look()  # its thread writes down what it knows
    server.kill()
    second = a_ledger(server, tmp_path, clock)
    assert [(2, False), (3, True)] == [(one.used, one.exceeded) for one in (charged(second)[0], charged(second)[0])]


def test_a_grant_outlives_the_connection(server: RedisServer, tmp_path: Path, clock: Clock) -> None:
    """What Redis had granted when it last answered holds while it is down."""
    RedisShelf(open_store(redis_at(server.url), 5.0)).grant(a_grant(amount=2))
    ledger = a_ledger(server, tmp_path, clock)
    assert 5 == charged(ledger)[0].maximum
    server.kill()
    assert 5 == charged(ledger)[0].maximum


def test_a_script_that_is_flushed_is_sent_again(ledger: StoreLedger, server: RedisServer) -> None:
    """SCRIPT FLUSH, and a restart, cost one round trip."""
    charged(ledger)
    server.ask("SCRIPT", "FLUSH")
    assert [(1, False)] == [(one.used, one.local) for one in charged(ledger)]
    assert [1] == server.ask("SCRIPT", "EXISTS", Script(COUNT).sha)


def test_a_redis_that_lost_its_data(server: RedisServer, tmp_path: Path, clock: Clock) -> None:
    """FLUSHALL: it is told, and within a second the counters go on from what the hosts were told last, once; by then
    two messages have passed that found nothing."""
    hosts = [a_ledger(server, tmp_path / name, clock) for name in ("one", "other")]
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    full = a_charge(9)
    for host in (*hosts, hosts[0], hosts[0]):
        charged(host, full, a_charge(9, limit="who", members=("a", "b")))
    for host in hosts:
        host.look()
        assert {} == host.troubles()
    server.flush()
    assert [0, 1] == [charged(host, full)[0].used for host in hosts]
    for host in (*hosts, *hosts):
        host.look()
        assert ["limits-lost"] == list(host.troubles())
    assert [6, 7] == [charged(host, full)[0].used for host in hosts]


def test_another_worker_knows_what_was_lost(server: RedisServer, tmp_path: Path, clock: Clock) -> None:
    """The one that finds Redis empty has not met it before; what was told of another environment stays there."""
    first = a_ledger(server, tmp_path, clock)
    first.look()
    for _ in range(2):
        charged(first, a_charge(9))
        first.look()
    SqliteCounters(Database(str(tmp_path)), stands_in=True).learn(
        [Known("e:rate:hour:eve", 5, int(time.time() * 1000), 3600.0, since="prod:1.2")]
    )
    server.flush()
    second = a_ledger(server, tmp_path, clock)
    assert [0] == [one.used for one in charged(second, a_charge(9))]
    second.look()
    assert ["limits-lost"] == list(second.troubles())
    assert [3, 0] == [one.used for one in charged(second, a_charge(9), a_charge(9, key="eve"))]


def test_what_was_counted_alone_goes_to_redis(ledger: StoreLedger, server: RedisServer, clock: Clock) -> None:
    """Once it answers again, and once only; distinct members are still distinct."""
    members = a_charge(9, limit="who", members=("a", "b"))
    charged(ledger, a_charge(9), members)
    down_with("a replica", server)
    for _ in range(3):
        charged(ledger, a_charge(9, 2), a_charge(9, limit="who", members=("b", "c")))
    up_again("a replica", server)
    until(lambda: looked(ledger, clock), "it is counted in Redis again")
    ledger.look()
    assert [(7, False), (3, False)] == [
        (one.used, one.local) for one in charged(ledger, a_charge(9), members, commit=False)
    ]


def test_what_can_not_be_handed_over_stays(ledger: StoreLedger, server: RedisServer, clock: Clock) -> None:
    """Redis fails in between: nothing is lost, it is handed over the next time."""
    charged(ledger)
    down_with("a replica", server)
    charged(ledger, a_charge(), a_charge(limit="who", members=("a", "b")))
    shared = ledger._shared
    assert shared is not None
    real = shared.give

    def broken(_dues: object, _fill: bool) -> None:
        raise UncountedError("down again")

    shared.give = broken  # type: ignore[method-assign,assignment]
    up_again("a replica", server)
    until(lambda: looked(ledger, clock), "it is counted in Redis again")
    assert [1] == [one.used for one in charged(ledger, commit=False)]
    shared.give = real  # type: ignore[method-assign]
    ledger.look()
    told = charged(ledger, a_charge(), a_charge(limit="who", members=("a", "b")), commit=False)
    assert [2, 2] == [one.used for one in told]


@pytest.mark.parametrize("name", ["limit:e:rate:hour:bob", "seen:e:rate:hour:bob", "grants:bob"])
@pytest.mark.parametrize("members", [(), ("a@example.net",)], ids=["messages", "distinct"])
def test_something_else_under_our_key(
    name: str, members: tuple[str, ...], ledger: StoreLedger, server: RedisServer
) -> None:
    """A text where a count should be is nobody's: it goes, and the next message is counted as ever."""
    server.ask("SET", f"{{tidegate:test}}:{name}", "rubbish")
    charged(ledger, a_charge(members=members))
    told = charged(ledger, a_charge(members=members))[0]
    assert (1, False, None) == (told.used, told.local, told.cause)
    assert {} == ledger.troubles()


def test_every_key_has_an_end(ledger: StoreLedger, server: RedisServer) -> None:
    """But for the one that says since when the server counts."""
    charged(ledger, a_charge(), a_charge(limit="who", members=("a", "b"), cost=2), retry_of="a message")
    keys = server.ask("KEYS", "*")
    assert 5 == len(keys)
    assert [] == [key for key in keys if server.ask("PTTL", key) < 0 and not key.endswith("limits:since")]


def test_nothing_can_be_counted(ledger: StoreLedger, server: RedisServer, tmp_path: Path) -> None:
    """No Redis, and no file: there is a cause, an alert, and no exception; `open` lets through."""
    server.kill()
    (tmp_path / "limits").write_text("no folder", "utf-8")
    told = charged(ledger, a_charge(), a_charge(limit="free", on_store_down=OnStoreDown.OPEN))
    assert [True, False] == [one.cause is not None for one in told]
    assert {"limits-local", "limits-unavailable"} == set(ledger.troubles())
    (tmp_path / "limits").unlink()
    ledger.look()
    assert {"limits-local"} == set(ledger.troubles())
