"""Words that options of many commands take: a duration, the name of an environment."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from tidegate.cli.output import safe
from tidegate.settings.keys import KEYS, UnusableError

Command = TypeVar("Command", bound=Callable[..., Any])
_DURATION = re.compile(r"([1-9][0-9]{0,5})(s|m|min|h|d)\Z")
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_DAY = 86400


class Duration(click.ParamType):
    """A duration such as 30m, 2h, 1d; in whole seconds, from `shortest` to `longest`."""

    name = "DURATION"

    def __init__(self, longest: int = 30 * _DAY, shortest: int = 60) -> None:
        self._longest = longest
        self._shortest = shortest

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = _DURATION.match(str(value))
        seconds = int(found[1]) * _UNITS[found[2]] if found else 0
        if not self._shortest <= seconds <= self._longest:
            least = "1m" if self._shortest == 60 else f"{self._shortest}s"
            span = f"from {least} to {self._longest // _DAY}d"
            self.fail(f"{safe(str(value), 40)} is no duration {span}, such as 30m, 2h, 1d", param, ctx)
        return seconds


def named_environment(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """The name of an environment, for an option that may be left out."""
    try:
        return str(KEYS["environment"].read(value)) if value else ""
    except UnusableError as error:
        raise click.BadParameter(str(error)) from error


def environment_option(command: Command) -> Command:
    """`--environment`, for the command's `environment`: "" where it is left out."""
    text = "The environment, not the settings'."
    return click.option("-e", "--environment", default="", callback=named_environment, help=text)(command)
