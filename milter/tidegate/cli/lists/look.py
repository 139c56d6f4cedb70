"""`tidegate list show|lists|confirm`: what stands on a list, which lists there are, and what is meant to be so."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

import click

from tidegate.cli.lists.session import Session, Target, list_options, session
from tidegate.cli.output import UnableError, emit, safe
from tidegate.cli.reach import daemon_options, find_daemon
from tidegate.cli.statustext import age
from tidegate.store.lists import Entry, Version

_AT_ONCE = 500


@click.command()
@click.argument("name")
@click.argument("entries", metavar="[ENTRY]…", nargs=-1)
@click.option(
    "-n",
    "--count",
    "limit",
    type=click.IntRange(1, 5_000_000),
    default=1000,
    show_default=True,
    help="The newest so many.",
)
@list_options
def show(name: str, entries: tuple[str, ...], limit: int, config: str, environment: str, as_json: bool) -> None:
    """What stands on the list NAME in Redis: until when, by whom, why; or these entries alone.

    Exit codes: 0 shown; 1 there is no such list, or one of these entries is not on it; 2 Redis can't be asked.
    """
    with session(config, environment) as opened:
        target = opened.target(name)
        version = opened.store.version(target.name)
        now = time.time()
        if entries:
            found, missing = _some(opened, target, entries)
        else:
            found, missing = _all(opened, target), []
    total = len(found)
    found.sort(key=lambda one: (-one.at, one.key))
    if as_json:
        emit(_document(target, version, found[:limit], missing, now, total))
    else:
        click.echo("\n".join(map(safe, _lines(target, version, found[:limit], missing, now, total))))
    sys.exit(1 if version is None or missing else 0)


def _some(opened: Session, target: Target, texts: Iterable[str]) -> tuple[list[Entry], list[str]]:
    keys = target.keys(list(texts))
    found = opened.store.some(target.name, keys)
    return [one for one in found if one is not None], [key for key, one in zip(keys, found, strict=True) if one is None]


def _all(opened: Session, target: Target) -> list[Entry]:
    """Those that can't be read come as they are named, so that they can be removed."""
    found: dict[str, Entry] = {}
    for part in opened.store.entries(target.name):
        found.update({key: entry or Entry(key, why="(half-written)") for key, entry in part})
    return list(found.values())


def _document(
    target: Target, version: Version | None, found: list[Entry], missing: list[str], now: float, total: int
) -> dict[str, Any]:
    rows = [
        {
            "entry": one.key,
            "until": one.until,
            "ended": one.until is not None and one.until <= now,
            "by": one.by,
            "reason": one.why,
            "at": one.at,
            "values": list(one.values),
        }
        for one in found
    ]
    return {
        "list": target.called,
        "name": target.name,
        "version": str(version) if version is not None else "",
        "entries": rows,
        "missing": missing,
        "total": total,
    }


def _lines(
    target: Target, version: Version | None, found: list[Entry], missing: list[str], now: float, total: int
) -> Iterator[str]:
    if version is None:
        yield f"Redis holds no list {target.name}; tidegate list create {target.name} makes it"
        return
    changed = age(max(0.0, now - version.moment / 1e6))
    yield f"{target.called}: {version.count} entries, version {version.number}, changed {changed} ago"
    for one in found:
        yield f"  {_line(one, now)}"
    if total > len(found):
        yield f"  … and {total - len(found)} more (--limit)"
    for key in missing:
        yield f"  not on it: {key}"


def _line(one: Entry, now: float) -> str:
    if one.until is None:
        end = "for good"
    elif one.until <= now:
        end = "has ended"
    else:
        end = f"until {time.strftime('%Y-%m-%d %H:%M', time.localtime(one.until))}"
    values = f" = {', '.join(one.values)}" if one.values else ""
    by = f"by {one.by}" if one.by else ""
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.at)) if one.at else ""
    return "  ".join(part for part in (f"{one.key}{values}", end, by, when, one.why) if part)


@click.command()
@list_options
def lists(config: str, environment: str, as_json: bool) -> None:
    """Which lists there are: in Redis, in the policy, and on this host.

    Exit codes: 0 all is well; 1 one is missing in Redis, or not as Redis has it on this host; 2 Redis can't be asked.
    """
    with session(config, environment) as opened:
        versions = dict(opened.store.versions())
        here = opened.daemon.status(brief=True).get("lists", {}).get("live", ()) if opened.daemon is not None else ()
        rows = list(_rows(opened, versions, here))
    if as_json:
        emit({"lists": rows})
    else:
        click.echo("\n".join(safe(_row(one)) for one in rows) or "there is no list in Redis, and none in the policy")
    sys.exit(1 if any(one["wrong"] for one in rows) else 0)


def _rows(
    opened: Session, versions: dict[str, Version | None], here: Iterable[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    told = {str(one["name"]): one for one in here}
    policies: dict[str, list[str]] = {}
    forms: dict[str, str] = {}
    for known in opened.known:
        policies.setdefault(known.name, []).append(known.policy)
        forms[known.name] = known.form
    for name in sorted({*versions, *policies}):
        version, row = versions.get(name), told.get(name, {})
        wrong = str(row.get("why", "")) if row.get("trouble") else ""
        if name not in versions:
            wrong = wrong or "Redis holds no such list"
        elif version is None:
            wrong = wrong or "its version in Redis is damaged"
        elif row and not row.get("read"):
            wrong = wrong or "it was not read on this host"
        yield {
            "name": name,
            "policy": policies.get(name, []),
            "type": forms.get(name, ""),
            "version": str(version) if version is not None else "",
            "entries": version.count if version is not None else 0,
            "here": str(row.get("version", "")),
            "in_force": bool(row.get("in_force")) and str(row.get("version", "")) == str(version),
            "wrong": wrong,
        }


def _row(one: dict[str, Any]) -> str:
    asked = f"as {', '.join(one['policy'])} ({one['type']})" if one["policy"] else "in no policy here"
    state = one["wrong"] or ("in force here" if one["in_force"] else "")
    parts = (f"{one['name']:<20}", f"{one['entries']:>8} entries", f"version {one['version'].partition('-')[0] or '-'}")
    return "  ".join(part for part in (*parts, asked, state) if part)


@click.command()
@click.argument("name")
@daemon_options
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def confirm(name: str, config: str, state: str, as_json: bool) -> None:
    """What Redis holds of the list NAME is meant: it is empty, older, or has lost much at once, and is to count.

    Acts on the daemon of this host; the others ask for it again.

    Exit codes: 0 the daemon takes it; 2 no daemon answers, or no such list is in force.
    """
    answer = find_daemon(config, state).ask({"do": "confirm-list", "list": name})
    if "name" not in answer:
        raise UnableError("the daemon does not know live lists")
    if as_json:
        emit(answer)
    else:
        click.echo(safe(f"what Redis holds of {answer['name']} counts from now on"))
