"""A poison message is told apart from a poison rule, and a hostile sender from both."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tidegate.live.culprits import NOBODY, WINDOW, Blame, Suspect, blame, told_apart

NOW = 1_000_000.0


def a_death(number: int, rule: str = "killer", sender: int = 0, print_: int = 0, **values: int) -> Suspect:
    """One judgement in flight; without a sender it has one of its own."""
    return Suspect(
        number, NOW - 100 + number, rule, sender or number, 500, sender or number, print_ or number, **values
    )


@pytest.mark.parametrize(
    ("suspects", "expected"),
    [
        ([], NOBODY),
        ([a_death(1), a_death(2)], NOBODY),
        ([a_death(1), a_death(2), a_death(3)], Blame(rules=("killer",))),
        ([a_death(1, sender=9, print_=1), a_death(2, sender=9, print_=2), a_death(3)], Blame(rules=("killer",))),
        ([a_death(n, sender=9, print_=7) for n in (1, 2, 3)], Blame(messages={7: False})),
        ([a_death(n, sender=9, print_=7) for n in (1, 2, 3, 4)], Blame(messages={7: True})),
        ([a_death(n, rule=f"r{n}", sender=9, print_=7) for n in (1, 2, 3)], Blame(messages={7: False})),
        ([a_death(n, sender=9, print_=n) for n in (1, 2, 3)], Blame(senders={9: frozenset({"killer"})})),
        (
            [a_death(n, sender=9, print_=n) for n in range(1, 7)],
            Blame(senders={9: frozenset({"killer", ""})}),
        ),
        ([a_death(n, rule="", sender=9, print_=n) for n in (1, 2, 3)], Blame(senders={9: frozenset({""})}, walks=True)),
        ([a_death(1, rule=""), a_death(2), a_death(3)], Blame(rules=("killer",), walks=True)),
        ([a_death(1, rule=""), a_death(2, rule=""), a_death(3)], Blame(walks=True)),
        ([a_death(1, rule=""), a_death(2, rule=""), a_death(3, rule="")], Blame(walks=True)),
        ([a_death(1, "a"), a_death(2, "b"), a_death(3, "c")], NOBODY),
        (
            [*(a_death(n, "a") for n in (1, 2, 3)), *(a_death(n, "b") for n in (4, 5, 6, 7))],
            Blame(rules=("b", "a")),
        ),
    ],
    ids=[
        "nothing",
        "twice is an accident",
        "a rule, three senders",
        "a rule, two senders",
        "a message",
        "a message that kills by its envelope",
        "a message, with other rules each time",
        "a sender with several messages",
        "a sender who goes on",
        "a sender, in the look-up",
        "a rule, once in the look-up",
        "a rule, twice in the look-up",
        "nobody can tell",
        "three rules once each",
        "two rules",
    ],
)
def test_who_is_to_blame(suspects: list[Suspect], expected: Blame) -> None:
    """Three deaths make a culprit, whichever it is."""
    assert expected == blame(suspects, NOW)


def test_one_sender_and_a_thousand_messages() -> None:
    """A thousand poison messages of one sender leave the rule on for everybody else, whoever was in flight beside."""
    hostile = [a_death(n, sender=9, print_=n) for n in range(1, 101)]
    beside = [replace(a_death(n, sender=100 + n), shape=9) for n in range(1, 101, 3)]
    assert () == blame([*hostile, *beside], NOW).rules
    assert () == blame([*hostile, a_death(200)], NOW).rules


def test_who_was_in_flight_beside() -> None:
    """One message is there at every death: those that changed are cleared, and so is the rule that all of them met."""
    guilty = [a_death(n, sender=9, print_=7) for n in (1, 2, 3)]
    beside = [a_death(n, rule="popular", sender=100 + n) for n in (1, 2, 3)]
    assert Blame(messages={7: False}) == blame([*guilty, *beside], NOW)
    busy = [a_death(n, rule="popular", sender=50, print_=100 + n) for n in (1, 2, 3)]
    assert Blame(messages={7: False}) == blame([*guilty, *busy], NOW)
    hostile = [a_death(n, sender=9, print_=n) for n in range(1, 5)]
    assert Blame(senders={9: frozenset({"killer"})}) == blame([*hostile, *busy], NOW)


def test_the_first_death_has_no_print() -> None:
    """Nobody had asked for one yet; who and how long tell that it is the same, while the daemon lives."""
    first = Suspect(1, NOW, "killer", 9, 500)
    later = [Suspect(n, NOW, "killer", 9, 500, 77, 7) for n in (2, 3)]
    assert Blame(messages={7: False}) == blame([first, *later], NOW)
    assert Suspect(1, NOW, "killer", 9, 500, 77, 7) == told_apart([first, *later])[0]
    other = [Suspect(n, NOW, "killer", n, 500, 70 + n, n) for n in (2, 3)]
    assert Blame(rules=("killer",)) == blame([first, *other], NOW)
    assert first == told_apart([first, *other])[0]


def test_after_a_restart() -> None:
    """Nobody knows any more who the first one was, so it may be the same as the others."""
    first = Suspect(1, NOW, "killer", 0, 0)
    same = [Suspect(n, NOW, "killer", 9, 500, 77, n) for n in (2, 3)]
    assert NOBODY == blame([first, *same], NOW)
    other = [Suspect(n, NOW, "killer", n, 500, 70 + n, n) for n in (2, 3)]
    assert Blame(rules=("killer",)) == blame([first, *other], NOW)


def test_the_look_up_is_suspect_for_a_while() -> None:
    """A quarter of an hour after each death."""
    deaths = [a_death(1, rule=""), a_death(2, rule="")]
    assert [True, True, False] == [blame(deaths, NOW - 100 + later).walks for later in (0, 901, 902)]


def test_a_death_is_forgotten() -> None:
    """After a day; and a clock that was set back forgets nothing."""
    suspects = [a_death(n) for n in (1, 2, 3)]
    assert NOBODY == blame(suspects, NOW + WINDOW)
    assert Blame(rules=("killer",)) == blame(suspects, NOW - WINDOW)
