"""What an entry can refer to: lists, named conditions, other rules; and what a condition came to.

`Names` is filled by load.py, in order: lists first, then conditions, then the ids and tags of all rules. While the last
valid text of an entry is built (`accepting`), names count that were there when it was valid: `revive` brings a list
back, and an exempt may name a rule that is gone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from tidegate import patterns
from tidegate.model import Condition, Conventions, FieldType, ListKind, LiveSource, Place, Stage

RESERVED_LISTS: dict[str, tuple[ListKind, str]] = {
    "own-domains": (ListKind.DOMAIN, "what is not in it is external"),
    "relay-networks": (ListKind.IP, "clients whose mail is outbound without a login"),
    "logins": (ListKind.MAP, "which addresses and domains a login may use"),
}
"""Lists that conditions ask without being told to, their types, and what they mean."""


@dataclass(frozen=True, slots=True)
class Built:
    """A condition, and what must be known about the tree without walking it again."""

    condition: Condition
    lists: frozenset[str] = frozenset()  # that it asks by name
    inbound: bool = False  # it names inbound mail
    aligned: bool = False  # it asks the map `logins`
    allowing: frozenset[str] = frozenset()  # those of them of which a YES makes a verdict milder
    latest: Stage = Stage.CONNECT  # the last stage that a field of it needs
    quantified: bool = False
    picks: bool = False  # any_rcpt or all_rcpt: recipients that an edit can call `matched`
    size: int = 1  # tests and values, each use of a named condition counted
    depth: int = 1
    shares: bool = False  # it asks `limit.share`


@dataclass(frozen=True, slots=True)
class Broken:
    """A named condition that could not be built: where it stands, and why in a few words."""

    place: Place
    why: str


UseCondition = Callable[[str, bool], "Built | Broken | None"]
"""By name, and whether a YES of it makes a verdict milder; None: there is no such condition."""


def _no_list(_name: str) -> bool:
    return False


def _no_condition(_name: str, _milder: bool) -> Built | Broken | None:
    return None


@dataclass(slots=True)
class Names:
    """The names of one load."""

    conventions: Conventions
    now: float  # POSIX seconds
    lists: dict[str, ListKind | None] = field(default_factory=dict)  # None: of a type that can't be read
    stale_lists: set[str] = field(default_factory=set)
    live_lists: dict[str, LiveSource] = field(default_factory=dict)
    aging_lists: set[str] = field(default_factory=set)  # live ones with a `max_stale`
    redis: bool = True  # lists can come from there
    inbound_lists: set[str] = field(default_factory=set)  # text lists with the item `inbound`
    revive: Callable[[str], bool] = _no_list
    conditions: Collection[str] = frozenset()
    use: UseCondition = _no_condition
    rules: Collection[str] = frozenset()
    tags: Collection[str] = frozenset()
    exempting: Collection[str] = frozenset()  # ids of rules that exempt
    accepting: bool = False  # an entry's last valid text is being built
    budget: patterns.Budget = field(default_factory=patterns.Budget)
    _patterns: dict[str, str] = field(default_factory=dict)

    def pattern_engine(self) -> str:
        """ "" or why patterns can't be run here."""
        return patterns.available()

    def pattern(self, source: str) -> str:
        """ "" or why the engine can't run this pattern; each pattern is compiled once for each load."""
        found = self._patterns.get(source)
        if found is None:
            found = self._patterns[source] = patterns.check(source, self.budget)
        return found


ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
"""Ids, tags, names of exceptions: what can stand in a log line, a metric and a Redis key as it is."""

FAMILIES: dict[FieldType, str] = {
    FieldType.TEXT: "a text",
    FieldType.ADDRESS: "an address",
    FieldType.DOMAIN: "a domain",
    FieldType.LOGIN: "a login",
    FieldType.IP: "a network",
    FieldType.NUMBER: "a number",
    FieldType.BOOLEAN: "true or false",
}
"""The field types in words for a message."""
