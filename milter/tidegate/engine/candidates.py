"""Which rules can concern this message: the index (engine/index.py), asked.

Promises: what is found holds every rule that is YES or UNKNOWN (a property test compares it with asking them all). Only
fields that occur in the index are read.

Theory of the memory. Who sends, to whom, and the From header recur: a site has some thousand senders, and one of them
sends more than one message. What the index says of such a text is the same each time, so each worker remembers it for
a few thousand of each kind, and a set of rules that asks ten fields costs little more than one that asks two. What
would not be the same is not remembered: a field that can't be read, and what many rules are about. Times don't matter:
a list item that has expired still counts here, so that what is found can only be too much. Live lists change without a
new index: whoever has new ones begins with an empty memory (`unremembered`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from operator import attrgetter

from tidegate.conditions.facts import Facts
from tidegate.conditions.fields import RECIPIENT_FIELDS
from tidegate.conditions.members import keys_of
from tidegate.conditions.readers import MAILBOX_HEADERS
from tidegate.engine.index import kind_of
from tidegate.model import Ask, Asks, Index, Memory, Numbers, PolicySet, Reading, Recipient

_REMEMBERED = 2048  # texts in one of the two halves of a memory
_LONG = 512  # characters of a text that is not worth its room
_MANY = 64  # rules about one text; there the look-up is not what costs

_RECIPIENT = frozenset(RECIPIENT_FIELDS.values())
_FROM_THE_BEGINNING = float("-inf")

_WHO: Mapping[str, str] = {
    "client.ip": "connection.client_ip",
    "client.net": "connection.client_ip",
    "client.name": "connection.client_name",
    "client.helo": "connection.helo",
    "daemon.name": "connection.daemon_name",
    "tls.version": "connection.tls_version",
    "tls.cipher": "connection.tls_cipher",
    "login": "envelope.login",
    "auth.type": "envelope.auth_type",
    "sender.address": "envelope.sender",
    "sender.domain": "envelope.sender",
    "sender.localpart": "envelope.sender",
    "sender.null": "envelope.sender",
}
"""Fields that are read from nothing but one text of the sender's side."""

_MAILBOXES = {f"header.{name}.{part}": name for name in MAILBOX_HEADERS for part in ("address", "domain")}


def prepare(index: Index, at_rcpt: Index) -> Asks:
    """Both indexes, made ready. Their tables are used, not copied."""
    asks = _asks(index)
    sender = tuple(one for one in asks if one.name in _WHO)
    boxes: dict[str, list[Ask]] = {}
    for one in asks:
        if one.name in _MAILBOXES:
            boxes.setdefault(_MAILBOXES[one.name], []).append(one)
    return Asks(
        unkeyed=index.unkeyed,
        sender=sender,
        who=attrgetter(*sorted({_WHO[one.name] for one in sender})) if sender else None,
        recipient=tuple(one for one in asks if one.name in _RECIPIENT),
        mailboxes=tuple((header, tuple(those), Memory()) for header, those in boxes.items()),
        others=tuple(one for one in asks if not any(one.name in known for known in (_WHO, _RECIPIENT, _MAILBOXES))),
        patterns=tuple({**index.literals, **index.expressions}),
        at_rcpt=_asks(at_rcpt),
        unkeyed_at_rcpt=at_rcpt.unkeyed,
    )


def unremembered(asks: Asks) -> Asks:
    """The same without what was remembered: a list that is asked has changed."""
    boxes = tuple((header, those, Memory()) for header, those, _ in asks.mailboxes)
    return replace(asks, senders=Memory(), recipients=Memory(), mailboxes=boxes)


def _asks(index: Index) -> tuple[Ask, ...]:
    return tuple(
        Ask(
            field,
            index.exact.get(field, {}),
            index.lists.get(field, ()),
            keys_of(kind_of(field), index.shapes.get(field, ())),
        )
        for field in {**index.exact, **index.lists}
    )


def candidates(facts: Facts, policies: PolicySet) -> set[int]:
    """The numbers of the rules that can be YES or UNKNOWN for this transaction (a superset of them)."""
    asks = policies.asks
    found = set(asks.unkeyed)
    if facts.legible:
        _recall_or_ask(facts, policies, asks, found)
    else:
        _ask_all(facts, policies, asks, found)
    for one in asks.others:
        _ask(policies, one, facts.read(one.name), found)
    for field in asks.patterns:
        _scan(facts, policies, field, found)
    return found


