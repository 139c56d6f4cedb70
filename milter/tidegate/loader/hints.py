"""What the brake has to know of the rules of a generation, as part of the report: tags, `brake: keep`, `expect`, and
which rules are new in what they say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tidegate.live import Known
from tidegate.model import EntryKey, EntryKind, Expect, Loaded, Rule

_WORDS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_EVERYWHERE = frozenset({"own-domains", "relay-networks", "logins"})  # asked by tests that do not name them


@dataclass(frozen=True, slots=True)
class Hints:
    """Rules by id. `fresh`: what they say, or may come to, is not what it is for all until now; `changed`: not what the
    last load came to, which may be on trial, or may have been given up."""

    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()
    exempting: frozenset[str] = frozenset()  # they only exempt: nothing of them can be eased
    expects: Mapping[str, Expect] = field(default_factory=dict)
    fresh: frozenset[str] = frozenset()
    changed: frozenset[str] = frozenset()

    def document(self) -> dict[str, Any]:
        """As JSON, for the way to the supervisor."""
        return {
            "tags": dict(self.tags),
            "kept": sorted(self.kept),
            "exempting": sorted(self.exempting),
            "expects": {name: [one.max_logins, one.per] for name, one in self.expects.items()},
            "fresh": sorted(self.fresh),
            "changed": sorted(self.changed),
        }


def hints_from(values: Mapping[str, Any]) -> Hints:
    """The inverse of `document`. Raises KeyError, TypeError, AttributeError or ValueError."""
    return Hints(
        {str(tag): tuple(map(str, names)) for tag, names in values["tags"].items()},
        frozenset(map(str, values["kept"])),
        frozenset(map(str, values["exempting"])),
        {str(name): Expect(int(count), float(per)) for name, (count, per) in values["expects"].items()},
        frozenset(map(str, values["fresh"])),
        frozenset(map(str, values.get("changed", ()))),
    )


def hints_of(loaded: Loaded, known: Known | None) -> Hints:
    """The hints of what was loaded; None: there was nothing before."""
    tags: dict[str, list[str]] = {}
    for rule in loaded.rules:
        for tag in rule.tags:
            tags.setdefault(tag, []).append(rule.id)
    return Hints(
        {tag: tuple(names) for tag, names in tags.items()},
        frozenset(rule.id for rule in loaded.rules if rule.kept),
        frozenset(rule.id for rule in loaded.rules if _only_exempts(rule)),
        {rule.id: rule.expect for rule in loaded.rules if rule.expect is not None},
        fresh_rules(loaded.texts, known.accepted.texts if known else None),
        fresh_rules(loaded.texts, known.latest if known else None),
    )


def _only_exempts(rule: Rule) -> bool:
    return rule.do.exempt is not None and rule.do.ending is None and not rule.do.edits


def fresh_rules(now: Mapping[EntryKey, str], before: Mapping[EntryKey, str] | None) -> frozenset[str]:
    """The rules that may judge otherwise than before: by their text, or by that of a condition that they may use.

    Rather too many than too few: it matters only where such a rule hits more than it should. Where an exempt changed,
    or a list that rules ask without naming it, it is all of them; what stands in other lists is data. Without anything
    before nothing is new: there is no usual.
    """
    if before is None:
        return frozenset()
    changed = {key for key in {**now, **before} if now.get(key) != before.get(key)}
    rules = {key.id: text for key, text in now.items() if key.kind is EntryKind.RULE}
    exempts = any(
        key.kind is EntryKind.RULE and "exempt" in (now.get(key, "") + before.get(key, "")) for key in changed
    )
    named = {key.id for key in changed if key.kind is EntryKind.CONDITION}
    lists = {key.id for key in changed if key.kind is EntryKind.LIST}
    if exempts or lists & _EVERYWHERE:
        return frozenset(rules)
    found = {key.id for key in changed if key.kind is EntryKind.RULE}
    if named:
        named = _spread(named, now)
        found.update(name for name, text in rules.items() if not named.isdisjoint(_WORDS.findall(text)))
    return frozenset(found & rules.keys())


def _spread(named: set[str], now: Mapping[EntryKey, str]) -> set[str]:
    """With the conditions that use them, and those that use these."""
    words = {key.id: frozenset(_WORDS.findall(text)) for key, text in now.items() if key.kind is EntryKind.CONDITION}
    while more := {name for name, used in words.items() if name not in named and not named.isdisjoint(used)}:
        named = named | more
    return named
