"""What sendmail(1) submits can't be refused: verdicts at end of message only, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.harness.client import a_message
from tests.e2e.harness.postfix import until
from tests.e2e.harness.site import BOB, OpenSite, Site
from tests.e2e.harness.texts import SITE, a_rule, defer, refuse, rules

CRON = "cron@example.com"


def for_local(name: str, do: str) -> str:
    """A rule for local mail whose subject begins with its name."""
    return a_rule(name, f"{{direction: local, subject: {{prefix: {name}}}}}", do)


POLICY = rules(
    for_local("mark", "{add_header: {X-Local: seen}}"),
    for_local("refused", refuse("Not from here")),
    for_local("waits", defer()),
    for_local("kept", '{hold: {reason: "Kept"}}'),
    a_rule("per-rcpt", "{rcpt.domain: closed.example.net}", refuse(), per_recipient="true"),
)


@pytest.fixture(scope="module")
def shared(open_site: OpenSite) -> Site:
    """One site for all of this module; its Postfix shows us bounces too."""
    return open_site(
        {"10-site.yaml": SITE, "20.yaml": POLICY}, local=True, postfix={"internal_mail_filter_classes": "bounce"}
    )


@pytest.fixture
def site(shared: Site) -> Iterator[Site]:
    """The shared site; what a test left in the queue is deleted after it."""
    yield shared
    shared.postfix.drop()
    shared.sink.refuse = lambda address: ""


def test_it_is_judged(site: Site) -> None:
    """Direction `local`, and an edit arrives."""
    site.postfix.sendmail(CRON, [BOB], a_message("mark one"))
    assert [b"seen"] == site.sink.wait_for("mark one").headers("x-local")


def test_reject_becomes_a_bounce(site: Site) -> None:
    """The sender learns it by mail, with our text."""
    site.postfix.sendmail(CRON, [BOB], a_message("refused one"))
    bounce = site.sink.wait_for("Not from here")
    assert ("", (CRON,)) == (bounce.sender, bounce.addresses)
    assert [] == [one for one in site.sink.holding("refused one") if one.addresses == (BOB,)]


def test_defer_stays_in_maildrop(site: Site) -> None:
    """TEMPFAIL leaves the file in maildrop, where Postfix tries again; it never expires and never bounces."""
    site.postfix.sendmail(CRON, [BOB], a_message("waits one"))
    site.daemon.decision("waits")
    until(lambda: site.postfix.queued("maildrop"), "it is in maildrop")
    assert [] == site.sink.holding("waits one")


def test_hold(site: Site) -> None:
    """Hold is hold."""
    site.postfix.sendmail(CRON, [BOB], a_message("kept one"))
    until(lambda: site.postfix.queued("hold"), "it is held")


@pytest.mark.parametrize("subject", ["refused", "waits"])
def test_null_sender_is_held(site: Site, subject: str) -> None:
    """A bounce that is refused is deferred again and again, so for a null sender reject and defer become hold."""
    site.postfix.sendmail("", [BOB], a_message(f"{subject} null"))
    until(lambda: site.postfix.queued("hold"), "it is held")
    assert [] == site.postfix.queued("maildrop")


def test_per_recipient_rules_count_for_the_message(site: Site) -> None:
    """Postfix takes a refused RCPT of local mail for a misconfiguration, for ever: it is refused as a whole."""
    site.postfix.sendmail(CRON, [BOB, "x@closed.example.net"], a_message("mark rcpt"))
    bounce = site.sink.wait_for("mark rcpt")
    assert "" == bounce.sender


def test_bounces_pass(site: Site) -> None:
    """Postfix's own bounces go out, whatever the rules say of local mail."""
    site.sink.refuse = lambda address: "550 5.1.1 no such user" if address == BOB else ""
    outcome = site.send("original message")
    assert 250 == outcome.final.code
    assert "" == site.sink.wait_for("original message").sender


def test_daemon_down_and_back(site: Site) -> None:
    """Local mail waits in maildrop while nobody judges it, and goes out afterwards."""
    site.daemon.stop()
    try:
        site.postfix.sendmail(CRON, [BOB], a_message("mark later"))
        site.postfix.wait_for_log("milter.*(can't|unavailable|refused|No such file|connect)|milter-reject|cleanup")
        until(lambda: site.postfix.queued("maildrop"), "it waits in maildrop")
        assert [] == site.sink.holding("mark later")
    finally:
        site.daemon.start()
    site.postfix.flush()
    assert [b"seen"] == site.sink.wait_for("mark later", 90.0).headers("x-local")
