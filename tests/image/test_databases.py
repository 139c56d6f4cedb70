"""Which of many patterns can match: the index's expressions, asked by the engine and by Python."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders.rules import a_list, a_rule, contains, matching
from tidegate import image
from tidegate.conditions.members import glob_matches
from tidegate.conditions.text import fold
from tidegate.engine.index import build_index
from tidegate.image import databases
from tidegate.image.databases import Literal
from tidegate.model import ListKind, Loaded, Operator, Test

TEXT = st.text(alphabet="aßÄ.*?\\$^\n \0", max_size=8)


def expression(operator: Operator, text: str) -> str:
    """The index's expression for a test."""
    rule = a_rule("a", Test("subject", operator, (fold(text),)))
    return build_index((rule,), {}).literals["subject"][0][0]


@given(st.sampled_from([Operator.CONTAINS, Operator.PREFIX, Operator.SUFFIX, Operator.GLOB]), TEXT, TEXT)
@settings(max_examples=400, deadline=None)
def test_a_literal_fits_where_its_test_passes(operator: Operator, operand: str, text: str) -> None:
    """Whatever the test says YES to is found; and of plain text nothing else is."""
    folded, wanted = fold(text), fold(operand)
    passes = {
        Operator.CONTAINS: wanted in folded,
        Operator.PREFIX: folded.startswith(wanted),
        Operator.SUFFIX: folded.endswith(wanted),
        Operator.GLOB: glob_matches(operand, text) or glob_matches(wanted, folded),
    }[operator]
    literal = Literal.parse(expression(operator, operand))
    assert literal.fits(folded) or not passes
    assert literal.needle in folded or not passes
    if operator is not Operator.GLOB:
        assert passes is literal.fits(folded)


@pytest.mark.parametrize("expression", [r"a\d", "a|b", "(a)", "[a]", "a?", "^a$b", "a.b"])
def test_an_expression_that_is_more_than_texts_always_fits(expression: str) -> None:
    """What Python can't ask is left to the rule."""
    assert Literal.parse(expression).fits("x")
    assert Literal.parse(expression).needle == ""


@given(st.lists(st.tuples(st.sampled_from(list(Operator)[2:6]), TEXT), min_size=1, max_size=70), TEXT)
@settings(max_examples=40, deadline=None)
def test_no_rule_is_missed(tests: list[tuple[Operator, str]], text: str) -> None:
    """The whole way: every rule whose test passes is among those that the generation names."""
    rules = tuple(a_rule(f"r{n}", Test("subject", one, (fold(operand),))) for n, (one, operand) in enumerate(tests))
    generation = image.Generation(image.build(Loaded(rules), 1))
    found = set(generation.pattern_rules("subject", text))
    folded = fold(text)
    for number, (operator, operand) in enumerate(tests):
        wanted = fold(operand)
        if (
            (operator is Operator.CONTAINS and wanted in folded)
            or (operator is Operator.PREFIX and folded.startswith(wanted))
            or (operator is Operator.SUFFIX and folded.endswith(wanted))
            or (operator is Operator.GLOB and glob_matches(wanted, folded))
        ):
            assert number in found


def test_groups_that_are_not_built_count_as_hits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all patterns together would take too long, each is asked alone; the answers are the same."""
    monkeypatch.setattr(databases, "HEAVY", 0)
    rules = tuple(a_rule(f"r{n}", matching("subject", f"code{n}x?$")) for n in range(70))
    words = a_list("words", ListKind.REGEX, *[f"word{n}$" for n in range(70)])
    generation = image.Generation(image.build(Loaded(rules, (words,)), 1))
    assert image.summary(image.build(Loaded(rules), 1)).databases == 70
    assert ({33}, set()) == (generation.pattern_rules("subject", "CODE33"), generation.pattern_rules("subject", "code"))
    known = generation.list("words")
    assert known is not None
    assert (known.find("a word69", 0.0), known.find("a word70", 0.0)) == ("word69$", None)


def test_ten_thousand_literals_are_built_in_seconds() -> None:
    """As many `contains` and `suffix` tests as there may be rules."""
    rules = tuple(
        a_rule(
            f"r{n}", contains("subject", f"offer {n} end") if n % 2 else Test("subject", Operator.SUFFIX, (f"no {n}.",))
        )
        for n in range(10_000)
    )
    generation = image.Generation(image.build(Loaded(rules), 1))
    assert {4321} == generation.pattern_rules("subject", "An OFFER 4321 end!")
    assert {9876} == generation.pattern_rules("subject", "No 9876.")
    assert re.escape("offer 1 end") == generation.index.literals["subject"][1][0]


def test_groups_stop_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups that would take too long are left out and count as hits: slower for a message, but the load ends."""
    monkeypatch.setattr(databases, "SECONDS", 0.0)
    shelf = databases.Shelf()
    levels = shelf.patterns([f"word{number} here" for number in range(70)])
    assert databases.NONE in levels[0]
    assert (databases.NONE,) == levels[-1]
