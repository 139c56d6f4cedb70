"""What a limit wants counted for a message: under which key, how much, and what of that is in doubt.

Promises: a key is folded as tests on its field compare (conditions/facts.py), never empty and never shared by messages
that lack the field. Refuses: counting; that is a store's (limits/charge.py).

- A limit whose key field is absent (no login) does not apply. The null sender with a login is a key of that login.
- Through a map, a value that the map does not hold is its own key: nobody is without limit because a line is missing.
- A plan of which only the last good version is known serves where it is stricter than the default; what it allows
  beyond that is in doubt. A tenant stays what he last was. A line that can't be used puts its own key in doubt.
- A limit that this message adds nothing to (no recipient that counts) does not apply.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b

from tidegate.conditions.evaluate import cause as cause_of
from tidegate.conditions.evaluate import evaluate
from tidegate.conditions.facts import Facts
from tidegate.conditions.fields import FIELDS
from tidegate.conditions.members import normalise
from tidegate.conditions.readers import doubt_of, wrong_list
from tidegate.conditions.text import fold
from tidegate.limits import Charge
from tidegate.model import Always, Cause, Counting, Doubt, FieldType, Limit, ListKind, Rule, Truth

ALL = "*"
"""The one key of `by: all`."""
NULL = "<>"
_SENDER = "sender."
_JOINT = "|"
_LONG = 200  # characters of a key; of a longer one the rest is a digest
_NUMBER = re.compile(r"[0-9]{1,15}\Z")


@dataclass(frozen=True, slots=True)
class Ask:
    """One limit of one rule that applies to a message.

    `charge` None: nothing can be counted, because of `cause`. `least` is what the message costs for certain; where
    `cause` is set, `charge.cost` is the most that is known of, and `more`: it may be even more. `lower` is a maximum
    that may be in force instead, because of `doubt`.
    """

    rule: Rule
    limit: Limit
    charge: Charge | None = None
    least: int = 0
    more: bool = False
    cause: Cause | None = None
    lower: int | None = None
    doubt: Cause | None = None


def ask(rule: Rule, limit: Limit, facts: Facts, *, stops: bool, shadow: bool) -> Ask | None:
    """What the limit wants of this message; None: it does not apply. `stops` and `shadow` as in Charge."""
    key, cause = _key(limit, facts)
    if cause is not None:
        return Ask(rule, limit, cause=cause)
    if not key:
        return None
    maximum, cause, doubt = _maximum(limit, facts)
    if cause is not None:
        return Ask(rule, limit, cause=cause)
    cost = _cost(limit, facts)
    if cost.most == 0:
        return None if cost.cause is None else Ask(rule, limit, cause=cost.cause)
    charge = Charge(
        rule.id, limit.name, key, maximum, limit.per, cost.most, cost.members, stops, shadow, limit.on_store_down
    )
    lower = limit.maximum if doubt is not None and limit.maximum < maximum else None
    return Ask(rule, limit, charge, cost.least, cost.more, cost.cause, lower, doubt)


def _key(limit: Limit, facts: Facts) -> tuple[str, Cause | None]:
    """The key, or "" where a part of it is absent."""
    if not limit.by:
        return ALL, None
    parts: list[str] = []
    for field in limit.by:
        text, cause = _value(field, facts)
        if cause is not None or not text:
            return "", cause
        parts.append(text)
    if limit.through:
        mapped, cause = _mapped(limit.through, parts[0], facts)
        if cause is not None:
            return "", cause
        parts[0] = mapped or parts[0]
    key = parts[0] if len(parts) == 1 else _JOINT.join([part.replace(_JOINT, "%7C") for part in parts])
    key = key.encode("utf-8", "backslashreplace").decode()
    if len(key) > _LONG:
        key = f"{key[:_LONG]}#{blake2b(key.encode(), digest_size=8).hexdigest()}"
    return key, None


def _value(field: str, facts: Facts) -> tuple[str, Cause | None]:
    """The value of a field as a key; "" where it is absent."""
    reading = facts.read(field)
    if reading.cause is not None:
        return "", reading.cause
    if not reading.values:
        login = facts.read("login")
        null = field.startswith(_SENDER) and not facts.transaction.envelope.sender
        if not null or (login.cause is None and not login.values):
            return "", None
        return (f"{NULL} {login.values[0]}", None) if login.values else ("", login.cause)
    return _text(field, reading.values[0]), None


def _text(field: str, value: object) -> str:
    row = FIELDS.get(field)
    if isinstance(value, bool):
        return "true" if value else "false"
    return fold(str(value)) if row is None or row.type is FieldType.TEXT else str(value)


def _mapped(name: str, value: str, facts: Facts) -> tuple[str, Cause | None]:
    """What the map list has for the value; "" where it has nothing."""
    known = facts.policies.list(name)
    if known is None:
        return "", Cause(Doubt.PASSING, f"list {name} is not loaded")
    trouble = wrong_list(known, ListKind.MAP)
    if trouble is not None:
        return "", trouble
    key = value
    if "@" not in value:  # the keys of a map are written like logins, and completed like them
        member = normalise(ListKind.MAP, value, facts.policies.conventions)
        key = value if isinstance(member, str) else member.key
    if key in known.doubted:
        return "", doubt_of(known)
    values = known.values(key, facts.now)
    return (fold(values[0]) if values else ""), None


def _maximum(limit: Limit, facts: Facts) -> tuple[int, Cause | None, Cause | None]:
    """The maximum; why it can't be told; and why it may be the default instead."""
    plan = limit.plan
    if plan is None:
        return limit.maximum, None, None
    value, cause = _value(plan.by, facts)
    if cause is not None or not value:
        return limit.maximum, cause, None
    text, cause = _mapped(plan.list_name, value, facts)
    if cause is not None or not text:
        return limit.maximum, cause, None
    if not _NUMBER.match(text):
        return 0, Cause(Doubt.PASSING, f"list {plan.list_name} has a value that is no number"), None
    known = facts.policies.list(plan.list_name)
    return int(text), None, doubt_of(known) if known is not None and known.stale else None


