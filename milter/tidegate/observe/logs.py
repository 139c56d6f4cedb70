"""The shape of the log: structlog to standard error or a file, JSON or logfmt, one write per line.

Promises: a log that can't be written never stops mail (the line is lost, counted, and said once the log works
again); after `reopen` a rotated file is left behind. Refuses: log levels per module, handlers, the logging package.
Each process has its own Writer (inherited by fork); lines of several processes don't mix because the file is
opened with O_APPEND and each line is one write(2).
"""

from __future__ import annotations

import os
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog

STDERR = "stderr"


class Writer:
    """Appends lines to standard error or to a file."""

    def __init__(self, target: str) -> None:
        """`target` is `stderr` or a path. A path that can't be opened falls back to standard error."""
        self._target = target
        self._descriptor = 2
        self.lost = 0
        self._unopened = self.unwritten = ""
        self.reopen()

    @property
    def error(self) -> str:
        """What is wrong with the log now; "" where lines arrive."""
        return self._unopened or self.unwritten

    def reopen(self) -> None:
        """Open the path anew (it was rotated); on failure go on with what is open."""
        if self._target == STDERR:
            return
        try:
            # Non-blocking: a FIFO without a reader, or with one that stalls, must not hold a message.
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
            fresh = os.open(self._target, flags, 0o640)
        except OSError as error:
            self._unopened = f"{self._target}: {error.strerror}"
            return
        self._unopened = self.unwritten = ""
        if self._descriptor == 2:
            self._descriptor = fresh
            return
        # In one step: another thread may be about to write to this number, which some socket would get if it were free.
        os.dup2(fresh, self._descriptor, inheritable=False)
        os.close(fresh)

    def hand_to(self, user: int, group: int) -> None:
        """Give the file to the account that the daemon is about to become, so that it can reopen it."""
        if self._descriptor != 2:
            try:
                os.fchown(self._descriptor, user, group)
            except OSError as error:  # lines arrive now; after a rotation they may not
                self._unopened = f"{self._target}: {error.strerror}"

    def write(self, text: str) -> None:
        """Write `text` (one or several whole lines, each ending in a newline)."""
        data = text.encode("utf-8", "backslashreplace")
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
            self.unwritten = ""
        except OSError as error:
            self.lost += 1
            self.unwritten = f"{self._target}: {error.strerror}"


class _Sink:
    """The logger that structlog wraps: every level is one line."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def msg(self, line: str) -> None:
        self._writer.write(line + "\n")

    debug = info = warning = error = critical = msg


def _order(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Time, level and event first: that is what an eye looks for."""
    first = {key: event.pop(key) for key in ("timestamp", "level", "event") if key in event}
    first.update(event)
    return first


def _flat(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """logfmt can hold neither structures nor line ends, and its renderer raises for keys with spaces."""
    return {key.replace(" ", "_"): _plain(value) for key, value in event.items()}


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value).replace("\r", "\\r").replace("\n", "\\n")


def configure(target: str, form: str) -> Writer:
    """Set structlog up for this process and those forked from it. `form` is `json` or `logfmt`."""
    writer = Writer(target)
    render: list[Callable[..., Any]] = (
        [structlog.processors.JSONRenderer(ensure_ascii=False, default=str)]
        if form == "json"
        else [_flat, structlog.processors.LogfmtRenderer(bool_as_flag=False)]
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _order,
            *render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(20),
        logger_factory=lambda *_args: _Sink(writer),
        cache_logger_on_first_use=False,
    )
    return writer


def render(event: MutableMapping[str, Any]) -> str:
    """One event as a line without its newline, by the renderers that `configure` set.

    For lines made by the thousand: structlog's bound loggers cost more than all the rest.
    """
    whole: Any = event
    processors = structlog.get_config()["processors"]
    start = processors.index(_order) + 1 if _order in processors else len(processors) - 1
    for processor in processors[start:]:
        whole = processor(None, "info", whole)
    return str(whole)
