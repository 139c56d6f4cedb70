"""Commands that ask the daemon, where there is none; and the completion scripts."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from tidegate.cli import COMMANDS, main


@pytest.mark.parametrize("command", ["status", "confirm", "reload"])
def test_nobody_answers(command: str, tmp_path: Path) -> None:
    """Exit 2, and the text says whom we asked."""
    done = CliRunner().invoke(main, [command, "--state", str(tmp_path)])
    assert 2 == done.exit_code
    assert f"no daemon answers: {tmp_path}/control" in done.output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    """Each script asks the program itself."""
    done = CliRunner().invoke(main, ["completion", shell])
    assert 0 == done.exit_code
    assert "_TIDEGATE_COMPLETE" in done.output


def test_commands_complete() -> None:
    """What the script asks: every command is offered."""
    words = {"_TIDEGATE_COMPLETE": "bash_complete", "COMP_WORDS": "tidegate ", "COMP_CWORD": "1"}
    done = CliRunner().invoke(main, [], env=words, prog_name="tidegate")
    assert set(COMMANDS) == {line.partition(",")[2] for line in done.output.splitlines()}


@pytest.mark.parametrize("command", list(COMMANDS))
def test_help(command: str) -> None:
    """Every command explains itself and its exit codes, or takes none of its own."""
    done = CliRunner().invoke(main, [command, "--help"])
    assert 0 == done.exit_code
    assert "Usage: " in done.output
