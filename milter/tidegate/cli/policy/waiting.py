"""What is said after a commit; with `--wait` once every live daemon has the revision, or has not in time."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

import click

from tidegate.cli.nodes import lagging, nodes
from tidegate.cli.output import emit, safe
from tidegate.cli.policy.candidate import Checked
from tidegate.cli.policy.committing import Edition, document, done
from tidegate.cli.policy.session import Session
from tidegate.cli.progress import Bar
from tidegate.revisions import Revision, compare

_LOOK = 0.25  # seconds between two looks


def finish(
    opened: Session,
    revision: Revision,
    change: Edition,
    checked: Checked | None,
    as_json: bool,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Tell what was stored; leave with 1 where somebody was waited for in vain. `more` goes into the JSON.

    Raises StoreError.
    """
    seconds = change.why.wait
    if not as_json:
        done(revision, change, checked, as_json)
    behind, count, trials = await_fleet(opened, revision.number, float(seconds)) if seconds else ((), 0, 0)
    if as_json:
        told = {"fleet": {"nodes": count, "on_trial": trials, "behind": list(behind)}} if seconds else {}
        told = {**told, **(more or {})}
        emit({**document(revision, compare(change.before, change.after), checked), **told})
    elif seconds:
        trial = f", on trial first on {trials}" if trials else ""
        click.echo(safe(f"{count - len(behind)} of {count} live daemons have it{trial}"))
        for one in behind:
            click.echo(safe(f"  {one}"))
    if behind:
        sys.exit(1)


def await_fleet(opened: Session, number: int, seconds: float) -> tuple[tuple[str, ...], int, int]:
    """Who of the live daemons has not loaded it in time, how many of them there are, and how many have it on trial."""
    bar, began = Bar("waiting for the fleet"), time.monotonic()
    try:
        while True:
            found = nodes(opened.revisions.link, number, time.time())
            live = [row.node for row in found.rows if row.node is not None]
            behind = lagging(found, number)
            trials = sum(node.canary > 0 and node.loaded == number for node in live)
            if not behind or time.monotonic() - began >= seconds:
                return behind, len(live), trials
            bar.show(len(live) - len(behind), len(live), f"{len(live) - len(behind)} of {len(live)}")
            time.sleep(_LOOK)
    finally:
        bar.clear()
