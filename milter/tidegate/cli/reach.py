"""Finds the running daemon of a settings file and asks it: what `status`, `confirm` and `reload` share.

A daemon runs with the last good settings where the written ones are broken, so both states are tried. Refuses to guess:
where nobody answers, it says whom it asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import IO, Any, TypeVar

import click

from tidegate.control import UnreachableError, ask

CONFIG = "/etc/tidegate/tidegate.yaml"
Command = TypeVar("Command", bound=Callable[..., Any])


class UnansweredError(click.ClickException):
    """The command could not do its work; the text says why."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"tidegate: {self.message}", file=file, err=file is None)


def daemon_options(command: Command) -> Command:
    """The options that name a daemon."""
    state = click.option("--state", default="", help="Its state directory, instead of the one that the settings name.")
    config = click.option("--config", default=CONFIG, show_default=True, help="The settings file.")
    return config(state(command))


def ask_daemon(config: str, state: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """The daemon's answer. Raises UnansweredError where none answers, or where it refuses."""
    reasons = []
    for place in [state] if state else _states(config):
        try:
            answer = ask(place, request)
        except UnreachableError as error:
            reasons.append(str(error))
            continue
        if "error" in answer:
            raise UnansweredError(str(answer["error"]))
        return answer
    raise UnansweredError(f"no daemon answers: {'; '.join(reasons)}")


def _states(config: str) -> list[str]:
    """Where the daemon of this settings file has its state: as written, as last good."""
    from tidegate.settings import Settings, recall
    from tidegate.supervisor.boot import read_settings

    settings, named = read_settings(config)
    states = [settings.state if isinstance(settings, Settings) else named]
    recorded = recall(config, states)
    if recorded:
        states.append(recorded.settings.state)
    return [state for state in dict.fromkeys(states) if state] or ["/var/lib/tidegate"]
