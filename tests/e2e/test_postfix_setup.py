"""`tidegate postfix` on a Postfix that runs: in, mail is judged; out, it is not, and the files are as they were."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.e2e.harness.client import Client, a_message
from tests.e2e.harness.daemon import Daemon
from tests.e2e.harness.postfix import Postfix, Service, until
from tests.e2e.harness.sink import Sink
from tests.e2e.harness.site import ALICE, BOB
from tests.e2e.harness.texts import SITE, a_rule, on_subject, refuse, rules

POLICIES = {"10.yaml": SITE, "20.yaml": rules(on_subject("stop-me", refuse()))}


@pytest.fixture
def site() -> Iterator[tuple[Daemon, Postfix]]:
    """A daemon, and a Postfix that does not know it: a submission service, and one for mail that comes in."""
    with ExitStack() as stack:
        sink = stack.enter_context(Sink())
        postfix = Postfix(sink.port, [Service(), Service(submission=False, options={"mynetworks": "127.0.0.0/8"})])
        daemon = stack.enter_context(Daemon(POLICIES))
        stack.enter_context(postfix)
        yield daemon, postfix


def files(postfix: Postfix) -> list[bytes]:
    """main.cf and master.cf."""
    return [(postfix.etc / name).read_bytes() for name in ("main.cf", "master.cf")]


def code(postfix: Postfix, subject: str) -> int:
    """What a message through submission is answered with."""
    with Client(postfix.services[0].port) as client:
        client.xclient(login=ALICE)
        return client.send(ALICE, [BOB], a_message(subject)).final.code


def postfix_command(daemon: Daemon, postfix: Postfix, *arguments: str) -> tuple[int, str]:
    """Exit code and everything that it said."""
    done = daemon.command("postfix", *arguments, "--config", str(daemon.config), "--postfix", str(postfix.etc))
    return done.returncode, done.stdout + done.stderr


def test_in_and_out(site: tuple[Daemon, Postfix]) -> None:
    """A dry run changes nothing; `enable` has mail judged at once; `check` tries the service, and the daemon sees it;
    `disable` leaves the files byte for byte as they were."""
    daemon, postfix = site
    before = files(postfix)
    status, text = postfix_command(daemon, postfix, "status")
    assert (status, "DOES NOT ASK US" in text) == (1, True)
    assert postfix_command(daemon, postfix, "enable", "--dry-run")[0] == 0
    assert files(postfix) == before
    assert [250, 250] == [code(postfix, subject) for subject in ("one", "stop-me")]

    status, text = postfix_command(daemon, postfix, "enable")
    assert status == 0, text
    assert "+tidegate = {" in text
    assert [250, 550] == [code(postfix, subject) for subject in ("two", "stop-me")]
    status, text = postfix_command(daemon, postfix, "check", "--json")
    service = f"127.0.0.1:{postfix.services[0].port}/inet"
    tried = {one["service"]: one for one in json.loads(text)["services"]}
    assert tried[service]["seen"] is True
    assert {"service-unjudged", "default-action", "socket-unreachable"} & {
        one["code"] for one in json.loads(text)["findings"] if one["source"] == service
    } == set()

    told = daemon.command("doctor", "--json", "--config", str(daemon.config), "--postfix", str(postfix.etc))
    grades = {one["name"]: one["grade"] for one in json.loads(told.stdout)["parts"]}
    assert {"daemon": "fine", "socket": "fine", "state": "fine"}.items() <= grades.items()

    status, text = postfix_command(daemon, postfix, "disable")
    assert status == 0, text
    assert files(postfix) == before
    assert [250, 250] == [code(postfix, subject) for subject in ("three", "stop-me")]


def test_a_test_message_is_known_by_our_decision(site: tuple[Daemon, Postfix]) -> None:
    """Through each service that asks us; a refusal of ours is a decision like another."""
    daemon, postfix = site
    service = f"127.0.0.1:{postfix.services[1].port}/inet"
    assert postfix_command(daemon, postfix, "enable", "--service", service)[0] == 0
    daemon.load(("30.yaml", rules(a_rule("inwards", "{direction: inbound, rcpt.count: {gt: 0}}", refuse("Ours")))))
    for arguments, disposition, rule in (
        ((BOB,), "reject", "inwards"),
        ((BOB, "--sender", ALICE), "reject", "inwards"),
    ):
        _, text = postfix_command(daemon, postfix, "check", "--json", "--send", *arguments)
        (message,) = json.loads(text)["messages"]
        assert (message["service"], message["disposition"], message["rule"]) == (service, disposition, rule)
        assert message["reply"].startswith("550 5.7.1 Ours")
    daemon.load(("30.yaml", rules()))
    _, text = postfix_command(daemon, postfix, "check", "--send", BOB)
    assert "judged: accept" in text


def test_nobody_listens(site: tuple[Daemon, Postfix]) -> None:
    """Without our socket all mail would be deferred: `enable` refuses, and says why."""
    daemon, postfix = site
    daemon.kill()  # its socket stays behind
    before = files(postfix)
    status, text = postfix_command(daemon, postfix, "enable")
    assert (status, "nothing was changed" in text) == (2, True)
    assert files(postfix) == before


def test_what_got_past_is_a_number(site: tuple[Daemon, Postfix]) -> None:
    """Postfix's own log beside ours: judged mail counts nothing, what went out without us is named."""
    daemon, postfix = site
    log = postfix.root / "log" / "mail.log"
    assert postfix_command(daemon, postfix, "enable")[0] == 0
    assert code(postfix, "judged") == 250

    def reconciled() -> tuple[int, dict[str, object]]:
        done = daemon.command("postfix", "reconcile", str(log), "--json", "--config", str(daemon.config))
        return done.returncode, json.loads(done.stdout)

    postfix.wait_for_log(r"qmgr\[\d+\]: \w+: from=")
    until(lambda: reconciled()[1]["judged"], "the decision is in the log")
    assert reconciled()[0] == 0
    assert postfix_command(daemon, postfix, "disable")[0] == 0
    assert code(postfix, "past us") == 250
    until(lambda: reconciled()[1]["unjudged"] == 1, "it is counted")
    assert reconciled()[0] == 1
