"""`tidegate policy rm ID...`: entries are off; what a file holds is switched off by a tombstone."""

from __future__ import annotations

import time

import click

from tidegate.cli.completion import entry_ids
from tidegate.cli.output import UnableError
from tidegate.cli.policy.candidate import look
from tidegate.cli.policy.committing import Why
from tidegate.cli.policy.preview import Preview, previewing
from tidegate.cli.policy.put import change_to, saying, why_of
from tidegate.cli.policy.session import Asked, asking, keys_named, session, standing


@click.command()
@click.argument("names", metavar="ID...", nargs=-1, required=True, shell_complete=entry_ids)
@saying
@previewing
@click.option("--uncover", is_flag=True, help="Only what Redis says of them: the files' entries count again.")
@asking
def rm(names: tuple[str, ...], uncover: bool, preview: Preview, why: Why, asked: Asked) -> None:
    """Take entries out of force.

    An entry that stands in a policy file too is switched off by a tombstone in Redis, on all machines, and stays off
    until somebody puts it again; with --uncover Redis forgets the entry and its tombstone, and the file's counts again.

    Exit codes: 0 stored; 1 something else would break, or somebody else was faster; 2 it could not be done.
    """
    with session(asked) as opened:
        stands = standing(opened)
        before = stands.manifest(time.time())
        held = [*before.shas, *before.removed]
        if uncover:
            after = before.edited(forgotten=keys_named(names, held))
        else:
            report = look(opened, before, stands.content.texts).report
            files = [one.key for one in report.entries if one.overrides or one.key not in held]
            keys = keys_named(names, [*dict.fromkeys([*files, *held])])
            if all(key in before.removed for key in keys):
                raise UnableError(f"{', '.join(map(str, keys))}: it is off already")
            after = before.edited(
                removed=[key for key in keys if key in files or key in before.removed],
                forgotten=[key for key in keys if key not in files and key not in before.removed],
            )
        change_to(opened, stands, after, why_of(why, "uncover" if uncover else "rm"), asked, [], preview)
