"""`tidegate confirm`: what is missing from the policy directory is meant to be gone. `tidegate reload`: load it now.

Absence is not deletion: an empty file, a cut one, a mass of entries that vanish at once change nothing until a person
says so. Both commands wait for the load that they ask for, and say what it changed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

import click

from tidegate.cli.output import UnableError, emit, safe
from tidegate.cli.reach import Daemon, daemon_options, find_daemon
from tidegate.cli.statustext import alert_lines, canary_line

_PATIENCE = 90.0  # seconds; the loader itself has 60
_LOOK = 0.1


@click.command()
@daemon_options
@click.option("--quarantine", is_flag=True, help="Confirm instead that policies in quarantine are meant.")
@click.option("--revision", is_flag=True, help="Confirm instead that the policy in Redis is meant, older or gone.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def confirm(config: str, state: str, quarantine: bool, revision: bool, as_json: bool) -> None:
    """Confirm that what is missing is meant to be gone.

    Entries that stay in force although their file is empty, cut or gone are given up. What can't be read stays.

    Policies that did harm are in quarantine and are not taken again; with --quarantine they are.

    A revision in Redis that does not come after the one in force is not taken; with --revision it is, by this daemon.

    Exit codes: 0 done; 1 done, and an alert stands; 2 no daemon answers.
    """
    if revision and quarantine:
        raise click.UsageError("--revision and --quarantine: say one after the other")
    if revision and not _refuses_a_head(find_daemon(config, state).status(brief=True)):
        raise UnableError("this daemon refuses no revision as older than its own: there is nothing to confirm")
    load_and_tell({"do": "confirm", "quarantine": quarantine, "revision": revision}, config, state, as_json)


def _refuses_a_head(status: Mapping[str, Any]) -> bool:
    return bool((status.get("redis") or {}).get("older"))


@click.command()
@daemon_options
@click.option("--now", is_flag=True, help="For all senders at once, without a canary. The brake stays.")
@click.option("--reason", default="", metavar="TEXT", help="Why it can't wait; goes into log and status.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def reload(config: str, state: str, now: bool, reason: str, as_json: bool) -> None:
    """Read the policy directory now, and wait until it is in force, or on trial as a canary.

    Exit codes: 0 done; 1 done, and an alert stands; 2 no daemon answers.
    """
    if now and not reason.strip():
        raise click.UsageError("--now needs --reason TEXT: it is logged, and stands in the status")
    if reason and not now:
        raise click.UsageError("--reason belongs to --now")
    load_and_tell({"do": "reload", "now": now, "reason": reason}, config, state, as_json)


def load_and_tell(request: Mapping[str, Any], config: str, state: str, as_json: bool) -> None:
    """Ask a daemon for something that has it load, wait for it, tell what it changed, and leave. Raises UnableError."""
    daemon = find_daemon(config, state)
    before = daemon.status()
    daemon.ask(request)
    after = _wait(daemon, before)
    gone = sorted(_entries(before).keys() - _entries(after).keys())
    changed = sorted(key for key, entry in _entries(after).items() if _entries(before).get(key) != entry)
    number = after["generation"]["number"]
    if as_json:
        told = {"generation": number, "canary": _canary(after), "gone": gone, "changed": changed}
        emit({**told, "alerts": after.get("alerts", [])})
    else:
        newest = _canary(after) or number
        click.echo(f"generation {newest}: {len(changed)} entries are new or changed, {len(gone)} are gone")
        if newest != number:
            click.echo(canary_line(after))
        for key in gone:
            click.echo(safe(f"  gone  {key}"))
        for line in alert_lines(after):
            click.echo(line)
    sys.exit(1 if after.get("degraded") else 0)


def _wait(daemon: Daemon, before: Mapping[str, Any]) -> dict[str, Any]:
    """The status after the load: at least one has ended since, none runs, and all workers have what came of it."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        after = daemon.status(brief=True)
        load, number = after["load"], after["generation"]["number"]
        wanted = (number, _canary(after))
        current = all((worker["generation"], worker.get("canary", 0)) == wanted for worker in after["workers"])
        if load["count"] > before["load"]["count"] and not load["busy"] and current:
            return daemon.status()
        time.sleep(_LOOK)
    raise UnableError(f"the load did not end within {_PATIENCE:.0f} s; see tidegate status")


def _canary(document: Mapping[str, Any]) -> int:
    """The generation on trial; 0: none."""
    canary = document.get("canary") or {}
    return int(canary["number"]) if canary.get("runs") else 0


def _entries(document: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    return {entry["key"]: (entry["state"], entry.get("digest", "")) for entry in document.get("entries", ())}
