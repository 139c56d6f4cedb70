"""Which rule was exposed, from when to when, and why. Pure but for the record at the end.

An episode begins when a rule is not in force that is meant to be, and ends when it is again, or is gone. The
supervisor keeps the record; over a restart an episode goes on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tidegate import records
from tidegate.ledger.rows import FOLDER

EPISODES = "episodes"
_MOST = 5000  # episodes that are kept, the newest


@dataclass(frozen=True, slots=True)
class Why:
    """Why a rule is exposed: `state` in one word (skipped, tripped, braked), and `reason` for a person."""

    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class Episode:
    """`rule` "" is all rules; `until` 0: it goes on. `ended` says what became of the rule: a state, or gone."""

    rule: str
    state: str
    reason: str
    since: float
    until: float = 0.0
    ended: str = ""

    @property
    def open(self) -> bool:
        return not self.until

    def covers(self, time: float) -> bool:
        """Did it go on at that time?"""
        return self.since <= time and (self.open or time <= self.until)


def advance(
    episodes: Sequence[Episode], exposed: Mapping[str, Why], states: Mapping[str, str], now: float, oldest: float
) -> tuple[Episode, ...]:
    """The episodes from now on. `exposed` are the rules that are not in force now, `states` says what the others are;
    what ended before `oldest` is forgotten."""
    going = {one.rule: one for one in episodes if one.open}
    kept: list[Episode] = []
    for one in episodes:
        if not one.open:
            if one.until >= oldest:
                kept.append(one)
        elif one.rule in exposed:
            why = exposed[one.rule]
            kept.append(replace(one, state=why.state, reason=why.reason))
        else:
            kept.append(replace(one, until=now, ended=states.get(one.rule, "gone") if one.rule else "released"))
    kept += [Episode(rule, why.state, why.reason, now) for rule, why in exposed.items() if rule not in going]
    return tuple(kept[-_MOST:])


def read_episodes(state: str) -> tuple[Episode, ...]:
    """The record; nothing where there is none. Raises OSError, or records.DamagedError (a ValueError)."""
    try:
        body = records.read(Path(state) / FOLDER / EPISODES)
    except FileNotFoundError:
        return ()
    try:
        return tuple(
            Episode(
                str(one["rule"]),
                str(one["state"]),
                str(one["reason"]),
                float(one["since"]),
                float(one["until"]),
                str(one["ended"]),
            )
            for one in json.loads(body)
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise records.DamagedError(f"not the episodes of a ledger: {error!r}") from error


def write_episodes(state: str, episodes: Sequence[Episode]) -> None:
    """Record them. Raises OSError."""
    folder = Path(state) / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    records.write(folder / EPISODES, json.dumps([asdict(one) for one in episodes]).encode())
