"""Edits, as the next hop receives them."""

from __future__ import annotations

import pytest

from tests.e2e.harness.client import a_message
from tests.e2e.harness.postfix import until
from tests.e2e.harness.sink import Arrival
from tests.e2e.harness.site import BOB, OpenSite, Site
from tests.e2e.harness.texts import SITE, a_rule, on_subject, rules

CAROL = "carol@example.net"
POLICY = rules(
    on_subject("add", "{add_header: {X-Added: [one, two]}}"),
    on_subject("set", "{set_header: {X-Set: only}}"),
    on_subject("drop", "{remove_header: [X-Secret, X-Other]}"),
    on_subject("prefix", '{prefix_subject: "[Out] "}'),
    on_subject("bcc", "{bcc: journal@archive.example.com}"),
    on_subject("extra", "{add_rcpt: [extra@example.net, bob@example.net]}"),
    a_rule("less", "{subject: {prefix: less}, any_rcpt: {address: carol@example.net}}", "{remove_rcpt: matched}"),
    on_subject("all-to-one", "{redirect: desk@example.com}"),
    a_rule(
        "her-mail",
        "{subject: {prefix: her-mail}, any_rcpt: {address: carol@example.net}}",
        "{redirect: {matched: dave@example.net}}",
    ),
    on_subject("from-us", "{set_sender: bounces@example.com}"),
    on_subject("sender-null", '{set_sender: "<>"}'),
    on_subject("second", "{set_header: {X-Set: second}}", priority="200"),
    a_rule("first", "{subject: {prefix: second}}", "{set_header: {X-Set: first}}", priority="50"),
)


@pytest.fixture(scope="module")
def site(open_site: OpenSite) -> Site:
    """One site for all of this module."""
    return open_site({"10-site.yaml": SITE, "20.yaml": POLICY})


def arrival(site: Site, subject: str, to: tuple[str, ...] = (BOB,), **headers: str) -> Arrival:
    """Send one message; what arrived."""
    mark = f"{subject}-{len(site.sink.arrivals)}."
    outcome = site.send(message=a_message(f"{subject} x", x_mark=mark, **headers), to=to)
    assert 250 == outcome.final.code, outcome.final
    return site.sink.wait_for(mark)


def test_add_header(site: Site) -> None:
    """Added headers come after those that were there, in the rule's order; old ones of the name stay."""
    assert [b"old", b"one", b"two"] == arrival(site, "add", x_added="old").headers("x-added")


def test_set_header(site: Site) -> None:
    """All values of the name are replaced by one."""
    message = a_message("set x", x_mark="set-a.").replace(b"\n\n", b"\nX-Set: 1\nx-set: 2\nX-SET: 3\n\n", 1)
    assert 250 == site.send(message=message).final.code
    assert [b"only"] == site.sink.wait_for("set-a.").headers("x-set")


def test_remove_header(site: Site) -> None:
    """All values of each name are gone; other headers are as they were."""
    message = a_message("drop x", x_mark="drop-a.", x_keep="k").replace(
        b"\n\n", b"\nX-Secret: 1\nX-Secret: 2\nX-Other: 3\nX-Secret: 4\n\n", 1
    )
    assert 250 == site.send(message=message).final.code
    got = site.sink.wait_for("drop-a.")
    assert ([], [], [b"k"]) == (got.headers("x-secret"), got.headers("x-other"), got.headers("x-keep"))


def test_prefix_subject(site: Site) -> None:
    """The prefix stands once in front, however often the message comes by."""
    assert [b"[Out] prefix x"] == arrival(site, "prefix").headers("subject")


def test_bcc(site: Site) -> None:
    """One more recipient, for whom no delivery notice is ever made."""
    got = arrival(site, "bcc")
    assert {BOB: "", "journal@archive.example.com": "NEVER"} == {one.address: one.notify for one in got.recipients}


def test_add_rcpt(site: Site) -> None:
    """One who is there already is not served twice."""
    assert sorted([BOB, "extra@example.net"]) == sorted(arrival(site, "extra").addresses)


def test_remove_matched(site: Site) -> None:
    """`matched` are the recipients that the rule's tests met."""
    assert (BOB,) == arrival(site, "less", to=(BOB, CAROL)).addresses


def test_last_recipient_is_never_removed(site: Site) -> None:
    """A message without recipients would vanish with 250: it is held instead."""
    outcome = site.send("less y", to=CAROL)
    assert 250 == outcome.final.code
    until(lambda: outcome.queue_id in [entry.queue_id for entry in site.postfix.queued("hold")], "it is held")
    assert [] == site.sink.holding("less y")
    site.postfix.drop(outcome.queue_id)


def test_redirect(site: Site) -> None:
    """All recipients become one; or only those that matched."""
    assert ("desk@example.com",) == arrival(site, "all-to-one", to=(BOB, CAROL)).addresses
    assert sorted([BOB, "dave@example.net"]) == sorted(arrival(site, "her-mail", to=(BOB, CAROL)).addresses)


def test_set_sender(site: Site) -> None:
    """The envelope sender; the header is another matter."""
    got = arrival(site, "from-us")
    assert ("bounces@example.com", [b"Alice <alice@example.com>"]) == (got.sender, got.headers("from"))


def test_set_sender_null(site: Site) -> None:
    """The null sender is a sender."""
    assert "" == arrival(site, "sender-null").sender


def test_two_rules_set_one_header(site: Site) -> None:
    """The lower priority number wins."""
    assert [b"first"] == arrival(site, "second").headers("x-set")


def test_the_body_is_untouched(site: Site) -> None:
    """Edits of headers and recipients leave every byte of the body as it was."""
    body = "\xe4 8-bit\n.leading dot\n" + "x" * 900 + "\n"
    message = a_message("add x", body=body, x_mark="body-a.")
    assert 250 == site.send(message=message).final.code
    expected = message.partition(b"\n\n")[2].replace(b"\n", b"\r\n")
    assert expected == site.sink.wait_for("body-a.").data.partition(b"\r\n\r\n")[2]
