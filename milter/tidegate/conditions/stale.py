"""A condition of which only an earlier text is known: what it lets through by `not` or `no_rcpt` is in doubt.

An edit that is broken may have been meant to narrow it; so a NO of one of them is no NO any more (DESIGN section 5).
"""

from __future__ import annotations

from functools import lru_cache

from tidegate.model import AllOf, AnyOf, Cause, Condition, Doubt, Not, Quantifier, Recipients, Unknowable

STALE = Cause(Doubt.PASSING, "an edit of the entry is broken; what its last version lets through is in doubt")


@lru_cache(maxsize=1024)
def as_stale(condition: Condition) -> Condition:
    """The condition with everything that lets mail through in doubt: a `not` that is NO becomes UNKNOWN."""
    match condition:
        case AllOf(children):
            return AllOf(tuple(as_stale(child) for child in children))
        case AnyOf(children):
            return AnyOf(tuple(as_stale(child) for child in children))
        case Not() | Recipients(Quantifier.NO):
            return AnyOf((condition, Unknowable(STALE)))
        case Recipients(quantifier, child):
            return Recipients(quantifier, as_stale(child))
    return condition
