"""The front on the real libmilter, told by a raw milter client what Postfix would tell it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.builders.frontprocess import running
from tests.builders.milterclient import CONTINUE, NO_BODY, QUIET, SILENT, Answer, Edit, MilterClient, Outcome

TEMPORARY = re.compile(r"451 4\.3\.0 Temporary failure in our policy check, please try again later \([0-9A-Z]{10}\)\Z")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One front for all tests that break nothing."""
    with running(tmp_path_factory.mktemp("front")) as place:
        yield place


@pytest.fixture
def client(place: Path) -> Iterator[MilterClient]:
    """A connection that has said CONNECT and HELO."""
    with MilterClient(place) as client:
        client.greet()
        yield client


def about(subject: str) -> list[tuple[str | bytes, str | bytes]]:
    """Headers with this subject."""
    return [("From", "alice@example.com"), ("Subject", subject)]


@pytest.mark.parametrize("fault", ["ValueError", "SystemExit", "KeyboardInterrupt", "MemoryError", "deep", "true"])
@pytest.mark.parametrize("stage", ["connect", "helo", "envfrom", "envrcpt", "header", "eom", "abort", "close"])
def test_a_fault_at_each_callback(tmp_path: Path, stage: str, fault: str) -> None:
    """One 451 of ours at end of message, on the wire; the process lives and serves the next message."""
    with running(tmp_path, stage, fault) as place:
        with MilterClient(place) as client:
            client.greet()
            if stage == "abort":
                client.mail()
                client.abort()
            outcome = client.message()
            client.quit()
        if stage in ("abort", "close"):
            assert CONTINUE == outcome.answer
        else:
            assert TEMPORARY.match(outcome.answer.text), outcome
        assert () == outcome.edits
        with MilterClient(place) as client:
            client.greet()
            assert CONTINUE == client.message().answer
            assert 550 == client.message(about("stop")).answer.code
        log = (tmp_path / "front.log").read_text()
        assert "secret@" not in log
        assert 1 == log.count('"event": "fault"')


def test_verdicts_on_the_wire(client: MilterClient) -> None:
    """A refusal with its text, a hold with its reason, an edit, and nothing for the rest."""
    refused = client.message(about("stop"))
    # Postfix makes one of the two (milter8.c takes the text for a format, as Sendmail does).
    assert re.fullmatch(r"550 5\.7\.1 100%% no \([0-9A-Z]{10}\)", refused.answer.text)
    assert Outcome(CONTINUE, (Edit("quarantine", ("look at it",)),)) == client.message(about("look"))
    assert Outcome(CONTINUE, (Edit("addheader", ("X-Seen", "once")),)) == client.message(about("mark"))
    assert Outcome(CONTINUE) == client.message()


def test_one_recipient_is_refused(client: MilterClient) -> None:
    """The others are served."""
    assert (CONTINUE, 550, CONTINUE) == (client.mail(), client.rcpt("carol@example.net").code, client.rcpt())
    assert CONTINUE == client.content().answer


@pytest.mark.parametrize("size", [60_000, 65_535, 90_000, 300_000])
def test_a_long_header(client: MilterClient, size: int) -> None:
    """libmilter's own limit of 64 KiB would drop the connection; the message is judged, and so is the next one."""
    assert 550 == client.message([("X-Big", "a" * size), ("Subject", "stop")]).answer.code
    assert CONTINUE == client.message().answer


def test_many_headers(client: MilterClient) -> None:
    """Over the cap there is still one answer."""
    assert CONTINUE == client.message([("X", "v")] * 10_500).answer
    assert 550 == client.message(about("stop")).answer.code


BAD = b"\xff\xfe"


@pytest.mark.parametrize("where", ["name", "helo", "daemon", "login", "sender", "recipient", "header"])
def test_bytes_that_are_no_text(place: Path, where: str) -> None:
    """One answer, and the session goes on. (pymilter never calls us for such a client name or HELO.)"""
    with MilterClient(place) as client:
        client.connect(
            BAD if where == "name" else "client.example.com",
            macros={"{daemon_name}": BAD if where == "daemon" else "ORIGINATING"},
        )
        client.helo(BAD if where == "helo" else "client.example.com")
        client.mail(BAD if where == "sender" else "a@example.com", login=BAD if where == "login" else "a")
        client.rcpt(BAD if where == "recipient" else "b@example.net")
        outcome = client.content([("Subject", BAD if where == "header" else "mark")])
        assert CONTINUE == outcome.answer
        client.abort()
        assert 550 == client.message(about("stop")).answer.code


def test_negotiation(place: Path) -> None:
    """Headers and the greeting are silent, RCPT is answered (there is a per_recipient rule), the body stays away."""
    with MilterClient(place) as client:
        assert client.steps & NO_BODY
        assert (True, True, True, False, False) == tuple(bool(client.steps & QUIET[one]) for one in "CHLRM")
        assert (SILENT, SILENT) == (client.connect(), client.helo())


def test_an_old_protocol(place: Path) -> None:
    """milter_protocol = 2: every event is answered, and the verdict is the same."""
    with MilterClient(place, version=2, actions=0x3F, steps=0x7F) as client:
        assert [Answer("continue")] * 2 == [client.connect(), client.helo()]
        assert 550 == client.message(about("stop")).answer.code
        assert CONTINUE == client.message(about("mark")).answer


@pytest.mark.parametrize("stage", ["connect", "mail", "rcpt", "header"])
def test_the_mta_drops(place: Path, stage: str) -> None:
    """Whatever was in hand, the next connection is served."""
    client = MilterClient(place)
    if stage != "connect":
        client.greet()
        client.mail()
    if stage in ("rcpt", "header"):
        client.rcpt()
    if stage == "header":
        client.header("Subject", "x")
    client.close()
    with MilterClient(place) as another:
        another.greet()
        assert CONTINUE == another.message().answer


def test_sessions_do_not_mix(place: Path) -> None:
    """Two messages, event by event side by side."""
    with MilterClient(place) as one, MilterClient(place) as other:
        for client in (one, other):
            client.greet()
            client.mail()
            client.rcpt()
        one.header("Subject", "stop")
        other.header("Subject", "mark")
        assert 550 == one.end_of_message().answer.code
        assert 1 == len(other.end_of_message().edits)


def decisions(place: Path, wanted: str) -> list[dict[str, Any]]:
    """The decision lines that hold `wanted`, as soon as there is one."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        found = [json.loads(one) for one in (place.parent / "front.log").read_text().splitlines() if wanted in one]
        if found:
            return found
        time.sleep(0.01)
    return []


def test_a_refusal_is_logged_before_it_is_given(client: MilterClient, place: Path) -> None:
    """The line is there when the reply is; a line of accepted mail follows by itself."""
    reference = client.message(about("stop")).answer.text[-11:-1]
    log = (place.parent / "front.log").read_text()
    assert 1 == log.count(f'"ref": "{reference}"')
    client.mail()
    client.rcpt()
    client.header("Subject", "x")
    assert CONTINUE == client.end_of_message("9Quick1Line").answer
    (line,) = decisions(place, "9Quick1Line")
    assert ("accept", "a***@example.com") == (line["disposition"], line["login"])


def test_an_aborted_message_has_its_line(client: MilterClient, place: Path) -> None:
    """RSET after RCPT."""
    client.mail("gone@aborted.example")
    client.rcpt()
    client.abort()
    assert ["aborted"] == [line["disposition"] for line in decisions(place, "aborted.example")]