@dataclass(frozen=True, slots=True)
class _Cost:
    """So much for certain, so much as far as is known, perhaps more, and why."""

    least: int
    most: int
    more: bool = False
    cause: Cause | None = None
    members: tuple[str, ...] = ()


def _cost(limit: Limit, facts: Facts) -> _Cost:
    match limit.count:
        case Counting.MESSAGES:
            return _Cost(1, 1)
        case Counting.BYTES:
            size = facts.read("message.size")
            number = int(size.values[0]) if size.values else 0
            return _Cost(number, number, size.cause is not None, size.cause)
        case Counting.RECIPIENTS:
            return _recipients(limit, facts)
        case Counting.DISTINCT:
            return _distinct(limit.of, facts)


def _recipients(limit: Limit, facts: Facts) -> _Cost:
    everybody = facts.transaction.envelope.recipients
    missing = facts.missing_recipients()
    if isinstance(limit.who, Always):
        return _Cost(len(everybody), len(everybody), missing is not None, missing)
    answers = [evaluate(limit.who, facts, one) for one in everybody]
    least, most = answers.count(Truth.YES), len(answers) - answers.count(Truth.NO)
    cause = missing
    if cause is None and least < most:
        cause = cause_of(limit.who, facts, everybody[answers.index(Truth.UNKNOWN)])
    return _Cost(least, most, missing is not None, cause)


def _distinct(field: str, facts: Facts) -> _Cost:
    row = FIELDS.get(field)
    found: dict[str, None] = {}
    if row is not None and row.recipient:
        cause = facts.missing_recipients()
        for one in facts.transaction.envelope.recipients:
            reading = facts.read_recipient(field, one)
            cause = cause or reading.cause
            found.update(dict.fromkeys(_text(field, value) for value in reading.values))
    else:
        reading = facts.read(field)
        cause = reading.cause
        found = dict.fromkeys(_text(field, value) for value in reading.values)
    members = tuple([one.encode("utf-8", "backslashreplace").decode() for one in found])
    return _Cost(len(members), len(members), cause is not None, cause, members)
