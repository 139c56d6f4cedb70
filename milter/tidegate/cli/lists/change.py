"""`tidegate list add|rm|create|import`: entries of a live list, with who, why and until when."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

import click

from tidegate.cli.lists.session import (
    Done,
    Moment,
    Session,
    Target,
    ending,
    list_options,
    session,
    write,
)
from tidegate.cli.lists.waiting import wait
from tidegate.cli.output import UnableError, emit, safe
from tidegate.cli.policy.session import author, one_line
from tidegate.cli.words import Duration
from tidegate.model import ListKind
from tidegate.policy.listfiles import Lines, read_lines
from tidegate.replicas.entries import FORMS
from tidegate.store.lists import Entry, Operation, Removal

_LARGEST = 512 << 20  # bytes of a file that is imported
_LONGEST = 3660 * 86400  # seconds that an entry may last

for_option = click.option(
    "--for", "seconds", type=Duration(_LONGEST, shortest=1), help="How long, such as 30m, 2h, 7d."
)
until_option = click.option("--until", type=Moment(), help="Its last day or minute, such as 2027-06-30 (UTC).")
reason_option = click.option("--reason", default="", metavar="TEXT", help="Why: it is kept with the entry.")
wait_option = click.option("--wait", "waits", is_flag=True, help="Until all workers of all hosts have it.")
type_option = click.option(
    "--type", "form", type=click.Choice(FORMS), default=None, help="Of a list that no policy here knows."
)
repair_option = click.option("--repair", is_flag=True, help="Take what Redis holds for the list, though some was lost.")


@click.command()
@click.argument("name")
@click.argument("entries", metavar="ENTRY…", nargs=-1, required=True)
@for_option
@until_option
@reason_option
@click.option("--value", "values", multiple=True, help="Of a map: what the key says; several times for several.")
@wait_option
@type_option
@repair_option
@list_options
def add(
    name: str,
    entries: tuple[str, ...],
    seconds: float | None,
    until: float | None,
    reason: str,
    values: tuple[str, ...],
    waits: bool,
    form: str | None,
    repair: bool,
    config: str,
    environment: str,
    as_json: bool,
) -> None:
    """Put entries on the list NAME. One that is on it gets the new end and reason.

    Exit codes: 0 done; 1 done, but the daemon of this host does not take what Redis holds, or with --wait not in force
    in time; 2 nothing was changed.
    """
    now = time.time()
    end = ending(seconds, until, now)
    with session(config, environment) as opened:
        target = opened.target(name, form or "")
        found = _values(target, values)
        made = [Entry(key, end, author(), one_line(reason)[:500], round(now), found) for key in target.keys(entries)]
        done = write(opened, target, made, reason, repair=repair)
        finish(opened, target, done, waits=waits, as_json=as_json, told=[one.key for one in made])


def _values(target: Target, values: Sequence[str]) -> tuple[str, ...]:
    if target.reader is None:
        return tuple(values)
    found, why = target.reader.values(values)
    if not why and target.reader.kind is ListKind.MAP and not found:
        why = f"the list {target.called} is a map: say what the key says with --value"
    if why:
        raise UnableError(safe(why, 200))
    return found


@click.command()
@click.argument("name")
@click.argument("entries", metavar="ENTRY…", nargs=-1, required=True)
@click.option("--reason", default="", metavar="TEXT", help="Why: it stands in the audit stream.")
@wait_option
@type_option
@repair_option
@list_options
def rm(
    name: str,
    entries: tuple[str, ...],
    reason: str,
    waits: bool,
    form: str | None,
    repair: bool,
    config: str,
    environment: str,
    as_json: bool,
) -> None:
    """Take entries off the list NAME.

    Exit codes: 0 done, or they were not on it; 1 done, and with --wait not in force in time; 2 nothing was changed.
    """
    with session(config, environment) as opened:
        target = opened.target(name, form or "")
        keys = removable(target, entries)
        done = write(opened, target, [Removal(key) for key in keys], reason, repair=repair)
        finish(opened, target, done, waits=waits, as_json=as_json, told=keys)


def removable(target: Target, texts: Sequence[str]) -> list[str]:
    """The keys of entries, and the texts as they are: one that can't be used stands there as somebody wrote it."""
    keys: dict[str, None] = {}
    for text in texts:
        keys[text] = None
        key, why = target.reader.key(text) if target.reader is not None else (text.strip(), "")
        if not why:
            keys[key] = None
    return [key for key in keys if key]


