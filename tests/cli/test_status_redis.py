"""What `tidegate status` says of Redis: the link, the revision, and what lies over which file."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.cli.statusredis import redis_lines

NOW = 10_000.0
LINK = {"up": True, "since": NOW - 600, "error": "", "error_at": 0.0, "head": 7}
REVISED = {
    "number": 7,
    "entries": 3,
    "removed": 1,
    "fetched": NOW - 300,
    "expires": 0.0,
    "expired": False,
    "held": "",
}
ENTRIES = [
    {
        "key": "rule a",
        "place": "redis:prod/a@12:3:5",
        "state": "active",
        "digest": "x",
        "overrides": "1.yaml:3:5",
    },
    {"key": "rule b", "place": "redis:prod", "state": "off", "digest": "", "overrides": "1.yaml:9:5"},
    {"key": "rule c", "place": "1.yaml:12:5", "state": "active", "digest": "x", "overrides": ""},
]


def shown(link: dict[str, Any] | None = None, revision: dict[str, Any] | None = None, **more: Any) -> str:
    """The rows, a line each."""
    redis = {"configured": True, "environment": "prod", "link": {**LINK, **(link or {})}, "canary": None, **more}
    redis["revision"] = {**REVISED, **(revision or {})}
    return "\n".join(f"{name}: {said}" for name, said in redis_lines({"redis": redis, "entries": ENTRIES}, NOW))


CASES: dict[str, tuple[str, str]] = {
    "up": (shown(), "redis: answers for 10 min\n"),
    "down": (shown({"up": False, "error": "it does not answer"}), "redis: DOWN for 10 min; it does not answer"),
    "up again": (shown({"error": "reset", "error_at": NOW - 60}), "answers for 10 min; last error 60 s ago: reset"),
    "not yet": (shown({"since": 0.0}), "redis: not asked yet"),
    "revision": (shown(), "revision: 7 of prod: 3 entries, 1 removed, fetched 5 min ago\n"),
    "none": (shown({"head": 0}, {"number": 0, "fetched": 0.0}), "revision: none of prod: the policy files alone\n"),
    "behind": (shown({"head": 8}), "; the head in Redis is 8"),
    "held": (shown(revision={"held": "half is gone"}), "; half is gone"),
    "trial": (shown({"head": 8}, canary={"number": 8}), "; 8 is on trial\n"),
    "expires": (shown(revision={"expires": NOW + 60}), "; it reverts at "),
    "expired": (shown(revision={"expires": 1.0, "expired": True}), "it was not confirmed in time"),
    "over a file": (shown(), ": rule a (redis:prod/a@12:3:5) takes the place of 1.yaml:3:5"),
    "a tombstone": (shown(), ": rule b (redis:prod) removes what stands at 1.yaml:9:5"),
}


@pytest.mark.parametrize(("text", "words"), CASES.values(), ids=CASES)
def test_what_is_said(text: str, words: str) -> None:
    """In words, with ages."""
    assert words in text


def test_nothing_without_redis() -> None:
    """No row where none is configured, or where the daemon is of an earlier release."""
    assert [] == [*redis_lines({"redis": {"configured": False}}, NOW)]
    assert [] == [*redis_lines({}, NOW)]
