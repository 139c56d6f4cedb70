"""A bar on a terminal's standard error, for what takes longer than a second. Nothing is written elsewhere."""

from __future__ import annotations

import shutil
import sys
import time

_QUIET = 1.0  # seconds before it shows
_REDRAW = 0.2
_WIDTH = 30


class Bar:
    """One line that is written over."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._terminal = sys.stderr.isatty()
        self._next = time.monotonic() + _QUIET
        self._shown = False

    def show(self, done: int, total: int, text: str = "") -> None:
        """So much of it is done; `text` says more."""
        if not self._terminal:
            return
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _REDRAW
        self._shown = True
        share = min(1.0, done / total) if total else 0.0
        full = round(share * _WIDTH)
        line = f"{self._what} [{'#' * full}{'.' * (_WIDTH - full)}] {share:4.0%} {text}"
        sys.stderr.write(f"\r\x1b[K{line[: shutil.get_terminal_size().columns - 1]}")
        sys.stderr.flush()

    def clear(self) -> None:
        """Leave no trace."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
