"""`make demo`: a private Postfix with Tidegate in front of it, real messages, one table of what happened.

Progress goes to standard error, the table to standard output. Exit status: 0 where every row is as promised, 1 where
one is not, 2 where it can't run here. Everything is below two temporary directories and on loopback, gone at the end.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from types import FrameType

from tests.demo.steps import Demo, policies, say
from tests.demo.table import Row, table
from tests.e2e.harness.postfix import unavailable
from tests.e2e.harness.site import Site


def main() -> int:
    """Run all steps; returns the exit status."""
    reason = unavailable()
    if reason:
        print(f"make demo can't run: {reason}", file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _leave)
    began = time.monotonic()
    say("starting a private Postfix, Tidegate and a next hop")
    with Site(policies()) as site:
        demo = Demo(site)
        groups = [
            ("Each disposition", _rows(demo.verdicts)),
            ("Edits", _rows(demo.edits)),
            ("A rule in shadow", _rows(demo.shadow)),
            ("A broken entry", _rows(demo.broken)),
            ("The daemon killed, and brought back", _rows(demo.fault)),
            ("Policies edited while it runs, without restart or signal", _rows(demo.live)),
        ]
    rows = [row for _, group in groups for row in group]
    bad = sum(bool(row.missed) for row in rows)
    print(table(groups))
    print(f"\n{len(rows) - bad} of {len(rows)} rows as promised, {time.monotonic() - began:.0f} s")
    return 1 if bad else 0


def _rows(step: Callable[[], Iterator[Row]]) -> list[Row]:
    """A step's rows; what goes wrong in it becomes its last row, and the others still run."""
    rows: list[Row] = []
    try:
        rows.extend(step())
    except (OSError, RuntimeError, KeyError) as error:
        rows.append(Row("(this step did not finish)", f"{type(error).__name__}: {error}", "", "", ("^$", "", "")))
    return rows


def _leave(number: int, _frame: FrameType | None) -> None:
    """End through the `with`, so that Postfix is stopped and its directory deleted."""
    sys.exit(128 + number)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (RuntimeError, TimeoutError) as problem:
        print(f"make demo could not start: {problem}", file=sys.stderr)
        sys.exit(1)
