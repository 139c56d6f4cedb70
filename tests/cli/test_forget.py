"""`tidegate forget LOGIN`: what is ours is purged, what is not is named, with the command for it."""

from __future__ import annotations

import gzip
import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.builders.kept import a_kept
from tests.builders.transactions import NOW
from tidegate.cli import main
from tidegate.cli.forget import spellings
from tidegate.ledger import Pen, Row, read_rows
from tidegate.replay import Quill, Reading, read_messages

ROW = Row("r", 1000.0, "Q", "REF", "m***@example.com", "m***@example.com", (), "accept", first=1000.0)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Settings, a state directory with a ledger of two people, a log with its rotated form, a policy."""
    (tmp_path / "p").mkdir()
    (tmp_path / "state" / "mail").mkdir(parents=True)
    (tmp_path / "p" / "a.yaml").write_text("lists: {suspended: {items: [mallory]}}\n")
    (tmp_path / "state" / "accepted").write_text("sum\nitems: [mallory]\n")
    (tmp_path / "state" / "mail" / "1").write_text("alert about mallory@example.com\n")
    (tmp_path / "state" / "mail" / "2").write_text("alert about mallory@example.com.invalid\n")
    (tmp_path / "d.log").write_text('{"login": "mallory"}\n{"login": "m***"}\n')
    with gzip.open(tmp_path / "d.log.1.gz", "wb") as packed:
        packed.write(b'{"sender": "Mallory@example.com"}\n{"sender": "molly@example.com"}\n')
    (tmp_path / "t.yaml").write_text(
        f"listen: unix:/run/t.sock\npolicies: {tmp_path}/p\nstate: {tmp_path}/state\nlog: {tmp_path}/d.log\n"
        "default_realm: example.com\n"
    )
    pen = Pen(str(tmp_path / "state"))
    pen.write(
        [replace(ROW, queue_id=f"M{n}", who=pen.fingerprints("mallory", "mallory@example.com")) for n in range(3)]
    )
    kept = [("A", "mallory", "x@example.com"), ("B", "", "Mallory@example.com"), ("C", "molly", "mallory@example.org")]
    quill = Quill(str(tmp_path / "state"), 1 << 20)
    quill.write([a_kept(reference=name, login=login, sender=sender) for name, login, sender in kept], NOW)
    pen.write([replace(ROW, queue_id="O", who=pen.fingerprints("molly@example.com"))])
    return tmp_path


def forget(site: Path, *options: str) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(main, ["forget", "mallory", "--config", str(site / "t.yaml"), "--json", *options])
    return done.exit_code, json.loads(done.stdout)


def test_a_person_is_purged_and_others_are_not(site: Path) -> None:
    """From the ledger and the spool; what is left is found, and the second time there is nothing to purge."""
    code, told = forget(site)
    assert (1, [3, 2, 1]) == (code, [one["count"] for one in told["purged"]])
    assert ["", "", "", "O"] == [row.queue_id for row in read_rows(str(site / "state"))]
    assert ["2"] == [path.name for path in (site / "state" / "mail").iterdir()]
    assert ["C"] == [one.transaction.reference for one in read_messages(str(site / "state"), 0, Reading())]
    assert [1, 2, None, None, None] == [one["found"] for one in told["left"]]
    assert [0, 0, 0] == [one["count"] for one in forget(site)[1]["purged"]]


def test_a_dry_run_changes_nothing(site: Path) -> None:
    """It counts the same."""
    _, told = forget(site, "--dry-run")
    assert [3, 2, 1] == [one["count"] for one in told["purged"]]
    assert [3, 2, 1] == [one["count"] for one in forget(site)[1]["purged"]]


def test_nothing_left_is_exit_0(site: Path) -> None:
    """Where neither policy nor log names anybody; the commands for what is not ours are shown all the same."""
    for path in (site / "p" / "a.yaml", site / "state" / "accepted", site / "d.log", site / "d.log.1.gz"):
        path.unlink()
    done = CliRunner().invoke(main, ["forget", "mallory", "--config", str(site / "t.yaml")])
    assert 0 == done.exit_code
    assert "purged   3 rows of the exposure ledger" in done.output
    assert "postsuper -d -" in done.output


def test_what_can_not_be_looked_at_now_is_exit_1(site: Path) -> None:
    """A Redis that does not answer may hold something of the person."""
    for path in (site / "p" / "a.yaml", site / "state" / "accepted", site / "d.log", site / "d.log.1.gz"):
        path.unlink()
    with (site / "t.yaml").open("a") as settings:
        settings.write(f"redis: unix://{site}/nobody.sock\n")
    code, told = forget(site)
    assert (1, [True]) == (code, [one["later"] for one in told["left"] if "Redis" in one["store"] and one["later"]])


def test_the_commands_that_are_shown_are_a_shells(site: Path) -> None:
    """Whatever the login holds, nothing of it is run."""
    odd = "x'; touch /tmp/forget-was-run; '"
    done = CliRunner().invoke(main, ["forget", odd, "--config", str(site / "t.yaml"), "--json"])
    for one in json.loads(done.stdout)["left"]:
        checked = subprocess.run(["bash", "-n", "-c", one["command"]], capture_output=True, check=False)
        assert b"" == checked.stderr
    assert "touch" in done.output


@pytest.mark.parametrize(
    ("login", "realm", "forms"),
    [
        ("Bob", "", ("bob",)),
        ("bob", "example.com", ("bob", "bob@example.com")),
        ("bob@example.com", "example.com", ("bob@example.com", "bob")),
        ("bob@example.net", "example.com", ("bob@example.net",)),
    ],
)
def test_spellings(login: str, realm: str, forms: tuple[str, ...]) -> None:
    """With the default realm and without."""
    assert forms == spellings(login, realm)


@pytest.mark.parametrize("login", ["", "  "])
def test_nobody_is_not_forgotten(login: str, site: Path) -> None:
    """A word that would match everything is a mistake."""
    done = CliRunner().invoke(main, ["forget", login, "--config", str(site / "t.yaml")])
    assert 2 == done.exit_code
