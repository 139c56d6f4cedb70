"""What of a message's content a rule reads, beside connection, envelope, size and the number of headers.

For whoever keeps messages to judge them again later (replay/): it keeps exactly this, and knows afterwards what a rule
asks for that was not kept. A need is named as the front names what it could not read: `header.NAME`, in lower case; a
field of any other kind that is known no earlier than the headers is its own need.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tidegate.conditions.fields import find_field
from tidegate.conditions.placeholders import names
from tidegate.conditions.readers import MAILBOX_HEADERS
from tidegate.conditions.walk import tests_of
from tidegate.model import (
    AddHeader,
    EntryState,
    Mode,
    PrefixSubject,
    Rule,
    SetHeader,
    Stage,
    Template,
)

_ALWAYS_KNOWN = frozenset({"message.size", "header.count", "limit.share"})
_VISIBLE = ("header.to", "header.cc")


@dataclass(frozen=True, slots=True)
class Needs:
    """Of one rule: what its conditions ask for, and what its edits are made of."""

    asked: frozenset[str]
    written: frozenset[str]


def needs_of(rule: Rule) -> Needs:
    """What the rule reads, whatever its state."""
    return Needs(frozenset(_of_fields(_fields(rule))), frozenset(_of_edits(rule)))


def all_needs(rules: Iterable[Rule]) -> tuple[str, ...]:
    """What the rules read that are evaluated, in force or in shadow; sorted."""
    found: set[str] = set()
    for rule in rules:
        if rule.mode is not Mode.OFF and rule.state not in _ASLEEP:
            needs = needs_of(rule)
            found |= needs.asked | needs.written
    return tuple(sorted(found))


_ASLEEP = frozenset({EntryState.OFF, EntryState.EXPIRED, EntryState.TRIPPED, EntryState.SKIPPED})


def need_of(field: str) -> tuple[str, ...]:
    """What has to be known of the content so that `field` can be read."""
    row = find_field(field)
    if row is None or row.stage < Stage.HEADERS or row.name in _ALWAYS_KNOWN:
        return ()
    if row.name == "subject":
        return ("header.subject",)
    if row.name.startswith("disclosed."):
        return _VISIBLE
    header, _, part = row.name.removeprefix("header.").rpartition(".")
    if row.name.startswith("header.") and header in MAILBOX_HEADERS and part in ("address", "domain", "aligned"):
        return (f"header.{header}",)
    return (row.name,)


def _of_fields(fields: Iterable[str]) -> Iterator[str]:
    for field in fields:
        yield from need_of(field)


def _fields(rule: Rule) -> Iterator[str]:
    for condition in (rule.when, *(clause.when for clause in rule.exceptions)):
        yield from (test.field for test in tests_of(condition))
    if rule.sample is not None:
        yield rule.sample.by
    for limit in rule.limits:
        yield from (limit.of, *limit.by)
        if limit.plan is not None:
            yield limit.plan.by


def _of_edits(rule: Rule) -> Iterator[str]:
    for edit in rule.do.edits:
        match edit:
            case PrefixSubject(text):
                yield "header.subject"
                yield from _placeholders(text)
            case AddHeader(_, texts) | SetHeader(_, texts):
                for text in texts:
                    yield from _placeholders(text)


def _placeholders(text: Template) -> Iterator[str]:
    return _of_fields(names(text.text)[0])
