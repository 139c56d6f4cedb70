"""`tidegate init`: what it writes, where it takes it from, and what it never does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.builders.mainconf import MakePostfix
from tidegate.cli import main


def _init(target: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["init", "--policies", str(target), *arguments])


def test_what_it_writes_is_in_force_and_changes_nothing(tmp_path: Path) -> None:
    """`tidegate check` finds no error in it, and `tidegate test` no promise that is not kept."""
    target = tmp_path / "policies"
    done = _init(target, "--own-domain", "example.com", "--relay-network", "10.20.0.0/16")
    assert done.exit_code == 0, done.output
    names = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    assert names >= {"10-site.yaml", "20-accounts.yaml", "30-limits.yaml", "40-leaks.yaml", "lists/suspended"}
    assert not list(target.glob(".*")), "nothing is left beside them"
    for command in ("check", "test"):
        checked = CliRunner().invoke(main, [command, str(target)])
        assert checked.exit_code == 0, checked.output


def test_files_that_are_there_are_never_written_over(tmp_path: Path) -> None:
    """Not one of the others is written then."""
    (tmp_path / "30-limits.yaml").write_text("mine\n")
    done = _init(tmp_path, "--own-domain", "example.com")
    assert done.exit_code == 2
    assert "30-limits.yaml" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["30-limits.yaml"]


def test_a_dry_run_shows_and_writes_nothing(tmp_path: Path) -> None:
    """The files as they would be."""
    done = _init(tmp_path / "policies", "--own-domain", "example.com", "--dry-run")
    assert done.exit_code == 0
    assert "id: rate-per-login" in done.output
    assert not (tmp_path / "policies").exists()


def test_postfix_is_asked_for_domains_networks_and_owners(make_postfix: MakePostfix, tmp_path: Path) -> None:
    """The login map comes out of its smtpd_sender_login_maps, turned round."""
    owners = tmp_path / "owners"
    owners.write_text("sales@example.org alice, bob\n")
    folder = make_postfix(
        "mydestination = example.org\nmynetworks = 127.0.0.0/8 10.20.0.0/16\n"
        f"smtpd_sender_login_maps = texthash:{owners}\n"
    )
    target = tmp_path / "policies"
    done = _init(target, "--postfix", folder, "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["own_domains"] == ["example.org"]
    assert document["relay_networks"] == ["10.20.0.0/16"]
    assert (target / "lists" / "logins").read_text().splitlines()[1:] == [
        "alice sales@example.org",
        "bob sales@example.org",
    ]


UNABLE = {
    "nobody-says-whose-domains": (("--own-domain", " "), "own domain"),
    "a-network-that-is-none": (("--own-domain", "example.com", "--relay-network", "ten"), "relay network"),
    "owners-gone": (("--own-domain", "example.com", "--logins", "/nonexistent/owners"), "/nonexistent/owners"),
    "no-postfix-there": (("--postfix", "/nonexistent"), "can't be read"),
}


@pytest.mark.parametrize("name", UNABLE)
def test_what_can_not_be_done_is_said(name: str, tmp_path: Path) -> None:
    """Exit code 2, the reason in words, nothing written."""
    arguments, text = UNABLE[name]
    done = _init(tmp_path / "policies", *arguments)
    assert done.exit_code == 2, done.output
    assert text in done.output
    assert not (tmp_path / "policies").exists()
