"""`tidegate policy`: the policy that is kept in Redis, edited while mail flows. One file per kind of command, and this
table of them.

Every change goes the same way: read (documents.py of the policy room) → checked with its examples, beside what it will
live with (candidate.py) → stored, and the head moved by compare-and-set (committing.py).
"""

from __future__ import annotations

import click

from tidegate.cli.table import Rows, Table

COMMANDS: Rows = {
    "put": ("tidegate.cli.policy.put", "put", "Put the entries of a file into force."),
    "edit": ("tidegate.cli.policy.edit", "edit", "Edit one entry in your editor."),
    "rm": ("tidegate.cli.policy.remove", "rm", "Take entries out of force."),
    "list": ("tidegate.cli.policy.look", "list_entries", "Which entries Redis holds, and what they override."),
    "show": ("tidegate.cli.policy.look", "show", "The text of one entry."),
    "diff": ("tidegate.cli.policy.look", "diff", "What lies between two revisions."),
    "promote": ("tidegate.cli.policy.promote", "promote", "Put what runs in one environment into the next."),
    "history": ("tidegate.cli.policy.past", "history", "The revisions: who, when, why."),
    "rollback": ("tidegate.cli.policy.past", "rollback", "Put an earlier revision into force again."),
    "confirm": ("tidegate.cli.policy.past", "confirm", "Keep a revision that would revert by itself."),
    "log": ("tidegate.cli.policy.past", "log", "The audit stream."),
    "push": ("tidegate.cli.policy.whole", "push", "Make Redis hold exactly what a folder holds."),
    "export": ("tidegate.cli.policy.whole", "export", "Write what Redis holds into a folder."),
}


@click.group(cls=Table, sections={"Commands": COMMANDS}, context_settings={"help_option_names": ["-h", "--help"]})
def policy() -> None:
    """Edit the policy of an environment in Redis.

    What Redis holds lies over the policy files, entry by entry: an entry there takes the place of the file's entry of
    the same kind and id, and a removed one is off. Each change is one revision, which is checked first, attributed, and
    undone with `rollback`.

    ID is the id of an entry, or KIND/ID where a rule, a list and a condition share it, as in list/suspended.
    """
