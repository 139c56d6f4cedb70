"""A group of commands made from a table, in sections. A command's module is imported when the command is used, so that
one that needs a library does not cost the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

Rows = Mapping[str, tuple[str, str, str]]
"""Command: its module, its function there, one line for the list of commands."""


class Table(click.Group):
    """The commands of `sections`, by their titles; `--help` shows them in that order."""

    def __init__(self, *args: Any, sections: Mapping[str, Rows], **more: Any) -> None:
        super().__init__(*args, **more)
        self._sections = sections
        self._rows = {name: row for rows in sections.values() for name, row in rows.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._rows)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        row = self._rows.get(cmd_name)
        if row is None:
            return None
        command = getattr(import_module(row[0]), row[1])
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, self._rows))
        for title, rows in self._sections.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), row[2]) for name, row in rows.items()])
