"""`tidegate policy push DIR` and `export DIR`: all that Redis holds as files, one for each entry, and back.

Promises: what is exported and pushed again is the same manifest, with the same digest. An export goes into an empty
folder only.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import click

from tidegate.cli.output import UnableError, emit, safe
from tidegate.cli.policy.candidate import Cut, cut
from tidegate.cli.policy.committing import Why, refuse
from tidegate.cli.policy.preview import Preview, previewing
from tidegate.cli.policy.put import change_to, saying, why_of
from tidegate.cli.policy.session import Asked, asking, session, standing
from tidegate.loader.report import key_from
from tidegate.loader.sources import problems, read_directory
from tidegate.model import EntryKey, Severity
from tidegate.revisions import EMPTY

TOMBSTONES = "removed.txt"
"""The file of an export that names what is removed, a `KIND ID` on each line."""


@click.command()
@click.argument("directory", type=click.Path())
@saying
@previewing
@asking
def push(directory: str, preview: Preview, why: Why, asked: Asked) -> None:
    """Make Redis hold exactly what the policy files of DIRECTORY hold: what is not there is forgotten.

    A file `removed.txt` in it, as `export` writes it, names entries of policy files that are switched off.

    Exit codes: 0 stored, or Redis holds the same; 1 something is wrong with it, or somebody else was faster; 2 it could
    not be done.
    """
    with session(asked) as opened:
        found = read_directory(directory)
        if found.error:
            raise UnableError(found.error)
        cuts = []
        told = [*problems(found)]
        for source in found.sources:
            if source.error:
                raise UnableError(f"{source.name}: {source.error}")
            cuts.append(cut(source.name, source.data))
            told += cuts[-1].problems
        if any(one.severity is Severity.ERROR for one in told):
            refuse(told, asked.as_json, opened.environment)
        _told_once(cuts)
        stands = standing(opened)
        named = [one for each in cuts for one in each.named]
        after = EMPTY.edited(named, _tombstones(Path(directory) / TOMBSTONES))
        if not named and not after.removed:
            raise UnableError(f"{directory} holds no entry; tidegate policy rollback 0 takes all out of Redis")
        change_to(opened, stands, after, why_of(why, "push"), asked, cuts, preview)


def _told_once(cuts: list[Cut]) -> None:
    """An id that stands in two files is in neither. Raises UnableError."""
    homes: dict[EntryKey, str] = {}
    for one in cuts:
        for document in one.documents:
            other = homes.setdefault(document.key, one.name)
            if other != one.name:
                raise UnableError(f"{document.key} stands in {other} and in {one.name}")


def _tombstones(path: Path) -> list[EntryKey]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise UnableError(f"{path}: it can't be read") from error
    keys = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        try:
            keys += [key_from(text)] if text else []
        except ValueError:
            raise UnableError(f"{path}:{number}: write KIND ID, such as `rule stop`") from None
    return keys


@click.command()
@click.argument("directory", type=click.Path())
@asking
def export(directory: str, asked: Asked) -> None:
    """Write what Redis holds into DIRECTORY, which has to be empty or new: a policy file for each entry.

    Exit codes: 0 done; 2 it could not be done.
    """
    with session(asked) as opened:
        stands = standing(opened)
        manifest = stands.manifest(time.time())
        folder = Path(directory)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise UnableError(f"{directory} is not empty: an export goes into an empty folder")
            for key, sha in manifest.shas.items():
                _write(folder / f"{key.kind.value}-{key.id}.yaml", stands.content.texts[sha])
            if manifest.removed:
                _write(folder / TOMBSTONES, "".join(f"{key}\n" for key in manifest.removed))
        except OSError as error:
            raise UnableError(f"{error.filename or directory}: {error.strerror}") from error
        if asked.as_json:
            emit({
                "environment": opened.environment,
                "revision": stands.number,
                "manifest": manifest.digest(),
                "entries": [str(key) for key in manifest.shas],
                "removed": [str(key) for key in manifest.removed],
            })  # fmt: skip
        else:
            line = f"revision {stands.number} of {opened.environment}: {len(manifest.entries)} entries in {directory}"
            click.echo(safe(line))


def _write(path: Path, text: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "w", encoding="utf-8") as file:
        file.write(text)
