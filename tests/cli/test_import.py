"""`tidegate import`: what it prints, what it writes, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tidegate.cli import main

TABLE = "bad.example REJECT 5.7.1 go away\ngood@bad.example OK\n"


def _import(*arguments: str) -> Result:
    return CliRunner(mix_stderr=False).invoke(main, ["import", *arguments])


@pytest.fixture
def table(tmp_path: Path) -> str:
    """An access table of senders."""
    path = tmp_path / "senders"
    path.write_text(TABLE)
    return str(path)


def test_a_policy_goes_to_standard_output_and_words_beside_it(table: str, tmp_path: Path) -> None:
    """What is printed is a policy that `tidegate check` finds no fault with."""
    done = _import("postfix-access", "--as", "sender", table)
    assert (done.exit_code, done.stderr) == (0, "1 rules, 0 not translated, 0 errors\n")
    written = tmp_path / "imported.yaml"
    written.write_text(done.stdout)
    assert CliRunner().invoke(main, ["check", str(written)]).exit_code == 0


def test_it_writes_a_file_and_never_over_one(table: str, tmp_path: Path) -> None:
    """Exit code 2 where there is one."""
    target = tmp_path / "imported.yaml"
    assert _import("postfix-access", "--as", "sender", table, "--output", str(target)).exit_code == 0
    assert "go away" in target.read_text()
    again = _import("postfix-access", "--as", "sender", table, "--output", str(target))
    assert again.exit_code == 2
    assert "File exists" in again.stderr


def test_shadow_takes_every_effect_away(table: str) -> None:
    """For who wants to see first."""
    assert "mode: shadow" in _import("postfix-access", "--as", "sender", table, "--shadow").stdout


def test_what_is_not_translated_is_named_and_makes_the_exit_code(tmp_path: Path) -> None:
    """With file and line, on standard error, and as a comment in the policy."""
    path = tmp_path / "rules.cf"
    path.write_text("id=A; sender==x@b.example; action=REJECT no\nid=B; action=jump(A)\n")
    done = _import("postfwd", str(path))
    assert done.exit_code == 1
    assert f"{path}:2: not translated: jump() has no equal here" in done.stderr
    assert "# NOT TRANSLATED, line 2" in done.stdout


def test_a_pattern_that_our_engine_can_not_run_is_told_by_check(tmp_path: Path) -> None:
    """Look-around is PCRE's; Hyperscan has none."""
    path = tmp_path / "senders.pcre"
    path.write_text("/^(?!x)y/ REJECT no\n")
    done = _import("postfix-access", "--as", "sender", "--table", "pcre", str(path))
    assert done.exit_code == 1
    assert "matches" in done.stderr


def test_json_is_whole(table: str) -> None:
    """One document."""
    document = json.loads(_import("postfix-access", "--as", "sender", table, "--json").stdout)
    assert document["rules"] == 1
    assert document["untranslated"] == []
    assert "go away" in document["policy"]


@pytest.mark.parametrize("command", ["postfwd", "rspamd-ratelimit", "policyd-rate-limit"])
def test_a_file_that_can_not_be_read_is_usage(command: str) -> None:
    """Exit code 2, and why."""
    done = _import(command, "/nonexistent/x")
    assert done.exit_code == 2
    assert "No such file" in done.stderr


@pytest.mark.parametrize("command", ["postfwd", "rspamd-ratelimit", "policyd-rate-limit"])
def test_any_bytes_are_told_and_never_raise(command: str, tmp_path: Path) -> None:
    """A file that is something else altogether."""
    path = tmp_path / "x"
    path.write_bytes(bytes(range(256)) * 3)
    done = _import(command, str(path))
    assert done.exit_code in (1, 2)
    assert not isinstance(done.exception, (ValueError, KeyError, IndexError, TypeError))
