"""What is in force and what is wrong, as one document: `tidegate status` prints it, the clerk's metrics count it.

The long part (entries, problems) is rendered once per load, because the supervisor must not spend 30 ms on every
question about 10,000 rules.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import tidegate
from tidegate.alerts import Book, Debt, document
from tidegate.live.ages import Ages, aged
from tidegate.live.restraints import NO_HOLDS, Holds, tripped
from tidegate.loader.report import Report, entry_document, problem_document
from tidegate.loader.sources import SourceFile
from tidegate.model import Entry, Problem, Severity
from tidegate.settings import Settings, to_show
from tidegate.supervisor.crew import Crew
from tidegate.supervisor.health import Health, health


@dataclass(frozen=True, slots=True)
class Standing:
    """Where what serves comes from (supervisor/ladder.py), and what is on record beside it."""

    rung: str = "none"
    proven: int = 0
    proven_at: float = 0.0  # POSIX seconds of the newest; 0: none
    quarantined: int = 0


@dataclass(slots=True)
class Picture:
    """The supervisor's knowledge of itself. Times are POSIX seconds; 0: never."""

    settings: Settings
    config: str
    settings_last_good: bool
    started: float
    report: Report = field(default_factory=Report)  # of the load whose generation is in force
    trial: Report | None = None  # of the load whose generation is on trial
    trial_number: int = 0
    number: int = 0
    since: float = 0.0  # when this generation was loaded
    loaded: float = 0.0  # when a load last succeeded, with or without a new generation
    desired: str = ""  # digest of the sources as last seen by a load
    release: str = ""  # and of the release that they are, where they are one
    sources: tuple[SourceFile, ...] = ()  # as last read
    looked: float = 0.0  # when
    book: Book = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    holds: Holds = NO_HOLDS  # what is eased
    killers: frozenset[str] = frozenset()  # rules that are not asked now because they killed workers
    ages: Ages = field(default_factory=dict)  # since when each entry is in its state
    standing: Standing = field(default_factory=Standing)
    parts: dict[str, Callable[[], Mapping[str, Any]]] = field(default_factory=dict)  # a key each, asked every time
    head: int = 0  # newest revision that was seen in Redis
    redis_up: bool = False
    debt: Debt = field(default_factory=Debt)  # mail deferred by our own doing
    _long: str = ""
    _counted: tuple[Entry, ...] | None = None
    _seen: tuple[tuple[Entry, ...], Holds, tuple[Entry, ...]] = ((), NO_HOLDS, ())
    _states: dict[str, int] = field(default_factory=dict)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The entries of the newest generation as they are now: of the one on trial, where there is one."""
        entries, holds, known = self._seen
        now = (self.trial or self.report).entries
        if entries is not now or holds is not self.holds:
            known = tripped(now, self.holds)
            self._seen = (now, self.holds, known)
        return known

    def read(self, report: Report) -> None:
        """A load has read the sources, whatever came of it."""
        self.desired, self.sources, self.looked = report.sources_digest, report.sources, report.read
        self.release = report.release

    def due(self, attempted: float, age: float) -> bool:
        """Are the same sources to be read again? After `age` seconds (dates pass), and when a `max_stale` ends.

        A load that failed at that moment is not repeated until then: `attempted` is when the last one began.
        """
        now = time.time()
        ends = [report.due for report in (self.report, self.trial) if report is not None and report.due <= now]
        return attempted < max([now - age, *ends])

    def freeze(self) -> None:
        """Render the long part anew; call it after report, problems or book changed."""
        if self.report.image:
            self.ages = aged(self.ages, self.entries, time.time())
        ages, never = self.ages, ("", 0.0)
        self._long = json.dumps(
            {
                "entries": [
                    {**entry_document(entry), "since": entry.since or ages.get(str(entry.key), never)[1]}
                    for entry in self.entries
                ],
                "sources": [source.document(self.looked) for source in self.sources],
                "problems": [problem_document(problem) for problem in self.problems],
                "alerts": [document(alert) for alert in self.book.values()],
            }
        )

    def states(self) -> dict[str, int]:
        """Entries by state."""
        if self._counted is not self.entries:
            self._counted = self.entries
            self._states = dict(Counter(entry.state.value for entry in self.entries))
        return self._states

    def health(self, workers: Crew, stage: str) -> Health:
        """How the daemon is at this moment."""
        return health(self.number, len(self.book), len(self.holds.all), workers, stage)

    def alerts_by_code(self) -> dict[str, int]:
        return dict(Counter(alert.code for alert in self.book.values()))

    def alerts_by_severity(self) -> dict[str, int]:
        found = Counter(alert.severity for alert in self.book.values())
        return {one.name.lower(): found[one] for one in Severity if one is not Severity.NOTICE}

    def document(
        self, workers: Crew, clerk: Crew, stage: str, loading: Mapping[str, Any], *, brief: bool = False
    ) -> str:
        """The whole status as JSON. `brief`: without the long part, for who asks often."""
        now = time.time()
        state = self.health(workers, stage)
        short = {
            "version": tidegate.__version__,
            "pid": os.getpid(),
            "stage": stage,
            "degraded": bool(state.degraded),
            "health": state.document(),
            "started": self.started,
            "now": now,
            "generation": {
                "number": self.number,
                "digest": self.report.digest,
                "since": self.since,
                "sources_digest": self.report.sources_digest,
                "counts": dict(self.report.counts),
                "states": self.states(),
            },
            "desired": {
                "sources_digest": self.desired,
                "active": self.desired == self.report.sources_digest,
                "release": self.release,
            },
            "load": {"succeeded": self.loaded, **loading},
            "workers": [
                {
                    "slot": child.slot,
                    "pid": child.pid,
                    "generation": child.generation,
                    "canary": child.canary,
                    "sessions": child.sessions,
                    "messages": child.messages,
                    "since": child.wall,
                    "ready": child.ready,
                    "leaving": child.leaving,
                }
                for child in workers.alive
            ],
            "restarts": workers.restarts,
            "clerk": [child.pid for child in clerk.alive],
            "eased": self.holds.document(),
            "settings": {
                "file": self.config,
                "last_good": self.settings_last_good,
                "values": to_show(self.settings),
            },
            **{name: part() for name, part in self.parts.items()},
        }
        return f"{json.dumps(short)[:-1]}, {self._long[1:]}" if self._long and not brief else json.dumps(short)
