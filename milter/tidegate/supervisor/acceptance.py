"""The records of accepted entries, moved as their generations come into force (live/acceptance.py says where they lie).

Promises: a record is in its place before the workers hear of its generation. One that can't be moved is an alert, and
the generation comes into force all the same: a full disk must not keep an edit from acting.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tidegate import live
from tidegate.loader.report import Report
from tidegate.supervisor.conditions import Conditions


class Acceptance:
    """One daemon's."""

    def __init__(self, state: str, conditions: Conditions) -> None:
        self._state = state
        self._conditions = conditions

    def loaded(self, report: Report, *, on_trial: bool = False) -> None:
        """What this load came to is for all from now on, or a canary."""
        if report.recorded:
            self._try(partial(live.settle_next, self._state, on_trial=on_trial))

    def promoted(self) -> None:
        """The canary is for all from now on."""
        self._try(partial(live.settle_trial, self._state))

    def _try(self, move: Callable[[], None]) -> None:
        try:
            move()
        except OSError as error:
            text = f"the record of accepted entries can't be put into place: {error.strerror}"
            self._conditions.raise_("accepted-unwritable", text)
        else:
            self._conditions.settle("accepted-unwritable")
