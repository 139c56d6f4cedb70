"""A valid rule, or a message, that kills, stalls or raises in a real daemon: what it costs, and for how long."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.builders.daemon import ENVIRONMENT, Daemon, until
from tests.builders.milterclient import MilterClient

SABOTEUR = str(Path(__file__).resolve().parents[1] / "builders" / "saboteur.py")

POLICY = """\
version: 1
rules:
  - id: killer
    when: {subject: {contains: DEED}}
    do: {reject: {code: "550 5.7.1", text: "stopped by {rule}"}}
  - id: lenient
    when: {subject: {contains: DEED}}
    do: {add_header: {X-Seen: "yes"}}
    on_error: skip
  - id: steady
    when: {subject: {contains: steady}}
    do: {reject: {code: "550 5.7.1", text: "stopped by {rule}"}}
...
"""


def sabotaged(folder: Path, deed: str, without: str = "lenient", **settings: Any) -> Daemon:
    """A daemon, not yet started, whose rule does this where the subject contains the word."""
    daemon = Daemon(folder, program=(SABOTEUR,), **settings)
    items = POLICY.replace("DEED", deed).split("  - id: ")
    daemon.policy("  - id: ".join(item for item in items if not without or not item.startswith(without)))
    return daemon


def send(daemon: Daemon, subject: str, who: str = "alice@example.com") -> str:
    """What the client is told; `lost` where the connection ended without an answer, which Postfix makes a 451 of."""
    try:
        with MilterClient(daemon.socket) as client:
            client.greet()
            headers = (("Message-ID", f"<{subject}@{who}>"), ("Subject", subject))
            return client.message(headers, sender=who, login=who).answer.text.partition(" (")[0]
    except OSError:
        return "lost"


def served(daemon: Daemon, subject: str, who: str = "alice@example.com") -> str:
    """The same, once there is a worker again."""
    return str(until(lambda: (answer := send(daemon, subject, who)) != "lost" and answer, f"{subject} is answered"))


def deaths(daemon: Daemon) -> list[dict[str, Any]]:
    return daemon.lines("died in a judgement")


def tripped(daemon: Daemon) -> dict[str, str]:
    """Rules that are tripped, and why."""
    entries = daemon.status().get("entries", ())
    return {one["key"]: one["reason"] for one in entries if one["state"] == "tripped"}


DEFERRED = "451 4.3.0 Temporary failure in our policy check, please try again later"
STOPPED = "550 5.7.1 stopped by steady"


@pytest.mark.parametrize("deed", ["kill-9", "segfault"])
def test_a_rule_that_kills(folder: Path, deed: str) -> None:
    """Mail of many senders: three workers die, then the rule is tripped, mail flows, and the alert says why.

    A restart changes nothing of it; a repaired rule is in force at once.
    """
    with sabotaged(folder, deed) as daemon:
        daemon.start()
        for number in range(3):
            until(daemon.serves, "a worker")
            assert "lost" == send(daemon, f"{deed} {number}", f"user{number}@example.com")
        assert DEFERRED == served(daemon, f"{deed} again", "user9@example.com")
        assert ["accept", STOPPED] == [send(daemon, "hello").replace("continue", "accept"), send(daemon, "steady")]
        assert ["killer"] * 3 == [line["rule"] for line in deaths(daemon)]
        assert "killed workers" in tripped(daemon)["rule killer"]
        assert "entry-tripped" in daemon.alerts()
        pid = daemon.pid
        daemon.stop()
        daemon.start()
        assert DEFERRED == send(daemon, f"{deed} again", "user9@example.com")
        assert ["rule killer"] == list(tripped(daemon))
        assert 3 == len(deaths(daemon))
        assert pid != daemon.pid
        daemon.policy(POLICY.replace("DEED", "harmless"))
        until(lambda: not tripped(daemon), "the repaired rule is in force")
        until(lambda: "550 5.7.1 stopped by killer" == send(daemon, "harmless"), "the worker has it, too")


def test_a_repair_on_trial_frees_nobody_else(folder: Path) -> None:
    """While a canary tries the repaired text, the others still have the one that kills: it stays tripped for all."""
    with sabotaged(folder, "kill-9", canary_share="50%", canary_time="1h", canary_longest="1h") as daemon:
        daemon.start()
        for number in range(3):
            until(daemon.serves, "a worker")
            send(daemon, f"kill-9 {number}", f"user{number}@example.com")
        assert DEFERRED == served(daemon, "kill-9 again", "user9@example.com")
        daemon.policy(POLICY.replace("DEED", "harmless"))
        until(lambda: daemon.status()["canary"]["runs"], "the repaired rule is on trial")
        until(lambda: all(one["canary"] for one in daemon.status()["workers"]), "the worker has it, too")
        answers = {send(daemon, "kill-9 again", f"sender{number}@example.com") for number in range(12)}
        assert {DEFERRED} <= answers <= {DEFERRED, "continue"}
        assert 3 == len(deaths(daemon))
        assert ["rule killer"] == list(tripped(daemon))


def test_a_new_rule_that_kills(folder: Path) -> None:
    """All mail that it may concern would wait while it is not asked: the proven generation comes back instead."""
    with sabotaged(folder, "kill-9", soak="1s", soak_messages=0) as daemon:
        killing = (daemon.policies / "10-test.yaml").read_text()
        daemon.policy(killing.replace("killer", "before").replace("kill-9", "harmless"))
        daemon.start()
        until(lambda: daemon.status()["ladder"]["proven"], "it is proven")
        daemon.policy(killing)
        until(lambda: daemon.generation() == 2, "the killer is in force")
        for number in range(3):
            until(daemon.serves, "a worker")
            send(daemon, f"kill-9 {number}", f"user{number}@example.com")
        until(lambda: "proven-serves" in daemon.alerts() and daemon.generation() == 1, "the proven one serves")
        assert "continue" == served(daemon, "kill-9 again", "user9@example.com")
        assert ("killer" in daemon.lines("generation does harm")[0]["reason"], {}) == (True, tripped(daemon))
        assert "generation-quarantined" in daemon.alerts()


def test_a_lenient_rule_that_kills(folder: Path) -> None:
    """`on_error: skip`: tripped, it does not count."""
    with sabotaged(folder, "kill-9", without="killer") as daemon:
        daemon.start()
        for number in range(3):
            until(daemon.serves, "a worker")
            send(daemon, f"kill-9 {number}", f"user{number}@example.com")
        assert "continue" == served(daemon, "kill-9 again", "user9@example.com")
        assert tripped(daemon)["rule lenient"].startswith("skip")


def test_a_message_that_kills(folder: Path) -> None:
    """The same message of one sender: three workers die of it, then it is answered by what its rules declare for
    content that can't be inspected (left out, by default); the rule stays on for everybody else."""
    with sabotaged(folder, "kill-9") as daemon:
        daemon.start()
        for _ in range(3):
            until(daemon.serves, "a worker")
            assert "lost" == send(daemon, "kill-9 me")
        assert "continue" == served(daemon, "kill-9 me")
        assert STOPPED == send(daemon, "steady")
        assert {} == tripped(daemon)
        assert "poison-message" in daemon.alerts()
        assert 3 == len(deaths(daemon))
        daemon.stop()
        daemon.start()
        assert "continue" == send(daemon, "kill-9 me")


