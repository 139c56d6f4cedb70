"""Commands that ask the daemon, where there is none; and the completion scripts."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest
from click.testing import CliRunner

from tidegate import live
from tidegate.cli import COMMANDS, SECTIONS, confined, main, reach
from tidegate.control import UnreachableError
from tidegate.model import EntryKey, EntryKind
from tidegate.supervisor.places import Lock, lock_is_held

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(("command", "code"), [("status", 1), ("confirm", 2), ("reload", 2)])
def test_nobody_answers(command: str, code: int, tmp_path: Path) -> None:
    """To `status` a dead daemon is a finding, the others can't do their work; the text says whom we asked."""
    done = CliRunner().invoke(main, [command, "--state", str(tmp_path)])
    assert code == done.exit_code
    assert f"no daemon answers: {tmp_path}/control" in done.output


def test_who_may_not_ask_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then nobody knows whether a daemon runs: exit 2, and the cure."""

    def refuse(place: str, _request: object) -> NoReturn:
        raise UnreachableError(f"{place}/control: Permission denied") from PermissionError(13, "Permission denied")

    monkeypatch.setattr(reach, "ask", refuse)
    done = CliRunner().invoke(main, ["status", "--state", str(tmp_path)])
    assert 2 == done.exit_code
    assert "Permission denied; ask as root, or as the account that it runs as" in done.output


def test_something_else_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket of that name that isn't ours."""
    monkeypatch.setattr(reach, "ask", lambda _place, _request: {})
    done = CliRunner().invoke(main, ["reload", "--state", str(tmp_path)])
    assert (2, f"tidegate: {tmp_path}: what answers there is no daemon of ours\n") == (done.exit_code, done.output)


def test_a_dead_daemon_leaves_what_it_knew(tmp_path: Path) -> None:
    """The settings as they are, what would run, the record of entries, and what to do."""
    state = tmp_path / "state"
    state.mkdir()
    (state / "lock").write_text("4711\n")
    key = EntryKey(EntryKind.RULE, "r")
    live.write_accepted(str(state), live.Accepted(texts={key: "id: r"}))
    config = tmp_path / "t.yaml"
    config.write_text(f"listen: unix:/run/t.sock\npolicies: /p\nstate: {state}\n")
    done = CliRunner().invoke(main, ["status", "--config", str(config)])
    assert 1 == done.exit_code
    assert f"settings    {config}: valid" in done.output
    assert (
        f"state       {state}: 1 entries were accepted, last changed 0 s ago; the last process was 4711" in done.output
    )
    config.write_text(f"listen: unix:/run/t.sock\npolices: /p\nstate: {state}\n")
    done = CliRunner().invoke(main, ["status", "--config", str(config)])
    assert "there is no setting `polices`; did you mean `policies`?" in done.output
    assert f"settings    {config} can't be used; none were ever good: it can't start" in done.output
    done = CliRunner().invoke(main, ["status", "--config", str(config), "--json"])
    document = json.loads(done.output)
    assert ("dead", 1) == (document["stage"], document["states"][0]["entries"])


def test_a_daemon_that_can_not_be_asked_is_not_dead(tmp_path: Path) -> None:
    """On a read-only state directory it has no control socket, and judges mail all the same."""
    lock = Lock(str(tmp_path), None)
    assert not lock_is_held(str(tmp_path))
    assert lock.take()
    assert lock_is_held(str(tmp_path))
    done = CliRunner().invoke(main, ["status", "--state", str(tmp_path)])
    assert 1 == done.exit_code
    assert "a daemon runs there and may judge mail, but can't be asked" in done.output
    assert "start it" not in done.output
    lock.release()
    lock.close_in_child()
    assert "start it" in CliRunner().invoke(main, ["status", "--state", str(tmp_path)]).output


@pytest.mark.parametrize(("terminal", "shown"), [(True, True), (False, False)])
def test_progress_is_for_terminals(terminal: bool, shown: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a second one line on standard error, gone at the end; nothing where nobody watches."""
    errors = io.StringIO()
    monkeypatch.setattr(errors, "isatty", lambda: terminal)
    monkeypatch.setattr(sys, "stderr", errors)
    indicator = confined.Indicator(100.0)
    indicator.show("a.yaml", 100.5)
    assert "" == errors.getvalue()
    indicator.show("a.yaml\x1b", 101.5)
    assert ("\r\x1b[Kreading a.yaml\\x1b" if shown else "") == errors.getvalue()
    indicator.clear()
    assert errors.getvalue().endswith("\r\x1b[K" if shown else "")


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


def test_the_list_of_commands_is_in_sections() -> None:
    """Each command stands once, below the title of what one wants to do, on one line of a terminal."""
    lines = CliRunner().invoke(main, ["--help"], terminal_width=80).output.splitlines()
    assert [] == [title for title in SECTIONS if f"{title}:" not in lines]
    named = [line.split()[0] for line in lines[lines.index(f"{next(iter(SECTIONS))}:") :] if line.startswith("  ")]
    assert list(COMMANDS) == named


@pytest.mark.parametrize("command", list(COMMANDS))
def test_help(command: str) -> None:
    """Every command explains itself and its exit codes, or takes none of its own."""
    done = CliRunner().invoke(main, [command, "--help"])
    assert 0 == done.exit_code
    assert "Usage: " in done.output


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash on this machine")
@pytest.mark.parametrize(
    ("words", "offered"),
    [("tidegate sta", "status"), ("tidegate fields login", "login"), ("tidegate why --lo", "--log")],
)
def test_bash_completes(words: str, offered: str, tmp_path: Path) -> None:
    """The script as a shell uses it: it finds `tidegate` in the path, and asks it."""
    command = tmp_path / "tidegate"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m tidegate "$@"\n')
    command.chmod(0o755)
    typed = f"COMP_WORDS=({words}); COMP_CWORD={len(words.split()) - 1}"
    line = f'{typed}; _tidegate_completion tidegate; echo "${{COMPREPLY[@]}}"'
    done = subprocess.run(
        ["bash", "-c", f"source <(tidegate completion bash) && {line}"],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "milter")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (offered, "") == (done.stdout.strip(), done.stderr)
