"""`tidegate policy edit ID`: one entry in an editor, checked before it is stored; what was typed is never lost."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from tidegate.cli.completion import entry_ids
from tidegate.cli.output import UnableError, safe, show
from tidegate.cli.policy.candidate import Cut, check, cut
from tidegate.cli.policy.committing import Edition, Why, commit, lost, nothing_to_do, refuse
from tidegate.cli.policy.look import text_of
from tidegate.cli.policy.put import saying, why_of
from tidegate.cli.policy.session import (
    Asked,
    Session,
    Standing,
    asking,
    must_be_confirmed,
    must_not_be_behind,
    session,
    standing,
)
from tidegate.cli.policy.signing import must_have_key
from tidegate.cli.policy.waiting import finish
from tidegate.model import EntryKey
from tidegate.store.revisions import Conflict

_TRIES = 5  # times that somebody else may be faster, with other entries


@click.command()
@click.argument("name", metavar="ID", shell_complete=entry_ids)
@saying
@asking
def edit(name: str, why: Why, asked: Asked) -> None:
    """Edit one entry in $VISUAL or $EDITOR: the one in Redis, or else that of a policy file, which it then overrides.

    When the editor ends the text is checked. If something is wrong you are told, and the editor opens again, or not, as
    you like; what you typed is then kept in a file that is named. Where somebody else changed the same entry meanwhile,
    nothing is stored either.

    Exit codes: 0 stored, or nothing was changed; 1 it was not stored; 2 it could not be done.
    """
    with session(asked) as opened:
        stands = standing(opened)
        must_have_key(opened.settings, why.key)
        must_not_be_behind(opened, stands)
        must_be_confirmed(stands, time.time())
        key, text = text_of(opened, stands, name)
        draft = _Draft(key, text)
        try:
            _edit(opened, stands, draft, why_of(why, "edit"), asked)
        except BaseException:
            draft.keep()
            raise
        draft.discard()


class _Draft:
    """The file in the editor."""

    def __init__(self, key: EntryKey, text: str) -> None:
        self.key = key
        self.text = text
        handle, path = tempfile.mkstemp(prefix=f"tidegate-{key.kind.value}-{key.id}-", suffix=".yaml")
        self.path = Path(path)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)

    def open(self) -> bytes:
        """Have it edited; the bytes that were left. Raises UnableError."""
        command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or ""
        if not command and not sys.stdin.isatty():
            raise UnableError("an editor needs a terminal; without one, tidegate policy put FILE, or set $EDITOR")
        command = command or "sensible-editor"
        try:
            ended = subprocess.run([*shlex.split(command), str(self.path)], check=False).returncode
        except (OSError, ValueError) as error:
            raise UnableError(f"the editor {safe(command, 80)} can't be run: {error}") from error
        if ended:
            raise UnableError(f"the editor {safe(command, 80)} ended with {ended}: nothing was stored")
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise UnableError(f"{self.path}: {error.strerror}") from error

    def changed(self) -> bool:
        """Did anybody type anything?"""
        try:
            return self.path.read_bytes() != self.text.encode()
        except OSError:
            return False

    def keep(self) -> None:
        """Say where it lies, if something was typed."""
        if self.changed():
            click.echo(safe(f"your text is kept in {self.path}; tidegate policy put stores it"), err=True)
        else:
            self.discard()

    def discard(self) -> None:
        """It is stored, or nothing was typed."""
        self.path.unlink(missing_ok=True)


def _edit(opened: Session, stands: Standing, draft: _Draft, why: Why, asked: Asked) -> None:
    while True:
        data = draft.open()
        if data == draft.text.encode():
            nothing_to_do(stands, opened.environment, asked.as_json)
            return
        found = cut(str(draft.path), data)
        problems = found.problems
        if not found.broken and [one.key for one in found.documents] != [draft.key]:
            raise UnableError(f"the text has to hold {draft.key} and nothing else; tidegate policy put takes any file")
        if not found.broken:
            now = time.time()
            before = stands.manifest(now)
            checked = check(
                opened, before, before.edited(found.named), {**stands.content.texts, **found.texts}, [found]
            )
            if not checked.broken:
                _store(opened, stands, draft, found, why, asked)
                return
            problems = checked.problems
        if asked.as_json:  # a program reads it: nobody is there to try again
            refuse(problems, True, opened.environment)
        show(problems)
        if not _again():
            click.echo("nothing was stored")
            raise click.exceptions.Exit(1)


def _again() -> bool:
    try:
        return click.confirm("Edit it again?", default=True, err=True)
    except click.Abort:
        return False  # nobody is there to be asked


def _store(opened: Session, stands: Standing, draft: _Draft, found: Cut, why: Why, asked: Asked) -> None:
    """Commit it; on top of what others did to other entries meanwhile, too."""
    for _ in range(_TRIES):
        now = time.time()
        must_be_confirmed(stands, now)
        before = stands.manifest(now)
        after = before.edited(found.named)
        checked = check(opened, before, after, {**stands.content.texts, **found.texts}, [found])
        if checked.broken:
            refuse(checked, asked.as_json, opened.environment)
        revision = stands.content.revision
        edition = Edition(why, stands.head, before, after, found.texts, revision.expect if revision else ())
        ended = commit(opened, edition, now)
        if not isinstance(ended, Conflict):
            finish(opened, ended, edition, checked, asked.as_json)
            return
        fresh = standing(opened)
        if fresh.manifest(now).shas.get(draft.key) != before.shas.get(draft.key):
            lost(ended, edition, opened.environment, asked.as_json)
        stands = fresh
    raise UnableError("others change this policy all the time: try again")
