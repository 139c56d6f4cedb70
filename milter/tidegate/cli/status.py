"""`tidegate status`: asks the running daemon what is in force, and what is wrong; of a dead one, what it left."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import click

from tidegate.cli.output import emit, safe
from tidegate.cli.reach import NobodyError, daemon_options, find_daemon
from tidegate.cli.statustext import age, text
from tidegate.loader.report import problem_document
from tidegate.policy.render import render
from tidegate.supervisor.places import lock_holder, lock_is_held


@click.command()
@daemon_options
@click.option("--json", "as_json", is_flag=True, help="The whole document as JSON.")
def status(config: str, state: str, as_json: bool) -> None:
    """What is in force, and what is wrong, which comes first.

    Exit codes: 0 all is as written; 1 degraded, not ready, or no daemon runs; 2 the daemon can't be asked.
    """
    try:
        document = find_daemon(config, state).status()
    except NobodyError as nobody:
        if nobody.denied:
            raise
        if as_json:
            emit(remains(nobody))
        else:
            click.echo("\n".join(remains_text(nobody)))
        sys.exit(1)
    click.echo(json.dumps(document, indent=2) if as_json else text(document))
    sys.exit(1 if document.get("degraded") else 0)


def remains(nobody: NobodyError) -> dict[str, Any]:
    """What is known of a daemon that does not answer, as JSON."""
    site = nobody.site
    accepted = [_accepted(state) for state in nobody.states]
    return {
        "stage": "dead",
        "degraded": True,
        "reason": nobody.message,
        "settings": {
            "file": site.config if site else "",
            "problems": [problem_document(one) for one in site.problems] if site else [],
            "last_good_of": site.last_good if site else 0.0,
        },
        "states": [
            {
                "directory": state,
                "process": lock_holder(state),
                "running": lock_is_held(state),
                "entries": entries,
                "recorded": when,
            }
            for state, (entries, when) in zip(nobody.states, accepted, strict=True)
        ],
    }


def remains_text(nobody: NobodyError) -> Iterator[str]:
    """The same for a person: would it start, with what, and what did the last one leave."""
    yield safe(f"tidegate    {nobody.message}")
    site = nobody.site
    if site and not site.problems:
        yield safe(f"settings    {site.config}: valid")
    elif site:
        for one in site.problems:
            yield render(one)
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(site.last_good))
        then = f"the last good ones, of {since}, would run" if site.last_good else "none were ever good: it can't start"
        yield safe(f"settings    {site.config} can't be used; {then}")
    for state in nobody.states:
        entries, when = _accepted(state)
        known = (
            f"{entries} entries were accepted, last changed {age(time.time() - when)} ago"
            if when
            else "no record of any policy"
        )
        yield safe(f"state       {state}: {known}; the last process was {lock_holder(state)}")
    if any(map(lock_is_held, nobody.states)):
        yield "            a daemon runs there and may judge mail, but can't be asked (a read-only directory, say);"
        yield "            its log says why: journalctl -u tidegate"
    else:
        yield "            mail is deferred by Postfix while nobody answers; start it, or see: journalctl -u tidegate"


def _accepted(state: str) -> tuple[int, float]:
    """How many entries the record holds, and when it was written; 0, 0 where there is none."""
    from tidegate import live  # only of a dead daemon: its rooms cost 100 ms of imports

    path = os.path.join(state, live.NAME)
    try:
        when = os.stat(path).st_mtime
        with open(path, "rb") as file:
            body = json.loads(file.read().partition(b"\n")[2])
        return len(body["entries"]), when
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return 0, 0.0
