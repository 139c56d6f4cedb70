"""`tidegate postfix` without a Postfix that runs: what it says, its exit codes, and the way back."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.builders.mainconf import MAIN, MASTER
from tidegate.cli import main
from tidegate.cli import postfix as command
from tidegate.postfix.change import current

Say = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Postfix's configuration directory."""
    place = tmp_path / "postfix"
    place.mkdir()
    for name, text in (("main.cf", MAIN + "mua_milters = inet:127.0.0.1:1\n"), ("master.cf", MASTER)):
        (place / name).write_text(text)
        os.utime(place / name, (1, 1))
    return str(place)


@pytest.fixture
def say(tmp_path: Path, folder: str) -> Iterator[Say]:
    """Runs `tidegate postfix …` for a daemon that listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings = tmp_path / "tidegate.yaml"
        (tmp_path / "state").mkdir()
        settings.write_text(
            f"listen: inet:127.0.0.1:{server.getsockname()[1]}\npolicies: {tmp_path}\nstate: {tmp_path}/state\n"
        )

        def run(*arguments: str) -> Result:
            options = ("--config", str(settings), "--postfix", folder)
            return CliRunner().invoke(main, ["postfix", *arguments, *options], catch_exceptions=False)

        yield run


def test_status(say: Say) -> None:
    """Every smtpd, for whom it relays, and whether it asks us; 1 where one relays without us."""
    result = say("status", "--json")
    rows = {row["service"]: (row["relays_for"], row["asks_us"]) for row in json.loads(result.output)["services"]}
    assert rows == {
        "smtp/inet": ("", False),
        "submission/inet": ("logins", False),
        "submissions/inet": ("logins", False),
        "127.0.0.1:10025/inet": ("", False),
    }
    assert result.exit_code == 1
    assert "DOES NOT ASK US" in say("status").output


def test_enable_check_disable(say: Say, folder: str) -> None:
    """The way of an admin, with what each step says."""
    before = current(folder)
    assert say("check", "--no-live").exit_code == 1
    shown = json.loads(say("enable", "--dry-run", "--json").output)
    assert (shown["changed"], shown["made"], "+tidegate = {" in shown["diff"]) == (True, False, True)
    assert current(folder) == before
    assert say("enable", "--local").exit_code == 0
    assert say("status").exit_code == 0
    checked = say("check", "--no-live", "--json")
    assert [] == [one["code"] for one in json.loads(checked.output)["findings"] if one["severity"] != "notice"]
    assert checked.exit_code == 0
    assert "there is nothing to do" in say("enable", "--local").output
    assert say("disable").exit_code == 0
    assert current(folder) == before
    assert "there is nothing to do" in say("disable").output


def test_snippet(say: Say) -> None:
    """The lines for this site."""
    lines = json.loads(say("snippet", "--json").output)
    assert lines["main.cf"].startswith("tidegate = { inet:127.0.0.1:")
    assert "smtpd_milters=$tidegate" in say("snippet").output


@pytest.mark.parametrize(
    ("trouble", "text"),
    [
        pytest.param(lambda folder: Path(folder, "main.cf").unlink(), "can't be read", id="no main.cf"),
        pytest.param(lambda folder: Path(folder, "main.cf").write_text("nonsense\n"), "", id="main.cf is nonsense"),
        pytest.param(
            lambda folder: Path(folder, "master.cf").write_text("smtp inet\n"), "", id="master.cf is nonsense"
        ),
        pytest.param(
            lambda folder: Path(folder, "main.cf").write_text(MAIN + "mua_milters = { a, b\n"), "brace", id="braces"
        ),
    ],
)
def test_what_can_not_be_read(say: Say, folder: str, trouble: Callable[[str], object], text: str) -> None:
    """A configuration that Postfix itself can't use is told, and left as it is."""
    trouble(folder)
    before = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    result = say("enable")
    assert result.exit_code == 2
    assert text in result.output
    assert before == {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def test_a_service_that_is_not_there(say: Say, folder: str) -> None:
    """Named with those that are."""
    result = say("enable", "--service", "smtps")
    assert result.exit_code == 2
    assert "no smtpd service smtps; there are smtp/inet" in result.output


def test_nobody_listens(say: Say, folder: str, tmp_path: Path) -> None:
    """Postfix would defer everything: refused."""
    before = current(folder)
    settings = tmp_path / "tidegate.yaml"
    settings.write_text(settings.read_text().replace("listen: inet:127.0.0.1", "listen: inet:127.0.0.2"))
    result = say("enable")
    assert (result.exit_code, current(folder) == before) == (2, True)
    assert "start the daemon first" in result.output


@pytest.mark.parametrize("fails", ["reload", "banner"])
def test_the_way_back(say: Say, folder: str, monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    """Where Postfix does not take the change, or a service gives no banner any more, the old files are back."""
    before = current(folder)
    reloads: list[bytes] = []

    def run(program: list[str]) -> subprocess.CompletedProcess[str]:
        if program[-1] == "reload":
            reloads.append(current(folder)["main.cf"])
        wrong = fails == "reload" and program[-1] == "reload" and len(reloads) == 1
        return subprocess.CompletedProcess(program, 1 if wrong else 0, "", "postfix/postfix-script: fatal: no\n")

    def troubled(*_: object) -> set[str]:
        return {"submission/inet: no banner"} if fails == "banner" and reloads else set()

    monkeypatch.setattr(command, "run", run)
    monkeypatch.setattr(command, "_troubled", troubled)
    result = say("enable")
    assert result.exit_code == 2
    assert "The old files are back" in result.output
    assert current(folder) == before
    assert len(reloads) == 2
    assert reloads[1] == before["main.cf"]


def test_reconcile(tmp_path: Path) -> None:
    """For a person: the number, by service, and the lines; a log that is not there is told."""
    (tmp_path / "decisions.log").write_text('{"event": "decision", "queue_id": "4AAA00", "disposition": "accept"}\n')
    lines = [
        f"Nov 24 10:00:00 mx postfix/submission/smtpd[1]: {one}: client=c[192.0.2.1], sasl_username=alice\n"
        f"Nov 24 10:00:00 mx postfix/qmgr[2]: {one}: from=<a@example.com>, size=5, nrcpt=1 (queue active)\n"
        for one in ("4AAA00", "4AAA01")
    ]
    log = tmp_path / "mail.log"
    log.write_text("".join(lines))
    options = ("--decisions", str(tmp_path / "decisions.log"))
    result = CliRunner().invoke(main, ["postfix", "reconcile", str(log), *options])
    assert result.exit_code == 1
    assert "2 messages went on, 1 of them unjudged" in result.output
    assert "4AAA01" in result.output
    log.write_text(lines[0])
    assert CliRunner().invoke(main, ["postfix", "reconcile", str(log), *options]).exit_code == 0
    assert CliRunner().invoke(main, ["postfix", "reconcile", str(tmp_path / "none"), *options]).exit_code == 2
