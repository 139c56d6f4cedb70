"""A generation: what was loaded comes back from the image, cheaply, and a damaged image is refused."""

from __future__ import annotations

import gc
import mmap
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders.rules import a_list, a_rule, contains, matching
from tidegate import image
from tidegate.engine.index import build_index
from tidegate.image import BadImage, Generation
from tidegate.image.generation import DECODED
from tidegate.model import (
    Actions,
    AnyOf,
    Conventions,
    EntryState,
    Exempt,
    ListKind,
    Loaded,
    Mode,
    Not,
    Operator,
    Quantifier,
    Recipients,
    Rule,
    Test,
)


def login(name: str) -> Test:
    """A test on the login."""
    return Test("login", Operator.ONE_OF, (name,), None, ListKind.LOGIN)


def many_rules(count: int) -> tuple[Rule, ...]:
    """Rules with a key each."""
    return tuple(a_rule(f"rule-{n}", login(f"user{n}")) for n in range(count))


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    """Some of everything."""
    size = Test("message.size", Operator.GT, (1000,))
    at_rcpt = Recipients(Quantifier.ANY, Test("rcpt.domain", Operator.ONE_OF, ("example.net",), None, ListKind.DOMAIN))
    return Loaded(
        rules=(
            a_rule("login", login("alice")),
            a_rule(
                "subject", AnyOf((contains("subject", "straße", "50% off"), matching("subject", "inv(oice)?[0-9]+")))
            ),
            a_rule("shadow", Not(login("bob")), mode=Mode.SHADOW),
            a_rule("exempt", login("carol"), tags=("a",)),
            a_rule("rcpt", at_rcpt, per_recipient=True),
            a_rule("off", size, mode=Mode.OFF),
            a_rule("listed", Test("sender.address", Operator.IN, (), "senders", ListKind.ADDRESS)),
            a_rule("prefix", Test("subject", Operator.PREFIX, ("ad:",))),
            a_rule("glob", Test("header.x", Operator.GLOB, ("win*prize?",))),
        ),
        lists=(
            a_list("senders", ListKind.ADDRESS, *[f"user{n}@example.com" for n in range(300)], "*-bot@example.com"),
            a_list("words", ListKind.REGEX, "casino", "(?-i)Viagra"),
        ),
        conventions=Conventions("example.com", "+"),
    )


@pytest.fixture(scope="module")
def data(loaded: Loaded) -> bytes:
    """Its image."""
    return image.build(loaded, 7)


def test_what_was_loaded_comes_back(loaded: Loaded, data: bytes) -> None:
    """Rules, conventions and index are as they were."""
    generation = Generation(data)
    assert generation.number == 7
    assert loaded.conventions == generation.conventions
    assert loaded.rules == tuple(generation.rule(number) for number in range(len(generation)))
    lists = {one.name: one for one in loaded.lists}
    assert build_index(loaded.rules, lists) == generation.index
    assert build_index(loaded.rules, lists, at_rcpt=True) == generation.index_at_rcpt


def test_traits(loaded: Loaded) -> None:
    """What all rules come to is known without touching them; rules that are off count for nothing."""
    exempt = Rule("ex", login("x"), Actions(exempt=Exempt(("a",))))
    gone = a_rule("gone", login("y"), mode=Mode.SHADOW, state=EntryState.EXPIRED)
    generation = Generation(image.build(Loaded((*loaded.rules, exempt, gone), loaded.lists), 1))
    assert generation.per_recipient == (4,)
    assert frozenset({9}) == generation.exempts
    assert not generation.reads_body


@pytest.mark.parametrize("condition", [Test("message.size", Operator.GT, (5,)), login("a")], ids=["size", "login"])
def test_a_rule_on_the_size_reads_the_body(condition: Test) -> None:
    """A declared SIZE= is the client's claim: who asks for the size has the body counted."""
    generation = Generation(image.build(Loaded((a_rule("a", Not(condition)),)), 1))
    assert (condition.field == "message.size") is generation.reads_body


