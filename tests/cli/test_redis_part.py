"""The Redis part of `tidegate doctor`, against a real Redis in each state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from tests.builders.redisserver import RedisServer
from tests.builders.stored import document, put, revisions_of, rule
from tidegate.cli import redispart
from tidegate.cli.part import Grade, Part
from tidegate.cli.redispart import redis_parts
from tidegate.settings import Listen, ListenKind, Settings


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        server.settings("appendonly", "yes")
        yield server


def settings_of(server: RedisServer) -> Settings:
    return Settings(listen=Listen(ListenKind.UNIX, path="/x"), policies="/x", redis=server.url)


def grades(parts: list[Part]) -> list[Grade]:
    return [one.grade for one in parts]


def test_a_site_without_redis() -> None:
    """It has no such part."""
    assert [] == list(redis_parts(Settings(listen=Listen(ListenKind.UNIX, path="/x"), policies="/x")))


def test_one_that_is_fine(server: RedisServer) -> None:
    """Version, round trip, revision."""
    server_part, policy = redis_parts(settings_of(server))
    assert (Grade.FINE, "") == (server_part.grade, server_part.cure)
    assert "version 7." in server_part.text
    assert (Grade.FINE, True) == (policy.grade, "no revision yet" in policy.text)
    put(revisions_of(server), {rule("stop"): document("stop")})
    assert "policy of prod: revision 1, 1 entries" == list(redis_parts(settings_of(server)))[1].text


@pytest.mark.parametrize(
    ("trouble", "grade", "word"),
    [
        (lambda server: server.settings("appendonly", "no"), Grade.LOOK, "appendonly yes"),
        (
            lambda server: (server.settings("maxmemory", 1 << 30), server.settings("maxmemory-policy", "allkeys-lru")),
            Grade.LOOK,
            "maxmemory-policy noeviction",
        ),
        (lambda server: server.ask("REPLICAOF", "127.0.0.1", 1), Grade.BROKEN, "name the master"),
        (lambda server: server.set_acl("user default on nopass ~* +@all -info"), Grade.LOOK, "redis.acl"),
    ],
    ids=["no aof", "evicts", "replica", "no info"],
)
def test_what_is_worth_a_look(
    server: RedisServer, trouble: Callable[[RedisServer], object], grade: Grade, word: str
) -> None:
    """With what cures it."""
    trouble(server)
    first = next(iter(redis_parts(settings_of(server))))
    assert (grade, True) == (first.grade, word in first.cure), first


def test_one_that_does_not_answer(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Down, or hung: broken, and why."""
    monkeypatch.setattr(redispart, "_TIMEOUT", 0.2)
    server.freeze()
    (hung,) = redis_parts(settings_of(server))
    assert (Grade.BROKEN, True) == (hung.grade, "in time" in hung.text)
    server.kill()
    (down,) = redis_parts(settings_of(server))
    assert (Grade.BROKEN, True) == (down.grade, "refused" in down.text or "No such file" in down.text)
    assert [Grade.BROKEN] == grades(list(redis_parts(replace(settings_of(server), redis_password_file="/nowhere"))))


@pytest.mark.parametrize(("ahead", "grade"), [(10, Grade.LOOK), (-3600, Grade.BROKEN)])
def test_another_time(server: RedisServer, monkeypatch: pytest.MonkeyPatch, ahead: int, grade: Grade) -> None:
    """Limits go by Redis's clock, expiry by ours."""
    now = redispart.time.time
    monkeypatch.setattr(redispart.time, "time", lambda: now() - ahead)
    clock = list(redis_parts(settings_of(server)))[1]
    assert (grade, True) == (clock.grade, ("ahead of" if ahead > 0 else "behind") in clock.text), clock


def test_a_policy_that_can_not_be_used(server: RedisServer) -> None:
    """Written by hand: broken; where the settings allow it, worth a look."""
    put(revisions_of(server), {rule("stop"): document("stop")})
    server.ask("HSET", "{tidegate:prod}:head", "number", 5)
    part = list(redis_parts(settings_of(server)))[1]
    assert (Grade.BROKEN, True) == (part.grade, "unreviewed: the head was moved by hand" in part.text)
    allowed = list(redis_parts(replace(settings_of(server), redis_unreviewed="allow")))[1]
    assert (Grade.LOOK, True) == (allowed.grade, "unreviewed, and allowed" in allowed.text)
