"""`tidegate limits`: who is near a limit, and how to help somebody out, in both stores alike."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.builders.charges import a_charge
from tests.builders.redisserver import RedisServer
from tests.builders.stores import STORES, redis_at
from tidegate.cli import main
from tidegate.limits import Charge
from tidegate.store.connection import open_store
from tidegate.store.counters import RedisCounters
from tidegate.store.counting import Counters
from tidegate.store.database import FOLDER, NAME, Database
from tidegate.store.sqlite import SqliteCounters

BOB = "bob@example.com"


@dataclass(frozen=True, slots=True)
class Desk:
    """Settings, and the store that they name."""

    config: Path
    counters: Counters
    server: RedisServer | None

    def run(self, *arguments: str) -> tuple[int, str]:
        """The command; exit code and what it prints."""
        done = CliRunner().invoke(main, ["limits", *arguments, "--config", str(self.config)])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.output
        return done.exit_code, done.output

    def charge(self, *charges: Charge) -> int:
        """Charge bob; what the first limit's maximum is."""
        return self.counters.charge(charges or (a_charge(key=BOB),), "", True)[0].usage.maximum


@pytest.fixture(params=STORES)
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    """Of one host."""
    state, config = tmp_path / "state", tmp_path / "t.yaml"
    (tmp_path / "p").mkdir()
    state.mkdir()
    text = f"listen: unix:/run/t.sock\npolicies: {tmp_path}/p\nstate: {state}\ndefault_realm: example.com\n"
    if request.param == "sqlite":
        config.write_text(text)
        yield Desk(config, SqliteCounters(Database(str(state))), None)
        return
    with RedisServer() as server:
        config.write_text(f"{text}redis: {server.url}\nenvironment: test\n")
        yield Desk(config, RedisCounters(open_store(redis_at(server.url), 5.0)), server)


def test_show(desk: Desk) -> None:
    """A table for a person, and exit 1 where something is used up."""
    desk.charge(a_charge(key=BOB), a_charge(9, 5, key=BOB, limit="day", per=86400.0))
    code, text = desk.run("show", "Bob")
    assert (0, ["KEY", "RULE", "LIMIT", "USED", "OF", "PER"]) == (code, text.splitlines()[0].split())
    assert [[BOB, "rate", "hour", "1", "3", "1h"], [BOB, "rate", "day", "5", "9", "1d"]] == [
        line.split() for line in text.splitlines()[1:]
    ]
    desk.charge()
    desk.charge()
    code, text = desk.run("show", BOB, "--limit", "hour")
    assert (1, True, 2) == (code, text.rstrip().endswith("USED UP"), len(text.splitlines()))


def test_nobody(desk: Desk) -> None:
    """Of whom nothing is counted."""
    assert (0, "nothing is counted of eve\n") == desk.run("show", "eve")
    assert (1, "nothing is counted of eve\n") == desk.run("reset", "eve")
    assert (0, "nothing is counted\n") == desk.run("top")
    assert (0, "nothing is on record\n") == desk.run("log")


def test_top(desk: Desk) -> None:
    """Who is nearest to a limit comes first."""
    for number in range(1, 4):
        desk.charge(a_charge(10, number, key=f"user{number}"))
    desk.charge(a_charge(4, 2, key="half", rule="other"))
    code, text = desk.run("top", "--json", "--count", "3")
    told = json.loads(text)
    assert (0, 4, ["half", "user3", "user2"]) == (code, told["all"], [one["key"] for one in told["counters"]])
    assert {"rule": "other", "limit": "hour", "key": "half", "shadow": False, "used": 2, "max": 4, "granted": 0} | {
        "per": 3600.0,
        "distinct": False,
    } == told["counters"][0]
    assert "user3" in desk.run("top", "--rule", "rate")[1]
    assert "half" not in desk.run("top", "--rule", "rate")[1]


