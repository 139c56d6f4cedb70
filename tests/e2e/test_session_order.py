"""What a client may do with one session: storms of RSET, pipelines, chunks, many messages. Each has its own verdict."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.harness.client import Client, a_message, stuffed
from tests.e2e.harness.site import ALICE, BOB, OpenSite, Site
from tests.e2e.harness.texts import SITE, on_subject, refuse, rules

ENVELOPE = f"MAIL FROM:<{ALICE}>\r\nRCPT TO:<{BOB}>\r\n".encode()
STOP = b"From: alice@example.com\r\nSubject: stop\r\n\r\nx\r\n"


@pytest.fixture(scope="module")
def site(open_site: OpenSite) -> Site:
    """One site for all of this module."""
    return open_site({"10-site.yaml": SITE, "20.yaml": rules(on_subject("stop", refuse()))})


@pytest.fixture
def client(site: Site) -> Iterator[Client]:
    """A session; after the test it is good for two messages more."""
    with site.client() as one:
        yield one
        codes = [one.send(ALICE, [BOB], a_message(subject)).final.code for subject in ("go on", "stop")]
        assert [250, 550] == codes


def replies(client: Client, count: int) -> list[int]:
    """The next `count` codes."""
    return [client.reply().code for _ in range(count)]


def test_a_storm_of_rset(client: Client) -> None:
    """Two hundred transactions that are given up, each without a trace."""
    for _ in range(200):
        client.raw(ENVELOPE + b"RSET\r\n")
        assert [250, 250, 250] == replies(client, 3)


def test_hundreds_of_messages(client: Client) -> None:
    """Refused and accepted in turn: no message inherits from the one before."""
    subjects = ["stop", "go on"] * 60
    assert [550, 250] * 60 == [client.send(ALICE, [BOB], a_message(subject)).final.code for subject in subjects]


def test_a_pipeline(client: Client) -> None:
    """The end of one message and the envelope of the next in one packet."""
    client.raw(ENVELOPE + b"DATA\r\n")
    assert [250, 250, 354] == replies(client, 3)
    client.raw(stuffed(a_message("stop")) + b".\r\n" + ENVELOPE + b"DATA\r\n")
    assert [550, 250, 250, 354] == replies(client, 4)
    assert 250 == client.finish(a_message("go on")).code


@pytest.mark.parametrize("first", [1, 20, 40, len(STOP) - 1])
def test_chunks(client: Client, first: int) -> None:
    """BDAT (RFC 3030), cut anywhere: the message is one."""
    client.raw(ENVELOPE)
    assert [250, 250] == replies(client, 2)
    client.raw(b"BDAT %d\r\n" % first + STOP[:first])
    assert [250] == replies(client, 1)
    client.raw(b"BDAT %d LAST\r\n" % (len(STOP) - first) + STOP[first:])
    assert [550] == replies(client, 1)


def test_chunks_that_are_given_up(client: Client) -> None:
    """RSET between two chunks."""
    client.raw(ENVELOPE + b"BDAT 10\r\n" + STOP[:10])
    assert [250, 250, 250] == replies(client, 3)
    client.raw(b"RSET\r\nEHLO again\r\n")
    assert [250, 250] == replies(client, 2)
