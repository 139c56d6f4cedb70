"""policyd-rate-limit's YAML file, as limits. Source: policyd-rate-limit.yaml(5), version 1.0 to 1.3.

Its windows are windows as ours are: not more than `number` in any span of so many seconds. It counts recipients (it is
asked for each of them), also those of messages that are refused later; here only what goes on is counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from tidegate.importing.actions import Effect, effect_of
from tidegate.importing.spans import span
from tidegate.importing.words import Imported, NewException, NewRule, Untranslated, Value
from tidegate.policy.nodes import Mapping, Node, Scalar, Sequence, compose, get

_DEFAULT = "defer_if_permit Rate limit reach, retry later"
Window = tuple[int, int]
"""How many, in so many seconds."""


@dataclass(frozen=True, slots=True)
class _Key:
    """By what it counts: the field, what a message has to be, and what it must not be."""

    name: str
    field: str
    when: dict[str, Value]


def imported(text: str) -> Imported:
    """The rules of one file."""
    root, problems = compose(text.encode("utf-8", "replace"), "policyd-rate-limit.yaml")
    if not isinstance(root, Mapping):
        line = problems[0].place.line if problems else 1
        why = problems[0].message if problems else "it is no map of settings"
        return Imported(untranslated=(Untranslated(line, "the file", why),))
    wrong: list[Untranslated] = []
    effect = effect_of(_text(root, "fail_action", _DEFAULT))
    if isinstance(effect, str):
        wrong.append(Untranslated(_line(get(root, "fail_action")), _text(root, "fail_action", ""), effect))
        return Imported(untranslated=tuple(wrong))
    for name in ("sql_limits_by_id",):
        if (node := get(root, name)) is not None and _words(node):
            wrong.append(Untranslated(_line(node), name, "limits in a database are not read"))
    if _text(root, "success_action", "dunno").lower() != "dunno":
        wrong.append(
            Untranslated(_line(get(root, "success_action")), "success_action", "a rule has no effect on what passes")
        )
    down = "open" if _text(root, "db_error_action", "dunno").lower() in ("dunno", "ok") else "defer"
    windows = _windows(get(root, "limits"), wrong)
    special = _special(get(root, "limits_by_id"), wrong)
    rules = [rule for key in _keys(root) for rule in _rules(key, windows, special, effect, down)]
    remarks = ["Here only messages that go on are counted; policyd-rate-limit also counts what is refused later."]
    return Imported(tuple(rules), (), tuple(remarks), tuple(wrong))


def _keys(root: Mapping) -> Iterator[_Key]:
    sasl, sender = _flag(root, "limit_by_sasl", True), _flag(root, "limit_by_sender", False)
    networks = _words(get(root, "limited_networks"))
    if sasl:
        yield _Key("login", "login", {"login": {"exists": True}})
    nobody: dict[str, Value] = {"login": {"exists": False}} if sasl else {}
    if sender:
        yield _Key("sender", "sender.address", {**nobody, "sender.null": False})
    if _flag(root, "limit_by_ip", False) and networks:
        rest: dict[str, Value] = {"sender.null": True} if sender else {}
        yield _Key("client", "client.ip", {**nobody, **rest, "client.ip": {"in": networks}})


def _rules(
    key: _Key, windows: list[Window], special: list[tuple[list[str], list[Window]]], effect: Effect, down: str
) -> Iterator[NewRule]:
    mine = [(ids, limits) for ids, limits in ((_of_key(ids, key), limits) for ids, limits in special) if ids]
    others = [one for ids, _ in mine for one in ids]
    exceptions = (NewException("limits-of-their-own", {key.field: {"in": others}}),) if others else ()
    if windows:
        yield _rule(f"policyd-{key.name}", key, key.when, windows, effect, down, exceptions)
    for number, (ids, limits) in enumerate(mine, 1):
        if limits:
            when = {**key.when, key.field: {"in": ids}}
            yield _rule(f"policyd-{key.name}-{number}", key, when, limits, effect, down, ())


def _rule(
    name: str,
    key: _Key,
    when: Value,
    windows: list[Window],
    effect: Effect,
    down: str,
    exceptions: tuple[NewException, ...],
) -> NewRule:
    limits: list[Value] = [
        {
            "name": f"per-{span(seconds)}",
            "by": key.field,
            "count": "recipients",
            "max": most,
            "per": span(seconds),
            "on_store_down": down,
        }
        for most, seconds in windows
    ]
    comments = (effect.remark,) if effect.remark else ()
    return NewRule(
        name,
        when,
        effect.do,
        exceptions=exceptions,
        limits=tuple(limits),
        comments=comments,
        logged_in=key.name == "login",
    )


def _of_key(ids: list[str], key: _Key) -> list[str]:
    """An id is a login, a sender or an address, whatever the message is counted by."""
    return [one for one in ids if _is_address(one) == (key.name == "client")]


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _windows(node: Node | None, wrong: list[Untranslated]) -> list[Window]:
    """`[[10, 60], [150, 86400]]`."""
    found: list[Window] = []
    for item in node.items if isinstance(node, Sequence) else ():
        numbers = _words(item)
        if (
            len(numbers) == 2
            and all(re.fullmatch("[0-9]{1,15}", one) for one in numbers)
            and int(numbers[0])
            and int(numbers[1])
        ):
            found.append((int(numbers[0]), int(numbers[1])))
        else:
            wrong.append(Untranslated(_line(item), ", ".join(numbers), "a limit is [number, seconds], both above zero"))
    return found


def _special(node: Node | None, wrong: list[Untranslated]) -> list[tuple[list[str], list[Window]]]:
    """Those with limits of their own, together where they are the same; no limits at all is one as well."""
    groups: dict[tuple[Window, ...], list[str]] = {}
    for key, value in node.pairs if isinstance(node, Mapping) else ():
        groups.setdefault(tuple(_windows(value, wrong)), []).append(key.text)
    return [(ids, list(limits)) for limits, ids in groups.items()]


def _text(root: Mapping, key: str, default: str) -> str:
    node = get(root, key)
    return node.text if isinstance(node, Scalar) else default


def _flag(root: Mapping, key: str, default: bool) -> bool:
    text = _text(root, key, "").lower()
    return text in ("true", "yes", "on") if text else default


def _words(node: Node | None) -> list[str]:
    if isinstance(node, Scalar):
        return [node.text] if node.text else []
    return [one.text for one in node.items if isinstance(one, Scalar)] if isinstance(node, Sequence) else []


def _line(node: Node | None) -> int:
    return node.place.line if node is not None else 0
