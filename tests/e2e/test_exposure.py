"""The exposure ledger of a real daemon: what a skipped rule would have concerned, counted until the repair."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from click.testing import CliRunner

from tests.builders.daemon import Daemon, until
from tests.builders.milterclient import MilterClient
from tests.builders.ports import free_port
from tidegate.cli import main
from tidegate.ledger import Pen, Row, read_rows
from tidegate.live.restraints import NO_HOLDS, By, Hold, write_holds
from tidegate.model import Easing

BROKEN = """version: 1
rules:
  - id: mallory
    when: {login: mallory@example.com}
    do: {rejekt: {code: "550 5.7.1", text: stop}}
  - {id: other, when: {login: carol@example.com}, do: {reject: {code: "550 5.7.1", text: stop}}}
...
"""
REPAIRED = BROKEN.replace("rejekt", "reject")


def send(daemon: Daemon, login: str, count: int, queue: str) -> None:
    """So many messages of this login over one connection, with a queue id each."""
    with MilterClient(daemon.socket) as client:
        client.greet()
        for number in range(count):
            client.mail(login, login=login)
            client.rcpt()
            client.data()
            client.header("Subject", "hello")
            client.end_of_headers()
            client.end_of_message(f"{queue}{number:03}")


def ledger(daemon: Daemon, *options: str) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and episodes of `tidegate exposure --json`."""
    done = CliRunner().invoke(main, ["exposure", "--state", str(daemon.state), "--json", *options])
    return done.exit_code, json.loads(done.stdout)["exposures"]


def counted(daemon: Daemon) -> int:
    return int(sum(one["count"] for one in ledger(daemon)[1]))


def test_thirty_seven_messages(tmp_path: Path) -> None:
    """37 in scope and others, two workers, one of them killed, a restart in between: the ledger lists those 37."""
    with Daemon(tmp_path, workers=2) as daemon:
        daemon.policy(BROKEN)
        daemon.start()
        send(daemon, "mallory@example.com", 12, "A")
        send(daemon, "alice@example.com", 5, "X")
        until(lambda: counted(daemon) == 12, "twelve are listed")
        os.kill(daemon.workers()[0], signal.SIGKILL)
        until(lambda: len(daemon.workers()) == 2, "a new worker")
        send(daemon, "mallory@example.com", 20, "B")
        daemon.stop()  # at once: what is not written yet is written on the way out
        daemon.start()
        send(daemon, "mallory@example.com", 5, "C")
        send(daemon, "carol@example.com", 3, "Y")
        until(lambda: counted(daemon) == 37, "all are listed")
        shown = daemon.status()["exposure"]["rules"]
        code, (open_,) = ledger(daemon)
        daemon.policy(REPAIRED)
        until(lambda: daemon.generation() == 2, "the repair is in force")
        send(daemon, "mallory@example.com", 4, "Z")
        until(lambda: ledger(daemon)[0] == 0, "the episode has ended")
        _, (ended,) = ledger(daemon, "mallory")
    assert [("mallory", "skipped", 5)] == [(one["rule"], one["state"], one["messages"]) for one in shown]
    assert (1, "mallory", None) == (code, open_["rule"], open_["until"])
    wanted = {f"{queue}{number:03}" for queue, count in (("A", 12), ("B", 20), ("C", 5)) for number in range(count)}
    assert wanted == {one["queue_id"] for one in ended["messages"]}
    assert (37, 0, "active") == (ended["count"], ended["uncertain"], ended["ended"])
    assert {("m***@example.com", "accept")} == {(one["sender"], one["disposition"]) for one in ended["messages"]}
    assert open_["since"] == ended["since"] < ended["first"] <= ended["last"] < ended["until"]
    assert b"mallory@" not in (daemon.state / "exposure" / "rows").read_bytes()


@pytest.mark.parametrize(
    ("rule", "easing", "state", "outcome"),
    [
        ("mallory", Easing.SOFT, "braked", "defer"),
        ("mallory", Easing.SHADOW, "braked", "accept"),
        ("mallory", Easing.SKIP, "braked", "accept"),
        ("", Easing.SOFT, "braked", "defer"),
    ],
    ids=["soft", "shadow", "skip", "all rules"],
)
def test_a_rule_that_is_eased_is_exposed(rule: str, easing: Easing, state: str, outcome: str, tmp_path: Path) -> None:
    """What it would have concerned is listed, with what became of it instead."""
    with Daemon(tmp_path) as daemon:
        daemon.state.mkdir()
        write_holds(str(daemon.state), NO_HOLDS.plus([Hold(rule, easing, By.HAND, "too many", until=4e9)]))
        daemon.policy(REPAIRED)
        daemon.start()
        send(daemon, "mallory@example.com", 3, "A")
        send(daemon, "alice@example.com", 2, "X")
        until(lambda: counted(daemon) == 3, "they are listed")
        _, (found,) = ledger(daemon)
    assert (rule, state, f"{easing.value}: too many") == (found["rule"], found["state"], found["reason"])
    assert [("mallory", f"A00{n}", outcome, True) for n in range(3)] == [
        (one["rule"], one["queue_id"], one["disposition"], one["certain"]) for one in found["messages"]
    ]


def test_a_message_does_not_wait_for_the_ledger(tmp_path: Path) -> None:
    """Where nothing can be written mail goes on; what is lost is counted, and an alert stands."""
    with Daemon(tmp_path) as daemon:
        daemon.state.mkdir()
        (daemon.state / "exposure").write_text("in the way")
        daemon.policy(BROKEN)
        daemon.start()
        send(daemon, "mallory@example.com", 3, "A")
        until(lambda: daemon.lines("exposure not recorded"), "it is told")
        assert "exposure-unwritable" in daemon.alerts()
        assert "accept" == daemon.message()


def test_what_is_too_old_is_forgotten(tmp_path: Path) -> None:
    """By the setting `exposure`: the clerk looks when it starts, and then from time to time."""
    with Daemon(tmp_path, exposure="2h") as daemon:
        daemon.state.mkdir()
        now = time.time()
        Pen(str(daemon.state)).write([Row("r", now - hours * 3600, f"H{hours}", first=now) for hours in (5, 3, 1)])
        daemon.policy(REPAIRED)
        daemon.start()
        until(lambda: ["H1"] == [row.queue_id for row in read_rows(str(daemon.state))], "the old ones are gone")


def test_metrics_count_for_each_rule(tmp_path: Path) -> None:
    """`tidegate_rule_exposed_total`, by rule."""
    port = free_port()
    with Daemon(tmp_path, metrics=f"127.0.0.1:{port}") as daemon:
        daemon.policy(BROKEN)
        daemon.start()
        send(daemon, "mallory@example.com", 3, "A")

        def page() -> str:
            with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                return str(answer.read().decode())

        until(lambda: 'tidegate_rule_exposed_total{rule="mallory"} 3' in page(), "it counts")
        assert "tidegate_exposure_lost_total 0" in page()
