"""`tidegate exposure [RULE]`: what rules let pass while they were not in force. Reads the ledger; needs no daemon."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence

import click

from tidegate import records
from tidegate.cli.completion import rule_ids
from tidegate.cli.output import UnableError, emit, safe
from tidegate.cli.reach import daemon_options
from tidegate.cli.site import find_site
from tidegate.cli.statustext import age, moment, several
from tidegate.ledger import Exposure, Row, exposures, read_episodes, read_rows


@click.command()
@click.argument("rules", nargs=-1, metavar="[RULE]…", shell_complete=rule_ids)
@daemon_options
@click.option(
    "--limit", type=click.IntRange(0, 10_000), default=50, show_default=True, help="Messages of each, newest."
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def exposure(rules: tuple[str, ...], config: str, state: str, limit: int, as_json: bool) -> None:
    """Report the mail that rules would have concerned while they were not in force.

    While a rule is skipped, each message that it would have concerned (or, where it can't be read, each in its scope)
    is listed: queue id, time, masked sender, what became of it. An episode ends when the rule is repaired or deleted.

    Exit codes: 0 no rule is exposed now; 1 one is; 2 the ledger can't be read.
    """
    found = [one for one in read_ledger(ledger_of(config, state)) if not rules or one.episode.rule in rules]
    if as_json:
        emit({"exposures": [one.document(limit) for one in found]})
    else:
        click.echo("\n".join(safe(line) for line in text(found, limit, time.time())))
    sys.exit(1 if any(one.episode.open for one in found) else 0)


def ledger_of(config: str, state: str) -> str:
    """The state directory in which the ledger lies."""
    return state or find_site(config).states[0]


def read_ledger(state: str) -> list[Exposure]:
    """All of it. Raises UnableError."""
    try:
        return exposures(read_episodes(state), read_rows(state))
    except records.DamagedError:
        return exposures((), read_rows(state))
    except OSError as error:
        raise UnableError(f"{state}: the exposure ledger can't be read: {error.strerror}") from error


def text(found: Sequence[Exposure], limit: int, now: float) -> Iterator[str]:
    """For a person: each episode, and its newest messages."""
    if not found:
        yield "no rule was exposed"
    for number, one in enumerate(found):
        episode = one.episode
        if number:
            yield ""
        since = f"{episode.rule or 'all rules'}: {episode.state} since {moment(episode.since)}"
        if episode.open:
            yield f"EXPOSED  {since}, for {age(now - episode.since)}"
        else:
            yield f"ended    {since}, until {moment(episode.until)}: {episode.ended}"
        if episode.reason:
            yield f"         {episode.reason}"
        yield f"         {_counted(one)}"
        for row in one.rows[len(one.rows) - min(limit, len(one.rows)) :]:
            yield f"         {_message(row, named=not episode.rule)}"
        hidden = one.count - min(limit, len(one.rows))
        if hidden:
            yield f"         … and {hidden} more"


def _counted(one: Exposure) -> str:
    if not one.count:
        return "no message"
    perhaps = f", {one.uncertain} of them perhaps (the rule can't be read)" if one.uncertain else ""
    return f"{several(one.count, 'message')}, from {moment(one.first)} to {moment(one.last)}{perhaps}"


def _message(row: Row, *, named: bool) -> str:
    login = f" (login {row.login})" if row.login and row.login != row.sender else ""
    parts = [moment(row.time), f"{row.queue_id:<14}", f"{row.outcome:<7}", f"{row.sender}{login}"]
    parts += ["" if row.certain else "perhaps", row.rule if named else ""]
    return "  ".join(part for part in parts if part)
