"""`tidegate list sync NAME -- COMMAND…`: a list kept in step with what a command prints: LDAP, SQL, Dovecot.

For cron and systemd timers. Promises: a command that fails, prints nothing, prints much that can't be used, or much
less than before changes nothing; a file is replaced as a whole or not at all, and not touched where nothing changed; in
Redis only what differs is written, and what people put on the list stays. Refuses: a shell, and deciding that a loss is
meant (`--force` does).
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from tidegate.cli.confined import load
from tidegate.cli.lists.change import operations, parsed, wait_option
from tidegate.cli.lists.session import Target, list_options, session, write
from tidegate.cli.lists.waiting import wait
from tidegate.cli.output import UnableError, emit, safe
from tidegate.cli.site import find_site
from tidegate.cli.words import Duration
from tidegate.model import Conventions, ListItem
from tidegate.policy.listfiles import Lines
from tidegate.replicas.entries import FORMS, EntryReader
from tidegate.store.lists import Entry

AUTHOR = "sync"
"""Who puts entries there in the name of a command; others' entries are left alone."""
FEW = 10
"""Entries that may be gone at once without a question."""
_LARGEST = 512 << 20  # bytes of output
_SHOWN = 500  # characters of what a command said


@dataclass(frozen=True, slots=True)
class Guard:
    """What a sync may lose: `share` percent, and always a few. `force`: anything."""

    share: float
    force: bool

    def refuses(self, gone: int, were: int) -> str:
        """Why this loss is not believed; "" where it is."""
        if self.force or not gone:
            return ""
        if gone == were:
            return f"all {were} entries would be gone; --force where it is meant"
        if gone > FEW and gone * 100 > self.share * were:
            return f"{gone} of {were} entries would be gone at once; --force where it is meant"
        return ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a sync came to. `refused`: why nothing was changed."""

    entries: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0
    bad: int = 0
    refused: str = ""
    version: str = ""


@click.command(context_settings={"ignore_unknown_options": False})
@click.argument("name")
@click.argument("command", metavar="-- COMMAND…", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("--file", "path", type=click.Path(), default="", help="Write this list file, not a list in Redis.")
@click.option("--type", "form", type=click.Choice(FORMS), default=None, help="Of a list that no policy here knows.")
@click.option(
    "--max-loss",
    type=click.FloatRange(0, 100),
    default=50.0,
    show_default=True,
    help="Percent that may be gone at once.",
)
@click.option("--force", is_flag=True, help="Whatever is gone is meant.")
@click.option(
    "--timeout", type=Duration(shortest=1), default="5m", show_default=True, help="That the command may take."
)
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@wait_option
@list_options
def sync(
    name: str,
    command: tuple[str, ...],
    path: str,
    form: str | None,
    max_loss: float,
    force: bool,
    timeout: float,
    dry_run: bool,
    waits: bool,
    config: str,
    environment: str,
    as_json: bool,
) -> None:
    """Keep the list NAME in step with what COMMAND prints: one entry to a line, a map in two columns.

    COMMAND is run without a shell. What it prints is the whole list: what is missing in it is taken off, except what
    people put on a list in Redis. More than --max-loss percent and more than ten entries gone at once, or all of them,
    changes nothing; so does a command that fails, prints nothing, or of whose lines more than a tenth can't be used.

    Exit codes: 0 done, also where nothing changed; 1 refused, or with --wait not in force in time; 2 it failed.
    """
    guard = Guard(max_loss, force)
    data = printed(command, timeout)
    if path:
        target = _file_target(name, form or "", config)
        lines = _lines(target, data)
        outcome = in_file(_below(path, config), target, lines, guard, dry_run=dry_run)
        _finish(target, outcome, as_json, dry_run=dry_run)
    with session(config, environment) as opened:
        target = opened.target(name, form or "")
        lines = _lines(target, data)
        found: dict[str, Entry | None] = {}
        for part in opened.store.entries(target.name):
            found.update(part)
        made, removed, outcome = difference(lines, found, guard, time.time())
        waited = None
        if not outcome.refused and not dry_run and (made or removed):
            done = write(opened, target, operations(made, removed), f"sync: {command[0]}")
            outcome = Outcome(**{**_values(outcome), "version": str(done.version)})
            waited = wait(opened, target, done.version) if waits else None
        _finish(target, outcome, as_json, dry_run=dry_run, waited=waited)


def printed(command: Sequence[str], timeout: float) -> bytes:
    """What the command prints. Raises UnableError where it fails, hangs or prints nothing."""
    shown = safe(command[0], 80)
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired as late:
            raise UnableError(f"{shown} did not end within {timeout:.0f} s; nothing was changed") from late
        except (OSError, ValueError) as error:
            raise UnableError(f"{shown} can't be run: {error}; nothing was changed") from error
        errors.seek(0)
        said = errors.read(_SHOWN).decode("utf-8", "replace").strip()
        if done.returncode:
            why = f"signal {-done.returncode}" if done.returncode < 0 else f"exit {done.returncode}"
            raise UnableError(f"{shown}: {why}{f': {said}' if said else ''}; nothing was changed")
        size = output.seek(0, os.SEEK_END)
        if size > _LARGEST:
            raise UnableError(f"{shown} printed more than {_LARGEST >> 20} MiB; nothing was changed")
        output.seek(0)
        return output.read()


def _lines(target: Target, data: bytes) -> Lines:
    """Raises UnableError where too much of it can't be used."""
    lines = parsed(target, data)
    if lines.bad and lines.bad * 10 > lines.count:
        raise UnableError(f"{lines.bad} of {lines.count} lines can't be used; nothing was changed")
    return lines


