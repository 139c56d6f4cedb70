"""What the commands share: how problems are printed, and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from tidegate.model import Problem, Severity
from tidegate.policy.render import render


def emit(document: Any) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def problem_document(problem: Problem) -> dict[str, Any]:
    """A problem for `--json`."""
    place = problem.place
    return {
        "code": problem.code,
        "severity": problem.severity.name.lower(),
        "message": problem.message,
        "source": place.source,
        "line": place.line,
        "column": place.column,
        "end_column": place.end_column,
        "entry": str(problem.entry) if problem.entry else "",
        "cure": problem.cure,
    }


def show(problems: Sequence[Problem]) -> None:
    """Each problem with its source line and its cure, for a terminal."""
    for problem in problems:
        click.echo(render(problem))
        click.echo()


def errors(problems: Sequence[Problem]) -> int:
    """How many of them keep an entry from being in force as written."""
    return sum(problem.severity is Severity.ERROR for problem in problems)
