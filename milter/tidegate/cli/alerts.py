"""`tidegate alerts`: what stands, who is told, a test of the channels, silences, and mail out of its folder."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from tidegate.alerts import mail as mailing
from tidegate.alerts.debt import span
from tidegate.alerts.silence import LONGEST
from tidegate.cli.output import UnableError, emit, person, safe
from tidegate.cli.reach import Daemon, daemon_options, find_daemon
from tidegate.cli.told import told_lines
from tidegate.settings.values import STATE

_PATIENCE = 30.0  # seconds beyond the channels' own timeouts
_LOOK = 0.1
_UNITS = {"m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


@click.group(invoke_without_command=True)
@daemon_options
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def alerts(context: click.Context, config: str, state: str, as_json: bool) -> None:
    """Name the alerts that stand, who is told of them, and what nobody is told of.

    Exit codes: 0 no alert stands; 1 one does; 2 no daemon answers.
    """
    if context.invoked_subcommand is not None:
        if any(context.get_parameter_source(name) is ParameterSource.COMMANDLINE for name in context.params):
            raise click.UsageError(f"options go behind the word `{context.invoked_subcommand}`")
        return
    document = find_daemon(config, state).status()
    told = document.get("notifications", {})
    silences = {one["key"]: one for one in told.get("silences", ())}
    found = [{**one, "silenced": silences.get(one["key"])} for one in document.get("alerts", ())]
    found.sort(key=lambda one: (-_GRADES.index(one["severity"]), one["since"], one["key"]))
    if as_json:
        emit({**told, "alerts": found})
    else:
        for line in (*_alert_lines(found, document["now"]), *_channel_lines(told, document["now"])):
            click.echo(safe(line))
    sys.exit(1 if found else 0)


_GRADES = ("notice", "warning", "error", "critical", "emergency")


def _alert_lines(found: list[dict[str, Any]], now: float) -> Iterator[str]:
    for one in found:
        more = f" (and {one['count'] - 1} more)" if one["count"] > 1 else ""
        flapping = f", flapping: raised {one['times']} times" if one["flapping"] else ""
        yield f"{one['key']}  {one['severity'].upper():<9}  for {span(now - one['since'])}{flapping}"
        yield f"    {one['place']}: {one['subject']}: {one['message']}{more} [{one['code']}]"
        if one["cure"]:
            yield f"    cure: {one['cure']}"
        if one["silenced"]:
            silence = one["silenced"]
            yield f"    silenced for {span(silence['until'] - now)} more by {silence['by']}: {silence['reason']}"
    if not found:
        yield "no alert stands"


def _channel_lines(told: Mapping[str, Any], now: float) -> Iterator[str]:
    yield from told_lines(told, now)
    if not told.get("channels"):
        yield "channel     none: see `alerts` in the settings"


@alerts.command()
@daemon_options
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def test(config: str, state: str, as_json: bool) -> None:
    """Send a test notification through every channel, and say what became of it.

    Exit codes: 0 all took it; 1 one did not; 2 there is no channel, or no daemon answers.
    """
    daemon = find_daemon(config, state)
    channels = _channels(daemon)
    if not channels:
        raise UnableError("the settings name no channel: see `alerts`")
    number = daemon.ask({"do": "alerts-test"})["test"]
    timeouts = [one["timeout"] for one in daemon.status(brief=True)["settings"]["values"]["alerts"]["channels"]]
    end = time.monotonic() + _PATIENCE + 2 * max(timeouts, default=0.0)
    while time.monotonic() < end:
        channels = _channels(daemon)
        if channels and all(one["test"].get("number") == number for one in channels):
            break
        time.sleep(_LOOK)
    rows = [_tested(one, number) for one in channels]
    if as_json:
        emit({"channels": rows})
    else:
        for row in rows:
            click.echo(
                safe(f"{row['name']} ({row['kind']}): {'FAILED: ' + row['error'] if row['error'] else row['said']}")
            )
    sys.exit(1 if any(row["error"] for row in rows) else 0)


def _channels(daemon: Daemon) -> list[dict[str, Any]]:
    return list(daemon.status(brief=True).get("notifications", {}).get("channels", ()))


def _tested(channel: Mapping[str, Any], number: int) -> dict[str, Any]:
    result = channel["test"]
    row = {"name": channel["name"], "kind": channel["kind"]}
    if result.get("number") != number:
        return {**row, "error": "no result yet: an attempt before it still waits", "said": ""}
    said = result["said"] or f"it took it, in {result['seconds']:.1f} s"
    return {**row, "error": result["error"], "said": "" if result["error"] else said}


@alerts.command()
@daemon_options
@click.argument("key")
@click.option("--for", "period", required=True, help="How long: 30m, 4h, 2d; at most 30d. 0 ends a silence.")
@click.option("--reason", default="", help="Why, for others; has to be given.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def silence(config: str, state: str, key: str, period: str, reason: str, as_json: bool) -> None:
    """Tell nobody of one alert for a while. It stays in `tidegate status`.

    Exit codes: 0 done; 2 there is no such alert, or no daemon answers.
    """
    seconds = _seconds(period)
    if seconds and not reason.strip():
        raise UnableError("--reason is missing: others want to know why they are not told")
    request = {"do": "alerts-silence", "key": key, "seconds": seconds, "reason": reason, "by": person()}
    answer = find_daemon(config, state).ask(request)
    if as_json:
        emit({"key": key, "until": answer["until"] if seconds else 0, "reason": reason, "by": request["by"]})
    elif seconds:
        click.echo(
            f"{safe(key)}: nobody is told until {time.strftime('%Y-%m-%d %H:%M', time.localtime(answer['until']))}"
        )
    else:
        click.echo(f"{safe(key)}: people are told again")
    if answer["error_of_record"]:
        click.echo(f"tidegate: it can't be recorded, and ends with a restart: {answer['error_of_record']}", err=True)


def _seconds(text: str) -> float:
    found = re.fullmatch(r"([0-9]{1,4})(m|min|h|d)?", text)
    seconds = float(found[1]) * _UNITS.get(found[2] or "", 0.0) if found else -1.0
    if not found or not 0 <= seconds <= LONGEST or (not found[2] and text != "0"):
        raise click.UsageError("--for takes 30m, 4h, 2d and the like, at most 30d; 0 ends a silence")
    return seconds


@alerts.command()
@click.option("--state", type=click.Path(), default=STATE, show_default=True, help="The daemon's state directory.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def mail(state: str, as_json: bool) -> None:
    """Hand the mails that wait to sendmail(1), as tidegate-mail.service does.

    Exit codes: 0 none waits any more; 1 one could not be handed over.
    """
    failed = mailing.drain(Path(state) / mailing.FOLDER)
    if as_json:
        emit({"error": failed})
    elif failed:
        click.echo(f"tidegate: {safe(failed)}", err=True)
    sys.exit(1 if failed else 0)
