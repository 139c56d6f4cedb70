"""What the settings file says to the commands: where the daemon has its state, and how policies are read here.

A daemon runs with the last good settings where the written ones are broken, so both are known here. Promises: policies
are looked at with the conventions that the daemon has, without a word on the command line. Refuses: reading the file
in this process (a hostile one can kill the YAML parser).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from tidegate.model import Conventions, Problem
from tidegate.settings import Settings, recall
from tidegate.settings.keys import KEYS, UnusableError
from tidegate.settings.values import STATE
from tidegate.supervisor.reading import read_settings

CONFIG = "/etc/tidegate/tidegate.yaml"
POLICIES = "/etc/tidegate/policies"
Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Site:
    """One settings file. `settings` are those that a daemon would run with: as written, or as they last were good."""

    config: str
    settings: Settings | None = None
    problems: tuple[Problem, ...] = ()
    last_good: float = 0.0  # POSIX seconds since when `settings` are a record; 0: they are as written
    states: tuple[str, ...] = (STATE,)  # where its daemon may have its state


def find_site(config: str) -> Site:
    """Read it, and the record of the last good ones."""
    written, named = read_settings(config)
    recorded = recall(config, (written.state if isinstance(written, Settings) else named,))
    states = [written.state if isinstance(written, Settings) else named, recorded.settings.state if recorded else ""]
    known = tuple(dict.fromkeys(state for state in states if state)) or (STATE,)
    if isinstance(written, Settings):
        return Site(config, written, states=known)
    if recorded is None:
        return Site(config, None, written, states=known)
    return Site(config, recorded.settings, written, recorded.written, known)


def site_if_there(config: str) -> Site | None:
    """The site, if its settings file was named or lies in the packaged place."""
    source = click.get_current_context().get_parameter_source("config")
    named = source is not None and source is not click.core.ParameterSource.DEFAULT
    return find_site(config) if named or os.path.lexists(config) else None


def policy_options(command: Command) -> Command:
    """The options that say how policies are read."""
    for option in (
        click.option(
            "--recipient-delimiter", callback=_checked("recipient_delimiter"), help="Instead of the settings'."
        ),
        click.option("--default-realm", callback=_checked("default_realm"), help="Instead of the settings'."),
        click.option(
            "--config",
            type=click.Path(),
            default=CONFIG,
            show_default=True,
            help="The settings file, where there is one.",
        ),
    ):
        command = option(command)
    return command


def conventions(site: Site | None, default_realm: str | None, recipient_delimiter: str | None) -> Conventions:
    """How addresses and logins are compared: as the command line says, or the settings."""
    settings = site.settings if site else None
    known = (settings.default_realm, settings.recipient_delimiter) if settings else ("", "")
    return Conventions(
        known[0] if default_realm is None else default_realm,
        known[1] if recipient_delimiter is None else recipient_delimiter,
    )


def _checked(key: str) -> Callable[[click.Context, click.Parameter, str | None], str | None]:
    def check(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
        try:
            return None if value is None else str(KEYS[key].read(value))
        except UnusableError as error:
            raise click.BadParameter(str(error)) from error

    return check
