"""A fault of ours, at each stage of SMTP, is a 4xx and never a 5xx; the next connection is served (promise P2)."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.e2e.harness.client import Client, Reply, a_message
from tests.e2e.harness.daemon import Daemon
from tests.e2e.harness.postfix import until
from tests.e2e.harness.site import ALICE, BOB, OpenSite, Site
from tests.e2e.harness.texts import SITE

STAGES = ("connect", "mail", "rcpt", "data")


@pytest.fixture(scope="module")
def shared(open_site: OpenSite) -> Site:
    """One site for all of this module."""
    return open_site({"10-site.yaml": SITE})


@pytest.fixture
def site(shared: Site) -> Iterator[Site]:
    """The shared site, its daemon alive before and after each test."""
    yield shared
    if shared.daemon.ended:
        shared.daemon.start()
    until(lambda: len(shared.daemon.workers()) == 2, "both workers are there", 20.0)


def walk(client: Client, until_stage: str) -> None:
    """Bring a session to the moment before the next command."""
    if until_stage == "connect":
        return
    client.command(f"MAIL FROM:<{ALICE}>")
    if until_stage == "mail":
        return
    client.command(f"RCPT TO:<{BOB}>")
    if until_stage == "data":
        client.command("DATA")


def go_on(client: Client, after: str, subject: str) -> list[Reply]:
    """The rest of the message; all replies."""
    replies = []
    if after == "connect":
        replies.append(client.command(f"MAIL FROM:<{ALICE}>"))
    if after in ("connect", "mail"):
        replies.append(client.command(f"RCPT TO:<{BOB}>"))
    if after != "data":
        replies.append(client.command("DATA"))
    if after == "data" or replies[-1].code == 354:
        replies.append(client.finish(a_message(subject)))
    return replies


def first_refusal(replies: list[Reply]) -> Reply:
    """What an RFC-following client acts on."""
    return next(reply for reply in replies if not reply.good)


def test_daemon_down(site: Site) -> None:
    """Nobody there: 451 at MAIL; a new connection is served once it is back."""
    site.daemon.stop()
    assert 451 == site.send("while down").final.code
    site.daemon.start()
    assert 250 == site.send("back again").final.code
    site.sink.wait_for("back again")
    assert [] == site.sink.holding("while down")


@pytest.mark.parametrize("stage", STAGES)
def test_daemon_killed(site: Site, stage: str) -> None:
    """kill -9 of everything at each stage: the first refusal is a 4xx, nothing is delivered, nothing is lost."""
    subject = f"killed at {stage}"
    with site.client() as client:
        walk(client, stage)
        site.daemon.kill()
        refusal = first_refusal(go_on(client, stage, subject))
    assert refusal.code in (421, 451), refusal
    site.daemon.start()
    assert [] == site.sink.holding(subject)
    assert 250 == site.send(f"after {subject}").final.code


@pytest.mark.parametrize("stage", STAGES)
def test_worker_killed(site: Site, stage: str) -> None:
    """kill -9 of the workers: their sessions get a 4xx, they are replaced, new sessions are served."""
    with site.client() as client:
        walk(client, stage)
        before = site.daemon.workers()
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        refusal = first_refusal(go_on(client, stage, f"worker killed at {stage}"))
    assert refusal.code in (421, 451), refusal
    until(lambda: len(set(site.daemon.workers()) - set(before)) == 2, "both workers are replaced")
    assert 250 == site.send(f"new worker {stage}").final.code


def test_one_worker_killed_spares_the_other(site: Site) -> None:
    """The sessions of a living worker go on while another one dies and is replaced."""
    workers = site.daemon.workers()
    with site.client() as first, site.client() as second:
        walk(first, "data")
        walk(second, "data")
        os.kill(workers[0], signal.SIGKILL)
        codes = {client.finish(a_message("beside a death")).code for client in (first, second)}
    assert codes <= {250, 451}
    assert 250 == site.send("the other one serves").final.code


def test_daemon_stopped(site: Site) -> None:
    """SIGSTOP of every process: Postfix's timeout makes it a 451, and SIGCONT serves on."""
    family = site.daemon.freeze()
    try:
        refusal = site.send("while stopped").final
    finally:
        for pid in family:
            os.kill(pid, signal.SIGCONT)
    assert refusal.code in (421, 451), refusal
    until(lambda: site.send("after CONT").final.code == 250, "it serves again", 20.0)
    assert [] == site.sink.holding("while stopped")


def test_worker_stopped_is_replaced(site: Site) -> None:
    """A worker that is silent for 5 s is killed and replaced."""
    before = site.daemon.workers()
    os.kill(before[0], signal.SIGSTOP)
    until(lambda: before[0] not in site.daemon.workers() and len(site.daemon.workers()) == 2, "it is replaced", 25.0)
    assert 250 == site.send("after silence").final.code


def test_clerk_killed(site: Site) -> None:
    """The clerk is off the mail path: its death delays nothing, and it comes back."""
    clerk = int(site.daemon.status()["clerk"][0])
    os.kill(clerk, signal.SIGKILL)
    assert 250 == site.send("without a clerk").final.code
    until(lambda: site.daemon.status()["clerk"] not in ([], [clerk]), "the clerk is back")


def test_term_lets_the_message_in_hand_end(site: Site) -> None:
    """TERM during DATA: this message gets its verdict (P2: not even a 4xx where it can be avoided)."""
    with site.client() as client:
        walk(client, "data")
        site.daemon.signal(signal.SIGTERM)
        reply = client.finish(a_message("in hand at TERM"))
    assert reply.code in (250, 451)
    assert site.daemon.process is not None
    assert 0 == site.daemon.process.wait(15)
    assert (1 if reply.code == 250 else 0) == len(site.sink.holding("in hand at TERM")) or reply.code == 250


def test_idle_stop_is_quick(site: Site) -> None:
    """TERM ends an idle daemon in under 2 s."""
    assert 0 == site.daemon.stop(2.0)


def test_socket_is_gone_after_stop(site: Site) -> None:
    """A stopped daemon leaves no socket behind."""
    site.daemon.stop()
    assert not site.daemon.socket.exists()


def test_never_loaded_defers() -> None:
    """Without a policy that was ever readable the daemon answers: one 451 at end of message."""
    # The policy directory is a file: a source that was configured and never read.
    daemon = Daemon()
    daemon.policies.rmdir()
    daemon.policies.write_text("not a directory")
    with daemon:
        assert daemon.accepts
        assert 0 == daemon.generation
        assert "no-generation" in daemon.alerts()
