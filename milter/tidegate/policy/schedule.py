"""`active:` and `sample:` from nodes: when a rule applies, and to which share of the senders."""

from __future__ import annotations

import re
from datetime import UTC

from tidegate.conditions.fields import FIELDS, find_field
from tidegate.model import Field, FieldType, Sample, Schedule, Stage
from tidegate.policy.dates import read_moment, read_zone
from tidegate.policy.findings import Findings
from tidegate.policy.nodes import Node
from tidegate.policy.suggest import did_you_mean, shown

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ACTIVE_KEYS: dict[str, str] = {
    "from": "the first day or minute",
    "until": "the last day or minute, inclusive",
    "days": "mon … sun; ranges as mon-fri",
    "hours": "08:00-18:00; 22:00-06:00 runs over midnight",
    "tz": "the zone of days, hours and local times, e.g. Europe/Berlin; UTC if left out",
}
SAMPLE_KEYS: dict[str, str] = {
    "percent": "above 0, at most 100",
    "by": "the field whose value decides, e.g. login",
}
_HOURS = re.compile(r"([0-9]{1,2}):([0-9]{2}) ?- ?([0-9]{1,2}):([0-9]{2})\Z")
_NO_SAMPLE = frozenset({FieldType.BOOLEAN, FieldType.NUMBER})


def build_schedule(node: Node, findings: Findings) -> Schedule | None:
    """`active: {from, until, days, hours, tz}`."""
    written = findings.mapping(node, "`active`", "active: {until: 2027-06-30}")
    if written is None:
        return None
    before = findings.errors()
    keys = findings.keys(written, "`active`", ACTIVE_KEYS)
    name, zone = "UTC", None
    if "tz" in keys:
        name, zone = read_zone(keys["tz"], "`tz`", findings) or (name, None)
    where = zone or UTC
    begin = read_moment(keys["from"], "`from`", findings, where) if "from" in keys else None
    until = read_moment(keys["until"], "`until`", findings, where) if "until" in keys else None
    if begin and until and until.over <= begin.begin:
        findings.add("bad-date", "`until` is before `from`", keys["until"])
    days = _days(keys["days"], findings) if "days" in keys else ()
    hours = _hours(keys["hours"], findings) if "hours" in keys else ()
    if findings.errors() > before:
        return None
    end = until.over if until else None
    return Schedule(begin.begin if begin else None, end, days, hours, name)


def _days(node: Node, findings: Findings) -> tuple[int, ...]:
    found: set[int] = set()
    for text, where in findings.texts(node, "`days`") or ():
        first, dash, last = text.strip().lower().partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            cure = "write mon, tue, wed, thu, fri, sat, sun, or a range as mon-fri"
            findings.add("bad-value", f"{shown(text)} is no day of the week", where, cure=cure)
            continue
        begin, end = DAYS.index(first), DAYS.index(last if dash else first)
        found.update((begin + step) % 7 for step in range((end - begin) % 7 + 1))
    return tuple(sorted(found))


def _hours(node: Node, findings: Findings) -> tuple[tuple[int, int], ...]:
    found: list[tuple[int, int]] = []
    for text, where in findings.texts(node, "`hours`") or ():
        parts = _HOURS.match(text.strip())
        begin, end = (_minutes(parts[1], parts[2]), _minutes(parts[3], parts[4])) if parts else (None, None)
        if begin is None or end is None or begin == 24 * 60:
            findings.add("bad-value", f"{shown(text)} are no hours", where, cure="write them as 08:00-18:00")
        elif begin == end:
            findings.add("bad-value", f"{shown(text)} has no length", where, cure="write 00:00-24:00 for all day")
        else:
            found.append((begin, end))
    return tuple(found)


def _minutes(hour: str, minute: str) -> int | None:
    total = int(hour) * 60 + int(minute)
    return total if int(minute) < 60 and total <= 24 * 60 else None


def build_sample(node: Node, per_recipient: bool, findings: Findings) -> Sample | None:
    """`sample: {percent, by}`."""
    written = findings.mapping(node, "`sample`", "sample: {percent: 10, by: login}")
    if written is None:
        return None
    keys = findings.keys(written, "`sample`", SAMPLE_KEYS, required=SAMPLE_KEYS)
    percent = findings.share(keys["percent"], "`percent`") if "percent" in keys else None
    row = _sampled_field(keys["by"], per_recipient, findings) if "by" in keys else None
    return Sample(percent, row.name) if percent is not None and row is not None else None


def _sampled_field(node: Node, per_recipient: bool, findings: Findings) -> Field | None:
    name = findings.text(node, "`by`")
    if name is None:
        return None
    row = find_field(name)
    if row is None:
        near = did_you_mean(name, FIELDS)
        findings.add("unknown-field", f"there is no field {shown(name)}{near}", node)
        return None
    if row.type in _NO_SAMPLE or row.recipient:
        why = "a recipient's" if row.recipient else "a number or true and false"
        findings.add("bad-value", f"`by: {row.name}` can't divide senders: it is {why}", node, cure="write `by: login`")
        return None
    if per_recipient and row.stage > Stage.RCPT:
        findings.add("not-at-rcpt", f"`{row.name}` is not known at RCPT", node)
        return None
    return row
