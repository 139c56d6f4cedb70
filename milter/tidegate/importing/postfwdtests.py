"""postfwd's items, as conditions. Several of one name are any of them, those of different names all of them.

Without an operator most items are patterns, found anywhere and without case; `==` is the same text. An item that the
request does not have is an empty text there: a test of it fails, and its negation holds, as for an absent field here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tidegate.importing.postfwdlines import Item
from tidegate.importing.words import Value
from tidegate.importing.writing import some

_FIELDS = {
    "client_name": "client.name",
    "helo_name": "client.helo",
    "sender": "sender.address",
    "sender_domain": "sender.domain",
    "sender_localpart": "sender.localpart",
    "recipient": "rcpt.address",
    "recipient_domain": "rcpt.domain",
    "recipient_localpart": "rcpt.localpart",
    "sasl_username": "login",
    "sasl_method": "auth.type",
    "encryption_protocol": "tls.version",
    "encryption_cipher": "tls.cipher",
}
_NUMBERS = {"size": "message.size", "recipient_count": "rcpt.count"}
LATE = frozenset(_NUMBERS)
"""What is not known when a recipient is answered."""
_COMPARED = {"=": "ge", "=>": "ge", "=<": "le", ">": "gt", "<": "lt"}
_TURNED = {"!<": "le", "!>": "ge"}
_SPECIAL = re.compile(r"[\\^$.|?*+()\[\]{}]")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::[0-9]{2})?-([0-9]{1,2}):([0-9]{2})(?::[0-9]{2})?")


class UntranslatableError(ValueError):
    """Our language has no equal; the text says for what."""


def asked_by(items: Sequence[Item], remarks: dict[str, None]) -> tuple[Value, dict[str, Value] | None]:
    """The condition, and `active` where it asks for days or hours. Raises UntranslatableError."""
    names = list(dict.fromkeys(item.name for item in items))
    active: dict[str, Value] = {}
    tests: list[Value] = []
    for name in names:
        mine = [item for item in items if item.name == name]
        if name in ("days", "time"):
            active |= _active(name, mine)
        elif name in ("protocol_state", "request"):
            remarks["protocol_state is left out: a message is judged at its end, a recipient where it is named."] = None
        else:
            tests.append(_test(name, mine))
    when: Value = _together(tests) if tests else "always"
    return when, active or None


def _together(tests: Sequence[Value]) -> Value:
    """All of them, in one map where their keys differ."""
    merged: dict[str, Value] = {}
    for one in tests:
        assert isinstance(one, dict)
        if merged.keys() & one.keys():
            return {"all": list(tests)}
        merged |= one
    return merged


def _test(name: str, items: Sequence[Item]) -> Value:
    if any("$$" in item.value for item in items):
        raise UntranslatableError("attributes of a request can't be compared with each other")
    if name == "client_address":
        return _clients(items)
    if name in _NUMBERS:
        return some([_number(_NUMBERS[name], item) for item in items])
    if name not in _FIELDS:
        raise UntranslatableError(f"{name} has no field of ours")
    field = _FIELDS[name]
    if name == "client_name" and any(item.value == "unknown" for item in items):
        return some([_nameless(item) if item.value == "unknown" else _test(name, [item]) for item in items])
    plain = [item for item in items if not item.negated and item.operator == "=="]
    others = [item for item in items if item not in plain]
    tests: list[Value] = []
    if plain:
        texts = [item.value for item in plain]
        tests.append({field: texts[0] if len(texts) == 1 else texts})
    return some([*tests, *(_text(field, item) for item in others)])


def _nameless(item: Item) -> Value:
    """`unknown` is the name of a client that has none."""
    return {"client.name": {"exists": item.negated != (item.operator in ("!=", "!~"))}}


def _text(field: str, item: Item) -> Value:
    negated = item.negated
    if item.operator in ("!=", "!~"):
        negated = not negated
    if item.operator in ("==", "!="):
        test: Value = {field: item.value}
    elif item.operator in ("=", "=~", "!~"):
        test = {field: _pattern(item.value)}
    else:
        raise UntranslatableError(f"{item.operator} compares numbers, and {field} is none")
    return {"not": test} if negated else test


def _pattern(value: str) -> Value:
    """A pattern, or the plain test that it comes to."""
    pattern = re.fullmatch(r"/?(.*?)/?", value, re.DOTALL)
    assert pattern is not None
    text = pattern[1]
    head, tail = text.startswith("^"), text.endswith("$") and not text.endswith("\\$")
    middle = text[head : len(text) - tail]
    plain = re.sub(r"\\([.@_-])", r"\1", middle)
    if plain and not _SPECIAL.search(re.sub(r"\\[.@_-]", "", middle)):
        if head and tail:
            return plain
        return {"prefix" if head else "suffix" if tail else "contains": plain}
    return {"matches": text}


def _clients(items: Sequence[Item]) -> Value:
    inside = [item.value for item in items if not item.negated and item.operator in ("=", "==")]
    tests: list[Value] = [{"client.ip": {"in": inside}}] if inside else []
    for item in items:
        if item.negated or item.operator == "!=":
            tests.append({"not": {"client.ip": {"in": [item.value]}}})
        elif item.operator not in ("=", "=="):
            raise UntranslatableError(f"client_address is compared with networks, not by {item.operator}")
    return some(tests)


def _number(field: str, item: Item) -> Value:
    if not item.value.isdigit():
        raise UntranslatableError(f"{item.value!r} is no number")
    number = int(item.value)
    if item.operator == "==":
        test: Value = {field: number}
    elif item.operator == "!=":
        test = {"not": {field: number}}
    elif item.operator in _TURNED:
        test = {"not": {field: {_TURNED[item.operator]: number}}}
    elif item.operator in _COMPARED:
        test = {field: {_COMPARED[item.operator]: number}}
    else:
        raise UntranslatableError(f"{item.operator} compares texts, and {field} is a number")
    return {"not": test} if item.negated else test


def _active(name: str, items: Sequence[Item]) -> dict[str, Value]:
    if len(items) != 1 or items[0].negated or items[0].operator not in ("=", "=="):
        raise UntranslatableError(f"{name} is understood once, and not negated")
    value = items[0].value.strip()
    if name == "time":
        found = _HOURS.fullmatch(value)
        if found is None:
            raise UntranslatableError(f"{value!r} are no hours such as 08:00:00-17:00:00")
        return {"hours": f"{int(found[1]):02}:{found[2]}-{int(found[3]):02}:{found[4]}"}
    first, _, last = value.lower().partition("-")
    if first not in _DAYS or (last and last not in _DAYS):
        raise UntranslatableError(f"{value!r} are no days such as Mon-Fri")
    return {"days": f"{first}-{last}" if last else first}
