"""Who is who: the login comes from SASL (or XCLIENT), never from what a client merely says."""

from __future__ import annotations

import pytest

from tests.e2e.harness.client import Client, a_message
from tests.e2e.harness.postfix import can_login
from tests.e2e.harness.site import ALICE, BOB, OpenSite, Site
from tests.e2e.harness.texts import SITE, a_rule, refuse, rules

POLICY = rules(
    a_rule("no-mallory", "{login: mallory@example.com}", refuse("Known")),
    a_rule("network", '{client.ip: {in: ["198.51.100.0/24"]}}', refuse("Network")),
    a_rule("bad-helo", "{client.helo: {prefix: bad.}}", refuse("Helo")),
    a_rule("plain", "{auth.type: PLAIN, subject: {prefix: how}}", refuse("Mechanism")),
)


@pytest.fixture(scope="module")
def site(open_site: OpenSite) -> Site:
    """One site with two SASL accounts."""
    accounts = {ALICE: "secret", "mallory@example.com": "secret"} if can_login() else {}
    return open_site({"10-site.yaml": SITE, "20.yaml": POLICY}, accounts=accounts)


needs_sasl = pytest.mark.skipif(not can_login(), reason="saslpasswd2 (sasl2-bin) is not installed")


def by_sasl(site: Site, user: str, subject: str) -> int:
    """Log in by AUTH PLAIN, send one message; its code."""
    with Client(site.submission) as client:
        assert 235 == client.login(user, "secret").code
        return client.send(ALICE, [BOB], a_message(subject)).final.code


@needs_sasl
@pytest.mark.parametrize(("user", "code"), [("alice", 250), ("mallory", 550), ("mallory@example.com", 550)])
def test_sasl(site: Site, user: str, code: int) -> None:
    """The login with and without its realm is one login."""
    assert code == by_sasl(site, user, "by sasl")


@needs_sasl
def test_mechanism(site: Site) -> None:
    """auth.type is SASL's mechanism."""
    assert 550 == by_sasl(site, "alice", "how")


@pytest.mark.parametrize("login", ["mallory@example.com", "MALLORY@Example.COM"])
def test_xclient(site: Site, login: str) -> None:
    """XCLIENT sets the login; its case does not matter."""
    assert 550 == site.send("by xclient", login=login, sender=ALICE).final.code


def test_the_clients_own_claim_is_nothing(site: Site) -> None:
    """MAIL … AUTH=mallory sets {auth_author}, which nobody has proven."""
    with site.client() as client:
        outcome = client.send(ALICE, [BOB], a_message("claim"), "AUTH=mallory@example.com")
    assert 250 == outcome.final.code


def test_address_of_the_client(site: Site) -> None:
    """client.ip is the client's as Postfix sees it."""
    with site.client(address="198.51.100.7") as client:
        assert 550 == client.send(ALICE, [BOB], a_message("from there")).final.code


def test_ipv6_client(site: Site) -> None:
    """An IPv6 client is a client."""
    with site.client(address="IPV6:2001:db8::7") as client:
        assert 250 == client.send(ALICE, [BOB], a_message("by six")).final.code


def test_helo(site: Site) -> None:
    """The HELO name counts, the last one of the session."""
    with site.client() as client:
        client.hello("bad.example")
        assert 550 == client.send(ALICE, [BOB], a_message("helo")).final.code
        client.hello("good.example")
        assert 250 == client.send(ALICE, [BOB], a_message("helo")).final.code


@pytest.mark.parametrize("written", ["MALLORY@EXAMPLE.NET", '"bob"@example.net', "@relay.example:bob@example.net"])
def test_addresses_as_typed(site: Site, written: str) -> None:
    """Case, quotes and source routes are Postfix's to normalise; the message is served."""
    assert 250 == site.send("typed", to=written).final.code
