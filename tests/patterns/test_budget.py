"""What patterns may cost to compile: one alone, and all of one policy."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence

import pytest

from tests.builders.policies import HOLD, a_policy, load_text, problems_of, states
from tidegate import image, patterns
from tidegate.model import Loaded
from tidegate.patterns import Budget, Compiled, bounded, budget
from tidegate.patterns.cost import is_dear

ENDLESS = "foo.{0,%d}bar"


@pytest.fixture(autouse=True)
def forgetful() -> Iterator[None]:
    """A new process, before and behind."""
    budget.forget()
    yield
    budget.forget()


def taking(seconds: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An engine whose dear patterns take as long as is told; returns what it was asked to compile."""
    asked: list[str] = []

    def compile_within(sources: Sequence[str], _folded: bool, room: float) -> Compiled:
        asked.append(sources[0])
        took = seconds.get(sources[0], 0.01)
        if took > room:
            return Compiled(b"", f"the engine had not made it after {room:.2g} s", room, True, in_time=False)
        return Compiled(b"database", "", took, True)

    monkeypatch.setattr(budget, "compile_within", compile_within)
    return asked


@pytest.mark.parametrize(
    ("source", "dear"),
    [
        (r"\bin[vw]oice\s+\d{3,6}\b", False),
        ("^(urgent|re):.*", False),
        ("foo.{0,30}bar", False),
        ("foo.{0,100}bar", True),
        ("x[a-z]{0,400}bar", True),
        (r"x\p{L}y", True),
        ("(a?){500}b", True),
    ],
)
def test_what_looks_dear(source: str, dear: bool) -> None:
    """Long repeats and Unicode classes do; what people mostly write does not."""
    assert dear is is_dear(source)


def test_a_pattern_without_end_is_stopped() -> None:
    """The engine would work for a minute on it: it is ended, and the answer says what to do."""
    found = bounded.compile_within((ENDLESS % 400,), False, 0.3)
    assert (b"", False, True) == (found.data, found.in_time, 0.2 < found.seconds < 2)
    why = patterns.check(ENDLESS % 399, Budget(dear=0.2))
    assert "had not made it after" in why
    assert "make the numbers" in why


def test_a_child_gives_what_the_engine_gives() -> None:
    """Its database, or its reason."""
    assert bounded.compile_here(("a.c",), False).data == bounded.compile_within(("a.c",), False, 5).data
    assert "Missing close parenthesis" in bounded.compile_within(("(",), False, 5).why


def test_a_death_of_the_engine_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    """It costs the pattern, not the load."""
    monkeypatch.setattr(bounded, "_compile", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    assert "the engine died of it (SIGKILL)" == bounded.compile_within(("a",), False, 5).why


def test_without_a_child_it_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lack of processes refuses no pattern."""

    def no_fork() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", no_fork)
    assert not bounded.compile_within(("a",), False, 5).why


def test_many_dear_patterns_share_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes at most half of what is left; then nothing dear is tried, and what is cheap still is."""
    hopeless = [ENDLESS % n for n in range(100, 120)]
    asked = taking(dict.fromkeys(hopeless, 1000.0), monkeypatch)
    one = Budget()
    answers = [patterns.check(source, one) for source in hopeless]
    assert all(answers)
    assert 0 < one.dear < 0.1
    assert len(asked) < len(hopeless)
    assert "are used up (the dearest, `foo.{0,100}bar`, 3 s)" in answers[-1]
    assert not patterns.check("invoice", one)


def test_hopeless_ones_leave_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four that never end, and behind them one that takes a quarter of a second."""
    hopeless = [ENDLESS % n for n in range(100, 104)]
    taking({**dict.fromkeys(hopeless, 1000.0), "x.{99}y": 0.25}, monkeypatch)
    one = Budget()
    assert [True] * 4 + [False] == [bool(patterns.check(source, one)) for source in (*hopeless, "x.{99}y")]


def test_cheap_ones_have_an_end_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand of a few milliseconds each are more than there is time for."""
    monkeypatch.setattr(budget, "compile_here", lambda *_, **__: Compiled(b"database", "", 1.0))
    one = Budget()
    answers = [patterns.check(f"word{n}", one) for n in range(20)]
    assert ["", "it was not tried"] == [answers[11], answers[12][:16]]


def test_two_loads_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the image in force lends costs no time, and counts with what it took: the same patterns are in and out."""
    sources = [f"x.{{{n}}}y" for n in range(50, 62)]
    asked = taking(dict.fromkeys(sources, 2.0), monkeypatch)
    first, second = Budget(), Budget()
    cold = [patterns.check(source, first) for source in sources]
    asked.clear()
    warm = [patterns.check(source, second) for source in sources]
    assert cold == warm
    assert first == second
    assert 0 < sum(map(bool, cold)) < len(sources)


def test_what_is_in_force_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patterns that are new and hopeless, before it in the file, don't put out one that is in the image in force."""
    before = load_text(a_policy(f"rules:\n  - {{id: r, when: {{subject: {{matches: 'x.{{50}}y'}}}}, do: {HOLD}}}"))
    data = image.build(Loaded(before.loaded.rules), 1)
    took = budget._MADE["x.{50}y"]
    budget.forget()
    image.earlier(data)
    known = budget._MADE["x.{50}y"]
    assert (took.data, True, round(took.seconds, 3)) == (known.data, known.dear, known.seconds)
    taking({ENDLESS % n: 1000.0 for n in range(100, 130)}, monkeypatch)
    one = Budget()
    assert all(patterns.check(ENDLESS % n, one) for n in range(100, 130))
    assert not patterns.check("x.{50}y", one)


def test_what_does_not_fit_costs_its_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rule is skipped with the reason, and every other rule is in force."""
    taking(dict.fromkeys([ENDLESS % n for n in range(100, 140)], 1000.0), monkeypatch)
    rules = "\n".join(
        f"  - {{id: r{n}, when: {{subject: {{matches: '{ENDLESS % n}'}}}}, do: {HOLD}}}" for n in range(100, 140)
    )
    last = f"  - {{id: last, when: {{subject: {{matches: invoice}}}}, do: {HOLD}}}"
    loaded = load_text(f"version: 1\nrules:\n{rules}\n{last}\n...\n")
    assert "active" == states(loaded)["rule last"]
    assert {"skipped"} == {state for name, state in states(loaded).items() if name != "rule last"}
    messages = [one.message for one in problems_of(loaded, "bad-pattern")]
    assert "`matches` on `subject`: `foo.{0,100}bar` can't be run: the engine had not made it" in messages[0]
    assert "it was not tried" in messages[-1]


def test_forty_patterns_near_the_limit() -> None:
    """A whole policy of them is compiled in the time that it may take, and no longer."""
    one = Budget(dear=1.0)
    began = time.process_time() + sum(os.times()[2:4])
    for n in range(40):
        patterns.check(f"a.{{0,{1400 + n}}}z", one)
    assert time.process_time() + sum(os.times()[2:4]) - began < 5
