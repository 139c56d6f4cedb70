"""`tidegate check [DIR]`: every problem of the settings and of a policy directory, by the code that the daemon uses."""

from __future__ import annotations

import sys

import click

from tidegate.cli.confined import Opened, load
from tidegate.cli.output import emit, errors, show
from tidegate.cli.site import POLICIES, Site, conventions, policy_options, site_if_there
from tidegate.loader.report import entry_document, problem_document
from tidegate.model import Problem

_NAMED = 20
"""Rules without a key that are named."""


@click.command()
@click.argument("directory", required=False, type=click.Path())
@policy_options
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def check(
    directory: str | None, config: str, default_realm: str | None, recipient_delimiter: str | None, as_json: bool
) -> None:
    """Name every problem, with its place and its cure.

    DIRECTORY is a policy directory, or one file of it; left out, the settings file is checked too, and the directory
    is the one that it names.

    Exit codes: 0 everything is in force as written; 1 something is not; 2 it can't be looked at.
    """
    site = site_if_there(config)
    problems = site.problems if site and directory is None else ()
    place = directory if directory is not None else (site.settings.policies if site and site.settings else POLICIES)
    if site and directory is None and site.settings is None:
        _tell(place, problems, None, as_json)
        sys.exit(1)
    redis = site is None or site.settings is None or bool(site.settings.redis)
    opened = load(place, conventions(site, default_realm, recipient_delimiter), redis=redis)
    problems = (*problems, *opened.problems)
    _tell(place, problems, opened, as_json, site if directory is None else None)
    sys.exit(1 if errors(problems) else 0)


def _tell(
    place: str, problems: tuple[Problem, ...], opened: Opened | None, as_json: bool, site: Site | None = None
) -> None:
    unkeyed = [opened.generation.rule(one).id for one in opened.generation.index.unkeyed] if opened else []
    counts = opened.report.counts if opened else {}
    if as_json:
        emit(
            {
                "settings": site.config if site else "",
                "policies": place if opened else "",
                "files": counts.get("files", 0),
                "rules": counts.get("rules", 0),
                "lists": counts.get("lists", 0),
                "rules_without_key": unkeyed,
                "entries": [entry_document(one) for one in (opened.report.entries if opened else ())],
                "problems": [problem_document(one) for one in problems],
            }
        )
        return
    show(problems)
    if opened:
        click.echo(f"{place}: {counts['files']} files, {counts['rules']} rules, {counts['lists']} lists")
        if unkeyed:
            some = ", ".join(unkeyed[:_NAMED]) + (", …" if len(unkeyed) > _NAMED else "")
            click.echo(f"{len(unkeyed)} rules are looked at for every message, because no test selects them: {some}")
    else:
        click.echo("no settings can be used, so no policies were looked at; name a directory to check them alone")
    click.echo(f"{errors(problems)} errors, {len(problems) - errors(problems)} remarks")
