"""Which rules are exposed: the supervisor's part of the exposure ledger. It keeps the episodes, workers the rows."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import structlog

from tidegate import records
from tidegate.engine.exposure import MAX_WATCHED
from tidegate.ledger import BusyError, Episode, Why, advance, make_key, read_episodes, write_episodes
from tidegate.live.restraints import NO_HOLDS, TRIPPING, Holds
from tidegate.loader.report import Report
from tidegate.model import EntryKind, EntryState
from tidegate.observe.counters import Counters, RuleColumns
from tidegate.supervisor.conditions import Conditions

_HELD = 2000  # rules that are eased and have an episode of their own
_RETRY = 10.0  # seconds after which a ledger that could not be kept is tried again
_LINES = 100  # of the log that one look may take; the status has them all

_log = structlog.get_logger()


@dataclass(slots=True)
class Exposures:
    """The episodes of one daemon."""

    state: str
    retention: float  # seconds
    episodes: tuple[Episode, ...] = ()
    unwatched: int = 0  # rules that are skipped and of which no messages are listed
    _known: bool = False
    _seen: tuple[Report | None, Holds] = (None, NO_HOLDS)
    _written: tuple[Episode, ...] | None = field(default=None)
    _trouble: str = ""
    _looked: float = 0.0

    def look(self, report: Report, holds: Holds, now: float) -> str:
        """What is exposed by this load and under these holds. "" or what is wrong with the ledger."""
        trouble = "" if self._known else self._recall()
        skipped = _skipped(report)
        self.unwatched = max(0, len(skipped) - MAX_WATCHED)
        exposed = {**dict(islice(skipped.items(), MAX_WATCHED)), **dict(islice(_held(holds).items(), _HELD))}
        states = {one.key.id: one.state.value for one in report.entries if one.key.kind is EntryKind.RULE}
        before = {one.rule for one in self.episodes if one.open}
        self.episodes = advance(self.episodes, exposed, states, now, now - self.retention)
        self._tell(before, now)
        return self._record() or trouble

    def _tell(self, before: set[str], now: float) -> None:
        """What is new, line by line, as far as that is not too much."""
        begun = [one for one in self.episodes if one.open and one.rule not in before]
        ended = [one for one in self.episodes if not one.open and one.rule in before and one.until == now]
        for one in begun[:_LINES]:
            _log.warning("exposed", rule=one.rule or "all rules", state=one.state, reason=one.reason)
        for one in ended[:_LINES]:
            _log.info("exposure ended", rule=one.rule or "all rules", ended=one.ended, seconds=round(now - one.since))
        more = max(len(begun), len(ended)) - _LINES
        if more > 0:
            _log.warning("more rules exposed", begun=len(begun), ended=len(ended), shown=_LINES)

    def tick(self, report: Report, holds: Holds, conditions: Conditions) -> None:
        """Look, where there is something new, and again after a while where the ledger could not be kept."""
        now = time.time()
        fresh = report is not self._seen[0] or holds is not self._seen[1]
        unwritten = self._trouble or self.episodes != (self._written or ())
        if report.image and (fresh or (unwritten and abs(now - self._looked) > _RETRY)):
            self._seen, self._looked = (report, holds), now
            self._trouble = self.look(report, holds, now)
            conditions.judge("exposure-unwritable", self._trouble)

    def _recall(self) -> str:
        self._known = True
        try:
            self.episodes = self._written = read_episodes(self.state)
        except records.DamagedError:
            return "the record of its episodes was damaged; they begin anew"
        except OSError as error:
            return f"the record of its episodes can't be read: {error.strerror}"
        return ""

    def _record(self) -> str:
        if self.episodes == (self._written or ()):
            return ""
        try:
            make_key(self.state)
            write_episodes(self.state, self.episodes)
        except BusyError:
            return ""  # no trouble: somebody writes it at this moment, and it is tried again
        except OSError as error:
            return f"the exposure ledger can't be written: {error.strerror}"
        self._written = self.episodes
        return ""

    def document(self, counters: Counters, columns: RuleColumns) -> Mapping[str, Any]:
        """For `tidegate status`: what is exposed now; `messages` since the daemon started."""
        return {
            "rules": [
                {
                    "rule": one.rule,
                    "state": one.state,
                    "reason": one.reason,
                    "since": one.since,
                    "messages": counters.exposed_total(column)
                    if (column := columns.columns.get(one.rule)) is not None
                    else 0,
                }
                for one in self.episodes
                if one.open
            ],
            "unwatched": self.unwatched,
        }


def _skipped(report: Report) -> dict[str, Why]:
    """The rules of this load that are skipped, in the order of their rank."""
    skipped = {
        one.key.id: one.reason
        for one in report.entries
        if one.key.kind is EntryKind.RULE and one.state is EntryState.SKIPPED
    }
    return {rule: Why("skipped", skipped[rule]) for rule in report.rules if rule in skipped}


def _held(holds: Holds) -> dict[str, Why]:
    """The rules that are eased; "" is all of them."""
    return {
        one.rule: Why("tripped" if one.by in TRIPPING and one.rule else "braked", f"{one.easing.value}: {one.reason}")
        for one in holds.all.values()
    }
