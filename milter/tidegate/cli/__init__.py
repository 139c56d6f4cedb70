"""The doors for people: one file per command, and this table of them.

Exit codes, the same for all commands: 0 fine, 1 findings (degraded, problems, a failed test), 2 the command could not
do its work (usage, nobody answers). `run` has those of sysexits.h: 75 try again, 78 the settings.
"""

from __future__ import annotations

import click

import tidegate
from tidegate.cli import streams
from tidegate.cli.table import Rows, Table

SECTIONS: dict[str, Rows] = {
    "Run it, and look at it": {
        "run": ("tidegate.cli.run", "run", "Run the daemon."),
        "status": ("tidegate.cli.status", "status", "What is in force, and what is wrong."),
        "fleet": ("tidegate.cli.fleet", "fleet", "What each daemon has of the policy in Redis."),
        "doctor": ("tidegate.cli.doctor", "doctor", "Look at the whole installation."),
        "why": ("tidegate.cli.why", "why", "What happened to one message."),
        "exposure": ("tidegate.cli.exposure", "exposure", "What rules let pass while they were not in force."),
        "alerts": ("tidegate.cli.alerts", "alerts", "Which alerts stand, and who is told."),
        "completion": ("tidegate.cli.completion", "completion", "The completion script of a shell."),
    },
    "Write a policy, and try it": {
        "init": ("tidegate.cli.init", "init", "Write a first policy, all in shadow."),
        "import": ("tidegate.cli.importing", "import_", "Write the rules of another filter as a policy."),
        "check": ("tidegate.cli.check", "check", "Name every problem of settings and policies."),
        "test": ("tidegate.cli.test", "test", "Try the examples of policies, and scenario files."),
        "explain": ("tidegate.cli.explain", "explain", "What every rule makes of one message."),
        "replay": ("tidegate.cli.replay", "replay", "What a candidate makes of the last days' mail."),
        "shadow-report": ("tidegate.cli.shadow", "shadow_report", "What the rules in shadow would have done."),
        "fields": ("tidegate.cli.fields", "fields", "What a rule can ask for."),
        "schema": ("tidegate.cli.fields", "schema", "The JSON Schema of policy files."),
    },
    "Put it into use": {
        "apply": ("tidegate.cli.apply", "apply", "Put a whole policy directory into use."),
        "reload": ("tidegate.cli.confirm", "reload", "Load the policies now."),
        "confirm": ("tidegate.cli.confirm", "confirm", "What is missing is meant to be gone."),
        "brake": ("tidegate.cli.brake", "brake", "Take rules back for a while."),
        "policy": ("tidegate.cli.policy", "policy", "Edit the policy in Redis while mail flows."),
        "key": ("tidegate.cli.key", "key", "Keys that sign the policy in Redis."),
    },
    "People, limits and held mail": {
        "list": ("tidegate.cli.lists", "lists", "Edit live lists: who is suspended, exempt, ours."),
        "suspend": ("tidegate.cli.lists", "suspend", "Put a login on the list of those that are suspended."),
        "release": ("tidegate.cli.lists", "release", "Take a login off it again."),
        "limits": ("tidegate.cli.limits", "limits", "What is counted of whom; reset it, or grant more."),
        "held": ("tidegate.cli.held", "held", "Messages that rules hold: list, release, drop."),
        "forget": ("tidegate.cli.forget", "forget", "Purge what is held of one login."),
    },
    "Postfix": {
        "postfix": ("tidegate.cli.postfix", "postfix", "Put us in front of Postfix, or name what goes past us."),
    },
}
COMMANDS = {name: row for rows in SECTIONS.values() for name, row in rows.items()}


@click.group(cls=Table, sections=SECTIONS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(tidegate.__version__, prog_name="tidegate")
def main() -> None:
    """Tidegate: an outbound mail policy milter for Postfix that cannot take your mail down.

    Every command says more with --help, and prints for programs with --json. Exit codes: 0 fine, 1 findings, 2 it could
    not be done.
    """


def door() -> None:
    """The command `tidegate`."""
    streams.prepare()
    streams.guarded(lambda: main(prog_name="tidegate"))
