"""`tidegate list`: live lists in Redis, edited while mail flows; and files or lists kept in step with another source.

Each command is in the file of its family; what they share is in session.py. `tidegate suspend` and `tidegate release`
are two of them by shorter names.
"""

from __future__ import annotations

import click

from tidegate.cli.lists import change, look, short
from tidegate.cli.lists.sync import sync


@click.group(name="list", context_settings={"help_option_names": ["-h", "--help"]})
def lists() -> None:
    """Edit live lists: who is suspended, who is exempt, which networks are ours.

    What a policy names as `redis: NAME` is kept in Redis; entries are in force on all hosts within seconds, without a
    load and without a canary. A list is named as in the policy, or as in Redis.
    """


for command in (change.add, change.rm, change.create, change.import_, look.show, look.lists, look.confirm, sync):
    lists.add_command(command)

suspend, release = short.suspend, short.release

__all__ = ["lists", "release", "suspend"]
