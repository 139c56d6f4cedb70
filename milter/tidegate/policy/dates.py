"""Dates and times as an admin writes them: 2027-06-30, 2027-06-30T18:00, 2027-06-30T18:00+02:00.

A date or time is inclusive as an end: `until: 2027-06-30` ends with that day, `until: 2027-06-30T18:00` with that
minute. Local times are of the zone that is given; there is no default but UTC, so that a policy means the same on every
host.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from tidegate.policy.findings import Findings, kind_of
from tidegate.policy.nodes import Node, Scalar, Tag
from tidegate.policy.suggest import shown

_MOMENT = re.compile(
    r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})"
    r"(?:(?:[Tt]|[ ]+)([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?[ ]*(Z|z|[+-][0-9]{2}:?[0-9]{2})?)?\Z"
)
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]{0,31}(?:/[A-Za-z0-9_+-]{1,32}){0,2}\Z")
_FIRST, _LAST = 1971, 9000
SOON = 7 * 86400.0
"""Seconds before an end from which on somebody should know."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One date or time as POSIX seconds: where it begins, and where its day, minute or second is over."""

    begin: float
    over: float


def read_moment(node: Node, what: str, findings: Findings, zone: tzinfo = UTC) -> Moment | None:
    """The moment that a node names, quoted or not; None after the problem was named."""
    if not isinstance(node, Scalar) or node.tag not in (Tag.TEXT, Tag.TIMESTAMP):
        findings.add("wrong-type", f"{what} is a date such as 2027-06-30, not {kind_of(node)}", node)
        return None
    found = _MOMENT.match(node.text.strip())
    if found is None:
        findings.add("bad-date", f"{what}: {shown(node.text)} is not a date", node)
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    if not _FIRST <= year <= _LAST:
        findings.add("bad-date", f"{what}: the year has to be from {_FIRST} to {_LAST}, not {year}", node)
        return None
    try:
        when = datetime(year, month, day, hour, minute, second, tzinfo=_offset(found[7]) or zone)
    except ValueError as error:
        findings.add("bad-date", f"{what}: {shown(node.text)} does not exist ({error})", node)
        return None
    step = timedelta(days=1) if found[4] is None else timedelta(minutes=1) if found[6] is None else timedelta(seconds=1)
    # Wall-clock arithmetic: the day after is at the next midnight even where a day has 23 or 25 hours.
    return Moment(when.timestamp(), (when + step).timestamp() if found[4] is None else when.timestamp() + step.seconds)


def _offset(text: str | None) -> tzinfo | None:
    if not text:
        return None
    if text in "Zz":
        return UTC
    hours, minutes = int(text[1:3]), int(text[-2:])
    if hours > 23 or minutes > 59:
        raise ValueError("an offset is at most 23:59")
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)


def read_zone(node: Node, what: str, findings: Findings) -> tuple[str, tzinfo] | None:
    """A time zone by its name of the IANA data base."""
    name = findings.text(node, what)
    if name is None:
        return None
    if _ZONE.match(name):
        try:
            return name, ZoneInfo(name)
        except (KeyError, ValueError, OSError):  # OSError: the name of one of the data base's folders
            pass  # said below: a name that is well formed, and still no zone
    findings.add("bad-value", f"{what}: there is no time zone {shown(name)}", node, cure="write e.g. Europe/Berlin")
    return None


def warn_of_end(end: float | None, what: str, node: Node, now: float, findings: Findings) -> None:
    """A word before something ends, and when it has."""
    if end is None:
        return
    if end <= now:
        findings.add("lapsed", f"{what} ended on {_shown_day(end)}", node)
    elif end - now <= SOON:
        findings.add("ends-soon", f"{what} ends on {_shown_day(end)}", node)


def _shown_day(end: float) -> str:
    return datetime.fromtimestamp(end - 1, UTC).strftime("%Y-%m-%d")
