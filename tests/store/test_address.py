"""The setting `redis`: each spelling, and what is refused with what to write instead."""

from __future__ import annotations

import pytest

from tidegate.store.address import Address, Shape, parse


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("redis://redis.example.com", Address(Shape.ONE, (("redis.example.com", 6379),))),
        ("redis://10.0.0.1:6380/3", Address(Shape.ONE, (("10.0.0.1", 6380),), database=3)),
        ("redis://[2001:db8::1]:6380/", Address(Shape.ONE, (("2001:db8::1", 6380),))),
        ("rediss://redis.example.com:6380", Address(Shape.ONE, (("redis.example.com", 6380),), tls=True)),
        ("unix:///run/redis/r.sock", Address(Shape.ONE, path="/run/redis/r.sock")),
        ("unix:/run/redis/r.sock?db=2", Address(Shape.ONE, path="/run/redis/r.sock", database=2)),
        (
            "redis+sentinel://a:1,b,[::1]/policy",
            Address(Shape.SENTINEL, (("a", 1), ("b", 26379), ("::1", 26379)), service="policy"),
        ),
        ("rediss+sentinel://a/policy", Address(Shape.SENTINEL, (("a", 26379),), tls=True, service="policy")),
        ("redis+cluster://a:1,b", Address(Shape.CLUSTER, (("a", 1), ("b", 6379)))),
        ("rediss+cluster://a", Address(Shape.CLUSTER, (("a", 6379),), tls=True)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_spelling(text: str, address: Address) -> None:
    """A URL is one address."""
    assert address == parse(text)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "redis://"),
        ("localhost:6379", "redis://"),
        ("http://localhost", "redis://"),
        ("redis:localhost", "redis://"),
        ("redis+mesh://localhost", "redis://"),
        ("redis://", "redis://"),
        ("redis://user:word@localhost", "redis_password_file"),
        ("redis://:word@localhost", "redis_password_file"),
        ("redis://localhost?socket_timeout=9", "no options"),
        ("redis://localhost/0?db=1", "no options"),
        ("redis://localhost/zero", "database"),
        ("redis://localhost:0", "port"),
        ("redis://localhost:99999", "port"),
        ("redis://a,b", "redis+sentinel://"),
        ("redis://[::1", "brackets"),
        ("unix://run/redis.sock", "absolute"),
        ("unix:///run/r.sock?timeout=1", "?db=N"),
        ("redis+sentinel://a,b", "/mymaster"),
        ("redis+cluster://a/1", "no databases"),
        ("redis+cluster://" + ",".join(["a"] * 33), "32"),
    ],
)
def test_a_mistake_is_told_what_to_write(text: str, word: str) -> None:
    """ValueError, and nothing of a password in it."""
    with pytest.raises(ValueError, match=r".") as caught:
        parse(text)
    assert word in str(caught.value)
    assert ":word@" not in str(caught.value)


def test_how_it_is_called() -> None:
    """For people: where, without more."""
    assert "a:1,[::1]:6379" == str(parse("redis+cluster://a:1,[::1]"))
    assert "policy of the Sentinels a:26379" == str(parse("redis+sentinel://a/policy"))
    assert "unix:/run/r.sock" == str(parse("unix:///run/r.sock"))
