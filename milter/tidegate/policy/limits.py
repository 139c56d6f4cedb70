"""`limits:` from nodes: several named windows of one rule, each with its key, what it counts, and how much of it.

Promises: every mistake is a problem with its place; what is built names single-valued fields and existing map lists
only. `limit.share` in a rule's conditions is about the limits of that rule, and for rules that let the message go on: a
rule that refuses says with `max` from when on.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field

from tidegate.conditions.fields import FIELDS, RECIPIENT_FIELDS, find_field
from tidegate.conditions.placeholders import OF_LIMITS
from tidegate.conditions.placeholders import names as placeholders
from tidegate.model import (
    Actions,
    AddHeader,
    Always,
    Condition,
    Counting,
    Field,
    Limit,
    ListKind,
    OnStoreDown,
    Plan,
    PrefixSubject,
    SetHeader,
    Template,
)
from tidegate.policy import elsewhere
from tidegate.policy.findings import Findings, kind_of
from tidegate.policy.names import ID, Names
from tidegate.policy.nodes import Mapping, Node, Scalar, Sequence, Tag
from tidegate.policy.staleness import read_age
from tidegate.policy.suggest import did_you_mean, shown
from tidegate.policy.when import ConditionBuilder

LIMIT_KEYS: dict[str, str] = {
    "name": "its name: part of the counter's name, and `{limit.name}`",
    "by": "whose: a field, a list of fields, {field: FIELD, map: LIST}, or all",
    "count": "messages, recipients, bytes, {rcpt: {…a test of recipients…}} or {distinct: FIELD}",
    "max": "how many in any `per`: a number, or {map: LIST, by: FIELD, default: NUMBER}",
    "per": "how long: 10m, 1h, 1d",
    "warn": "from which share on it is told: a percentage (80%)",
    "on_store_down": "while the count can't be asked: local, defer or open (local)",
}
BY_KEYS: dict[str, str] = {"field": "a field", "map": "a map list: its value for that field is the key"}
COUNT_KEYS: dict[str, str] = {
    "rcpt": "recipients that pass this test",
    "distinct": "different values of this field: recipients, rcpt.domain, client.net, …",
}
MAX_KEYS: dict[str, str] = {
    "map": "a map list of numbers",
    "by": "the field that is looked up in it (the limit's own, where that is one; else login)",
    "default": "for whom the list says nothing",
}
ALL = "all"
SHARE = "limit.share"
MAX_LIMITS = 20
MAX_FIELDS = 5
MAX_NUMBER = 10**15
_FRACTION = re.compile(r"(?:0\.[0-9]{1,2}|1\.0)\Z")
_WARN = re.compile(r"([1-9][0-9]?|100)%?\Z")
_SEVERAL = frozenset({"subject", SHARE})  # a header may stand several times; a limit's share is no sender's


def single_valued(row: Field) -> bool:
    """Can the field be a key? It has one value at most, and is known of the message as a whole."""
    return (
        not row.recipient
        and row.name not in _SEVERAL
        and not (row.name.startswith("header.") and row.name != "header.count")
    )


SINGLE = tuple(name for name, row in FIELDS.items() if single_valued(row))
DISTINCT = (*(name for name in FIELDS if name != SHARE), "recipients", "header.NAME")


@dataclass(slots=True)
class BuiltLimits:
    """The limits of one rule, and the lists that they ask."""

    limits: tuple[Limit, ...] = ()
    lists: set[str] = field(default_factory=set)


def build_limits(node: Node, names: Names, findings: Findings) -> BuiltLimits:
    """`limits: [{name: …, by: …, count: …, max: …, per: …}]`."""
    built = BuiltLimits()
    items = findings.sequence(node, "`limits`")
    seen: set[str] = set()
    found: list[Limit] = []
    for item in items.items if items else ():
        written = findings.mapping(item, "a limit", "{name: hour, by: login, count: recipients, max: 300, per: 1h}")
        limit = _limit(written, seen, names, built, findings) if written is not None else None
        if limit is not None:
            found.append(limit)
    if len(found) > MAX_LIMITS:
        findings.add("too-large", f"a rule has at most {MAX_LIMITS} limits", node, cure="use several rules")
    built.limits = tuple(found)
    return built


def _limit(written: Mapping, seen: set[str], names: Names, built: BuiltLimits, findings: Findings) -> Limit | None:
    before = findings.errors()
    required = ("name", "by", "count", "max", "per")
    keys = findings.keys(written, "a limit", LIMIT_KEYS, required, elsewhere.LIMIT_KEYS)
    name = findings.text(keys["name"], "the limit's `name`") if "name" in keys else ""
    if name and (not ID.match(name) or name in seen):
        why = "stands twice" if name in seen else "can't be a name"
        findings.add("bad-id", f"{shown(name)} {why}", keys["name"])
    seen.add(name or "")
    by, through = _by(keys["by"], names, built, findings) if "by" in keys else ((), "")
    count = _count(keys["count"], names, built, findings) if "count" in keys else None
    maximum, plan = _maximum(keys["max"], by, names, built, findings) if "max" in keys else (0, None)
    per = _per(keys["per"], findings) if "per" in keys else 0.0
    warn = _warn(keys["warn"], findings) if "warn" in keys else 80
    down = OnStoreDown.LOCAL.value
    if "on_store_down" in keys:
        down = findings.choice(keys["on_store_down"], "`on_store_down`", [one.value for one in OnStoreDown]) or down
    if findings.errors() > before or count is None or not name:
        return None
    return Limit(name, by, count.what, maximum, per, through, count.who, count.of, plan, warn, OnStoreDown(down))


def _by(node: Node, names: Names, built: BuiltLimits, findings: Findings) -> tuple[tuple[str, ...], str]:
    """The fields that make the key (none: one key for all), and the map list through which the first is read."""
    if isinstance(node, Mapping):
        keys = findings.keys(node, "`by`", BY_KEYS, required=BY_KEYS)
        one = _key_field(keys["field"], "`field`", findings) if "field" in keys else None
        through = _map_list(keys["map"], names, built, findings) if "map" in keys else None
        return ((one,) if one else ()), through or ""
    if isinstance(node, Scalar) and node.tag is Tag.TEXT and node.text == ALL:
        return (), ""
    if isinstance(node, Sequence):
        items = findings.sequence(node, "`by`")
        fields = [_key_field(item, "an item of `by`", findings) for item in items.items] if items else []
        if len(fields) > MAX_FIELDS:
            findings.add("too-large", f"`by` has more than {MAX_FIELDS} fields", node)
        return tuple(dict.fromkeys(one for one in fields if one)), ""
    one = _key_field(node, "`by`", findings)
    return ((one,) if one else ()), ""


def _key_field(node: Node, what: str, findings: Findings) -> str | None:
    text = findings.text(node, what)
    if text is None:
        return None
    row = find_field(text)
    if row is None:
        near = did_you_mean(text, (*SINGLE, ALL), elsewhere.FIELDS)
        findings.add("unknown-field", f"{what}: there is no field {shown(text)}{near}", node)
        return None
    if not single_valued(row):
        why = "one recipient's" if row.recipient else "not a sender's" if row.name == SHARE else "not of one value"
        findings.add("limit-key", f"{what}: `{row.name}` is {why}, so it can't be what is counted by", node)
        return None
    return row.name


def _map_list(node: Node, names: Names, built: BuiltLimits, findings: Findings) -> str | None:
    name = findings.text(node, "`map`")
    if name is None:
        return None
    if name not in names.lists and not (names.accepting and names.revive(name)):
        near = did_you_mean(name, [one for one, kind in names.lists.items() if kind in (ListKind.MAP, None)])
        findings.add("unknown-list", f"there is no list {shown(name)}{near}", node)
        return None
    kind = names.lists[name]
    if kind not in (ListKind.MAP, None):
        message = f"`map` names a list of type map; `{name}` is of type {kind.value if kind else '?'}"
        findings.add("list-mismatch", message, node)
        return None
    built.lists.add(name)
    return name


@dataclass(frozen=True, slots=True)
class _Count:
    """What is counted."""

    what: Counting
    who: Condition = field(default_factory=Always)
    of: str = ""


PLAIN = (Counting.MESSAGES.value, Counting.RECIPIENTS.value, Counting.BYTES.value)


def _count(node: Node, names: Names, built: BuiltLimits, findings: Findings) -> _Count | None:
    if isinstance(node, Scalar):
        word = findings.choice(node, "`count`", PLAIN)
        return None if word is None else _Count(Counting(word))
    written = findings.mapping(node, "`count`", "messages, recipients, bytes, {rcpt: {…}} or {distinct: FIELD}")
    if written is None:
        return None
    keys = findings.keys(written, "`count`", COUNT_KEYS)
    if len(keys) > 1:
        findings.add("bad-value", "`count` counts either `rcpt` or `distinct`", node, cure="use two limits")
        return None
    if "rcpt" in keys:
        builder = ConditionBuilder(names, findings, of_recipient=True)
        condition = builder.build(keys["rcpt"], "`rcpt`")
        if condition is None:
            return None
        built.lists |= condition.lists
        return _Count(Counting.RECIPIENTS, condition.condition)
    return _distinct(keys["distinct"], findings) if "distinct" in keys else None


def _distinct(node: Node, findings: Findings) -> _Count | None:
    text = findings.text(node, "`distinct`")
    if text is None:
        return None
    name = "rcpt.address" if text == Counting.RECIPIENTS.value else RECIPIENT_FIELDS.get(text, text)
    row = find_field(name)
    if row is None:
        near = did_you_mean(text, DISTINCT, elsewhere.FIELDS)
        findings.add("unknown-field", f"`distinct`: there is no field {shown(text)}{near}", node)
        return None
    if row.name == SHARE:
        findings.add("limit-key", f"`distinct`: `{SHARE}` can't be counted", node)
        return None
    return _Count(Counting.DISTINCT, of=row.name)


def _maximum(
    node: Node, by: Collection[str], names: Names, built: BuiltLimits, findings: Findings
) -> tuple[int, Plan | None]:
    """The number, or the default of a plan."""
    if not isinstance(node, Mapping):
        return findings.whole(node, "`max`", 0, MAX_NUMBER) or 0, None
    keys = findings.keys(node, "`max`", MAX_KEYS, ("map", "default"))
    default = findings.whole(keys["default"], "`default`", 0, MAX_NUMBER) if "default" in keys else None
    name = _map_list(keys["map"], names, built, findings) if "map" in keys else None
    own = next(iter(by)) if len(by) == 1 else "login"
    looked_up = _key_field(keys["by"], "`by` of `max`", findings) if "by" in keys else own
    if default is None or name is None or looked_up is None:
        return 0, None
    return default, Plan(name, looked_up)


def _per(node: Node, findings: Findings) -> float:
    age = read_age(node, "`per`", False, findings, "10m, 1h or 1d")
    return age.seconds if age is not None else 0.0


def _warn(node: Node, findings: Findings) -> int:
    text = node.text if isinstance(node, Scalar) else ""
    found = _WARN.match(text)
    if found is None and _FRACTION.match(text) and float(text) > 0:
        return round(float(text) * 100)
    if found is None:
        written = shown(node.text) if isinstance(node, Scalar) else kind_of(node)
        findings.add(
            "bad-number", f"`warn` is a percentage from 1% to 100%, not {written}", node, cure="write 80% or 0.8"
        )
        return 80
    return int(found[1])


def asks_limits(do: Actions) -> str:
    """The first placeholder of a limit in the texts of a rule; "" where there is none."""
    texts: list[Template] = []
    if do.ending is not None:
        reply = do.ending.reply
        texts += [one for one in (reply.text if reply is not None else None, do.ending.reason) if one is not None]
    for edit in do.edits:
        match edit:
            case AddHeader(_, many) | SetHeader(_, many):
                texts += many
            case PrefixSubject(text):
                texts.append(text)
    return next((name for one in texts for name in placeholders(one.text)[0] if name in OF_LIMITS), "")