def test_help_somebody_out(desk: Desk) -> None:
    """A grant counts with the next message, a reset empties; both are on record with who and why."""
    assert 3 == desk.charge()
    code, text = desk.run("grant", "bob", "+200", "--for", "1d", "--rule", "rate", "--reason", "the yearly letter")
    assert (0, True) == (code, text.startswith(f"granted  {BOB}  +200 (rule rate) until "))
    assert 203 == desk.charge()
    assert "200 granted" in desk.run("show", "bob")[1]
    assert (0, "1 counter of bob reset\n") == desk.run("reset", "bob", "--reason", "sorry")
    assert ([], 203) == (json.loads(desk.run("show", "bob", "--json")[1])["counters"], desk.charge())
    log = json.loads(desk.run("log", "--json")[1])["log"]
    assert [("reset", "sorry"), ("grant", "the yearly letter")] == [(one["what"], one["reason"]) for one in log]
    assert all(one["who"] for one in log)
    assert "the yearly letter" in desk.run("log")[1]


@pytest.mark.parametrize(
    ("key", "expected"),
    [("eve", "eve@example.com"), ("Eve@Example.NET", "eve@example.net"), ("192.0.2.0/24", "192.0.2.0/24"), ("*", "*")],
)
def test_a_grant_before_anything_is_counted(key: str, expected: str, desk: Desk) -> None:
    """It is for the key that a message will have."""
    told = json.loads(desk.run("grant", key, "5", "--for", "2h", "--reason", "x", "--json")[1])
    assert expected == told["granted"]["key"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("grant", "bob", "-5", "--for", "1d", "--reason", "x"),
        ("grant", "bob", "5", "--for", "1y", "--reason", "x"),
        ("grant", "bob", "5", "--for", "91d", "--reason", "x"),
        ("grant", "bob", "5", "--for", "1d"),
        ("grant", "bob", "5", "--reason", "x"),
        ("show", " "),
        ("top", "--count", "0"),
    ],
)
def test_usage(arguments: tuple[str, ...], desk: Desk) -> None:
    """Nothing is done by half."""
    assert 2 == desk.run(*arguments)[0]
    assert (0, "nothing is on record\n") == desk.run("log")


@pytest.mark.parametrize("key", ["\udcff", "\x1b[2J", "ü*?[", "a\nb"])
def test_any_key(key: str, desk: Desk) -> None:
    """Whatever stands on the command line, nothing of it moves the terminal's cursor."""
    assert 0 == desk.run("grant", key, "5", "--for", "2h", "--reason", key)[0]
    for command in ("show", "reset"):
        code, text = desk.run(command, key)
        assert (code < 2, True) == (True, all(one.isprintable() or one == "\n" for one in text))
    assert 1 == len(json.loads(desk.run("log", "--json")[1])["log"])


def test_a_store_that_is_down(desk: Desk) -> None:
    """The reason, in words, and exit 2."""
    if desk.server is not None:
        desk.server.kill()
        code, text = desk.run("show", "bob")
        assert (2, True) == (code, "Redis at unix:" in text)
        return
    (desk.config.parent / "state" / FOLDER).write_text("no folder")
    code, text = desk.run("show", "bob")
    assert (2, True) == (code, NAME in text)


def test_settings_that_say_nothing(tmp_path: Path) -> None:
    """Nobody knows where limits are counted, and it is told why."""
    config = tmp_path / "tidegate.yaml"
    config.write_text(f"state: {tmp_path}\n")
    done = CliRunner().invoke(main, ["limits", "top", "--config", str(config)])
    assert (2, True) == (done.exit_code, "nobody knows where limits are counted" in done.output)
    assert "`listen` is missing" in done.output


def test_a_person_is_forgotten(desk: Desk) -> None:
    """By `tidegate forget`, where they are counted."""
    desk.charge(a_charge(key=BOB), a_charge(key=f"{BOB}|192.0.2.1", rule="both"))
    desk.charge(a_charge(key="eve@example.com"))
    done = CliRunner().invoke(main, ["forget", "bob", "--config", str(desk.config), "--json"])
    counts = {one["store"]: one["count"] for one in json.loads(done.output)["purged"]}
    where = " in Redis" if desk.server is not None else ""
    assert 2 == counts[f"counters of limits{where}, grants, and who gave them"]
    keys = [one["key"] for one in json.loads(desk.run("top", "--json")[1])["counters"]]
    assert ["eve@example.com"] == keys
    if desk.server is None:
        file = desk.config.parent / "state" / FOLDER / NAME
        assert b"bob" not in file.read_bytes() + file.with_name(f"{NAME}-wal").read_bytes()
