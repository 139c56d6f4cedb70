"""What has been taken from rules while the daemon runs: by a brake, a breaker, an expectation that was exceeded.

A restraint stands beside the generation, not in it: it acts on messages in flight too, and outlives a reload. What an
easing does to a rule is engine/easing.py; who eased it, why and until when is live/restraints.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum


class Easing(Enum):
    """How far a rule is taken back."""

    SOFT = "soft"  # it acts, but refuses and discards nothing for good: it defers instead
    SHADOW = "shadow"  # it is evaluated without effect, and logged as `would`
    SKIP = "skip"  # it is not evaluated, and does not count
    DEFER = "defer"  # it is not evaluated, and is UNKNOWN with a cause that will pass

    @property
    def evaluated(self) -> bool:
        """Is the rule still asked?"""
        return self in (Easing.SOFT, Easing.SHADOW)


def together(easings: Iterable[Easing]) -> Easing | None:
    """What several easings of one rule come to: not evaluated if one says so, without effect if one says so.

    So DEFER with SHADOW is SKIP: what must not be asked, and must not act, can't keep mail waiting.
    """
    asked = frozenset(easings)
    if Easing.SKIP in asked or asked >= {Easing.DEFER, Easing.SHADOW}:
        return Easing.SKIP
    return next((one for one in (Easing.DEFER, Easing.SHADOW, Easing.SOFT) if one in asked), None)


@dataclass(frozen=True, slots=True)
class Restraint:
    """All that is eased: rules by id, and `everything` for the rules that do not say `brake: keep`.

    `poison` are those that must not be asked for any purpose, not even to count: they may kill who asks.
    """

    rules: Mapping[str, Easing] = field(default_factory=dict)
    everything: Easing | None = None
    poison: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return self.everything is not None or bool(self.rules)

    def plus(self, rules: Iterable[str], easing: Easing) -> Restraint:
        """With these rules eased as well, or further."""
        known = self.rules
        eased = {one: together((known[one], easing)) or easing if one in known else easing for one in rules}
        return replace(self, rules={**known, **eased})

    def of(self, rule: str, kept: bool = False) -> Easing | None:
        """How the rule is eased; `kept` says that it stays under `everything`."""
        own = self.rules.get(rule)
        every = None if kept else self.everything
        if own is None or every is None:
            return own or every
        return together((own, every))


NO_RESTRAINT = Restraint()
