"""A policy file, as text: comments, lists, rules with one key to a line.

Promises: any text comes out as the same text when YAML reads it. A JSON string is a YAML string, so whatever is not a
plain word is written as one.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence

from tidegate.importing.words import Imported, NewList, NewRule, Value

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.@-]*|[0-9]+[smhd]|[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?:/[0-9]+)?")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_WIDTH = 118
_LONG = 4  # items of a list that stand on one line


def text_of(imported: Imported, source: str, shadow: bool = False) -> str:
    """The whole file. `source` says what it was made of; `shadow`: no rule takes effect."""
    lines = [
        f"# Made of {_one_line(source)} by `tidegate import`. Read the comments: they say where the meaning differs."
    ]
    for remark in imported.remarks:
        lines += _comment(remark, "")
    for one in imported.untranslated:
        lines += _comment(f"NOT TRANSLATED, {one}", "")
    lines.append("version: 1")
    if imported.lists:
        lines.append("lists:")
        for member in imported.lists:
            lines += _list(member)
    if imported.rules:
        lines.append("rules:")
        for number, rule in enumerate(imported.rules):
            lines += [""] if number else []
            lines += _rule(rule, shadow or rule.shadow)
    return "\n".join([*lines, "...", ""])


def flow(value: Value) -> str:
    """A value in YAML's flow style."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
        return value if plain else json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(key)}: {flow(one)}" for key, one in value.items()) + "}"
    return "[" + ", ".join(flow(one) for one in value) + "]"


def _one_line(text: str) -> str:
    return " ".join("".join(one if one.isprintable() else "?" for one in text).split())


def _comment(text: str, indent: str) -> list[str]:
    start = f"{indent}# "
    wrapper = textwrap.TextWrapper(_WIDTH, start, start, break_long_words=False, break_on_hyphens=False)
    return wrapper.wrap(_one_line(text))


def _list(member: NewList) -> Iterator[str]:
    for text in member.comments:
        yield from _comment(text, "  ")
    head = f"  {flow(member.name)}: {{type: {member.kind}, items: "
    if isinstance(member.items, Mapping):
        yield f"  {flow(member.name)}:"
        yield f"    type: {member.kind}"
        yield "    items:"
        yield from (f"      {flow(key)}: {flow(one)}" for key, one in member.items.items())
    elif len(member.items) <= _LONG:
        yield f"{head}{flow(member.items)}}}"
    else:
        yield f"  {flow(member.name)}:"
        yield f"    type: {member.kind}"
        yield "    items:"
        yield from (f"      - {flow(one)}" for one in member.items)


def _rule(rule: NewRule, shadow: bool) -> Iterator[str]:
    for text in rule.comments:
        yield from _comment(text, "  ")
    yield f"  - id: {flow(rule.id)}"
    if rule.description:
        yield f"    description: {flow(rule.description)}"
    if rule.priority != 100:
        yield f"    priority: {rule.priority}"
    if shadow:
        yield "    mode: shadow"
    if rule.per_recipient:
        yield "    per_recipient: true"
    if rule.active is not None:
        yield f"    active: {flow(rule.active)}"
    yield f"    when: {flow(rule.when if rule.logged_in else _every_direction(rule.when))}"
    if rule.exceptions:
        yield "    except:"
        yield from (f"      - {{name: {flow(one.name)}, when: {flow(one.when)}}}" for one in rule.exceptions)
    if rule.limits:
        yield "    limits:"
        yield from (f"      - {flow(one)}" for one in rule.limits)
    yield f"    do: {flow(rule.do)}"


def _every_direction(when: Value) -> Value:
    directions: Value = ["outbound", "internal", "local", "inbound"]
    if isinstance(when, Mapping) and "direction" not in when:
        return {**when, "direction": directions}
    return {"direction": directions} if when == "always" else {"all": [when, {"direction": directions}]}


def every(values: Sequence[Value]) -> Value:
    """All of them: one alone stands for itself."""
    return values[0] if len(values) == 1 else {"all": list(values)}


def some(values: Sequence[Value]) -> Value:
    """Any of them."""
    return values[0] if len(values) == 1 else {"any": list(values)}
