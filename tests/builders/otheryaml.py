"""Policy files through another YAML reader than Tidegate's: PyYAML's in Python, for which all scalars are texts.

What Tidegate says of a damaged file is compared with what stands here: which names it holds, whether a rule is as it
was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from tidegate.policy.examples import Case


def same_rule(good: bytes, damaged: bytes, key: str) -> bool:
    """Can the damaged rule's condition still be read, by another YAML reader than Tidegate's, and is it as it was?"""
    was, now = as_read(good, key), as_read(damaged, key)
    keys = ("when", "do", "except", "active", "sample", "scope", "per_recipient", "mode")
    return bool(was) and bool(now) and all(was.get(one) == now.get(one) for one in keys)


def in_scope(case: Case, scope: Mapping[str, Sequence[str]]) -> bool:
    """Is the message in this scope, as it is written? Directions are left out: all that have one say outbound."""
    login = case.login if "@" in case.login else f"{case.login}@example.com"
    domains = {one.rpartition("@")[2] for one in case.recipients}
    return (
        (case.sender in scope.get("senders", (case.sender,)))
        and (login in scope.get("logins", (login,)))
        and bool(domains & {*scope.get("recipient_domains", domains)})
    )


def as_read(data: bytes, key: str) -> dict[str, Any]:
    root = _root(data)
    rules = root.get("rules") if root else None
    named = [one for one in rules or () if isinstance(one, dict) and f"rule {one.get('id')}" == key]
    return named[0] if len(named) == 1 else {}


class _Reader(yaml.BaseLoader):
    """The one in Python, for which all scalars are texts. A key that stands twice with two meanings has neither."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key, value = (self.construct_object(one, deep=True) for one in (key_node, value_node))
            found[key] = value if found.get(key, value) == value else ("twice", found[key], value)
        return found


def _root(data: bytes) -> dict[str, Any] | None:
    try:
        root = yaml.load(data, Loader=_Reader)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError, AttributeError):
        return None
    return root if isinstance(root, dict) else None


def names_in(data: bytes) -> set[str] | None:
    """All names in the file; None where it can't be read."""
    root = _root(data)
    if root is None:
        return None
    maps = [root.get(section) for section in ("lists", "conditions")]
    rules = root.get("rules")
    named = {str(name) for one in maps if isinstance(one, dict) for name in one}
    return named | {str(one.get("id")) for one in (rules if isinstance(rules, list) else ()) if isinstance(one, dict)}


def ends(data: bytes) -> bool:
    """Does the file end as it should? Otherwise it was cut, and nothing of it counts."""
    rows = [row.split(b"#")[0].rstrip() for row in data.splitlines()]
    return next((row for row in reversed(rows) if row.strip()), b"") == b"..."
