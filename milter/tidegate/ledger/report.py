"""Episodes and rows together: what each rule let pass, for a person and for programs."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tidegate.ledger.episodes import Episode
from tidegate.ledger.rows import Row


@dataclass(slots=True)
class Exposure:
    """One episode of one rule, and the messages that met it."""

    episode: Episode
    count: int = 0
    uncertain: int = 0  # of them, those that only may have been concerned
    first: float = 0.0
    last: float = 0.0
    rows: list[Row] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """One row more, which is newer than those before it."""
        self.count += row.count
        self.uncertain += 0 if row.certain else row.count
        self.first = min(self.first or row.first, row.first)
        self.last = max(self.last, row.time)
        if row.listed:
            self.rows.append(row)

    def document(self, limit: int) -> dict[str, Any]:
        """For `--json`; the newest `limit` rows."""
        one = self.episode
        return {
            "rule": one.rule,
            "state": one.state,
            "reason": one.reason,
            "since": one.since,
            "until": one.until or None,
            "ended": one.ended,
            "count": self.count,
            "uncertain": self.uncertain,
            "first": self.first or None,
            "last": self.last or None,
            "messages": [
                {
                    "rule": row.rule,
                    "queue_id": row.queue_id,
                    "ref": row.reference,
                    "time": row.time,
                    "sender": row.sender,
                    "login": row.login,
                    "disposition": row.outcome,
                    "certain": row.certain,
                }
                for row in self.rows[-limit:]
            ],
        }


def exposures(episodes: Sequence[Episode], rows: Iterable[Row]) -> list[Exposure]:
    """Each episode with its rows, the open ones first, then the newest.

    A row belongs to the last episode of its rule that had begun by then (a worker may write a moment after the repair),
    or to one of all rules.
    Where there is none (the record was lost) the rows make an episode of their own.
    """
    found = [Exposure(one) for one in episodes]
    by_rule: dict[str, list[Exposure]] = {}
    for one in sorted(found, key=lambda one: one.episode.since):
        by_rule.setdefault(one.episode.rule, []).append(one)
    for row in sorted(rows, key=lambda one: one.time):  # each worker writes its own
        own, every = _latest(by_rule.get(row.rule, ()), row.time), _latest(by_rule.get("", ()), row.time)
        home = own if own is not None and (every is None or own.episode.covers(row.time)) else every or own
        if home is None:
            episode = Episode(
                row.rule,
                "unknown",
                "it was on trial only, or its episode is not on record",
                row.first,
                row.time,
                "unknown",
            )
            home = Exposure(episode)
            by_rule[row.rule] = [home]
            found.append(home)
        home.add(row)
    return sorted(found, key=lambda one: (not one.episode.open, -one.episode.since))


def _latest(known: Sequence[Exposure], time: float) -> Exposure | None:
    """The last that had begun by then, else the first."""
    at = bisect_right(known, time, key=lambda one: one.episode.since)
    return known[max(0, at - 1)] if known else None
