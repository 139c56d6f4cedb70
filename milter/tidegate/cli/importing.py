"""`tidegate import`: rules of other filters as policies of ours, on standard output or in a file.

Promises: what is written has gone through the daemon's own reader; what could not be translated is named with its line,
stands in the file as a comment, and makes the exit code 1. Refuses to write over a file.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from tidegate.cli.confined import load
from tidegate.cli.output import UnableError, emit, errors, safe
from tidegate.importing import Imported, access, policyd, postfwd, rspamd, text_of
from tidegate.importing.accesskeys import Subject
from tidegate.loader.report import problem_document
from tidegate.model import Conventions, Problem
from tidegate.policy.render import render
from tidegate.postfix import UnreadableError
from tidegate.postfix.tables import INDEXED, logical_lines, pairs_of, split_pair

_LARGEST = 64 << 20  # bytes
_SUBJECTS = [one.value for one in Subject]
_TABLES = (*INDEXED, "texthash", *access.ORDERED)
Command = TypeVar("Command", bound=Callable[..., Any])


@click.group(name="import")
def import_() -> None:
    """Write the rules of another filter as a policy.

    The policy goes to standard output, or to a new file. Where the meaning differs a comment says how; what can't be
    said at all is named.

    Exit codes: 0 everything is translated; 1 something is not; 2 it could not be done.
    """


def _options(command: Command) -> Command:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="As JSON."),
        click.option("--shadow", is_flag=True, help="With every rule in shadow: judged and logged, without effect."),
        click.option("--output", type=click.Path(), default="", help="A new file, instead of standard output."),
    ):
        command = option(command)
    return command


@import_.command(name="postfix-access")
@click.argument("file", type=click.Path())
@click.option(
    "--as",
    "subject",
    type=click.Choice(_SUBJECTS),
    required=True,
    help="What the table is asked about.",
)
@click.option(
    "--table", type=click.Choice(_TABLES), default="texthash", show_default=True, help="The type of the table."
)
@_options
def postfix_access(file: str, subject: str, table: str, output: str, shadow: bool, as_json: bool) -> None:
    """A Postfix access table: its FILE, as check_sender_access and its like are given it."""
    try:
        if table in INDEXED:
            lines = [(0, key, action) for key, action in pairs_of(f"{table}:{file}")]
        else:
            lines = [(number, *split_pair(line)) for number, line in logical_lines(_read(file))]
    except UnreadableError as error:
        raise UnableError(str(error)) from error
    _tell(access.imported(lines, Subject(subject), table), file, output, shadow, as_json)


@import_.command(name="postfwd")
@click.argument("file", type=click.Path())
@_options
def postfwd_(file: str, output: str, shadow: bool, as_json: bool) -> None:
    """A postfwd ruleset: FILE, with the files of items that it names."""
    _tell(postfwd.imported(_read(file), _read_beside), file, output, shadow, as_json)


@import_.command(name="rspamd-ratelimit")
@click.argument("file", type=click.Path())
@_options
def rspamd_ratelimit(file: str, output: str, shadow: bool, as_json: bool) -> None:
    """rspamd's ratelimit module: FILE is its local.d/ratelimit.conf."""
    _tell(rspamd.imported(_read(file)), file, output, shadow, as_json)


@import_.command(name="policyd-rate-limit")
@click.argument("file", type=click.Path())
@_options
def policyd_rate_limit(file: str, output: str, shadow: bool, as_json: bool) -> None:
    """policyd-rate-limit: FILE is its policyd-rate-limit.yaml."""
    _tell(policyd.imported(_read(file)), file, output, shadow, as_json)


def _read(path: str) -> str:
    """Raises UnableError."""
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise UnableError(f"{path}: {error.strerror}") from error
    if len(data) > _LARGEST:
        raise UnableError(f"{path}: it is larger than {_LARGEST} bytes")
    return data.decode("utf-8", "replace")


def _read_beside(path: str) -> str | None:
    """A file that a ruleset names; None where it can't be read."""
    try:
        return _read(path)
    except UnableError:
        return None


def _tell(imported: Imported, file: str, output: str, shadow: bool, as_json: bool) -> None:
    text = text_of(imported, os.path.basename(file), shadow)
    problems = _problems(text)
    if output:
        _write(output, text)
    if as_json:
        emit(
            {
                "policy": text,
                "rules": len(imported.rules),
                "remarks": imported.remarks,
                "untranslated": [{"line": one.line, "text": one.text, "why": one.why} for one in imported.untranslated],
                "problems": [problem_document(one) for one in problems],
            }
        )
    else:
        if not output:
            click.echo(text, nl=False)
        for one in imported.untranslated:
            click.echo(safe(f"{file}:{one.line}: not translated: {one.why}: {one.text}"), err=True)
        for problem in problems:
            click.echo(render(problem), err=True)
        _count(imported, problems)
    sys.exit(1 if imported.untranslated or errors(problems) else 0)


def _count(imported: Imported, problems: tuple[Problem, ...]) -> None:
    click.echo(
        f"{len(imported.rules)} rules, {len(imported.untranslated)} not translated, {errors(problems)} errors", err=True
    )


def _problems(text: str) -> tuple[Problem, ...]:
    """What the daemon's reader says of the policy: patterns that our engine can't run, for example."""
    with tempfile.TemporaryDirectory(prefix="tidegate-") as aside:
        Path(aside, "imported.yaml").write_text(text, "utf-8", "surrogateescape")
        return load(aside, Conventions()).problems


def _write(output: str, text: str) -> None:
    try:
        with open(output, "x", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
    except OSError as error:
        raise UnableError(f"{output}: {error.strerror}") from error
