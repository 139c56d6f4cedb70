"""Each disposition as the client hears it and as the queue shows it (promises P3, P6)."""

from __future__ import annotations

import re

import pytest

from tests.e2e.harness.client import Client, a_message
from tests.e2e.harness.postfix import until
from tests.e2e.harness.site import ALICE, BOB, OpenSite, Site
from tests.e2e.harness.texts import SITE, a_rule, defer, on_subject, refuse, rules

POLICY = rules(
    on_subject("turned-down", refuse("Turned down")),
    on_subject("put-off", defer("Put off")),
    on_subject("kept-back", '{hold: {reason: "Kept back"}}'),
    on_subject("thrown-away", "{discard: {confirm: true}}"),
    on_subject("tried-out", refuse("Would be"), mode="shadow"),
    a_rule("one-recipient", "{rcpt.domain: closed.example.net}", refuse("Closed"), per_recipient="true"),
    a_rule("later-recipient", "{rcpt.domain: later.example.net}", defer("Not yet"), per_recipient="true"),
)
REFERENCE = re.compile(r"\(([A-Z0-9]{8,16})\)")


@pytest.fixture(scope="module")
def site(open_site: OpenSite) -> Site:
    """One site for all of this module."""
    return open_site({"10-site.yaml": SITE, "20.yaml": POLICY})


def test_accepted_mail_arrives(site: Site) -> None:
    """Mail that no rule concerns goes through, unchanged."""
    outcome = site.send("plain words", x_tag="kept")
    assert "dot" == outcome.stage or outcome.final.code == 250
    arrival = site.sink.wait_for("plain words")
    assert (ALICE, (BOB,), [b"kept"]) == (arrival.sender, arrival.addresses, arrival.headers("x-tag"))
    assert "accept" == str(site.daemon.decision(outcome.queue_id)["disposition"]).lower()


@pytest.mark.parametrize(
    ("subject", "code", "text"),
    [("turned-down", 550, "5.7.1 Turned down"), ("put-off", 451, "4.7.1 Put off")],
)
def test_refused_at_end_of_message(site: Site, subject: str, code: int, text: str) -> None:
    """Reject and defer are one clean reply at the dot, with a reference; nothing is queued."""
    outcome = site.send(f"{subject} one")
    assert ("dot", code) == (outcome.stage, outcome.final.code)
    assert 1 == len(outcome.final.lines)
    assert outcome.final.text.startswith(text)
    assert [] == site.sink.holding(f"{subject} one")
    assert "" == outcome.queue_id or not outcome.final.good


@pytest.mark.parametrize(("subject", "rule"), [("turned-down", "turned-down"), ("put-off", "put-off")])
def test_a_refusal_names_its_rule(site: Site, subject: str, rule: str) -> None:
    """The reference in the reply leads to one line that names rule and generation (P6), written before the reply."""
    outcome = site.send(f"{subject} two")
    found = REFERENCE.search(outcome.final.text)
    assert found, outcome.final
    line = site.daemon.decision(found[1], seconds=0.0)
    assert rule in str(line.get("rule"))
    assert site.daemon.generation == line["generation"]


def test_why(site: Site) -> None:
    """`tidegate why REF` finds what happened to the message with this reference."""
    outcome = site.send("turned-down three")
    found = REFERENCE.search(outcome.final.text)
    assert found, outcome.final
    done = site.daemon.command("why", found[1], "--config", str(site.daemon.config))
    assert 0 == done.returncode, done.stderr
    assert "turned-down" in done.stdout


def test_suspended_login(site: Site) -> None:
    """A list of logins decides, and the refusal is that rule's."""
    outcome = site.send("from mallory", login="mallory@example.com")
    assert 550 == outcome.final.code
    assert "suspended-account" == site.daemon.decision("mallory")["rule"]


def test_held_mail_stays(site: Site) -> None:
    """Hold is 250 for the sender; the message lies in the hold queue and nowhere else."""
    outcome = site.send("kept-back one")
    assert 250 == outcome.final.code
    until(lambda: outcome.queue_id in [entry.queue_id for entry in site.postfix.queued("hold")], "it is held")
    assert [] == site.sink.holding("kept-back one")
    site.postfix.drop(outcome.queue_id)


def test_discarded_mail_is_gone(site: Site) -> None:
    """Discard is 250 and nothing more; Postfix's log says who did it."""
    outcome = site.send("thrown-away one")
    assert 250 == outcome.final.code
    site.postfix.wait_for_log("milter-discard")
    assert [] == [entry for entry in site.postfix.queue() if entry.queue_id == outcome.queue_id]
    assert [] == site.sink.holding("thrown-away one")


def test_shadow_has_no_effect(site: Site) -> None:
    """A rule in shadow is logged as `would`, and the message arrives as it was."""
    outcome = site.send("tried-out one")
    assert 250 == outcome.final.code
    site.sink.wait_for("tried-out one")
    line = site.daemon.decision(outcome.queue_id)
    assert "accept" == str(line["disposition"]).lower()
    assert ("reject", ["tried-out: reject"]) == (line["would"], line["would_rules"])


def test_one_recipient_is_refused(site: Site) -> None:
    """A per_recipient rule refuses or defers that recipient at RCPT; the others get the message."""
    outcome = site.send("three recipients", to=[BOB, "x@closed.example.net", "y@later.example.net"])
    assert [250, 550, 451] == outcome.codes("rcpt")
    assert 250 == outcome.replies[-1][1].code
    assert (BOB,) == site.sink.wait_for("three recipients").addresses
    assert "one-recipient" in str(site.daemon.decision("x@closed.example.net")["rule"])


def test_messages_on_one_connection_are_apart(site: Site) -> None:
    """A refusal concerns its message only: the next one on the same connection starts anew, RSET or not."""
    with site.client() as client:
        codes = [
            client.send(ALICE, [BOB], a_message(subject)).final.code
            for subject in ("turned-down x", "fine x1", "put-off x", "fine x2")
        ]
        client.envelope("mallory@example.com", [BOB])
        client.command("RSET")
        codes.append(client.send(ALICE, [BOB], a_message("fine x3")).final.code)
    assert [550, 250, 451, 250, 250] == codes
    assert ALICE == site.sink.wait_for("fine x3").sender


def test_pipelined(site: Site) -> None:
    """A pipelining client gets the same single refusal."""
    with site.client() as client:
        client.raw(f"MAIL FROM:<{ALICE}>\r\nRCPT TO:<{BOB}>\r\nDATA\r\n".encode())
        assert [250, 250, 354] == [client.reply().code for _ in range(3)]
        client.raw(b"Subject: turned-down piped\r\n\r\nx\r\n.\r\nQUIT\r\n")
        assert [550, 221] == [client.reply().code for _ in range(2)]


def test_bdat(site: Site) -> None:
    """CHUNKING (RFC 3030) ends at the same gate."""
    with site.client() as client:
        client.envelope(ALICE, [BOB])
        content = b"From: <alice@example.com>\r\nSubject: turned-down bdat\r\n\r\nx\r\n"
        client.raw(b"BDAT %d LAST\r\n" % len(content) + content)
        assert 550 == client.reply().code


def test_relay_without_login(site: Site) -> None:
    """A client without a login and outside `relay-networks` is inbound: rules that don't name it leave it alone."""
    with Client(site.relay) as client:
        client.hello()
        assert 250 == client.send("x@example.org", [BOB], a_message("turned-down inbound")).final.code
