"""The lines in postfix/ do what they say, on a real Postfix with Debian's layout of the socket."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.harness.client import Client, a_message
from tests.e2e.harness.daemon import ROOT, Daemon
from tests.e2e.harness.postfix import Postfix, Service
from tests.e2e.harness.sink import Sink
from tests.e2e.harness.site import ALICE, BOB
from tests.e2e.harness.texts import SITE, on_subject, refuse, rules

SNIPPETS = ROOT / "postfix"


def main_cf() -> dict[str, str]:
    """The settings of the snippet."""
    lines = re.findall(r"^(\w+) =[ ]?(.*)$", (SNIPPETS / "main.cf").read_text(), re.MULTILINE)
    found = dict(lines)
    assert "" == found.pop("smtpd_authorized_xclient_hosts")  # the tests' own way to log in
    return found


def master_cf(service: str) -> dict[str, str]:
    """The -o options of one service of the snippet, but for TLS and for the DKIM signer that is not there."""
    text = (SNIPPETS / "master.cf").read_text().replace(", inet:127.0.0.1:8891", "")
    block = re.search(rf"^{service} .*\n((?:  -o .*\n)+)", text, re.MULTILINE)
    assert block
    options = re.findall(r"-o (?:\{ (\w+) = (.*) \}$|(\w+)=(.*)$)", block[1], re.MULTILINE)
    found = {one[0] or one[2]: one[1] or one[3] for one in options}
    found.pop("smtpd_tls_security_level", None)
    return found


@pytest.fixture(scope="module")
def site() -> Iterator[tuple[Daemon, Postfix, Sink]]:
    """Postfix with the snippets, the socket below its queue directory."""
    with ExitStack() as stack:
        sink = stack.enter_context(Sink())
        services = [
            Service(options=master_cf("submission")),
            Service(submission=False, options=master_cf("smtp")),
        ]
        postfix = Postfix(sink.port, services, settings=main_cf())
        folder = Path(postfix.root / "spool" / "tidegate")
        folder.mkdir(parents=True)
        relays = "version: 1\nlists:\n  relay-networks: {type: ip, items: [127.0.0.0/8]}\n...\n"
        policies = {"10.yaml": SITE, "11.yaml": relays, "20.yaml": rules(on_subject("stop-me", refuse()))}
        daemon = Daemon(policies, listen=f"unix:{folder}/tidegate.sock")
        daemon.socket = folder / "tidegate.sock"
        stack.callback(daemon.remove)
        stack.enter_context(postfix)
        daemon.start()
        yield daemon, postfix, sink


def code(port: int, subject: str, login: bool) -> int:
    """The code of one message."""
    with Client(port) as client:
        if login:
            client.xclient(login=ALICE)
        else:
            client.hello()
        return client.send(ALICE, [BOB], a_message(subject)).final.code


@pytest.mark.parametrize(("service", "login"), [(0, True), (1, False)], ids=["submission", "relay"])
def test_judged(site: tuple[Daemon, Postfix, Sink], service: int, login: bool) -> None:
    """Mail of both services is judged."""
    _, postfix, _ = site
    port = postfix.services[service].port
    assert [250, 550] == [code(port, subject, login) for subject in ("go on", "stop-me")]


def test_local_mail_is_judged(site: tuple[Daemon, Postfix, Sink]) -> None:
    """So is what sendmail(1) submits."""
    daemon, postfix, sink = site
    postfix.sendmail("cron@example.com", [BOB], a_message("local one"))
    sink.wait_for("local one")
    assert "accept" == daemon.decision("cron@example.com")["disposition"]


def test_tempfail_although_the_global_default_is_accept(site: tuple[Daemon, Postfix, Sink]) -> None:
    """The braces win over milter_default_action."""
    daemon, postfix, sink = site
    daemon.stop()
    postfix._settings["milter_default_action"] = "accept"
    postfix.reload()
    try:
        for service, login in ((0, True), (1, False)):
            assert 451 == code(postfix.services[service].port, "unjudged", login)
        assert [] == sink.holding("unjudged")
    finally:
        daemon.start()
