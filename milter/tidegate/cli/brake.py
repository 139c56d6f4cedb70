"""`tidegate brake`: take rules back by hand, until a time; give them back; see what is taken back.

Where no daemon answers, the brake file in the state directory does the same: the message says how.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import click

from tidegate.cli.output import UnableError, emit, safe
from tidegate.cli.reach import Daemon, NobodyError, daemon_options, find_daemon
from tidegate.cli.words import Duration
from tidegate.live.brakefile import LONGEST, NAME

_BY = {
    "hand": "by hand",
    "file": "by the brake file",
    "automatic": "by the automatic brake",
    "expect": "it hit more than it expects",
    "breaker": "its breaker opened",
}


_json = click.option("--json", "as_json", is_flag=True, help="As JSON.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def brake() -> None:
    """Take rules back while you look: all, some by id, or those of a tag.

    A rule that is taken back is evaluated without effect, and logged as `would`; with --soft it goes on, but defers
    what it would refuse. What a rule exempts is never taken back.
    """


@brake.command()
@click.argument("names", metavar="[ID|TAG]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All rules, but those with `brake: keep`.")
@click.option("--for", "seconds", type=Duration(int(LONGEST)), required=True, help="How long, from 1m to 7d.")
@click.option("--reason", default="", help="Why: it stands in the alert and in the log.")
@click.option("--soft", is_flag=True, help="Refusals become deferrals, the rest stays.")
@daemon_options
@_json
def on(
    names: tuple[str, ...],
    everything: bool,
    seconds: int,
    reason: str,
    soft: bool,
    config: str,
    state: str,
    as_json: bool,
) -> None:
    """Put the brake on.

    Exit codes: 0 done; 2 a name is not known, or no daemon answers: then nothing was done.
    """
    request = {"on": True, "names": list(names), "all": everything, "seconds": seconds, "soft": soft, "reason": reason}
    answer = _ask(config, state, request)
    if as_json:
        emit(answer)
        return
    what = "all rules" if answer["all"] else f"{len(answer['rules'])} rules: {_few(answer['rules'])}"
    how = "defer what they would refuse" if soft else "are in shadow"
    click.echo(safe(f"the brake is on: {what} {how} until {_clock(answer['until'])}"))
    if answer["kept"]:
        click.echo(safe(f"  `brake: keep`, so they stay: {_few(answer['kept'])}"))
    if answer["only_exempt"]:
        click.echo(safe(f"  they only exempt, which no brake takes back: {_few(answer['only_exempt'])}"))


@brake.command()
@click.argument("names", metavar="[ID|TAG]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every brake that stands, also those on single rules.")
@daemon_options
@_json
def off(names: tuple[str, ...], everything: bool, config: str, state: str, as_json: bool) -> None:
    """Let go: the rules do again what they say, those too that the automatic brake had taken back.

    Exit codes: 0 done; 1 done, and something of it is still taken back; 2 a name is not known, or no daemon answers.
    """
    answer = _ask(config, state, {"on": False, "names": list(names), "all": everything})
    if as_json:
        emit(answer)
    else:
        for one in answer["released"]:
            click.echo(safe(f"off: {_line(one)}"))
        if not answer["released"]:
            click.echo("nothing of it was on")
        for one in answer["left"]:
            click.echo(safe(f"still on: {_line(one)}{_cure(one)}"))
    sys.exit(1 if answer["left"] else 0)


@brake.command()
@daemon_options
@_json
def status(config: str, state: str, as_json: bool) -> None:
    """What is taken back, by what, why, and until when.

    Exit codes: 0 nothing is; 1 something is; 2 no daemon answers.
    """
    document = find_daemon(config, state).status()
    eased = document["eased"]
    if as_json:
        emit({"now": document["now"], **eased})
    else:
        click.echo("\n".join(map(safe, _lines(eased))) or "nothing is taken back")
    sys.exit(1 if eased["holds"] else 0)


def _ask(config: str, state: str, request: Mapping[str, Any]) -> dict[str, Any]:
    try:
        daemon: Daemon = find_daemon(config, state)
    except NobodyError as nobody:
        place = f"{nobody.states[0] if nobody.states else 'its state directory'}/{NAME}"
        cure = f"write a line such as `all 2026-12-01T10:00Z REASON` into {place}: a daemon that runs reads it"
        raise UnableError(f"{nobody.message}; {cure}") from nobody
    return daemon.ask({"do": "brake", **request})


def _lines(eased: Mapping[str, Any]) -> Iterator[str]:
    for one in sorted(eased["holds"], key=lambda hold: (hold["rule"] != "", hold["rule"])):
        yield _line(one)


def _line(hold: Mapping[str, Any]) -> str:
    until = "until it is put right" if hold["until"] is None else f"until {_clock(hold['until'])}"
    reason = f": {hold['reason']}" if hold["reason"] else ""
    return f"{hold['rule'] or 'all rules'}  {hold['easing']} {until}, {_BY[hold['by']]}{reason}"


def _cure(hold: Mapping[str, Any]) -> str:
    if hold["by"] == "file":
        return "; take its line out of the file"
    return "" if hold["rule"] else "; tidegate brake off --all"


def _few(names: list[str]) -> str:
    return ", ".join(names[:10]) + (f", and {len(names) - 10} more" if len(names) > 10 else "")


def _clock(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M %Z", time.localtime(moment))
