"""The doors for people: one file per command, and this table of them.

Exit codes, the same for all commands: 0 fine, 1 findings (degraded, problems, a failed test), 2 the command could not
do its work (usage, nobody answers). `run` has those of sysexits.h: 75 try again, 78 the settings.
A command's module is imported when the command is used, so that one that needs a library does not cost the others.
"""

from __future__ import annotations

from importlib import import_module

import click

import tidegate
from tidegate.cli import streams

# command: (module, function, one line for the list of commands)
COMMANDS: dict[str, tuple[str, str, str]] = {
    "run": ("tidegate.cli.run", "run", "Run the daemon."),
    "init": ("tidegate.cli.init", "init", "Write a first policy, all in shadow."),
    "import": ("tidegate.cli.importing", "import_", "Write the rules of another filter as a policy."),
    "check": ("tidegate.cli.check", "check", "Name every problem of settings and policies."),
    "test": ("tidegate.cli.test", "test", "Try the examples of policies, and scenario files."),
    "replay": ("tidegate.cli.replay", "replay", "What a candidate would have made of the mail of the last days."),
    "explain": ("tidegate.cli.explain", "explain", "What every rule makes of one message."),
    "policy": ("tidegate.cli.policy", "policy", "Edit the policy in Redis while mail flows."),
    "key": ("tidegate.cli.key", "key", "Keys that sign the policy in Redis."),
    "fields": ("tidegate.cli.fields", "fields", "What a rule can ask for."),
    "schema": ("tidegate.cli.fields", "schema", "The JSON Schema of policy files."),
    "why": ("tidegate.cli.why", "why", "What happened to one message."),
    "status": ("tidegate.cli.status", "status", "What is in force, and what is wrong."),
    "fleet": ("tidegate.cli.fleet", "fleet", "What each daemon has of the policy in Redis."),
    "shadow-report": ("tidegate.cli.shadow", "shadow_report", "What the rules in shadow would have done."),
    "exposure": ("tidegate.cli.exposure", "exposure", "What rules let pass while they were not in force."),
    "forget": ("tidegate.cli.forget", "forget", "Purge what is held of one login."),
    "limits": ("tidegate.cli.limits", "limits", "What is counted of whom; reset it, or grant more."),
    "alerts": ("tidegate.cli.alerts", "alerts", "Which alerts stand, and who is told."),
    "apply": ("tidegate.cli.apply", "apply", "Put a whole policy directory into use."),
    "reload": ("tidegate.cli.confirm", "reload", "Load the policies now."),
    "confirm": ("tidegate.cli.confirm", "confirm", "What is missing is meant to be gone."),
    "brake": ("tidegate.cli.brake", "brake", "Take rules back for a while."),
    "list": ("tidegate.cli.lists", "lists", "Edit live lists: who is suspended, exempt, ours."),
    "suspend": ("tidegate.cli.lists", "suspend", "Put a login on the list of those that are suspended."),
    "release": ("tidegate.cli.lists", "release", "Take it off again."),
    "held": ("tidegate.cli.held", "held", "Messages that rules hold: list, release, drop."),
    "postfix": ("tidegate.cli.postfix", "postfix", "Put us in front of Postfix, or name what goes past us."),
    "doctor": ("tidegate.cli.doctor", "doctor", "Look at the whole installation."),
    "completion": ("tidegate.cli.completion", "completion", "The completion script of a shell."),
}


class _Table(click.Group):
    """Commands from the table above."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        row = COMMANDS.get(cmd_name)
        if row is None:
            return None
        command = getattr(import_module(row[0]), row[1])
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, row[2]) for name, row in COMMANDS.items()])


@click.group(cls=_Table, context_settings={"help_option_names": ["-h", "--help"]})
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
