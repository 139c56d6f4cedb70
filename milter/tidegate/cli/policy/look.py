"""`tidegate policy list`, `show`, `diff`: what Redis holds, what it overrides, what lies between two revisions."""

from __future__ import annotations

import difflib
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import click

from tidegate.cli.completion import entry_ids
from tidegate.cli.output import UnableError, emit, safe
from tidegate.cli.policy.candidate import cut, look
from tidegate.cli.policy.session import (
    Asked,
    Session,
    Standing,
    allows,
    asking,
    key_named,
    records_here,
    session,
    standing,
)
from tidegate.cli.policy.signing import must_be_trusted
from tidegate.cli.statustext import moment
from tidegate.loader.sources import FILE_LIMIT, read_file
from tidegate.model import Entry, EntryKey
from tidegate.revisions import EMPTY, Change, Flaw, Manifest, Revision, compare
from tidegate.store.contents import Refused, content_of, loose

_SHOWN = 8  # characters of a digest


@click.command(name="list")
@asking
def list_entries(asked: Asked) -> None:
    """Name the entries in Redis, and what each overrides on this machine.

    Exit codes: 0 done; 2 it could not be done.
    """
    with session(asked) as opened:
        stands = standing(opened)
        manifest = stands.manifest(time.time())
        overrides = _overrides(opened, stands, manifest)
        rows = [(key, sha, overrides.get(key, "")) for key, sha in manifest.shas.items()]
        rows += [(key, "", overrides.get(key, "")) for key in manifest.removed]
        by_hand = sorted(loose(opened.revisions))
        if asked.as_json:
            entries = [
                {"key": str(key), "sha256": sha, "removed": not sha, "overrides": over} for key, sha, over in rows
            ]
            told = {"environment": opened.environment, "revision": stands.number, "entries": entries}
            emit({**told, "unreviewed": by_hand, "doubts": list(stands.content.doubts)})
            return
        for key, sha, over in sorted(rows, key=lambda row: str(row[0])):
            what = sha[:_SHOWN] if sha else "removed"
            click.echo(safe(f"{key!s:<40} {what}{f'  over {over}' if over else ''}"))
        for name in by_hand:
            force = "in force" if allows(opened.settings) else "not in force"
            click.echo(safe(f"{name:<40} UNREVIEWED, written by hand: {force}"))
        click.echo(safe(_state(opened, stands)))


def _overrides(opened: Session, stands: Standing, manifest: Manifest) -> dict[EntryKey, str]:
    """Where the files' entries of the same id stand; a machine without policy files can't say."""
    if not manifest.entries and not manifest.removed:
        return {}
    try:
        report = look(opened, manifest, stands.content.texts).report
    except UnableError as error:
        click.echo(f"what it overrides can't be told: {error.message}", err=True)
        return {}
    return {one.key: one.overrides for one in report.entries}


def _state(opened: Session, stands: Standing) -> str:
    revision = stands.content.revision
    if revision is None:
        return f"{opened.environment} has no revision yet: the policy files count alone"
    line = f"revision {revision.number} of {opened.environment}, by {revision.author} at {moment(revision.at)}"
    if revision.expires and stands.unconfirmed(time.time()):
        line += f"; it reverts by itself at {moment(revision.expires)} unless it is confirmed"
    elif revision.expires:
        line += f"; it reverted by itself at {moment(revision.expires)}: what is listed was in force before it"
    if stands.content.doubts:
        line += f"; UNREVIEWED: {'; '.join(stands.content.doubts)}"
    return line


@click.command()
@click.argument("name", metavar="ID", shell_complete=entry_ids)
@click.option("--revision", "number", type=click.IntRange(1), help="As it was in that revision.")
@asking
def show(name: str, number: int | None, asked: Asked) -> None:
    """Print the text of one entry, as it stands in Redis or else in a policy file. `put` takes it back.

    Which of them it is, and what it overrides, is said on standard error.

    Exit codes: 0 done; 2 there is none.
    """
    with session(asked) as opened:
        if number is not None:
            side = side_of(opened, str(number), None)
            key = key_named(name, list(side.manifest.shas))
            _tell(asked, opened, key, side.texts[side.manifest.shas[key]], f"revision {number}", "")
            return
        stands = standing(opened)
        manifest = stands.manifest(time.time())
        over = _overrides(opened, stands, manifest)
        key, text = text_of(opened, stands, name)
        where = f"redis:{opened.environment}" if key in manifest.shas else "a policy file"
        _tell(asked, opened, key, text, where, over.get(key, "") if key in manifest.shas else "")