def test_nothing_is_a_generation_too() -> None:
    """A policy without a rule is in force like any other."""
    generation = Generation(image.build(Loaded(), 3))
    assert (len(generation), bool(generation), generation.list("a"), generation.index.unkeyed) == (0, True, None, ())
    assert list(generation.pattern_rules("subject", "a")) == []


def test_numbers_outside_are_an_error(data: bytes) -> None:
    """A rule that does not exist is a bug of ours, not another rule."""
    generation = Generation(data)
    for number in (-1, len(generation)):
        with pytest.raises(IndexError):
            generation.rule(number)


def test_the_digest_is_the_policy_s(loaded: Loaded, data: bytes) -> None:
    """The number changes nothing, a changed rule or convention does."""
    digest = Generation(data).digest
    assert digest == Generation(image.build(loaded, 8)).digest
    others = (
        Loaded(loaded.rules[1:], loaded.lists, conventions=loaded.conventions),
        Loaded(loaded.rules, loaded.lists[1:], conventions=loaded.conventions),
        Loaded(loaded.rules, loaded.lists),
    )
    assert len({digest, *(Generation(image.build(other, 7)).digest for other in others)}) == 4


def test_the_order_of_a_list_changes_nothing() -> None:
    """A list file that is sorted anew is the same policy."""
    one, other = (Loaded(lists=(a_list("l", ListKind.LOGIN, *names),)) for names in (("a", "b"), ("b", "a")))
    assert image.build(one, 1) == image.build(other, 1)


def test_summary(data: bytes) -> None:
    """What an image holds can be said without the engine."""
    summary = image.summary(data)
    assert (7, Generation(data).digest, 9, 2, len(data)) == (
        summary.number, summary.digest, summary.rules, summary.lists, summary.size,
    )  # fmt: skip


def test_steps_are_the_same(data: bytes) -> None:
    """A worker opens it piece by piece and gets the same."""
    steps = Generation.steps(data)
    count = 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            generation = end.value
            break
        count += 1
    assert count > 3
    assert Generation(data).index == generation.index


def test_few_rules_stay_decoded() -> None:
    """The cache is bounded, and a rule in it is not decoded again."""
    generation = Generation(image.build(Loaded(many_rules(3 * DECODED)), 1))
    first = generation.rule(0)
    assert first is generation.rule(0)
    for number in range(len(generation)):
        generation.rule(number)
    assert len(generation._young) + len(generation._old) <= 2 * DECODED


@pytest.mark.parametrize(
    ("field", "text", "expected"),
    [
        pytest.param("subject", "Hello", set(), id="nothing"),
        pytest.param("subject", "Die STRASSE hier", {1}, id="a literal without case"),
        pytest.param("subject", "Now 50% off!", {1}, id="a literal with signs"),
        pytest.param("subject", "INVOICE77", {1}, id="a pattern"),
        pytest.param("subject", "AD: buy", {7}, id="a prefix"),
        pytest.param("subject", "buy AD: no", set(), id="a prefix elsewhere"),
        pytest.param("header.x", "Win a prize!", {8}, id="a glob"),
        pytest.param("subject", "ad: inv1", {1, 7}, id="two"),
        pytest.param("header.y", "inv1", set(), id="a field without patterns"),
    ],
)
def test_pattern_rules(data: bytes, field: str, text: str, expected: set[int]) -> None:
    """The rules that a text concerns, by their literals and patterns."""
    assert expected == set(Generation(data).pattern_rules(field, text))


def test_matches(data: bytes) -> None:
    """A `matches` test is asked by its source; one that no rule has is a bug, not a NO."""
    generation = Generation(data)
    assert generation.matches("subject", "inv(oice)?[0-9]+", "my Invoice1")
    assert not generation.matches("subject", "inv(oice)?[0-9]+", "invoice")
    with pytest.raises(KeyError):
        generation.matches("subject", "other", "other")


