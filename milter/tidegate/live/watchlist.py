"""Whose mail has killed workers of late, as a worker has to know it; None in its place: nobody's.

The supervisor sends it to each worker after every death (supervisor/poison.py), made of live/culprits.py's blame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Watchlist:
    """`messages` by print: True where it must not be judged at all, False where not by its content.

    `senders`: the rules that must not be asked for their mail; "" among them: it must not be judged at all. `walks`:
    the look-up of the rules itself killed, so every rule is asked and the next death names one.
    """

    messages: Mapping[int, bool] = field(default_factory=dict)
    senders: Mapping[int, frozenset[str]] = field(default_factory=dict)
    walks: bool = False

    def document(self) -> dict[str, Any]:
        """For the way to a worker."""
        return {
            "messages": [[one, barred] for one, barred in self.messages.items()],
            "senders": [[one, sorted(rules)] for one, rules in self.senders.items()],
            "walks": self.walks,
        }


def watchlist_from(values: Mapping[str, Any]) -> Watchlist | None:
    """The inverse; nothing in it: None. Raises ValueError, KeyError or TypeError."""
    if not values:
        return None
    return Watchlist(
        {int(one): bool(barred) for one, barred in values["messages"]},
        {int(one): frozenset(map(str, rules)) for one, rules in values["senders"]},
        bool(values["walks"]),
    )
