"""`tidegate check [DIR]`: every problem of a policy directory, by the code that the daemon loads it with."""

from __future__ import annotations

import sys
import time

import click

from tidegate import image
from tidegate.cli.output import emit, errors, problem_document, show
from tidegate.loader.sources import problems as directory_problems
from tidegate.loader.sources import read_directory, read_file
from tidegate.model import Conventions, EntryState, Loaded, Problem
from tidegate.policy.load import load


@click.command()
@click.argument("directory", default="/etc/tidegate/policies", type=click.Path(exists=True, file_okay=False))
@click.option("--default-realm", default="", help="Completes logins without @, as in the settings.")
@click.option("--recipient-delimiter", default="", help="As in the settings.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def check(directory: str, default_realm: str, recipient_delimiter: str, as_json: bool) -> None:
    """Name every problem in DIRECTORY, with its place and its cure.

    Exit codes: 0 everything is in force as written; 1 something is not; 2 it can't be looked at.
    """
    found = read_directory(directory)
    if found.error:
        click.echo(f"tidegate: {directory}: {found.error}", err=True)
        sys.exit(2)
    if sys.stderr.isatty():
        click.echo(f"reading {len(found.sources)} files …", err=True)
    conventions = Conventions(default_realm, recipient_delimiter)
    loaded = load(found.sources, lambda name: read_file(directory, name), conventions, time.time())
    problems: tuple[Problem, ...] = (*directory_problems(found), *loaded.problems)
    unkeyed = _unkeyed(loaded)
    rules = sum(rule.state is not EntryState.SKIPPED for rule in loaded.rules)
    if as_json:
        emit(
            {
                "rules": rules,
                "lists": len(loaded.lists),
                "rules_without_key": unkeyed,
                "entries": [{"entry": str(one.key), "state": one.state.value} for one in loaded.entries],
                "problems": [problem_document(one) for one in problems],
            }
        )
    else:
        show(problems)
        click.echo(
            f"{len(found.sources)} files, {rules} rules, {len(loaded.lists)} lists: "
            f"{errors(problems)} errors, {len(problems) - errors(problems)} remarks"
        )
        if unkeyed:
            click.echo(f"looked at for every message, because no test selects them: {', '.join(unkeyed[:20])}")
    sys.exit(1 if errors(problems) else 0)


def _unkeyed(loaded: Loaded) -> list[str]:
    """The ids of the rules that the index can't select by a value."""
    generation = image.Generation(image.build(loaded, 1))
    return [generation.rule(number).id for number in generation.index.unkeyed]
