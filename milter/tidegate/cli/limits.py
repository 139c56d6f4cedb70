"""`tidegate limits`: what is counted of whom, who is near a limit, and how to help somebody out.

Works on the store that the settings name, Redis or this host's own file, with or without a daemon. Promises: who
changed what, when and why is on record (`tidegate limits log`). Refuses: changing a limit, which is policy.
"""

from __future__ import annotations

import ipaddress
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, TypeVar

import click

from tidegate.cli.completion import rule_ids
from tidegate.cli.forget import spellings
from tidegate.cli.output import UnableError, emit, person, safe
from tidegate.cli.site import CONFIG, find_site
from tidegate.cli.statustext import age, moment, several
from tidegate.cli.words import Duration
from tidegate.limits.counter import Deed, Grant, Standing, Wanted
from tidegate.store.counting import Shelf, UncountedError
from tidegate.store.opening import open_shelf

LONGEST = 90 * 86400
_AMOUNT = re.compile(r"\+?([1-9][0-9]{0,9})\Z")
Command = TypeVar("Command", bound=Callable[..., Any])


class _Amount(click.ParamType):
    """So much more: +200."""

    name = "AMOUNT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = _AMOUNT.match(str(value))
        if not found:
            self.fail(f"{safe(str(value), 40)} is no amount such as +200", param, ctx)
        return int(found[1])


class _Text(click.ParamType):
    """A key, a name or a reason; what is no text is spelt as the engine spells it in a key."""

    name = "TEXT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return str(value).encode("utf-8", "backslashreplace").decode()


def _common(command: Command) -> Command:
    """Where the counters are, and how to print."""
    as_json = click.option("--json", "as_json", is_flag=True, help="As JSON.")
    config = click.option("--config", type=click.Path(), default=CONFIG, show_default=True, help="The settings file.")
    return config(as_json(command))


def _narrowed(command: Command) -> Command:
    """Which counters of a key."""
    limit = click.option("--limit", type=_Text(), default="", metavar="NAME", help="Only the limit of this name.")
    rule = click.option(
        "--rule", type=_Text(), default="", metavar="ID", shell_complete=rule_ids, help="Only limits of this rule."
    )
    return rule(limit(command))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def limits() -> None:
    """What is counted of whom, who is near a limit, and how to help somebody out.

    KEY is what a limit counts by: a login, an address, a network, or several joined by `|`. A login may be given with
    its realm or without.
    """


@limits.command()
@click.argument("key", type=_Text())
@_narrowed
@_common
def show(key: str, rule: str, limit: str, config: str, as_json: bool) -> None:
    """What is counted of KEY, and what it was granted.

    Exit codes: 0 everything has room; 1 a limit is used up; 2 the store can't be read.
    """
    with _opened(config) as (shelf, realm):
        names = _names(key, realm)
        found = [one for name in names for one in shelf.standings(Wanted(name, rule, limit))]
        grants = [one for name in names for one in shelf.grants(name)]
        where = shelf.where
    found.sort(key=_by_name)
    if as_json:
        emit({"where": where, "counters": list(map(document, found)), "grants": [asdict(one) for one in grants]})
    else:
        lines = [*_table(found), *map(_grant_line, grants)]
        click.echo("\n".join(map(safe, lines or [f"nothing is counted of {key}"])))
    sys.exit(1 if any(one.used >= one.maximum for one in found) else 0)


@limits.command()
@click.option(
    "--rule", type=_Text(), default="", metavar="ID", shell_complete=rule_ids, help="Only limits of this rule."
)
@click.option("-n", "--count", type=click.IntRange(1, 100_000), default=20, show_default=True, help="How many.")
@_common
def top(rule: str, count: int, config: str, as_json: bool) -> None:
    """The counters that are nearest to their limit.

    Exit codes: 0 everything has room; 1 a limit is used up; 2 the store can't be read.
    """
    with _opened(config) as (shelf, _realm):
        found = shelf.standings(Wanted(rule=rule))
        where = shelf.where
    found.sort(key=lambda one: (-one.share, *_by_name(one)))
    if as_json:
        emit({"where": where, "all": len(found), "counters": list(map(document, found[:count]))})
    else:
        more = [f"… and {len(found) - count} more"] if len(found) > count else []
        lines = [*_table(found[:count]), *more]
        click.echo("\n".join(map(safe, lines or ["nothing is counted"])))
    sys.exit(1 if any(one.used >= one.maximum for one in found) else 0)


@limits.command()
@click.argument("key", type=_Text())
@_narrowed
@click.option("--reason", type=_Text(), default="", help="Why: it is put on record.")
@_common
def reset(key: str, rule: str, limit: str, reason: str, config: str, as_json: bool) -> None:
    """Begin KEY's counters anew. Grants stay.

    Exit codes: 0 done; 1 nothing was counted; 2 the store can't be changed.
    """
    with _opened(config) as (shelf, realm):
        count = 0
        for name in _names(key, realm):
            wanted = Wanted(name, rule, limit)
            if shelf.standings(wanted):
                count += shelf.reset(wanted, person(), reason)
        where = shelf.where
    if as_json:
        emit({"where": where, "reset": count})
    else:
        click.echo(safe(f"{several(count, 'counter')} of {key} reset" if count else f"nothing is counted of {key}"))
    sys.exit(0 if count else 1)


