"""`tidegate status`: asks the running daemon what is in force, and what is wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import click

from tidegate.cli.reach import ask_daemon, daemon_options

_QUIET = ("active", "shadow", "off")  # states that somebody chose


@click.command()
@daemon_options
@click.option("--json", "as_json", is_flag=True, help="The whole document as JSON.")
def status(config: str, state: str, as_json: bool) -> None:
    """What is in force, and what is wrong.

    Exit codes: 0 all is as written; 1 an alert stands; 2 no daemon answers.
    """
    document = ask_daemon(config, state, {"do": "status"})
    click.echo(json.dumps(document, indent=2) if as_json else text(document))
    sys.exit(1 if document.get("degraded") else 0)


def text(document: Mapping[str, Any]) -> str:
    """The document for a person."""
    now = float(document["now"])
    generation = document["generation"]
    states = ", ".join(f"{count} {state}" for state, count in generation["states"].items()) or "none"
    if generation["number"]:
        head = f"{generation['number']}  {generation['digest'][:16]}  for {_age(now - generation['since'])}"
    else:
        head = "none: all mail is deferred"
    load = document["load"]
    attempt = f"{_age(now - load['attempted'])} ago" if load["attempted"] else "never"
    if load["busy"]:
        attempt += ", running"
    elif not document["desired"]["active"]:
        attempt += ", and what is on disk is not in force"
    settings = document["settings"]
    lines = [
        f"tidegate    {document['version']}, process {document['pid']}, {document['stage']}, "
        f"up {_age(now - document['started'])}",
        f"generation  {head}",
        f"entries     {states}",
        f"last load   {attempt}",
        f"settings    {settings['file']}{' (NOT in force: the last good ones are)' if settings['last_good'] else ''}",
    ]
    lines += [
        f"worker {worker['slot']}    process {worker['pid']}, generation {worker['generation']}, "
        f"{worker['sessions']} sessions, {worker['messages']} messages"
        for worker in document["workers"]
    ]
    if not document["workers"]:
        lines.append("workers     none")
    odd = [entry for entry in document.get("entries", ()) if entry["state"] not in _QUIET]
    lines += [f"{entry['state'].upper():<11} {entry['key']} at {_place(entry)}: {entry['reason']}" for entry in odd]
    for alert in document.get("alerts", ()):
        lines.append(
            f"{alert['severity'].upper():<11} {alert['place']}: {alert['message']} [{alert['code']}], "
            f"for {_age(now - alert['since'])}"
        )
        if alert["cure"]:
            lines.append(f"            cure: {alert['cure']}")
    return "\n".join(lines)


def _place(entry: Mapping[str, Any]) -> str:
    source, line, column, _ = entry["place"]
    return f"{source}:{line}:{column}" if line else str(source)


def _age(seconds: float) -> str:
    """Roughly, as a person says it."""
    seconds = max(0.0, seconds)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{seconds:.0f} s"
