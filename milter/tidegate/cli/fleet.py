"""`tidegate fleet`: the daemons that follow our policy in Redis, a line each, and what differs between them."""

from __future__ import annotations

import sys
import time

import click

from tidegate.cli.nodes import Nodes, Row, nodes
from tidegate.cli.output import emit, safe
from tidegate.cli.policy.session import Asked, session
from tidegate.cli.site import CONFIG
from tidegate.cli.statustext import age
from tidegate.cli.words import environment_option

_LIVES = 90.0  # seconds; after that a report is gone


@click.command()
@click.option("--config", type=click.Path(), default=CONFIG, show_default=True, help="The settings file.")
@environment_option
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def fleet(config: str, environment: str, as_json: bool) -> None:
    """One line for each daemon that follows the policy in Redis: what it has, and what is wrong with it.

    A daemon that was heard of within a day and is silent now counts as trouble.

    Exit codes: 0 all of them run the head, as written; 1 one of them does not; 2 Redis could not be asked.
    """
    with session(Asked(config, environment)) as opened:
        head = opened.revisions.head()
        number = head.revision.number if head.revision else 0
        found = nodes(opened.revisions.link, number, time.time())
        name = opened.environment
    if as_json:
        rows = [row.document() for row in found.rows]
        emit({"environment": name, "head": number, "troubled": found.troubled, "nodes": rows})
    else:
        for line in lines(name, found, time.time()):
            click.echo(safe(line))
    sys.exit(1 if found.troubled else 0)


def lines(environment: str, found: Nodes, now: float) -> list[str]:
    """For a person."""
    wide = max((len(row.name) for row in found.rows), default=0)
    head = f"{environment}: the head is revision {found.head}" if found.head else f"{environment}: no revision yet"
    several = f"{len(found.rows)} daemon{'' if len(found.rows) == 1 else 's'}"
    return [f"{head}; {several}", *(f"{row.name:<{wide}}  {_what(row, now)}" for row in found.rows)]


def _what(row: Row, now: float) -> str:
    words = "; ".join((*row.troubles, *row.remarks))
    if row.node is None:
        return f"SILENT   {words}"
    node = row.node
    states = ", ".join(f"{count} {state}" for state, count in node.states.items()) or "no entries"
    since = f" for {age(now - node.since)}" if node.since else ""
    state = "TROUBLE " if row.troubles else "ok      "
    what = f"revision {node.revision}{since}  {node.digest[:12]}  {node.version}  {states}"
    return f"{state} {what}{f'; {words}' if words else ''}"
