"""Which rules can concern a message: the index as an image holds it, and as it is asked.

Index is what the loader made, plain texts and numbers. Asks is the same by whom it is asked about, with a
memory of what was found for texts that recur (engine/candidates.py).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field

from tidegate.model.transaction import Transaction

Numbers = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Index:
    """Which rules can concern a message, by the most selective necessary test of each (engine/index.py).

    `exact[field][key]` are rule numbers under a look-up key of conditions/members.py; `lists[field]` are (list name,
    rule numbers); `literals[field]` and `expressions[field]` are (source, rule numbers) for the field's pattern
    databases (literals are casefolded regular expressions to scan the casefolded text with); `unkeyed` are always
    candidates.
    """

    exact: Mapping[str, Mapping[str, tuple[int, ...]]] = field(default_factory=dict)
    lists: Mapping[str, tuple[tuple[str, tuple[int, ...]], ...]] = field(default_factory=dict)
    literals: Mapping[str, tuple[tuple[str, tuple[int, ...]], ...]] = field(default_factory=dict)
    expressions: Mapping[str, tuple[tuple[str, tuple[int, ...]], ...]] = field(default_factory=dict)
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # of the exact keys: conditions/members.py
    unkeyed: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Ask:
    """One field of an index: the rules under each key, those of lists that are asked, and how a value becomes keys.

    `keys` None: a value is its own and only key.
    """

    name: str
    table: Mapping[str, Numbers] = field(default_factory=dict)
    lists: tuple[tuple[str, Numbers], ...] = ()
    keys: Callable[[str], Iterable[str]] | None = None


@dataclass(slots=True)
class Memory:
    """What was found for texts that recur. Bounded: when the young half is full it becomes the old one.

    Not frozen, and shared by all threads without a lock: whoever comes late writes the same.
    """

    young: dict[Hashable, Numbers] = field(default_factory=dict)
    old: dict[Hashable, Numbers] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asks:
    """An index by who is asked: the sender's side of the envelope, each recipient, the mailboxes of a header, the rest.

    `who` picks what the fields of `sender` are read from. `at_rcpt` are the fields of the index at RCPT.
    """

    unkeyed: Numbers = ()
    sender: tuple[Ask, ...] = ()
    who: Callable[[Transaction], Hashable] | None = None
    senders: Memory = field(default_factory=Memory)
    recipient: tuple[Ask, ...] = ()
    recipients: Memory = field(default_factory=Memory)
    mailboxes: tuple[tuple[str, tuple[Ask, ...], Memory], ...] = ()  # by header
    others: tuple[Ask, ...] = ()
    patterns: tuple[str, ...] = ()  # fields with literals or expressions
    at_rcpt: tuple[Ask, ...] = ()
    unkeyed_at_rcpt: Numbers = ()
