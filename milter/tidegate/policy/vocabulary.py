"""The words of the policy language that this release knows, and those that a policy text uses.

A daemon tells its fleet what it knows; an edit that uses more than one of them knows would be broken there, so it is
refused before it is stored. Promises: made of the JSON Schema, so a word that is added is known here. A word that a
person made up (an id, a reason, a key of a map list) counts where it is a word of the language as well; that matters
only while a fleet runs several releases.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from tidegate.policy.nodes import Mapping, Node, Scalar, Sequence, compose_text
from tidegate.policy.schema import schema

LANGUAGE = 1
"""The newest `version:` of policy files that this release reads."""


@cache
def words() -> frozenset[str]:
    """All keys, and all values that are one of a few."""
    return frozenset(_words(schema()))


def _words(one: Any) -> Iterator[str]:
    if isinstance(one, dict):
        properties = one.get("properties")
        if isinstance(properties, dict):
            yield from properties
        yield from (value for value in one.get("enum", ()) if isinstance(value, str))
        for value in one.values():
            yield from _words(value)
    elif isinstance(one, list):
        for value in one:
            yield from _words(value)


def words_of(text: str) -> frozenset[str]:
    """The words of the language that stand in a policy text; none where it can't be read."""
    root, _, sound = compose_text(text, "")
    return words() & frozenset(_scalars(root)) if sound and root is not None else frozenset()


def _scalars(root: Node) -> Iterator[str]:
    work: list[Node] = [root]
    while work:
        node = work.pop()
        if isinstance(node, Scalar):
            yield node.text
        elif isinstance(node, Mapping):
            for key, value in node.pairs:
                work += (key, value)
        elif isinstance(node, Sequence):
            work += node.items