def difference(
    lines: Lines, found: dict[str, Entry | None], guard: Guard, now: float
) -> tuple[list[Entry], list[str], Outcome]:
    """What has to be written and removed. Entries that others put there are theirs, with their ends."""
    wanted = {item.key: item for item in lines.items}
    ours = {key: one for key, one in found.items() if one is not None and one.by == AUTHOR}
    removed = [key for key in ours if key not in wanted]
    made, changed = [], 0
    for key, item in wanted.items():
        known = found.get(key)
        ended = known is not None and known.until is not None and known.until <= now
        if known is None or ended:
            made.append(Entry(key, None, AUTHOR, "", round(now), item.values))
        elif known.values != item.values:
            changed += 1
            made.append(Entry(key, known.until, AUTHOR, known.why, round(now), item.values))
    refused = guard.refuses(len(removed), len(ours))
    outcome = Outcome(len(wanted), len(made) - changed, changed, len(removed), lines.bad, refused)
    return made, removed, outcome


def in_file(path: Path, target: Target, lines: Lines, guard: Guard, *, dry_run: bool) -> Outcome:
    """Replace the list file where it differs. Raises UnableError."""
    before: dict[str, ListItem] = {}
    try:
        old = path.read_bytes()
    except FileNotFoundError:
        old = b""
    except OSError as error:
        raise UnableError(f"{path}: {error.strerror}") from error
    if old.strip():
        before = {item.key: item for item in parsed(target, old).items}
    wanted = {item.key: item for item in lines.items}
    gone = [key for key in before if key not in wanted]
    outcome = Outcome(
        len(wanted),
        sum(key not in before for key in wanted),
        sum(key in before and before[key].values != item.values for key, item in wanted.items()),
        len(gone),
        lines.bad,
        guard.refuses(len(gone), len(before)) or ("" if wanted or guard.force else "the command printed no entry"),
    )
    if not outcome.refused and not dry_run and (outcome.added or outcome.changed or outcome.removed or not old.strip()):
        _replace(path, target, lines)
    return outcome


def _replace(path: Path, target: Target, lines: Lines) -> None:
    """As a whole, flushed and renamed, with the rights of the one before. Raises UnableError."""
    rows = [f"{one.key}  {', '.join(one.values)}".rstrip() for one in sorted(lines.items, key=lambda item: item.key)]
    text = "\n".join([f"# kept by: tidegate list sync {target.called}", *rows, ""])
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with open(draft, "xb") as file:
            file.write(text.encode("utf-8", "surrogateescape"))
            file.flush()
            _same_rights(path, file.fileno())
            os.fsync(file.fileno())
        os.replace(draft, path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise UnableError(f"{path}: {error.strerror}; nothing was changed") from error


def _same_rights(path: Path, descriptor: int) -> None:
    try:
        before = path.stat()
    except FileNotFoundError:
        os.fchmod(descriptor, 0o644)
        return
    os.fchmod(descriptor, before.st_mode & 0o777)
    with contextlib.suppress(PermissionError):  # it stays ours, and as readable as it was
        os.fchown(descriptor, before.st_uid, before.st_gid)


def _file_target(name: str, form: str, config: str) -> Target:
    """The list of the policies on disk; its type tells how lines are read. Raises UnableError."""
    site = find_site(config)
    settings = site.settings
    conventions = Conventions(settings.default_realm, settings.recipient_delimiter) if settings else Conventions()
    if not form and settings is not None:
        with contextlib.suppress(UnableError):  # the type is asked for below
            known = load(settings.policies, conventions).generation.list(name)
            form = "" if known is None else ("logins" if name == "logins" else known.kind.value)
    if not form:
        raise UnableError(f"no policy here knows the list {safe(name, 80)}; say what it holds with --type")
    if form not in FORMS:
        raise UnableError(f"a list of type {form} is not kept in step with anything")
    return Target(name, name, EntryReader(form, conventions))


def _below(path: str, config: str) -> Path:
    """The file; one without a directory before it stands in the policy directory."""
    site = find_site(config)
    return Path(path) if os.path.isabs(path) or site.settings is None else Path(site.settings.policies) / path


def _values(outcome: Outcome) -> dict[str, Any]:
    return {name: getattr(outcome, name) for name in Outcome.__slots__}


def _finish(target: Target, outcome: Outcome, as_json: bool, *, dry_run: bool, waited: Any = None) -> None:
    if as_json:
        told = {"list": target.called, **_values(outcome), "dry_run": dry_run}
        emit(told if waited is None else {**told, "wait": waited.document()})
    elif outcome.refused:
        click.echo(safe(f"{target.called}: refused: {outcome.refused}"), err=True)
    else:
        would = "would be " if dry_run else ""
        counts = f"{outcome.added} {would}added, {outcome.changed} {would}changed, {outcome.removed} {would}removed"
        click.echo(safe(f"{target.called}: {counts}; {outcome.entries} entries"))
        if waited is not None:
            click.echo(safe(waited.text()))
    sys.exit(1 if outcome.refused or (waited is not None and waited.seconds is None) else 0)
