"""Transactions and policy sets in one line, for the tests of the rooms that judge.

`a_transaction(...)` is a message as front/ would hand it over: a login, a sender, a recipient and a few headers unless
the test says otherwise. `FakePolicies` is a PolicySet in memory: its lists are dicts and tuples as an admin writes
them, its patterns run on Python's `re`, and all its rules are candidates unless the test brings an index.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tidegate.conditions.members import (
    Member,
    MemberForm,
    glob_matches,
    lookup_keys,
    normalise,
    normalise_grant,
    shape_of,
)
from tidegate.engine.candidates import prepare
from tidegate.engine.needs import all_needs
from tidegate.model import (
    Cause,
    Connection,
    Conventions,
    Doubt,
    EntryState,
    Envelope,
    Index,
    ListKind,
    Message,
    Recipient,
    Rule,
    Transaction,
)

NOW = 1_800_000_000.0
"""The tests' clock: 15 January 2027, 08:00 UTC."""

Headers = Sequence[tuple[str, "str | bytes"]]


def a_transaction(
    sender: str = "alice@example.com",
    login: str = "alice@example.com",
    rcpt: Sequence[str] = ("bob@example.net",),
    headers: Headers = (("From", "Alice <alice@example.com>"), ("Subject", "hello")),
    client: str = "192.0.2.10",
    *,
    name: str = "client.example.com",
    helo: str = "client.example.com",
    local: bool = False,
    daemon: str = "ORIGINATING",
    tls: tuple[str, str] = ("TLSv1.3", "TLS_AES_256_GCM_SHA384"),
    auth_type: str = "PLAIN",
    size: int = 1000,
    complete: bool = True,
    message: bool = True,
    unreadable: Mapping[str, str] | None = None,
) -> Transaction:
    """One transaction; `message=False` is one at RCPT, `unreadable` names what could not be read, and why."""
    doubts = tuple((unreadable or {}).items())
    return Transaction(
        Connection(client, name, helo, daemon, *tls, local=local, unreadable=doubts),
        Envelope(sender, tuple(Recipient(one, f"<{one}>") for one in rcpt), login, auth_type if login else ""),
        Message(tuple((key, _bytes(value)) for key, value in headers), size, complete) if message else None,
        queue_id="4XyZ12abcd",
        reference="R3F",
    )


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8")


@dataclass(frozen=True)
class FakeList:
    """A list in memory. `items` are written as an admin writes them; a map has texts or lists of texts as values."""

    name: str
    kind: ListKind
    items: Iterable[str] | Mapping[str, str | Sequence[str]] = ()
    conventions: Conventions = field(default_factory=Conventions)
    cause: Cause | None = None
    stale: bool = False
    doubted: frozenset[str] = frozenset()
    members: dict[str, Member] = field(default_factory=dict)
    grants: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for item in self.items:
            member = normalise(self.kind, item, self.conventions)
            assert isinstance(member, Member), member
            self.members[member.key] = member
            if isinstance(self.items, Mapping):
                values = self.items[item]
                self.grants[member.key] = tuple(
                    self._grant(v) for v in ([values] if isinstance(values, str) else values)
                )

    def _grant(self, text: str) -> str:
        member = normalise_grant(text, self.conventions)
        assert isinstance(member, Member), member
        return member.key

    def find(self, value: str, now: float) -> str | None:
        """As MemberList.find: by key, then by glob or pattern."""
        shapes = sorted({shape_of(self.kind, key) for key in self.members})
        for key in lookup_keys(self.kind, value, shapes):
            if key in self.members:
                return key
        for member in self.members.values():
            if member.form is MemberForm.GLOB and glob_matches(member.key, value):
                return member.key
            if member.form is MemberForm.PATTERN and re.search(member.key, value, re.IGNORECASE):
                return member.key
        return None

    def values(self, key: str, now: float) -> tuple[str, ...] | None:
        """As MemberList.values."""
        return self.grants.get(key)


ListSpec = tuple["ListKind | str", "Iterable[str] | Mapping[str, str | Sequence[str]]"]


class FakePolicies:
    """A PolicySet in memory.

    `lists` is {name: (kind, items)}; a text instead of that pair says why the list can't be asked for now. Lists that
    the test does not name are not defined. Like every PolicySet it has a length: an empty one is false.
    """

    def __init__(
        self,
        rules: Sequence[Rule] = (),
        lists: Mapping[str, ListSpec | str | FakeList] | None = None,
        *,
        index: Index | None = None,
        index_at_rcpt: Index | None = None,
        conventions: Conventions = Conventions(),  # noqa: B008  # frozen
        number: int = 1,
        digest: str = "d1",
        exempts: Iterable[int] | None = None,
    ) -> None:
        self.number, self.digest, self.conventions = number, digest, conventions
        self.rules = tuple(rules)
        self.reads_body = False
        self.limited = any(rule.limits for rule in self.rules)
        self.per_recipient = tuple(at for at, rule in enumerate(self.rules) if rule.per_recipient)
        acting = (at for at, rule in enumerate(self.rules) if rule.do.exempt is not None)
        self.exempts = frozenset(acting if exempts is None else exempts)
        self.watched = tuple(at for at, rule in enumerate(self.rules) if rule.state is EntryState.SKIPPED)
        self.needs = frozenset(all_needs(self.rules))
        everyone = tuple(at for at in range(len(self.rules)) if at not in self.per_recipient)
        self.index = Index(unkeyed=everyone) if index is None else index
        self.index_at_rcpt = Index(unkeyed=self.per_recipient) if index_at_rcpt is None else index_at_rcpt
        self.asks = prepare(self.index, self.index_at_rcpt)
        self.lists = {name: self._list(name, spec) for name, spec in (lists or {}).items()}

    def _list(self, name: str, spec: ListSpec | str | FakeList) -> FakeList:
        if isinstance(spec, FakeList):
            return spec
        if isinstance(spec, str):
            kind = {"own-domains": ListKind.DOMAIN, "relay-networks": ListKind.IP, "logins": ListKind.MAP}.get(name)
            return FakeList(name, kind or ListKind.STRING, cause=Cause(Doubt.PASSING, spec))
        return FakeList(name, ListKind(spec[0]), spec[1], self.conventions)

    def __len__(self) -> int:
        return len(self.rules)

    def rule(self, number: int) -> Rule:
        """As PolicySet.rule."""
        return self.rules[number]

    def list(self, name: str) -> FakeList | None:
        """As PolicySet.list."""
        return self.lists.get(name)

    def matches(self, field: str, source: str, text: str) -> bool:
        """As PolicySet.matches; Python's `re` stands in for the engine."""
        exact = source.startswith("(?-i)")
        return re.search(source.removeprefix("(?-i)"), text, 0 if exact else re.IGNORECASE) is not None

    def pattern_rules(self, field: str, text: str) -> Iterable[int]:
        """As PolicySet.pattern_rules, exactly."""
        folded = text.casefold()
        for source, numbers in self.index.literals.get(field, ()):
            if re.search(source, folded):
                yield from numbers
        for source, numbers in self.index.expressions.get(field, ()):
            if self.matches(field, source, text):
                yield from numbers