def test_thousands_of_patterns_are_found_one_by_one() -> None:
    """Patterns in several levels of databases: each text finds its own rule."""
    words = [f"offer {n} end" for n in range(1100)]
    rules = [a_rule(f"r{n}", contains("subject", word)) for n, word in enumerate(words)]
    rules += [a_rule(f"m{n}", matching("subject", f"^code{n}x?$")) for n in range(40)]
    generation = Generation(image.build(Loaded(tuple(rules)), 1))
    assert [{n} for n in range(0, 1100, 37)] == [
        generation.pattern_rules("subject", f"An {words[n]}.") for n in range(0, 1100, 37)
    ]
    assert [{1100 + n} for n in range(40)] == [generation.pattern_rules("subject", f"CODE{n}") for n in range(40)]
    assert set() == generation.pattern_rules("subject", "offer 1100 end")


@given(st.integers(0), st.integers(0, 7))
@settings(max_examples=300, deadline=None)
def test_a_changed_bit_is_a_bad_image(data: bytes, at: int, bit: int) -> None:
    """Wherever a bit flips, the image is refused."""
    at %= len(data)
    changed = bytearray(data)
    changed[at] ^= 1 << bit
    with pytest.raises(BadImage):
        Generation(changed)
    with pytest.raises(BadImage):
        image.summary(changed)


@given(st.integers(0))
@settings(max_examples=150, deadline=None)
def test_a_cut_or_longer_image_is_bad(data: bytes, length: int) -> None:
    """Wherever it ends too early, or goes on too long, it is refused."""
    for wrong in (data[: length % len(data)], data + bytes(1 + length % 9)):
        with pytest.raises(BadImage):
            Generation(wrong)


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_anything_else_is_a_bad_image(junk: bytes) -> None:
    """Bytes that never were an image are refused."""
    with pytest.raises(BadImage):
        Generation(junk)


def test_a_refused_image_lets_go_of_its_memory(data: bytes) -> None:
    """Whoever mapped it can unmap it while the exception is still being handled."""
    mapped = mmap.mmap(-1, len(data))
    mapped[:] = data[:-1] + b"\1"
    try:
        Generation(mapped)
    except BadImage:
        mapped.close()
    assert mapped.closed


def test_a_generation_that_is_dropped_lets_go_of_its_memory(data: bytes) -> None:
    """There is no cycle in it: the loader proves an image and unmaps it, without a garbage collection."""
    gc.disable()
    try:
        with mmap.mmap(-1, len(data)) as mapped:
            mapped[:] = data
            generation = Generation(mapped)
            generation.rule(0)
            generation.pattern_rules("subject", "inv1")
            del generation
    finally:
        gc.enable()


def test_threads_share_a_generation(data: bytes) -> None:
    """16 threads read rules, ask lists and patterns at once, and each gets its own answer."""
    loaded = Loaded(
        (*many_rules(3 * DECODED), a_rule("m", matching("subject", "a+b"))),
        (a_list("l", ListKind.LOGIN, *[f"user{n}" for n in range(2000)]),),
    )
    generation = Generation(image.build(loaded, 1))
    wrong: list[str] = []

    def hammer(start: int) -> None:
        known = generation.list("l")
        assert known is not None
        for turn in range(200):
            number = (start * 97 + turn * 13) % (3 * DECODED)
            if generation.rule(number).id != f"rule-{number}":
                wrong.append(f"rule {number}")
            if known.find(f"user{number}", 0.0) != f"user{number}" or known.find(f"no{number}", 0.0):
                wrong.append(f"list {number}")
            if set(generation.pattern_rules("subject", "xAABx")) != {3 * DECODED}:
                wrong.append("pattern")

    threads = [threading.Thread(target=hammer, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.usefixtures("no_engine")
def test_without_the_engine_literals_work() -> None:
    """`contains` and its like need no engine, they are only faster with it."""
    rules = (a_rule("a", contains("subject", "offer")), a_rule("b", contains("subject", "prize")))
    generation = Generation(image.build(Loaded(rules), 1))
    assert {1} == set(generation.pattern_rules("subject", "A Prize"))


@pytest.mark.usefixtures("no_engine")
def test_without_the_engine_an_image_with_patterns_is_refused(data: bytes) -> None:
    """A pattern that can't be asked must not be answered NO; and the cure is named."""
    with pytest.raises(BadImage, match="apt install libhyperscan5"):
        Generation(data)
