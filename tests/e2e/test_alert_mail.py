"""Alerts by mail through a real Postfix whose `non_smtpd_milters` names us: they arrive though all local mail waits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.harness import daemon as harness
from tests.e2e.harness.client import a_message
from tests.e2e.harness.postfix import until
from tests.e2e.harness.site import Site
from tests.e2e.harness.texts import SITE, a_rule, defer, refuse, rules

POSTMASTER = "postmaster@example.net"
STOPS = rules(a_rule("no-local-mail", "{direction: local}", refuse("Nothing from here")))
WAITS = rules(a_rule("no-local-mail", "{direction: local}", defer()))
BROKEN = "version: 1\nrules:\n  - id: broken\n    wen: always\n    do: {hold: {reason: x}}\n...\n"
ALERTS = json.dumps({"syslog": False, "host": "mx1.example.com", "channels": {"mail": {"sendmail": POSTMASTER}}})


def a_site(policy: str | None) -> Site:
    policies = {"10-site.yaml": SITE, "20.yaml": policy, "30.yaml": BROKEN} if policy else {}
    return Site(policies, local=True, alerts=ALERTS)


@pytest.fixture
def confined(monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon as its unit starts it: without the right to gain privileges."""
    command = ["setpriv", "--no-new-privs", sys.executable, "-m", "tidegate"]
    monkeypatch.setattr(harness, "_command", lambda: command)


@pytest.mark.parametrize("policy", [STOPS, WAITS], ids=["all local mail is refused", "all local mail waits"])
def test_it_passes_our_own_milter(policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The notification arrives, from the null sender; what else is submitted meets the rule, a copy of its mark too."""
    site = a_site(policy)
    monkeypatch.setenv("MAIL_CONFIG", str(site.postfix.etc))
    with site:
        arrival = site.sink.wait_for("unknown-key")
        assert ("", (POSTMASTER,)) == (arrival.sender, arrival.addresses)
        (mark,) = arrival.headers("x-tidegate-notice")
        (identity,) = arrival.headers("message-id")
        assert "a notification of our own" == site.daemon.decision("notification of our own")["reason"]
        forged = a_message("forged", **{"X-Tidegate-Notice": mark.decode(), "Message-ID": identity.decode()})
        site.postfix.sendmail("", ["else@example.net"], forged)
        other = a_message("other mark", **{"X-Tidegate-Notice": "0" * 64})
        site.postfix.sendmail("", [POSTMASTER], other)
        until(lambda: len(site.postfix.queued("hold")) == 2, "both are judged: from the null sender they are held")
        assert [] == site.sink.holding("forged") + site.sink.holding("other mark")


def test_a_confined_daemon_leaves_it_to_the_unit(confined: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """It lies in the folder until `tidegate alerts mail` runs, as tidegate-mail.service does."""
    site = a_site(STOPS)
    monkeypatch.setenv("MAIL_CONFIG", str(site.postfix.etc))
    with site:
        folder = site.daemon.state / "mail"
        until(lambda: list(folder.glob("*.eml")), "it waits")
        (waiting,) = folder.glob("*.eml")
        tried = site.daemon.command("alerts", "test", "--config", str(site.daemon.config))
        assert "tidegate-mail.service hands it to sendmail(1)" in tried.stdout
        assert [] == site.sink.holding("unknown-key")
        environment = {**os.environ, "PYTHONPATH": str(Path(harness.ROOT) / "milter")}
        command = [sys.executable, "-m", "tidegate", "alerts", "mail", "--state", str(site.daemon.state)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert (0, "") == (done.returncode, done.stderr)
        site.sink.wait_for("unknown-key")
        assert not waiting.exists()