def _tell(asked: Asked, opened: Session, key: EntryKey, text: str, where: str, over: str) -> None:
    if asked.as_json:
        emit({"environment": opened.environment, "key": str(key), "text": text, "where": where, "overrides": over})
        return
    click.echo(safe(f"{key} of {where}{f', over {over}' if over else ''}"), err=True)
    if sys.stdout.isatty():  # what somebody wrote into Redis by hand may hold what a terminal obeys
        click.echo("\n".join(map(safe, text.removesuffix("\n").split("\n"))))
        return
    sys.stdout.buffer.write(text.encode())
    sys.stdout.flush()


def text_of(opened: Session, stands: Standing, name: str) -> tuple[EntryKey, str]:
    """The entry that a name means, and its document: from Redis, or cut out of a policy file. Raises UnableError."""
    manifest = stands.manifest(time.time())
    report = look(opened, manifest, stands.content.texts).report
    files = {one.key: one for one in report.entries if one.key not in manifest.shas}
    key = key_named(name, [*manifest.shas, *files])
    if key in manifest.shas:
        return key, stands.content.texts[manifest.shas[key]]
    return key, _in_file(opened, files[key])


def _in_file(opened: Session, entry: Entry) -> str:
    """Its document, as the policy file has it that it stands in, or would if nothing removed it."""
    name = (entry.overrides or entry.place.source).partition(":")[0]
    source = read_file(opened.policies, name, FILE_LIMIT)
    if source.error:
        raise UnableError(f"{entry.key}: {name}: {source.error}")
    found = cut(name, source.data)
    text = next((one.text for one in found.documents if one.key == entry.key), None)
    if text is None:
        raise UnableError(f"{entry.key} stands in {name}, which has errors: tidegate check names them")
    return text


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two that are compared."""

    title: str
    manifest: Manifest
    texts: Mapping[str, str]
    kept: Revision | None = None  # its record, where only this machine has it


@click.command()
@click.argument("first", metavar="[A]", default="")
@click.argument("second", metavar="[B]", default="")
@asking
def diff(first: str, second: str, asked: Asked) -> None:
    """Show what lies between revisions A and B; left out, between the newest revision and the one before it, or A and
    the newest.

    Exit codes: 0 nothing; 1 they differ; 2 it could not be done.
    """
    with session(asked) as opened:
        stands = standing(opened) if not second else None
        newest = stands.number if stands else 0
        parent = stands.content.revision.parent if stands and stands.content.revision else 0
        old = side_of(opened, first or str(parent), stands)
        new = side_of(opened, second or str(newest), stands)
    changes = compare(old.manifest, new.manifest)
    if asked.as_json:
        rows = [
            {
                "key": str(one.key),
                "change": one.change.value,
                "before": old.texts.get(one.before, ""),
                "after": new.texts.get(one.after, ""),
            }
            for one in changes
        ]
        emit({"environment": opened.environment, "from": old.title, "to": new.title, "changes": rows})
    else:
        for one in changes:
            click.echo(safe(f"{one.change.value} {one.key}"))
            for line in _lines(old, new, one.before, one.after, one.change):
                click.echo(safe(line))
        if not changes:
            click.echo(f"no difference between {old.title} and {new.title}")
    sys.exit(1 if changes else 0)


def _lines(old: Side, new: Side, before: str, after: str, change: Change) -> Iterator[str]:
    one, other = old.texts.get(before, "").splitlines(), new.texts.get(after, "").splitlines()
    names = (old.title if before else "/dev/null", new.title if after else "/dev/null")
    if change is Change.REMOVED and not before:
        yield "  (a file's entry: a tombstone switches it off)"
    if change is Change.FORGOTTEN and not before:
        yield "  (a file's entry: it is in force again)"
    yield from difflib.unified_diff(one, other, *names, lineterm="")


def side_of(opened: Session, name: str, stands: Standing | None) -> Side:
    """A revision by its number; 0: before the first. Raises UnableError."""
    if not name.isdigit() or len(name) > 12:
        raise click.UsageError(f"{safe(name, 40)} is no number of a revision")
    number = int(name)
    if number == 0:
        return Side("revision 0", EMPTY, {})
    if stands is not None and number == stands.number:
        return Side(f"revision {number}", stands.content.manifest, stands.content.texts)
    record = opened.revisions.revision(number)
    here = records_here(opened) if not isinstance(record, Revision) else ()
    kept = next((one for one in here if one.number == number), None)
    if kept is not None:
        return Side(f"revision {number}", kept.manifest, kept.texts, kept.revision)
    if record is None:
        raise UnableError(f"{opened.environment} has no revision {number}; tidegate policy history names them")
    if isinstance(record, Flaw):
        raise UnableError(f"the record of revision {number} can't be used: {record}")
    must_be_trusted(opened.settings, record)
    content = content_of(opened.revisions, record)
    if isinstance(content, Refused):
        raise UnableError(content.why)
    if content.doubts:
        raise UnableError(f"revision {number} is unreviewed: {content.doubts[0]}")
    return Side(f"revision {number}", content.manifest, content.texts)
