"""Keeps the record of how long each entry is in its state (live/ages.py), off the way of everything else."""

from __future__ import annotations

import structlog

from tidegate.live.ages import Ages, read_ages, write_ages
from tidegate.supervisor.picture import Picture

_RETRY = 10.0  # seconds after which a record that could not be written is tried again

_log = structlog.get_logger()


class AgesKeeper:
    """Reads it once, writes it where the picture has another."""

    def __init__(self, state: str, picture: Picture) -> None:
        self._state = state
        self._picture = picture
        self._written: Ages = read_ages(state)
        self._tried = 0.0
        self._error = ""
        picture.ages = self._written

    def tick(self, now: float) -> None:
        """`now` in monotonic seconds."""
        ages = self._picture.ages
        if ages is self._written or (self._error and now - self._tried < _RETRY):
            return
        self._tried = now
        try:
            write_ages(self._state, ages)
        except OSError as error:
            why = error.strerror or str(error)
            if why != self._error:
                _log.error("ages not recorded", error=why)
            self._error = why
        else:
            self._written, self._error = ages, ""
