"""All tests of a condition, one after the other."""

from __future__ import annotations

from collections.abc import Iterator

from tidegate.model import AllOf, AnyOf, Condition, Not, Recipients, Test


def tests_of(condition: Condition) -> Iterator[Test]:
    """Every test in a condition."""
    match condition:
        case AllOf(children) | AnyOf(children):
            for child in children:
                yield from tests_of(child)
        case Not(child) | Recipients(_, child):
            yield from tests_of(child)
        case Test():
            yield condition