def _recall_or_ask(facts: Facts, policies: PolicySet, asks: Asks, found: set[int]) -> None:
    """The fields of which all is known, and that recur."""
    if asks.who is not None:
        _add(asks.senders, asks.who(facts.transaction), asks.sender, facts.read, policies, found)
    if asks.recipient:
        for to in facts.transaction.envelope.recipients:
            read = partial(facts.read_recipient, recipient=to)
            _add(asks.recipients, to.address, asks.recipient, read, policies, found)
    for header, those, memory in asks.mailboxes:
        values = facts.headers(header)
        if values:
            _add(memory, values[0] if len(values) == 1 else tuple(values), those, facts.read, policies, found)


def _add(
    memory: Memory,
    key: Hashable,
    asks: Iterable[Ask],
    read: Callable[[str], Reading],
    policies: PolicySet,
    found: set[int],
) -> None:
    """Add what is remembered under this key, or what asking comes to."""
    known = memory.young.get(key)
    if known is None:
        known = memory.old.get(key)
        if known is not None:
            _put(memory, key, known)
        else:
            known = _remember(memory, key, asks, read, policies)
    if known:
        found.update(known)


def _put(memory: Memory, key: Hashable, known: Numbers) -> None:
    if len(memory.young) >= _REMEMBERED:
        memory.old, memory.young = memory.young, {}
    memory.young[key] = known


def _remember(
    memory: Memory, key: Hashable, asks: Iterable[Ask], read: Callable[[str], Reading], policies: PolicySet
) -> Numbers:
    """Ask, and remember what was found if it is certain, short, and about few rules."""
    found: set[int] = set()
    certain = True
    for one in asks:
        reading = read(one.name)
        if reading.values or reading.cause is not None:
            _ask(policies, one, reading, found)
            certain = certain and reading.cause is None
    known = tuple(found)
    if certain and len(known) <= _MANY and _length(key) <= _LONG:
        _put(memory, key, known)
    return known


def _length(key: Hashable) -> int:
    return sum(map(len, key)) if isinstance(key, tuple) else len(key)  # type: ignore[arg-type]  # texts or bytes


def _ask_all(facts: Facts, policies: PolicySet, asks: Asks, found: set[int]) -> None:
    """The same fields where some can't be read: nothing of it is the same another time."""
    for one in asks.sender:
        _ask(policies, one, facts.read(one.name), found)
    for one in asks.recipient:
        for reading in _readings(facts, one.name):
            _ask(policies, one, reading, found)
    for _, those, _ in asks.mailboxes:
        for one in those:
            _ask(policies, one, facts.read(one.name), found)


def candidates_at_rcpt(facts: Facts, policies: PolicySet, recipient: Recipient) -> set[int]:
    """The numbers of the per_recipient rules that can be YES or UNKNOWN for this recipient (a superset of them)."""
    asks = policies.asks
    found = set(asks.unkeyed_at_rcpt)
    for one in asks.at_rcpt:
        about_recipient = one.name in _RECIPIENT
        reading = facts.read_recipient(one.name, recipient) if about_recipient else facts.read(one.name)
        _ask(policies, one, reading, found)
    return found


def _ask(policies: PolicySet, ask: Ask, reading: Reading, found: set[int]) -> None:
    """Add the rules under the keys of what was read, or all of this field if some of it can't be read."""
    if reading.cause is not None:
        found.update(number for numbers in ask.table.values() for number in numbers)
        found.update(number for _, numbers in ask.lists for number in numbers)
        return
    table, keys = ask.table, ask.keys
    for value in reading.values:
        if keys is None:
            numbers = table.get(value)  # type: ignore[arg-type]  # a text, by its kind
            if numbers is not None:
                found.update(numbers)
            continue
        for key in keys(value):  # type: ignore[arg-type]
            numbers = table.get(key)
            if numbers is not None:
                found.update(numbers)
    if ask.lists and reading.values:
        _ask_lists(policies, ask, [str(value) for value in reading.values], found)


def _ask_lists(policies: PolicySet, ask: Ask, values: list[str], found: set[int]) -> None:
    for name, numbers in ask.lists:
        known = policies.list(name)
        if (
            known is None
            or known.cause is not None
            or any(known.find(value, _FROM_THE_BEGINNING) is not None for value in values)
        ):
            found.update(numbers)


def _readings(facts: Facts, field: str) -> Iterable[Reading]:
    if field not in _RECIPIENT:
        return (facts.read(field),)
    readings = [facts.read_recipient(field, one) for one in facts.transaction.envelope.recipients]
    missing = facts.missing_recipients()
    return readings if missing is None else [*readings, Reading((), missing)]


def _scan(facts: Facts, policies: PolicySet, field: str, found: set[int]) -> None:
    index = policies.index
    for reading in _readings(facts, field):
        if reading.cause is not None:
            both = (*index.literals.get(field, ()), *index.expressions.get(field, ()))
            found.update(number for _, numbers in both for number in numbers)
            return
        for value in reading.values:
            found.update(policies.pattern_rules(field, str(value)))
