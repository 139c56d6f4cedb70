"""A message that is held, and comes in again: judged as it was, signed, delivered once (issue 5, hold and DKIM)."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.builders import signer as signer_module
from tests.builders.ports import free_port
from tests.e2e.harness.client import Client, a_message
from tests.e2e.harness.postfix import Service, until
from tests.e2e.harness.site import ALICE, BOB, Site
from tests.e2e.harness.texts import SITE, a_rule, on_subject, refuse, rules

ARCHIVE = "archive@example.com"
POLICY = rules(
    on_subject("kept", f'{{hold: {{reason: "Kept back"}}, add_header: {{X-Our: tag}}, bcc: {ARCHIVE}}}'),
    a_rule("forged", "{subject: {prefix: forged}, direction: [outbound, inbound]}", '{hold: {reason: "Kept back"}}'),
    on_subject("doomed", '{hold: {reason: "Kept back"}}'),
)
SINCE = rules(on_subject("doomed", refuse("Not any more")).replace("id: doomed", "id: newer"))


@pytest.fixture(scope="module")
def signer() -> Iterator[int]:
    """The port of a milter that signs."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-P", str(signer_module.__file__), f"inet:{port}@127.0.0.1"])
    until(lambda: _listens(port), "the signer listens")
    yield port
    process.kill()
    process.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def site(signer: int) -> Iterator[Site]:
    """Submission and a door for this machine; the signer stands behind us in both."""
    made = Site({"10-site.yaml": SITE, "20.yaml": POLICY})
    endpoint = made.daemon.endpoint
    door = Service(
        [endpoint],
        submission=False,
        options={
            "smtpd_client_restrictions": "permit_mynetworks,reject",
            "smtpd_relay_restrictions": "permit_mynetworks,reject",
            "mynetworks": "127.0.0.0/8",
        },
    )
    made.postfix.services = [made.postfix.services[0], door]
    for service in made.postfix.services:
        service.milters = [endpoint, f"inet:127.0.0.1:{signer}"]
    with made:
        yield made


def _held(site: Site, subject: str) -> str:
    """Send it; returns its queue id in the hold queue."""
    outcome = site.send(subject)
    assert outcome.final.code == 250
    until(lambda: [one.queue_id for one in site.postfix.queued("hold")] == [outcome.queue_id], "it is held")
    return outcome.queue_id


def _command(site: Site, *arguments: str) -> subprocess.CompletedProcess[str]:
    etc = str(site.postfix.etc)
    return site.daemon.command("held", *arguments, "--config", str(site.daemon.config), "--postfix", etc)


def test_a_release_is_judged_again_and_signed(site: Site) -> None:
    """It arrives once: signed, with what our rule added once, each recipient once, and nothing of the release in it."""
    queue_id = _held(site, "kept one")
    listed = _command(site, "list", "--json")
    assert listed.returncode == 1, listed.stderr
    (row,) = json.loads(listed.stdout)["held"]
    assert (row["queue_id"], row["rule"], row["reason"]) == (queue_id, "kept", "Kept back")
    shown = _command(site, "show", queue_id)
    assert "Subject: kept one" in shown.stdout, shown.stderr

    released = _command(site, "release", queue_id)
    assert released.returncode == 0, released.stdout + released.stderr
    arrival = site.sink.wait_for("kept one")
    until(lambda: site.postfix.queue() == [], "the queue is empty")
    arrived = site.sink.holding("kept one")
    assert sorted(address for one in arrived for address in one.addresses) == [ARCHIVE, BOB]
    assert arrival.headers("x-signed") == [b"yes"]
    assert arrival.headers("x-our") == [b"tag"]
    assert arrival.headers("x-tidegate-released") == []
    assert {one.address: one.notify for each in arrived for one in each.recipients}[ARCHIVE] == "NEVER"
    decision = site.daemon.decision(released.stdout.split()[-1])
    assert (decision["disposition"], decision["login"], decision["client"]) == ("accept", ALICE, "192.0.2.7")
    assert decision["eased"] == ["kept: shadow"]


def test_a_rule_that_did_not_hold_it_counts(site: Site) -> None:
    """Whose mail is refused by now stays held, and the command says with which reply."""
    queue_id = _held(site, "doomed one")
    site.daemon.load(("30.yaml", SINCE))
    released = _command(site, "release", queue_id)
    assert released.returncode == 1
    assert "still held: 550" in released.stdout
    assert "Not any more" in released.stdout
    assert [one.queue_id for one in site.postfix.queued("hold")] == [queue_id]
    assert site.sink.holding("doomed one") == []
    assert _command(site, "drop", queue_id, "--yes").returncode == 0
    assert site.postfix.queued("hold") == []


def test_a_pass_that_is_none_lets_nothing_go(site: Site) -> None:
    """Neither from a client elsewhere nor from this machine."""
    message = a_message("forged one", **{"X-Tidegate-Released": "eyJlbmQiOiAxfQ==.00"})
    for service in site.postfix.services:
        with Client(service.port) as client:
            if service.submission:
                client.xclient(login=ALICE, addr="192.0.2.7")
            client.hello()
            assert client.send(ALICE, [BOB], message).final.good
        until(lambda: len(site.postfix.queued("hold")) == 1, "it is held")
        site.postfix.drop()
    assert site.sink.holding("forged one") == []


def test_mail_that_is_held_for_long_raises_an_alert(site: Site) -> None:
    """By a look of the command, which only root can take; the next look clears it."""
    queue_id = _held(site, "kept three")
    until(lambda: _command(site, "list", "--max-age", "1s").returncode == 1, "it is a second old")
    assert "held for 1 s or longer" in site.daemon.alerts()["held-long"]["message"]
    _command(site, "drop", queue_id, "--yes")
    assert _command(site, "list", "--max-age", "1s").returncode == 0
    assert "held-long" not in site.daemon.alerts()
