"""Finds the running daemon of a settings file and asks it: what `status`, `confirm` and `reload` share.

A daemon runs with the last good settings where the written ones are broken, so both states are tried. Refuses to guess:
where nobody answers, it says whom it asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from tidegate.cli.output import UnableError
from tidegate.cli.site import CONFIG, Site, find_site
from tidegate.control import UnreachableError, ask, ask_for_files

Command = TypeVar("Command", bound=Callable[..., Any])


def daemon_options(command: Command) -> Command:
    """The options that name a daemon."""
    state = click.option(
        "--state", type=click.Path(), default="", help="Its state directory, instead of the one that the settings name."
    )
    config = click.option("--config", type=click.Path(), default=CONFIG, show_default=True, help="The settings file.")
    return config(state(command))


class NobodyError(UnableError):
    """No daemon answers. `site` is what the settings say (None: a state directory was named); `states` were asked."""

    def __init__(self, reasons: tuple[str, ...], site: Site | None, states: tuple[str, ...], denied: bool) -> None:
        cure = "; ask as root, or as the account that it runs as" if denied else "; tidegate doctor looks why"
        super().__init__(f"no daemon answers: {'; '.join(reasons)}{cure}")
        self.site = site
        self.states = states
        self.denied = denied


@dataclass(frozen=True, slots=True)
class Daemon:
    """A daemon that answers, by its state directory."""

    state: str

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Its answer. Raises UnableError where it does not answer any more, or refuses."""
        try:
            answer = ask(self.state, request)
        except UnreachableError as error:
            raise UnableError(f"the daemon does not answer any more: {error}") from error
        if "error" in answer:
            raise UnableError(str(answer["error"]))
        return answer

    def ask_for_files(self, request: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[int, ...]]:
        """Its answer and the open files beside it, which the caller closes. Raises UnableError."""
        try:
            answer, files = ask_for_files(self.state, request)
        except UnreachableError as error:
            raise UnableError(f"the daemon does not answer any more: {error}") from error
        if "error" in answer:
            raise UnableError(str(answer["error"]))
        return answer, files

    def status(self, brief: bool = False) -> dict[str, Any]:
        """Its status document; `brief`: without entries, problems and alerts, for who asks often."""
        document = self.ask({"do": "status", "brief": brief})
        if not document.keys() >= {"version", "generation", "load", "workers"}:
            raise UnableError(f"{self.state}: what answers there is no daemon of ours")
        return document


def find_daemon(config: str, state: str) -> Daemon:
    """The daemon of these settings, or of this state directory. Raises NobodyError."""
    site = None if state else find_site(config)
    states = site.states if site else (state,)
    reasons: list[str] = []
    denied = False
    for place in states:
        try:
            ask(place, {"do": "status", "brief": True})
        except UnreachableError as error:
            reasons.append(str(error))
            denied = denied or isinstance(error.__cause__, PermissionError)
            continue
        return Daemon(place)
    raise NobodyError(tuple(reasons), site, states, denied)
