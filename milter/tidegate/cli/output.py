"""What the commands share: how problems are printed, what is fit for a terminal, and JSON."""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Sequence
from typing import IO, Any

import click

from tidegate.model import Problem, Severity
from tidegate.policy.render import render


class UnableError(click.ClickException):
    """The command could not do its work; the text says why."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"tidegate: {safe(self.message)}", file=file, err=file is None)


def emit(document: Any) -> None:
    """One JSON document on standard output, whatever that can show."""
    utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    click.echo(json.dumps(document, indent=2, ensure_ascii=not utf8))


def safe(text: str, limit: int = 0) -> str:
    """Whatever a message, a log or a file holds, made fit for a terminal; cut at `limit` characters, 0: never."""
    cut = text[:limit] if limit else text
    shown = "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in cut)
    return f"{shown}…" if len(cut) < len(text) else shown


def person() -> str:
    """Who runs this command, also behind sudo: for what is put on record."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def show(problems: Sequence[Problem]) -> None:
    """Each problem with its source line and its cure, for a terminal."""
    for problem in problems:
        click.echo(render(problem))
        click.echo()


def errors(problems: Sequence[Problem]) -> int:
    """How many of them keep an entry from being in force as written."""
    return sum(problem.severity is Severity.ERROR for problem in problems)
