"""When a rule applies: `active:` and `sample:`. The clock is an argument."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from hashlib import blake2b
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tidegate.conditions.facts import Facts
from tidegate.model import Cause, Sample, Schedule, Truth


@lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC  # checked at load; a host without tzdata falls back to UTC


def in_force(schedule: Schedule, now: float) -> bool:
    """Is `now` (POSIX seconds) inside the schedule?"""
    if (schedule.start is not None and now < schedule.start) or (schedule.end is not None and now >= schedule.end):
        return False
    if not schedule.days and not schedule.hours:
        return True
    local = datetime.fromtimestamp(now, _zone(schedule.tz))
    minute = local.hour * 60 + local.minute
    if not schedule.hours:
        return local.weekday() in schedule.days
    for begin, end in schedule.hours:
        over_midnight = begin > end
        if over_midnight and minute < end:  # the small hours belong to the day before
            day, inside = (local.weekday() - 1) % 7, True
        else:
            day, inside = local.weekday(), (minute >= begin if over_midnight else begin <= minute < end)
        if inside and (not schedule.days or day in schedule.days):
            return True
    return False


def sampled(sample: Sample, facts: Facts) -> tuple[Truth, Cause | None]:
    """Is this message in the share? UNKNOWN where the field can't be read and the share is neither none nor all.

    By the field's value alone, so a larger percentage only adds senders. A field with several values goes by the first.
    """
    if sample.percent >= 100:
        return Truth.YES, None
    reading = facts.read(sample.by)
    if not reading.values and reading.cause is not None:
        return (Truth.UNKNOWN, reading.cause) if sample.percent > 0 else (Truth.NO, None)
    text = str(reading.values[0] if reading.values else "")
    digest = blake2b(text.encode("utf-8", "replace"), digest_size=4).digest()
    return (Truth.YES if int.from_bytes(digest, "big") / 2**32 * 100 < sample.percent else Truth.NO), None
