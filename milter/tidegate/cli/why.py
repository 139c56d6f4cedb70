"""`tidegate why REF`: the decision line with this reference or queue id, out of the log."""

from __future__ import annotations

import glob
import gzip
import json
import re
import sys
from collections.abc import Iterator
from typing import Any

import click

from tidegate.cli.output import emit

_WORD = re.compile(r"[A-Za-z0-9]{4,40}\Z")


@click.command()
@click.argument("reference")
@click.option("--config", default="/etc/tidegate/tidegate.yaml", show_default=True, help="The settings file.")
@click.option("--log", default="", help="The log file, instead of the one that the settings name.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def why(reference: str, config: str, log: str, as_json: bool) -> None:
    """Say what happened to the message with this REFERENCE (from a reply) or queue id.

    Exit codes: 0 found; 1 no line has it; 2 the log can't be read.
    """
    if not _WORD.match(reference):
        click.echo(f"tidegate: {reference!r} is no reference and no queue id", err=True)
        sys.exit(2)
    path = log or _log_of(config)
    if not path or path == "stderr":
        click.echo(
            "tidegate: the log goes to standard error; name a file with --log, or - for standard input", err=True
        )
        sys.exit(2)
    try:
        found = [line for line in _lines(path) if reference in line and "disposition" in line]
    except OSError as error:
        click.echo(f"tidegate: {path}: {error.strerror}", err=True)
        sys.exit(2)
    events = [event for line in found if reference in ((event := _parsed(line)).get("ref"), event.get("queue_id"))]
    if not events:
        click.echo(f"tidegate: no decision has the reference {reference}", err=True)
        sys.exit(1)
    if as_json:
        emit(events)
        return
    for event in events:
        click.echo("\n".join(f"{key:14}{_shown(value)}" for key, value in event.items() if value not in ("", None)))


def _log_of(config: str) -> str:
    from tidegate.settings import Settings
    from tidegate.supervisor.boot import read_settings

    settings, _ = read_settings(config)
    return settings.log if isinstance(settings, Settings) else ""


def _lines(path: str) -> Iterator[str]:
    """The log and its rotated forms, oldest first. Raises OSError where the log itself can't be opened."""
    if path == "-":
        yield from sys.stdin
        return
    rotated = sorted((one for one in glob.glob(f"{glob.escape(path)}*") if one != path), reverse=True)
    for name in (*rotated, path):
        if name.endswith(".gz"):
            with gzip.open(name, "rt", encoding="utf-8", errors="replace") as packed:
                yield from packed
        else:
            with open(name, encoding="utf-8", errors="replace") as plain:
                yield from plain


def _parsed(line: str) -> dict[str, Any]:
    """One line of either form, JSON or logfmt."""
    if line.startswith("{"):
        try:
            event = json.loads(line)
        except ValueError:
            return {}
        return event if isinstance(event, dict) else {}
    pairs = re.findall(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|\S*)', line)
    return {key: value.strip('"').replace('\\"', '"') for key, value in pairs}


def _shown(value: Any) -> str:
    return ", ".join(str(one) for one in value) if isinstance(value, list) else str(value)
