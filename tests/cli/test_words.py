"""Words that options of many commands take."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from tidegate.cli import main
from tidegate.cli.words import Duration


@pytest.mark.parametrize(
    ("text", "seconds"), [("1m", 60), ("90s", 90), ("5min", 300), ("2h", 7200), ("30d", 30 * 86400)]
)
def test_durations(text: str, seconds: int) -> None:
    """A number and its unit; in seconds."""
    assert seconds == Duration().convert(text, None, None)


@pytest.mark.parametrize("text", ["", "59s", "31d", "1y", "h", "-1h", "1.5h", "01h", "1 h", "99999999h", "1h\n"])
def test_what_is_no_duration(text: str) -> None:
    """It is told with the bounds, and an example."""
    with pytest.raises(click.BadParameter, match="is no duration from 1m to 30d, such as 30m, 2h, 1d"):
        Duration().convert(text, None, None)


@pytest.mark.parametrize("command", ["fleet", "policy list", "list lists"])
def test_what_is_no_environment(command: str) -> None:
    """Nobody's keys are looked for under a name that no environment can have: a slip is no empty fleet."""
    done = CliRunner().invoke(main, [*command.split(), "-e", "a}b"])
    assert 2 == done.exit_code
    assert "Invalid value for '-e' / '--environment'" in done.output
