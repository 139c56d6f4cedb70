"""The metrics page as Prometheus gets it: what it counts, over deaths of workers and clerk; an address that can't be
had.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.builders.daemon import ROOT, Daemon, Session, until
from tests.builders.ports import free_port

POLICY = """version: 1
rules:
  - {id: stop, when: {subject: hello}, do: {reject: {code: "550 5.7.1", text: "no"}}}
  - {id: tried, mode: shadow, when: {subject: hello}, do: {hold: {reason: look}}}
  - {id: broken, when: {subjekt: hello}, do: {hold: {reason: look}}}
...
"""


def page(address: str) -> dict[str, float]:
    """Every sample by its name with labels; {} while nobody serves."""
    try:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            text = answer.read().decode()
    except OSError:
        return {}
    rows = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in rows}


@pytest.fixture
def address() -> str:
    """host:port on loopback."""
    return f"127.0.0.1:{free_port()}"


@pytest.fixture
def daemon(tmp_path: Path, address: str) -> Iterator[Daemon]:
    """A daemon that serves its metrics there."""
    with Daemon(tmp_path, workers=2, metrics=address) as running:
        running.policy(POLICY)
        running.start()
        until(lambda: page(address), "metrics")
        yield running


EXPECTED = {
    'tidegate_verdicts_total{disposition="reject"}': 1,
    'tidegate_verdicts_total{disposition="accept"}': 0,
    'tidegate_rule_matches_total{rule="stop",mode="enforce"}': 1,
    'tidegate_rule_matches_total{rule="tried",mode="shadow"}': 1,
    "tidegate_messages_total": 1,
    'tidegate_errors_total{kind="exception"}': 0,
    "tidegate_message_seconds_count": 1,
    'tidegate_message_seconds_bucket{le="+Inf"}': 1,
    "tidegate_generation": 1,
    "tidegate_workers": 2,
    "tidegate_workers_current": 2,
    "tidegate_worker_restarts_total": 0,
    "tidegate_loads_total": 1,
    "tidegate_loads_failed_total": 0,
    'tidegate_entries{state="skipped"}': 1,
    'tidegate_entries{state="shadow"}': 1,
    "tidegate_problems": 1,
    'tidegate_alerts{code="unknown-field"}': 1,
    "tidegate_settings_last_good": 0,
}


def test_what_it_counts(daemon: Daemon, address: str) -> None:
    """Verdicts, rules, errors, latency, generations, entries, problems and alerts, within a second or two."""
    assert "550" in daemon.message()
    until(lambda: EXPECTED.items() <= page(address).items(), "everything is counted", 5.0)
    found = page(address)
    assert 0 < found["tidegate_message_seconds_sum"] < 5
    assert abs(found["tidegate_generation_loaded_timestamp_seconds"] - os.stat(daemon.policies).st_mtime) < 60


def test_the_totals_never_go_back(daemon: Daemon, address: str) -> None:
    """Whichever worker is killed, and when the clerk is: what was counted stays, what is new is added."""
    totals = re.compile(r"tidegate_\w+_total|tidegate_message_seconds_(count|bucket|sum)")
    known: dict[str, float] = {}
    for number in range(1, 7):
        daemon.message()
        victims = daemon.workers() if number % 2 else daemon.status()["clerk"]
        os.kill(victims[0], signal.SIGKILL)
        until(lambda gone=victims[0]: gone not in [*daemon.workers(), *daemon.status()["clerk"]], "it is replaced")
        until(lambda: len(daemon.workers()) == 2 and daemon.status()["clerk"] and daemon.serves(), "all are there")
        until(lambda count=number: page(address).get("tidegate_messages_total") == count, "the message is counted")
        found = page(address)
        assert [] == [name for name, value in known.items() if totals.match(name) and found.get(name, -1) < value]
        known = found
    assert 6 == known['tidegate_rule_matches_total{rule="stop",mode="enforce"}']
    until(lambda: page(address)["tidegate_worker_restarts_total"] == 3, "restarts are counted")


def test_a_new_generation_keeps_the_counts_of_its_rules(daemon: Daemon, address: str) -> None:
    """A rule that stays goes on, one that is new begins."""
    daemon.message()
    daemon.policy(POLICY.replace("id: tried", "id: other"))
    until(lambda: daemon.generation() == 2, "the edit is in force")
    daemon.message()
    wanted = {
        'tidegate_rule_matches_total{rule="stop",mode="enforce"}': 2.0,
        'tidegate_rule_matches_total{rule="other",mode="shadow"}': 1.0,
        "tidegate_generation": 2.0,
    }
    until(lambda: wanted.items() <= page(address).items(), "counted by rule", 5.0)


def test_off_is_off(tmp_path: Path, address: str) -> None:
    """Nobody listens, and nothing is wrong."""
    with Daemon(tmp_path, metrics="off") as daemon:
        daemon.policy("version: 1\nrules: []\n...\n")
        daemon.start()
        assert {} == page(address)
        assert set() == daemon.alerts()


def test_an_address_that_is_taken_is_an_alert(tmp_path: Path, address: str) -> None:
    """Mail goes on; the alert names the address, and clears once it can be had."""
    host, _, port = address.partition(":")
    with closing(socket.socket()) as other:
        other.bind((host, int(port)))
        other.listen()
        with Daemon(tmp_path, metrics=address) as daemon:
            daemon.policy(POLICY)
            daemon.start()
            until(lambda: "metrics-unavailable" in daemon.alerts(), "the alert")
            (alert,) = [one for one in daemon.status()["alerts"] if one["code"] == "metrics-unavailable"]
            assert f"{address}: Address already in use" == alert["message"]
            assert "550" in daemon.message()
            other.close()
            until(lambda: "metrics-unavailable" not in daemon.alerts(), "it clears")
            until(lambda: page(address).get("tidegate_messages_total") == 1, "and what was counted is there")


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1"])
def test_an_address_of_somebody_else_is_an_alert(host: str, tmp_path: Path) -> None:
    """A name that does not resolve, an address that this machine does not have."""
    with Daemon(tmp_path, metrics=f"{host}:9127") as daemon:
        daemon.start()
        until(lambda: "metrics-unavailable" in daemon.alerts(), "the alert")
        assert "accept" == daemon.message()


def test_ipv6(tmp_path: Path) -> None:
    """In brackets, as everywhere."""
    try:
        address = f"[::1]:{free_port('::1')}"
    except OSError:
        pytest.skip("no IPv6 on this machine")
    with Daemon(tmp_path, metrics=f'"{address}"') as daemon:
        daemon.start()
        until(lambda: page(address), "metrics")


@pytest.mark.parametrize("sent", [b"", b"\0" * 100, b"POST / HTTP/1.0\r\n\r\n"], ids=["nothing", "zeros", "post"])
def test_a_scraper_that_stalls_loses_its_turn(sent: bytes, daemon: Daemon, address: str) -> None:
    """It gets five seconds in all; the next one is served."""
    host, _, port = address.partition(":")
    with closing(socket.create_connection((host, int(port)))) as stalled:
        stalled.sendall(sent)
        assert page(address)
    assert "550" in daemon.message()


def test_a_scraper_that_drips_loses_its_turn_too(daemon: Daemon, address: str) -> None:
    """A byte now and then wins no time."""
    host, _, port = address.partition(":")
    with closing(socket.create_connection((host, int(port)))) as dripping:
        dripping.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
        dripping.settimeout(0.5)

        def cut() -> bool:
            try:
                dripping.sendall(b"x")
                return dripping.recv(1) == b""
            except TimeoutError:
                return False
            except OSError:
                return True

        until(cut, "it is cut off")
        assert page(address)


def test_no_library_is_needed() -> None:
    """prometheus-client is not among what the program imports: without it nothing is lost."""
    sources = (ROOT / "milter" / "tidegate").rglob("*.py")
    assert [] == [
        path for path in sources if re.search(r"^\s*(import|from) prometheus", path.read_text(), re.MULTILINE)
    ]


def test_there_is_one_page(daemon: Daemon, address: str) -> None:
    """/metrics, and / for a person; nothing else."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://{address}/etc/passwd", timeout=10)
    assert 404 == refused.value.code
    session = Session(daemon.socket)
    session.greet()
    until(lambda: page(address)["tidegate_sessions"] == 1, "the session is seen")
    session.close()
