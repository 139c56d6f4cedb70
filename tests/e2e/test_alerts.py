"""Alerts as people get them: a daemon with channels, and real receivers at their ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.builders.daemon import ENVIRONMENT, ROOT, Daemon, reject_all, until
from tests.builders.receiver import BlackHole, Receiver

GOOD = reject_all()
BROKEN = GOOD.replace("when:", "wen:")
OTHER = "version: 1\nrules:\n  - id: other\n    when: {login: mallory}\n    do: {hold: {reason: why}}\n...\n"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as one:
        yield one


def section(**parts: object) -> str:
    """`alerts:` in one line; JSON is YAML."""
    return json.dumps({"syslog": "false", "host": "mx1", **parts}).replace('"false"', "false")


def hook(url: str, **more: object) -> dict[str, object]:
    return {"webhook": url, "timeout": "2s", **more}


def told(receiver: Receiver, event: str, count: int) -> list[dict[str, Any]]:
    """So many notifications of this event, and no more."""
    until(lambda: len(receiver.told(event)) >= count, f"{count} {event}")
    found = receiver.told(event)
    assert count == len(found), found
    return found


def waiting(daemon: Daemon) -> dict[str, int]:
    """By channel, how many notifications wait."""
    return {one["name"]: one["waiting"] for one in daemon.status()["notifications"]["channels"]}


def reload(daemon: Daemon) -> None:
    """One load, to its end."""
    before = daemon.status()["load"]["count"]
    daemon.ask(do="reload")
    until(lambda: daemon.status()["load"]["count"] > before and not daemon.status()["load"]["busy"], "a load")


def tidegate(daemon: Daemon, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tidegate", *arguments, "--state", str(daemon.state)]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, cwd=ROOT, timeout=60, check=False)


def test_one_alert_over_reloads_and_restarts_and_its_end(folder: Path, receiver: Receiver) -> None:
    """Break, fifty reloads, a restart: one notification with place, cure and key. The repair, a revert and a deletion
    each resolve it.
    """
    settings = section(channels={"ops": hook(receiver.url)})
    with Daemon(folder, alerts=settings) as daemon:
        daemon.policy(OTHER, "20-other.yaml")
        daemon.policy(BROKEN)
        daemon.start()
        (first,) = told(receiver, "raised", 1)
        assert ("firing", "rule stop", "10-test.yaml", 4) == tuple(
            first[name] for name in ("status", "subject", "source", "line")
        )
        assert first["cure"]
        assert "mx1" == first["host"]
        for _ in range(50):
            reload(daemon)
        until(lambda: (daemon.state / "alerts").exists(), "the record")
        daemon.stop()
        daemon.start()
        reload(daemon)
        (alert,) = daemon.status()["alerts"]
        assert (first["key"], first["since"]) == (alert["key"], alert["since"])
        assert 1 == len(receiver.bodies)
        daemon.policy(GOOD)
        (resolved,) = told(receiver, "resolved", 1)
        assert (first["key"], "resolved") == (resolved["key"], resolved["status"])
        daemon.policy(BROKEN)
        told(receiver, "raised", 2)
        daemon.policy(GOOD)
        told(receiver, "resolved", 2)
        daemon.policy(BROKEN)
        assert {first["key"]} == {one["key"] for one in told(receiver, "raised", 3)}
        (daemon.policies / "10-test.yaml").unlink()
        told(receiver, "resolved", 3)
        assert [] == daemon.status()["alerts"]


def test_a_repair_while_it_was_down_is_told_after_the_start(folder: Path, receiver: Receiver) -> None:
    """What stood before and is not found again is resolved."""
    with Daemon(folder, alerts=section(channels={"ops": hook(receiver.url)})) as daemon:
        daemon.policy(BROKEN)
        daemon.start()
        told(receiver, "raised", 1)
        daemon.stop()
        daemon.policy(GOOD)
        daemon.start()
        told(receiver, "resolved", 1)


def test_a_storm_is_a_summary(folder: Path, receiver: Receiver) -> None:
    """Five thousand broken entries are at most five notifications; the summary says how many of what."""
    broken = "".join(f"  - id: r{n}\n    wen: always\n    do: {{hold: {{reason: x}}}}\n" for n in range(5000))
    with Daemon(folder, alerts=section(channels={"ops": hook(receiver.url)})) as daemon:
        daemon.policy(f"version: 1\nrules:\n{broken}...\n")
        daemon.start()
        until(lambda: receiver.told("summary"), "the summary")
        standing = len(daemon.status()["alerts"])
        assert standing >= 5000
        reload(daemon)
        assert len(receiver.bodies) <= 5
        assert standing - 4 <= receiver.told("summary")[0]["count"] <= standing


def test_a_dead_channel_delays_nobody(folder: Path, receiver: Receiver) -> None:
    """One receiver is a black hole: mail is judged, polls go on, the other channel is told."""
    with BlackHole() as hole:
        channels = {"hole": hook(hole.url, timeout="20s"), "ops": hook(receiver.url)}
        with Daemon(folder, alerts=section(channels=channels)) as daemon:
            daemon.policy(BROKEN)
            daemon.policy(reject_all("block"), "30-block.yaml")
            daemon.start()
            told(receiver, "raised", 1)
            until(lambda: daemon.message().startswith("550"), "mail is judged")
            (daemon.policies / "30-block.yaml").unlink()
            until(lambda: daemon.message() == "accept", "a poll found the edit")
            until(lambda: {"hole": 1, "ops": 0} == waiting(daemon), "one waits, the other one has delivered")


def test_what_waits_arrives_once(folder: Path, receiver: Receiver) -> None:
    """The receiver is down, the daemon is killed and started anew, the receiver comes back: each notification once."""
    receiver.down()
    with Daemon(folder, alerts=section(channels={"ops": hook(receiver.url)})) as daemon:
        daemon.policy(BROKEN)
        daemon.start()
        until(lambda: list((daemon.state / "notices" / "ops").glob("*.notice")), "it waits")
        record = daemon.state / "alerts"
        until(lambda: record.exists() and b"stop" in record.read_bytes(), "it is on record")
        daemon.policy(OTHER, "20-other.yaml")
        daemon.stop()
        daemon.start()
        daemon.policy(BROKEN.replace("id: stop", "id: second"), "30-second.yaml")
        until(lambda: len(list((daemon.state / "notices" / "ops").glob("*.notice"))) == 2, "both wait")
        receiver.up()
        raised = until(lambda: len(receiver.bodies) >= 2 and receiver.told("raised"), "both arrive")
        assert ["rule stop", "rule second"] == [one["subject"] for one in raised]
        assert 2 == len({one["id"] for one in receiver.bodies}) == len(receiver.bodies)
        until(lambda: not list((daemon.state / "notices" / "ops").glob("*.notice")), "nothing waits")


def test_alertmanager_gets_what_stands(folder: Path, receiver: Receiver) -> None:
    """Its API v2: labels, startsAt, endsAt ahead while it stands; the true end once it is resolved."""
    channel = hook(f"http://127.0.0.1:{receiver.port}", format="alertmanager")
    with Daemon(folder, alerts=section(channels={"am": channel})) as daemon:
        daemon.policy(BROKEN)
        daemon.start()
        (alert,) = until(lambda: receiver.bodies, "a post")[-1]
        assert "/api/v2/alerts" == receiver.paths[0]
        labels = alert["labels"]
        assert ("tidegate-unknown-key", "error", "rule stop", "mx1") == tuple(
            labels[name] for name in ("alertname", "severity", "subject", "instance")
        )
        assert alert["endsAt"] > alert["startsAt"]
        daemon.policy(GOOD)
        until(lambda: receiver.bodies[-1][0]["endsAt"] < alert["endsAt"], "its end")
        assert labels == receiver.bodies[-1][0]["labels"]


def test_a_command_gets_json(folder: Path) -> None:
    """exec: arguments as they are, no shell, JSON on standard input."""
    got = folder / "got"
    script = folder / "hook.sh"
    script.write_text(f'#!/bin/sh\nprintf "%s\\n" "$1" >>{got}\ncat >>{got}\n')
    script.chmod(0o755)
    with Daemon(folder, alerts=section(channels={"page": {"exec": [str(script), "a b; $HOME"]}})) as daemon:
        daemon.policy(BROKEN)
        daemon.start()
        until(lambda: got.exists() and got.read_text().count("\n") == 2, "it ran")
        argument, document = got.read_text().splitlines()
        assert ("a b; $HOME", "unknown-key") == (argument, json.loads(document)["code"])


def test_age_makes_a_deferral_worse(folder: Path, receiver: Receiver) -> None:
    """An entry that defers mail: error, then critical, then emergency, with the number of messages that waited."""
    settings = section(channels={"ops": hook(receiver.url)}, escalate=["2s", "4s"])
    rule = "version: 1\nrules:\n  - id: stop\n    on_invalid: defer\n    when: always\n    do: {rejct: {}}\n...\n"
    with Daemon(folder, alerts=settings) as daemon:
        daemon.policy(rule)
        daemon.start()
        until(lambda: daemon.message().startswith("451"), "mail waits")
        worse = told(receiver, "escalated", 2)
        assert ["critical", "emergency"] == [one["severity"] for one in worse]
        assert worse[-1]["deferred"]["messages"] >= 1
        assert "by our own doing" in worse[-1]["text"]
        assert 1 == len({one["key"] for one in receiver.bodies})


def test_the_commands(folder: Path, receiver: Receiver) -> None:
    """`tidegate alerts` lists; `test` says what each channel did; `silence` needs an end and a reason, and holds."""
    channels = {"ops": hook(receiver.url), "away": hook("http://127.0.0.1:9/")}
    with Daemon(folder, alerts=section(channels=channels, repeat=["1s"])) as daemon:
        daemon.policy(BROKEN)
        daemon.start()
        told(receiver, "raised", 1)
        listed = json.loads(tidegate(daemon, "alerts", "--json").stdout)
        (alert,) = listed["alerts"]
        assert alert["key"] in tidegate(daemon, "alerts").stdout
        tried = tidegate(daemon, "alerts", "test", "--json")
        assert 1 == tried.returncode
        results = {one["name"]: one["error"] for one in json.loads(tried.stdout)["channels"]}
        assert {"ops": "", "away": "Connection refused"} == results
        told(receiver, "test", 1)
        until(lambda: receiver.told("repeated"), "it is told again")
        assert 2 == tidegate(daemon, "alerts", "silence", alert["key"], "--for", "4h").returncode
        assert 2 == tidegate(daemon, "alerts", "silence", alert["key"], "--reason", "x").returncode
        assert 2 == tidegate(daemon, "alerts", "silence", "nokey", "--for", "4h", "--reason", "x").returncode
        done = tidegate(daemon, "alerts", "silence", alert["key"], "--for", "4h", "--reason", "we know")
        assert 0 == done.returncode, done.stderr
        assert "we know" in tidegate(daemon, "alerts").stdout
        daemon.stop()
        before = len(receiver.bodies)
        daemon.start()
        reload(daemon)
        tidegate(daemon, "alerts", "test")
        assert ["test"] == [one["event"] for one in receiver.bodies[before:]]
        assert ["we know"] == [one["reason"] for one in daemon.status()["notifications"]["silences"]]


def test_the_heartbeat_stops_with_the_daemon(folder: Path, receiver: Receiver) -> None:
    """It comes while workers serve, and no more once the supervisor is stopped."""
    settings = section(heartbeat={"url": receiver.url, "every": "1s"})
    with Daemon(folder, alerts=settings) as daemon:
        daemon.policy(GOOD)
        daemon.start()
        until(lambda: len(receiver.told("heartbeat")) >= 2, "it beats")
        assert (1, "mx1") == tuple(receiver.bodies[-1][name] for name in ("workers", "host"))
        daemon.signal(signal.SIGKILL)
        until(lambda: not daemon.status(), "it is gone")