def test_a_sender_who_kills(folder: Path) -> None:
    """Ever other messages of one sender: the rule is left out, in doubt, for that sender alone."""
    with sabotaged(folder, "kill-9") as daemon:
        daemon.start()
        for number in range(3):
            until(daemon.serves, "a worker")
            assert "lost" == send(daemon, f"kill-9 {number}")
        assert DEFERRED == served(daemon, "kill-9 for the hundredth time")
        assert STOPPED == send(daemon, "steady")
        assert {} == tripped(daemon)
        assert "poison-sender" in daemon.alerts()
        assert "lost" == send(daemon, "kill-9 of another", "bob@example.com")


@pytest.mark.parametrize("deed", ["loop", "stuck"])
def test_a_rule_that_does_not_come_back(folder: Path, deed: str) -> None:
    """A worker in a loop still answers pings: the journal tells. It is killed, and the rule is named."""
    with sabotaged(folder, deed, deadline="1s") as daemon:
        daemon.start()
        assert "lost" == send(daemon, f"{deed} please")
        assert STOPPED == served(daemon, "steady")
        (line,) = deaths(daemon)
        assert ("killer", "signal 9") == (line["rule"], line["status"])


def test_a_rule_that_raises(folder: Path) -> None:
    """The mail whose fate depends on it waits, whoever sends it; over three senders' mail it is tripped.

    It is tried again by itself, which is not waited for here.
    """
    with sabotaged(folder, "raise") as daemon:
        daemon.start()
        assert [DEFERRED] * 20 == [send(daemon, f"raise {number}") for number in range(20)]
        assert {} == tripped(daemon)
        assert [DEFERRED] * 2 == [send(daemon, "raise", f"user{number}@example.com") for number in range(2)]
        until(lambda: tripped(daemon), "the breaker opens")
        assert "several senders" in tripped(daemon)["rule killer"]
        assert ["accept", STOPPED] == [send(daemon, "hello").replace("continue", "accept"), send(daemon, "steady")]
        (fault,) = daemon.lines("rule fault")
        assert ("killer", "ZeroDivisionError") == (fault["rule"], fault["error"])
        assert "saboteur.py" in fault["at"]
        daemon.stop()
        daemon.start()
        assert ["rule killer"] == list(tripped(daemon))
        assert [] == deaths(daemon)


def test_a_look_up_that_kills(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No rule is to blame: from then on every rule is asked, one by one, so mail flows and the rule is on."""
    monkeypatch.setitem(ENVIRONMENT, "SABOTAGE", "look-up")
    with sabotaged(folder, "harmless") as daemon:
        daemon.start()
        assert "lost" == send(daemon, "look-up harmless")
        assert "550 5.7.1 stopped by killer" == served(daemon, "look-up harmless")
        assert STOPPED == send(daemon, "steady look-up")
        (line,) = deaths(daemon)
        assert "(looking up the rules)" == line["rule"]
        assert daemon.status()["poison"]["walks"]


def test_a_worker_that_takes_no_generation(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers pings, so it is not silent: it is told, and one that has the generation takes its place."""
    monkeypatch.setitem(ENVIRONMENT, "SABOTAGE", "deaf")
    with sabotaged(folder, "harmless") as daemon:
        daemon.start()
        (before,) = daemon.workers()
        daemon.policy(POLICY.replace("DEED", "new"))
        until(lambda: daemon.lines("worker behind"), "it is told")
        until(lambda: daemon.workers() not in ([], [before]) and daemon.generation() > 0, "another worker")
        assert "550 5.7.1 stopped by killer" == served(daemon, "new")
        assert "worker-behind" in [line["code"] for line in daemon.lines("alert raised")]
        until(lambda: "worker-behind" not in daemon.alerts(), "it is over")
