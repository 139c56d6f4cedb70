"""What the control socket is asked, and who answers: one handler for each word.

Promises: whatever a client sends, it gets one JSON text; a word that nobody handles, or not in this stage of the
daemon's life, is answered with an error that says so.
"""

from __future__ import annotations

import json
import os
import selectors
from collections.abc import Callable, Mapping
from typing import Any

from tidegate.control import Parcel, Server
from tidegate.supervisor.conditions import Conditions

_LOOKS = 1.0  # seconds between two looks whether the control socket is still there

DONE: Mapping[str, Any] = {"done": True}

Handler = Callable[[Mapping[str, Any]], "Mapping[str, Any] | str | Parcel | None"]
"""A request to its answer: a document, one that is JSON already, or one with open files; None: not now."""


class Answers:
    """The words of one daemon."""

    def __init__(self, stage: Callable[[], str]) -> None:
        """`stage` names where in its life the daemon is."""
        self._stage = stage
        self._handlers: dict[str, Handler] = {}

    def on(self, word: str, handler: Handler) -> None:
        """From now on `handler` answers `word`."""
        self._handlers[word] = handler

    def __call__(self, request: Mapping[str, Any]) -> str | Parcel:
        """The answer to one request."""
        handler = self._handlers.get(str(request.get("do")))
        answer = handler(request) if handler is not None else None
        if answer is None:
            answer = {"error": f"this daemon ({self._stage()}) can't do that"}
        return answer if isinstance(answer, str | Parcel) else json.dumps(dict(answer))


class Reception:
    """The control socket: made, kept, made anew where somebody removed it or where it could not be made.

    Without it mail goes on, but nobody can ask: an alert in the log is all that is left.
    """

    def __init__(self, state: str, selector: selectors.BaseSelector, answers: Answers) -> None:
        self._state = state
        self._selector = selector
        self._answers = answers
        self._server: Server | None = None
        self._looked = 0.0

    def open(self, conditions: Conditions) -> None:
        """Open it, or anew."""
        self.close()
        try:
            self._server = Server(self._state, self._selector, self._answers)
            conditions.settle("control-unavailable")
        except OSError as error:
            conditions.raise_("control-unavailable", f"the control socket can't be made: {error.strerror}")

    def tick(self, now: float, conditions: Conditions, *, keep: bool) -> None:
        """Serve who waits; with `keep` look whether it is still in its place."""
        if self._server:
            self._server.tick()
        if keep and now - self._looked >= _LOOKS:
            self._looked = now
            if self._server is None or self._server.lost:
                self.open(conditions)

    def close(self) -> None:
        """Nobody is answered from now on."""
        if self._server:
            self._server.close()
            self._server = None

    def close_in_child(self) -> None:
        """In a fresh fork."""
        for descriptor in self._server.descriptors() if self._server else ():
            os.close(descriptor)