@click.command()
@click.argument("name")
@list_options
def create(name: str, config: str, environment: str, as_json: bool) -> None:
    """Make the list NAME, without entries, where Redis holds none. One that is there stays as it is.

    Exit codes: 0 it is there; 2 it could not be made.
    """
    with session(config, environment) as opened:
        target = opened.target(name)
        finish(opened, target, write(opened, target, [], "created"), waits=False, as_json=as_json, told=[])


@click.command(name="import")
@click.argument("name")
@click.argument("file", type=click.File("rb"))
@for_option
@until_option
@reason_option
@wait_option
@type_option
@repair_option
@list_options
def import_(
    name: str,
    file: Any,
    seconds: float | None,
    until: float | None,
    reason: str,
    waits: bool,
    form: str | None,
    repair: bool,
    config: str,
    environment: str,
    as_json: bool,
) -> None:
    """Put all lines of FILE on the list NAME (- is standard input); what is on it stays.

    The file is read as a list file of a policy is: one entry to a line, # comments, a map in two columns. A line that
    can't be used is named and left out.

    Exit codes: 0 done; 1 done, but for lines that can't be used, or with --wait not in force in time; 2 not done.
    """
    now = time.time()
    end = ending(seconds, until, now)
    data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise UnableError(f"the file has more than {_LARGEST >> 20} MiB")
    with session(config, environment) as opened:
        target = opened.target(name, form or "")
        lines = parsed(target, data)
        made = [Entry(item.key, end, author(), one_line(reason)[:500], round(now), item.values) for item in lines.items]
        if not made:
            raise UnableError("no line of it can be used" if lines.count else "the file holds no entry")
        done = write(opened, target, made, reason, repair=repair, progress=_progress)
        finish(opened, target, done, waits=waits, as_json=as_json, told=[], bad=lines.bad)


def parsed(target: Target, data: bytes) -> Lines:
    """Lines as a list file's; bad ones are told on standard error. Raises UnableError where the type is not known."""
    if target.reader is None:
        raise UnableError(f"no policy here knows the list {target.called}; say what it holds with --type")
    lines = read_lines(target.reader.kind, data, target.reader)
    for one in lines.told:
        click.echo(safe(f"line {one.line}: {one.message}", 300), err=True)
    return lines


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty() and total > 10_000:
        sys.stderr.write(f"\r\x1b[K{done} of {total}" if done < total else "\r\x1b[K")
        sys.stderr.flush()


def finish(
    opened: Session,
    target: Target,
    done: Done,
    *,
    waits: bool,
    as_json: bool,
    told: Sequence[str],
    bad: int = 0,
    words: str = "",
) -> None:
    """Say what was done, wait where that is asked, and leave with the exit code."""
    waited = wait(opened, target, done.version) if waits else None
    if as_json:
        emit(
            {
                "list": target.called,
                "name": target.name,
                "version": str(done.version),
                "entries": done.version.count,
                "added": done.added,
                "removed": done.removed,
                "bad": bad,
                "asked": target.asked,
                "guarded": target.guarded,
                **({"wait": waited.document()} if waited is not None else {}),
            }
        )
    else:
        what = words or f"{target.called}: {done.added} added, {done.removed} removed"
        click.echo(safe(f"{what}; version {done.version.number}, {done.version.count} entries"))
        if told and not done.added and not done.removed and not words:
            click.echo("  (nothing that was not so already, but ends and reasons)")
        if waited is not None:
            click.echo(safe(waited.text()))
        if not target.asked:
            cure = f"a list with `redis: {target.name}` does"
            click.echo(
                safe(f"tidegate: no policy of this host asks {target.name} of Redis: no effect here; {cure}"), err=True
            )
    if target.guarded and not as_json:
        cure = f"if what Redis holds is all of it, say tidegate list confirm {target.called} on each host"
        click.echo(safe(f"tidegate: stored, and not in force: {target.guarded}; {cure}"), err=True)
    sys.exit(1 if bad or target.guarded or (waited is not None and waited.seconds is None) else 0)


def operations(added: Sequence[Entry], removed: Sequence[str]) -> list[Operation]:
    """Removals first: a list never holds both."""
    return [*[Removal(one) for one in removed], *added]
