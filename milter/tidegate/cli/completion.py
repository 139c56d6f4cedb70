"""`tidegate completion SHELL`: the script that makes a shell complete commands and options; and what it completes with.

Promises: a completion never fails and never waits: where nothing can be known quickly, nothing is offered.
"""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from tidegate.control import UnreachableError, ask
from tidegate.settings.values import STATE

_PATIENCE = 1.0  # seconds; a person has pressed the tabulator
_PLACES = {
    "bash": "/etc/bash_completion.d/tidegate",
    "zsh": "/usr/local/share/zsh/site-functions/_tidegate",
    "fish": "/etc/fish/completions/tidegate.fish",
}


@click.command(
    epilog="\b\n" + "\n".join(f"tidegate completion {shell} > {place}" for shell, place in _PLACES.items()),
)
@click.argument("shell", type=click.Choice(list(_PLACES)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for SHELL."""
    found = get_completion_class(shell)
    assert found is not None, shell
    root = ctx.find_root().command
    click.echo(found(root, {}, "tidegate", "_TIDEGATE_COMPLETE").source())


def rule_ids(_context: click.Context, _parameter: click.Parameter, typed: str) -> list[str]:
    """The rules that the daemon of this machine has in force."""
    return [name for kind, name in _entries() if kind == "rule" and name.startswith(typed)]


def entry_ids(_context: click.Context, _parameter: click.Parameter, typed: str) -> list[str]:
    """Its entries of every kind: the id, or KIND/ID where that is what is typed."""
    found = _entries()
    return [text for kind, name in found for text in (name, f"{kind}/{name}") if typed and text.startswith(typed)] or [
        name for _, name in found if not typed
    ]


def _entries() -> list[tuple[str, str]]:
    try:
        entries = ask(STATE, {"do": "status"}, _PATIENCE).get("entries", ())
        keys = [str(entry["key"]).partition(" ") for entry in entries]
    except (UnreachableError, KeyError, TypeError):
        return []  # no daemon runs here, or this account may not ask it
    return [(kind, name) for kind, _, name in keys]


def field_names(_context: click.Context, _parameter: click.Parameter, typed: str) -> list[str]:
    """What a rule can ask for."""
    from tidegate.conditions.fields import FIELDS  # only where it is asked: each completion is a new process

    return [name for name in FIELDS if name.startswith(typed)]
