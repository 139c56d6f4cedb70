"""Usage that somebody states, for trials: examples, scenarios, `tidegate explain`. Nothing is counted.

What is not stated is unused. A limit for which None is stated can't be asked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

from tidegate.limits.charge import Charge, Usage
from tidegate.model import Cause, Doubt

Used = Mapping[tuple[str, str], "int | None"]
"""By rule and limit name: what is used of it, for whatever key; None: its store can't be asked."""

_NOTHING: Used = MappingProxyType({})
_DOWN = Cause(Doubt.PASSING, "the count can't be asked in this case")


class Stated:
    """A Ledger (limits/charge.py) that answers what it was told."""

    def __init__(self, used: Used = _NOTHING) -> None:
        self._used = used

    def charge(self, charges: tuple[Charge, ...], retry_of: str, now: float, commit: bool) -> tuple[Usage, ...]:
        """The answers; nothing is charged, whatever `commit` says."""
        return tuple([self._answer(one) for one in charges])

    def _answer(self, charge: Charge) -> Usage:
        used = self._used.get((charge.rule, charge.limit), 0)
        if used is None:
            return Usage(0, charge.maximum, 0.0, False, _DOWN)
        exceeded = used + charge.cost > charge.maximum
        retry = math.inf if charge.cost > charge.maximum else charge.per if exceeded else 0.0
        return Usage(used, charge.maximum, retry, exceeded)
