"""`tidegate apply` beside a real daemon: one swap of a link is one change, and what lapses goes back by itself."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from tests.builders.daemon import Daemon, Session, until
from tidegate.cli import main
from tidegate.cli.releasing import Deed, Releases
from tidegate.loader.releases import home_of

REJECT = '{reject: {code: "550 5.7.1", text: "stopped by {rule}"}}'


def policy(*logins: str) -> str:
    """One rule for each, in one file."""
    rules = "".join(f"  - {{id: {one}, when: {{login: {one}}}, do: {REJECT}}}\n" for one in logins)
    return f"version: 1\nrules:\n{rules}...\n"


def apply(daemon: Daemon, *options: str | Path) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(main, ["apply", "--config", str(daemon.config), "--json", *map(str, options)])
    return done.exit_code, json.loads(done.stdout) if done.exit_code < 2 else {"error": done.output}


def sent(daemon: Daemon, login: str) -> str:
    """What becomes of a message of this login; the reply without its reference."""
    session = Session(daemon.socket)
    session.greet()
    try:
        return session.message(login).partition(" (")[0]
    finally:
        session.close()


def site(tmp_path: Path) -> tuple[Daemon, Path]:
    """A daemon whose policy directory will be a link, and the directory that is applied."""
    folder = tmp_path / "next"
    folder.mkdir()
    (folder / "a.yaml").write_text(policy("mallory"))
    daemon = Daemon(tmp_path)
    daemon.policies.rmdir()
    return daemon, folder


def test_a_whole_directory_is_in_force(tmp_path: Path) -> None:
    """Other files, and nearly all entries gone at once: it is whole, so nothing is taken for absent; then back."""
    daemon, folder = site(tmp_path)
    many = [f"u{number}" for number in range(30)]
    with daemon:
        (folder / "b.yaml").write_text(policy(*many))
        first = apply(daemon, folder)[1]
        daemon.start()
        assert "550 5.7.1 stopped by u7" == sent(daemon, "u7")
        (folder / "b.yaml").unlink()
        assert 1 == apply(daemon, folder)[0]
        code, second = apply(daemon, folder, "--remove", "--wait", "--reason", "they left")
        assert (0, first["digest"]) == (code, second["previous"])
        assert second["daemon"].startswith("in force: generation ")
        assert ("accept", "550 5.7.1 stopped by mallory") == (sent(daemon, "u7"), sent(daemon, "mallory"))
        assert set() == daemon.alerts()
        assert second["digest"] == daemon.status()["desired"]["release"]
        code, back = apply(daemon, "--rollback", "--wait")
        assert (0, first["digest"]) == (code, back["digest"])
        assert "550 5.7.1 stopped by u7" == sent(daemon, "u7")
        (daemon.policies / "a.yaml").write_text("")
        until(lambda: {"release-changed", "source-empty"} <= set(daemon.alerts()), "the guards are there as ever")
        assert "550 5.7.1 stopped by mallory" == sent(daemon, "mallory")


def test_it_waits_for_its_canary(tmp_path: Path) -> None:
    """In force is what all senders get: until then --wait has not ended."""
    daemon, folder = site(tmp_path)
    daemon.write_settings(canary_share="50%", canary_time="1s", canary_longest="2s")
    with daemon:
        assert 0 == apply(daemon, folder)[0]
        daemon.start()
        (folder / "a.yaml").write_text(policy("mallory", "eve"))
        code, told = apply(daemon, folder, "--wait")
        assert (0, "in force: generation 2") == (code, told["daemon"])
        assert daemon.lines("canary begun")
        assert "550 5.7.1 stopped by eve" == sent(daemon, "eve")


def test_what_is_not_confirmed_goes_back_by_itself(tmp_path: Path) -> None:
    """The daemon may not write there, and nobody else does: at its time the release before it serves."""
    daemon, folder = site(tmp_path)
    with daemon:
        first = apply(daemon, folder)[1]["digest"]
        daemon.start()
        (folder / "a.yaml").write_text(policy("mallory", "eve"))
        second = apply(daemon, folder, "--wait")[1]["digest"]
        assert "550 5.7.1 stopped by eve" == sent(daemon, "eve")
        deed = Deed(time.time(), "alice", "apply", second, first, "", time.time() + 1.5)
        Releases(str(daemon.policies)).use(deed)
        until(lambda: "release-lapsed" in daemon.alerts(), "it has lapsed")
        until(lambda: sent(daemon, "eve") == "accept", "the one before it serves")
        assert "550 5.7.1 stopped by mallory" == sent(daemon, "mallory")
        assert first == home_of(str(daemon.policies), time.time()).digest
        assert 0 == apply(daemon, "--rollback", "--wait")[0]
        until(lambda: not daemon.alerts(), "it is final")


def test_past_the_gates_is_an_alert(tmp_path: Path) -> None:
    """As long as that release is in use: one episode, which ends with the next that goes through its gates."""
    daemon, folder = site(tmp_path)
    with daemon:
        assert 0 == apply(daemon, folder)[0]
        daemon.start()
        (folder / "a.yaml").write_text(policy("mallory", "eve").replace("login: eve", "logn: eve"))
        assert 1 == apply(daemon, folder)[0]
        assert 0 == apply(daemon, folder, "--break-glass", "--reason", "an outbreak")[0]
        until(lambda: "release-forced" in daemon.alerts(), "it is told")
        assert "550 5.7.1 stopped by mallory" == sent(daemon, "mallory")
        (folder / "a.yaml").write_text(policy("mallory", "eve"))
        assert 0 == apply(daemon, folder, "--wait")[0]
        until(lambda: not daemon.alerts(), "it is over")


def test_replay_keeps_the_gate(tmp_path: Path) -> None:
    """A release that would stop yesterday's mail does not go in; the number is in the answer."""
    daemon, folder = site(tmp_path)
    daemon.write_settings(replay="2h")
    with daemon:
        assert 0 == apply(daemon, folder)[0]
        daemon.start()
        for login in ("alice", "bob", "mallory", "alice"):
            sent(daemon, login)
        until(lambda: list((daemon.state / "replay").glob("messages-*")), "they are kept")
        (folder / "a.yaml").write_text(policy("mallory", "bob"))
        code, told = apply(daemon, folder, "--max-change", "1%")
        (gate,) = [one for one in told["gates"] if one["gate"] == "replay"]
        assert (1, False) == (code, gate["passed"])
        assert "of the verdicts change, and 1 % may" in gate["text"]
        assert 0 == apply(daemon, folder, "--max-change", "30%", "--wait")[0]
