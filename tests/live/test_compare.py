"""What becomes of a canary, by what it and the generation beside it did."""

from __future__ import annotations

import pytest

from tidegate.live.compare import Seen, Step, Wanted, decide, tail
from tidegate.observe.sides import Count, Outcome, Side

WANTED = Wanted(seconds=60, messages=50, longest=600)


def side(messages: int, senders: int, seconds: float = 0.0, **harm: tuple[int, int]) -> Side:
    """So many messages of so many senders; by outcome, those that met it: (messages, senders)."""
    counts = {Outcome(name): Count(*found) for name, found in harm.items()}
    return Side({Outcome.JUDGED: Count(messages, senders), **counts}, seconds)


NOTHING = side(0, 0)
CALM = side(900, 300)


@pytest.mark.parametrize(
    ("old", "new", "age", "deaths", "step", "reason"),
    [
        pytest.param(NOTHING, NOTHING, 30, 0, Step.WAIT, "", id="no data yet"),
        pytest.param(NOTHING, NOTHING, 599, 0, Step.WAIT, "", id="no data is no pass"),
        pytest.param(NOTHING, NOTHING, 600, 0, Step.UNPROVEN, "it saw 0 messages", id="no data at all"),
        pytest.param(side(1, 1), NOTHING, 600, 0, Step.UNPROVEN, "it saw 0 messages", id="five messages an hour"),
        pytest.param(CALM, side(100, 30), 59, 0, Step.WAIT, "", id="enough messages, too early"),
        pytest.param(CALM, side(49, 30), 300, 0, Step.WAIT, "", id="long enough, one message too few"),
        pytest.param(CALM, side(50, 30), 60, 0, Step.PROMOTE, "", id="enough of both"),
        pytest.param(NOTHING, side(500, 30), 60, 0, Step.WAIT, "", id="nothing to compare with"),
        pytest.param(
            side(900, 300, stopped=(300, 100), refused=(300, 100)),
            side(100, 33, stopped=(30, 12), refused=(30, 12)),
            60, 0, Step.PROMOTE, "", id="an outbreak on both sides",
        ),
        pytest.param(
            CALM,
            side(12, 5, stopped=(12, 5), refused=(12, 5)),
            3, 0, Step.ABANDON, "5 of its 5 senders were refused, but 0 of 300 beside it", id="it refuses everything",
        ),
        pytest.param(
            side(90, 18),
            side(11, 2, stopped=(11, 2)),
            20, 0, Step.ABANDON, "2 of its 2 senders were stopped, but 0 of 18 beside it", id="everything, few senders",
        ),
        pytest.param(
            side(900, 9),
            side(100, 1, stopped=(100, 1), refused=(100, 1)),
            60, 0, Step.WAIT, "", id="everything of one sender: who knows",
        ),
        pytest.param(
            side(900, 9),
            side(100, 1, stopped=(100, 1), refused=(100, 1)),
            600, 0, Step.UNPROVEN, "all that it met were stopped", id="and never known",
        ),
        pytest.param(
            side(900, 300, stopped=(900, 300), refused=(900, 300)),
            side(100, 30, stopped=(100, 30), refused=(100, 30)),
            60, 0, Step.PROMOTE, "", id="both refuse everything",
        ),
        pytest.param(
            side(900, 300, stopped=(900, 300), refused=(900, 300)),
            side(100, 30, stopped=(100, 30)),
            60, 0, Step.PROMOTE, "", id="it is made milder",
        ),
        pytest.param(
            side(900, 300, stopped=(450, 150)),
            side(100, 30, stopped=(50, 15), refused=(50, 15)),
            60, 0, Step.ABANDON, "15 of its 30 senders were refused", id="it is made stricter",
        ),
        pytest.param(
            side(900, 300, stopped=(90, 30), refused=(90, 30)),
            side(100, 30, stopped=(10, 3), refused=(10, 3), discarded=(10, 3)),
            60, 0, Step.PROMOTE, "", id="three senders of thirty",
        ),
        pytest.param(
            side(900, 300, stopped=(90, 30), refused=(90, 30)),
            side(100, 30, stopped=(30, 9), refused=(30, 9), discarded=(30, 9)),
            60, 0, Step.ABANDON, "9 of its 30 senders were discarded", id="mail is thrown away",
        ),
        pytest.param(
            side(9000, 300),
            side(5000, 30, stopped=(4000, 1), refused=(4000, 1)),
            60, 0, Step.PROMOTE, "", id="one sender with thousands of messages is one",
        ),
        pytest.param(
            CALM,
            side(100, 30, fault=(100, 30)),
            60, 0, Step.ABANDON, "30 of its 30 senders were answered by a fault of our own", id="it errors",
        ),
        pytest.param(
            side(900, 300, fault=(900, 300)),
            side(100, 30, fault=(100, 30)),
            60, 0, Step.PROMOTE, "", id="faults on both sides",
        ),
        pytest.param(
            side(900, 300, seconds=0.9), side(100, 30, seconds=30), 60, 0,
            Step.ABANDON, "a message took 300 ms, but 1 ms beside it", id="it is slow",
        ),
        pytest.param(
            side(900, 300, seconds=0.9), side(100, 30, seconds=5), 60, 0, Step.PROMOTE, "", id="slower, but not slow"
        ),
        pytest.param(CALM, side(100, 30), 60, 1, Step.PROMOTE, "", id="one worker died"),
        pytest.param(CALM, NOTHING, 5, 3, Step.ABANDON, "3 workers died", id="workers die again and again"),
    ],
)  # fmt: skip
def test_decide(old: Side, new: Side, age: float, deaths: int, step: Step, reason: str) -> None:
    """A canary waits, goes on, or is given up; what hits both sides alike is no reason."""
    judgement = decide(Seen(old, new, age, deaths), WANTED)
    assert step is judgement.step, judgement
    assert judgement.reason.startswith(reason)


@pytest.mark.parametrize("senders", range(1, 40))
def test_chance_alone_gives_nothing_up(senders: int) -> None:
    """As many stopped on either side as its share: whatever the size of the site, that is no reason."""
    old = side(senders * 27, senders * 9, stopped=(senders * 9, senders * 3), refused=(senders * 9, senders * 3))
    new = side(senders * 3, senders, stopped=(senders, senders // 3), refused=(senders, senders // 3))
    assert decide(Seen(old, new, 700), WANTED).step in (Step.PROMOTE, Step.UNPROVEN)


def test_the_tail_is_fishers() -> None:
    """Against the binomial coefficients by hand: 3 hits of 3 drawn, none of the 27 others."""
    assert pytest.approx(1 / 4060) == tail(3, 3, 0, 27)
    assert pytest.approx(1.0) == tail(0, 10, 5, 90)