@limits.command()
@click.argument("key", type=_Text())
@click.argument("amount", type=_Amount())
@click.option("--for", "seconds", type=Duration(LONGEST), required=True, help="How long, from 1m to 90d.")
@_narrowed
@click.option("--reason", type=_Text(), required=True, help="Why: it is put on record.")
@_common
def grant(key: str, amount: int, seconds: int, rule: str, limit: str, reason: str, config: str, as_json: bool) -> None:
    """Let KEY have AMOUNT more, such as +200, in each of its limits, or in those of --rule and --limit; until a time.

    Exit codes: 0 done; 2 the store can't be changed.
    """
    now = time.time()
    with _opened(config) as (shelf, realm):
        given = Grant(_granted_key(shelf, key, realm), amount, now + seconds, now, person(), reason, rule, limit)
        shelf.grant(given)
        where = shelf.where
    if as_json:
        emit({"where": where, "granted": asdict(given)})
    else:
        click.echo(safe(_grant_line(given)))


@limits.command()
@_common
def log(config: str, as_json: bool) -> None:
    """Who granted and reset what, newest first; for 90 days.

    Exit codes: 0 done; 2 the store can't be read.
    """
    with _opened(config) as (shelf, _realm):
        deeds = shelf.deeds()
        where = shelf.where
    if as_json:
        emit({"where": where, "log": [asdict(one) for one in deeds]})
    else:
        click.echo("\n".join(map(safe, map(_deed_line, deeds))) or "nothing is on record")


def document(standing: Standing) -> dict[str, Any]:
    """One counter as JSON."""
    counter = standing.counter
    return {
        "rule": counter.rule,
        "limit": counter.limit,
        "key": counter.key,
        "shadow": counter.shadow,
        "used": standing.used,
        "max": standing.maximum,
        "granted": standing.granted,
        "per": standing.per,
        "distinct": standing.distinct,
    }


@contextmanager
def _opened(config: str) -> Iterator[tuple[Shelf, str]]:
    """The store of these settings, and the default realm. Raises UnableError."""
    site = find_site(config)
    settings = site.settings
    if settings is None:
        why = "; ".join(one.message for one in site.problems)
        raise UnableError(f"{config}: the settings can't be used, so nobody knows where limits are counted: {why}")
    shelf = None
    try:
        shelf = open_shelf(settings)
        yield shelf, settings.default_realm
    except UncountedError as error:
        raise UnableError(error.why) from error
    finally:
        if shelf is not None:
            shelf.close()


def _names(key: str, realm: str) -> tuple[str, ...]:
    """How a key may be spelt in the store."""
    if not key.strip():
        raise UnableError("KEY is empty")
    return tuple(dict.fromkeys((key, *spellings(key, realm))))


def _granted_key(shelf: Shelf, key: str, realm: str) -> str:
    """The key that a grant is for: as it is counted, or else as a login is folded."""
    names = _names(key, realm)
    counted = [name for name in names if shelf.standings(Wanted(name))]
    if counted:
        return counted[0]
    folded = key.strip().lower()
    bare = not realm or "@" in folded or "|" in folded or folded == "*" or _is_network(folded)
    return folded if bare else f"{folded}@{realm}"


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _by_name(standing: Standing) -> tuple[str, str, bool, float]:
    counter = standing.counter
    return counter.key, counter.rule, counter.shadow, standing.per


def _table(found: Sequence[Standing]) -> Iterator[str]:
    if not found:
        return
    rows = [("KEY", "RULE", "LIMIT", "USED", "OF", "PER", ""), *map(_row, found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (
            cell.rjust(width) if column in (3, 4) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()


def _row(standing: Standing) -> tuple[str, ...]:
    counter = standing.counter
    notes = [f"{standing.granted} granted"] if standing.granted else []
    notes += ["distinct"] if standing.distinct else []
    notes += ["in shadow"] if counter.shadow else []
    notes += ["USED UP"] if standing.used >= standing.maximum else []
    return (
        *(counter.key, counter.rule, counter.limit, str(standing.used), str(standing.maximum)),
        *(_length(standing.per), ", ".join(notes)),
    )


def _length(seconds: float) -> str:
    """A window as a policy writes it."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size:.0f}{unit}"
    return f"{seconds:g}s"


def _grant_line(one: Grant) -> str:
    what = f"+{one.amount}{_of(one.rule, one.limit)}"
    return f"granted  {one.key}  {what} until {moment(one.until)}, by {one.who or '?'}: {one.reason}"


def _deed_line(deed: Deed) -> str:
    what = f"+{deed.amount} for {age(deed.until - deed.at)}" if deed.what == "grant" else "begun anew"
    reason = f": {deed.reason}" if deed.reason else ""
    return f"{moment(deed.at)}  {deed.who}  {deed.what}  {deed.key}{_of(deed.rule, deed.limit)}  {what}{reason}"


def _of(rule: str, limit: str) -> str:
    parts: Iterable[str] = (f"rule {rule}" if rule else "", f"limit {limit}" if limit else "")
    named = ", ".join(part for part in parts if part)
    return f" ({named})" if named else ""
