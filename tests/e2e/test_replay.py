"""Replay with a real daemon: what it judged is judged once more, by a candidate and by what is in force."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from tests.builders.daemon import Daemon, until
from tests.builders.milterclient import MilterClient
from tests.builders.redisserver import RedisServer
from tests.builders.storesettings import StoreWords
from tidegate.cli import main
from tidegate.live import snapshot
from tidegate.replay import Reading, read_messages
from tidegate.store.connection import open_store
from tidegate.store.lists import Entry, ListStore

IN_FORCE = """version: 1
rules:
  - {id: mallory, when: {login: mallory@example.com}, do: {reject: {code: "550 5.7.1", text: stop}}}
  - {id: near, per_recipient: true, when: {rcpt.domain: example.org}, do: {reject: {code: "550 5.7.1", text: not}}}
  - {id: hidden, mode: shadow, when: {subject: {contains: invoice}}, do: {hold: {reason: look}}}
...
"""
CANDIDATE = """version: 1
rules:
  - {id: near, per_recipient: true, when: {rcpt.domain: example.org}, do: {reject: {code: "550 5.7.1", text: not}}}
  - {id: invoices, when: {subject: {contains: invoice}}, do: {reject: {code: "550 5.7.1", text: not}}}
...
"""


def send(daemon: Daemon, login: str, subject: str, count: int) -> None:
    """So many messages to two recipients, one of whom is refused."""
    with MilterClient(daemon.socket) as client:
        client.greet()
        for _ in range(count):
            client.mail(login, login=login)
            client.rcpt("bob@example.net")
            client.rcpt("near@example.org")
            client.data()
            client.header("From", f"<{login}>")
            client.header("Subject", subject)
            client.end_of_headers()
            client.end_of_message("4ABC")


def kept(daemon: Daemon) -> int:
    return len(list(read_messages(str(daemon.state), 0, Reading())))


def replay(daemon: Daemon, *options: str | Path) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(
        main, ["replay", "--config", str(daemon.config), "--json", *map(str, options)], catch_exceptions=False
    )
    return done.exit_code, json.loads(done.stdout)


def test_a_candidate_is_judged_by_yesterdays_mail(tmp_path: Path) -> None:
    """The numbers are exact, over two workers and a restart; nothing is kept in clear; forgetting forgets."""
    candidate = tmp_path / "candidate"
    candidate.mkdir()
    (candidate / "a.yaml").write_text(CANDIDATE)
    with Daemon(tmp_path, workers=2, replay="2h") as daemon:
        daemon.policy(IN_FORCE)
        daemon.start()
        send(daemon, "alice@example.com", "hello", 20)
        send(daemon, "bob@example.com", "your invoice", 7)
        daemon.stop()  # at once: what is not written yet is written on the way out
        daemon.start()
        send(daemon, "mallory@example.com", "your invoice", 4)
        send(daemon, "mallory@example.com", "hello", 5)
        until(lambda: kept(daemon) == 36, "all are kept")
        code, found = replay(daemon, candidate)
        same, unchanged = replay(daemon)
        data = b"".join(path.read_bytes() for path in (daemon.state / "replay").iterdir())
        forgotten = CliRunner().invoke(main, ["forget", "mallory@example.com", "--config", str(daemon.config)])
        left = kept(daemon)
    assert (1, 36, 36, 12, 7) == (code, *(found[key] for key in ("messages", "judged", "changed", "stricter")))
    assert {
        ("accept, some recipients refused", "reject, some recipients refused", "", "invoices", 7, 1),
        ("reject, some recipients refused", "accept, some recipients refused", "mallory", "", 5, 1),
    } == {
        tuple(one[key] for key in ("before", "after", "rule_before", "rule", "messages", "senders"))
        for one in found["changes"]
    }
    assert (4, 0) == (found["by_another_rule"], found["recorded_otherwise"])
    assert {"mallory": (9, 0), "invoices": (0, 11), "hidden": (11, 0)} == {
        rule: (one["before"], one["after"]) for rule, one in found["rules"].items()
    }
    assert (0, 36, 0) == (same, unchanged["judged"], unchanged["changed"])
    for word in (b"alice", b"mallory", b"invoice", b"example"):
        assert word not in data
    assert "purged   9 messages kept for replay" in forgotten.output
    assert 27 == left


def test_off_means_that_nothing_is_kept(tmp_path: Path) -> None:
    """By default; and what was kept is gone once it is switched off."""
    with Daemon(tmp_path, replay="2h") as daemon:
        daemon.policy(IN_FORCE)
        daemon.start()
        send(daemon, "alice@example.com", "hello", 2)
        until(lambda: kept(daemon) == 2, "they are kept")
        daemon.stop()
        daemon.write_settings(replay="off")
        daemon.start()
        until(lambda: not kept(daemon), "they are gone")
        send(daemon, "alice@example.com", "hello", 2)
        until(lambda: len([one for one in daemon.lines("decision") if one.get("stage") == "eom"]) >= 4, "judged")
        assert not (daemon.state / "replay" / "key").exists()


def test_without_the_library_the_daemon_runs_on(tmp_path: Path) -> None:
    """The setting is a problem with its cure, mail goes on, and what is not kept is counted."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "cryptography").mkdir()
    (tmp_path / "site" / "cryptography" / "__init__.py").write_text("raise ImportError('not installed')\n")
    program = (
        "-c",
        f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); from tidegate.cli import door; door()",
    )
    with Daemon(tmp_path, program=program, replay="2h") as daemon:
        daemon.policy(IN_FORCE)
        daemon.start()
        until(lambda: "replay-unavailable" in daemon.alerts(), "it is told")
        assert "accept" == daemon.message()
        until(lambda: daemon.lines("replay not recorded"), "it is counted")
        assert "accept" == daemon.message()


LISTED = """version: 1
lists: {{suspended: {{type: login, redis: suspended}}}}
rules:
  - {{id: suspended, mode: {}, when: {{login: {{in: suspended}}}}, do: {{hold: {{reason: look}}}}}}
...
"""


def test_lists_in_redis_are_those_of_the_workers(tmp_path: Path) -> None:
    """A candidate is judged with the copies that the daemon has."""
    (tmp_path / "candidate").mkdir()
    (tmp_path / "candidate" / "a.yaml").write_text(LISTED.format("enforce"))
    with RedisServer() as server, Daemon(tmp_path, replay="2h", redis=server.url) as daemon:
        lists = ListStore(open_store(StoreWords(server.url), 2.0))
        lists.write("suspended", [Entry("mallory@example.com")], time.time())
        daemon.policy(LISTED.format("shadow"))
        daemon.state.mkdir()
        snapshot.write(str(daemon.state), snapshot.Snapshot(1, "prod", time.time()))
        daemon.start()
        until(lambda: [one["in_force"] for one in daemon.status()["lists"]["live"]] == [True], "the list is there")
        send(daemon, "mallory@example.com", "hello", 3)
        send(daemon, "alice@example.com", "hello", 5)
        until(lambda: kept(daemon) == 8, "all are kept")
        code, found = replay(daemon, tmp_path / "candidate")
    assert (1, 8, 3) == (code, found["judged"], found["changed"])
    assert ("accept", "hold", "suspended") == tuple(found["changes"][0][key] for key in ("before", "after", "rule"))
