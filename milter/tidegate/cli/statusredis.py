"""The lines of the status that tell of Redis: the link, the revision over the files, and what it overrides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tidegate.cli.times import age, moment

_NAMED = 8  # entries that override a file's and are named


def redis_lines(document: Mapping[str, Any], now: float) -> Iterator[tuple[str, str]]:
    """Rows as a name and what there is to say; nothing where no Redis is configured."""
    redis = document.get("redis") or {}
    if not redis.get("configured"):
        return
    yield "redis", _link(redis.get("link") or {}, now)
    yield "revision", _revision(redis, now)
    over = [one for one in document.get("entries", ()) if one.get("overrides")]
    for one in over[:_NAMED]:
        verb = "removes what stands at" if one["state"] == "off" and not one.get("digest") else "takes the place of"
        yield "", f"{one['key']} ({one['place']}) {verb} {one['overrides']}"
    if len(over) > _NAMED:
        yield "", f"and {len(over) - _NAMED} more: tidegate policy list"


def _link(link: Mapping[str, Any], now: float) -> str:
    if not link.get("since"):
        return "not asked yet"
    state = "answers" if link.get("up") else "DOWN"
    error = ""
    if link.get("error"):
        error = f"; {'last error ' + age(now - link['error_at']) + ' ago: ' if link.get('up') else ''}{link['error']}"
    return f"{state} for {age(now - link['since'])}{error}"


def _revision(redis: Mapping[str, Any], now: float) -> str:
    one, environment = redis["revision"], redis["environment"]
    head = (redis.get("link") or {}).get("head")
    if not one["number"]:
        said = f"none of {environment}: the policy files alone"
    else:
        said = f"{one['number']} of {environment}: {one['entries']} entries, {one['removed']} removed"
    if one.get("fetched"):
        said += f", fetched {age(now - one['fetched'])} ago"
    if one.get("expired"):
        said += "; it was not confirmed in time: what was before it is in force"
    elif one.get("expires"):
        said += f"; it reverts at {moment(one['expires'])} unless tidegate policy confirm is said"
    if redis.get("canary"):
        said += f"; {redis['canary']['number']} is on trial"
    if head and head != one["number"] and not redis.get("canary"):
        said += f"; the head in Redis is {head}"
    return f"{said}; {one['held']}" if one.get("held") else said
