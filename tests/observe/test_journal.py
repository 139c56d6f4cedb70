"""What is in flight is on record before it is evaluated, and outlives the process; senders are numbers."""

from __future__ import annotations

import os
import signal

import pytest

from tidegate.engine.inquiry import COUNTING, FIRST, SEARCH
from tidegate.observe import journal as written
from tidegate.observe.journal import RING, ROWS, Flight, Journal, print_of, sender_key


def test_the_words_of_the_engine() -> None:
    """The journal reads what the engine writes."""
    assert (SEARCH, FIRST, COUNTING) == (written._SEARCH, written._FIRST, written._COUNTING)


def test_a_judgement_in_flight() -> None:
    """From its begin to its end, with the rule that is evaluated; other slots know nothing of it."""
    journal = Journal(2)
    page = journal.page(1)
    row = page.begin(12.5, 20.0, 7, -11, 22, 33, 44)
    assert [Flight(12.5, 7, None, -11, 22, 33, 44)] == journal.flights(1)
    row.cells[row.place] = FIRST + 4
    assert [Flight(12.5, 7, 4, -11, 22, 33, 44)] == journal.flights(1)
    assert [] == journal.flights(0)
    row.cells[row.place] = COUNTING
    assert [Flight(12.5, 7, None, -11, 22, 33, 44, counting=True)] == journal.flights(1)
    page.end(row)
    assert [] == journal.flights(1)


def test_more_than_there_are_rows() -> None:
    """They are judged all the same, and the rows come back."""
    journal = Journal(1)
    page = journal.page(0)
    rows = [page.begin(1.0, 2.0, 1, number, 0) for number in range(ROWS + 5)]
    assert ROWS == len(journal.flights(0))
    for row in rows:
        page.end(row)
    assert [] == journal.flights(0)
    again = [page.begin(1.0, 2.0, 1, 1, 0) for _ in range(ROWS)]
    assert ROWS == len(journal.flights(0)) == len(again)


def test_it_outlives_the_process() -> None:
    """A worker that is killed leaves what it was at; cleared, the slot is empty."""
    journal = Journal(1)
    child = os.fork()
    if not child:
        row = journal.page(0).begin(1.0, 2.0, 3, 4, 5)
        row.cells[row.place] = FIRST
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert [Flight(1.0, 3, 0, 4, 5)] == journal.flights(0)
    journal.clear(0)
    assert [] == journal.flights(0)


def test_failures() -> None:
    """Those since the last look, the latest where there were more than fit."""
    journal = Journal(2)
    page = journal.page(0)
    page.failed(3, 9)
    page.failed(4, 8)
    assert [(3, 9), (4, 8)] == journal.failures(0, 0)
    assert [(4, 8)] == journal.failures(0, 1)
    for number in range(RING + 10):
        page.failed(number, 1)
    head = journal.head(0)
    assert [(number, 1) for number in range(10, RING + 10)] == journal.failures(0, 2)
    assert [] == journal.failures(0, head)
    assert 0 == journal.head(1)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("Alice@example.com", "192.0.2.1"), ("alice@example.com", "198.51.100.1"), True),
        (("alice", "192.0.2.1"), ("bob", "192.0.2.1"), False),
        (("", "192.0.2.1"), ("", "192.0.2.200"), True),
        (("", "192.0.2.1"), ("", "192.0.3.1"), False),
        (("", "2001:db8:1:2::1"), ("", "2001:db8:1:2:3::4"), True),
        (("", "2001:db8::1"), ("", "2001:db8::2"), True),
    ],
    ids=["a login from elsewhere", "two logins", "one network", "two networks", "IPv6", "IPv6, short"],
)
def test_who_is_the_same_sender(one: tuple[str, str], other: tuple[str, str], same: bool) -> None:
    """A login whatever its case and client; the network where nobody logged in."""
    assert same is (sender_key(*one) == sender_key(*other))


def test_what_is_the_same_message() -> None:
    """The same headers of the same sender."""
    headers = [("Subject", b"hello"), ("To", b"a@example.net")]
    assert print_of(1, headers) == print_of(1, list(headers))
    assert print_of(1, headers) not in (print_of(2, headers), print_of(1, headers[:1]))
