"""What an earlier image lends to the next one: nothing becomes different by it, and less is done."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders.rules import a_list, a_rule, contains, matching
from tidegate import image, patterns
from tidegate.model import ListKind, Loaded, MemberListData, Rule
from tidegate.patterns import budget

RULES = (
    a_rule("words", contains("subject", *[f"codeword{n}" for n in range(70)])),
    a_rule("patterns", matching("subject", "inv(oice)?[0-9]+")),
    a_rule("others", matching("header.x", "order [0-9]+")),
)
LISTS = (
    a_list("senders", ListKind.ADDRESS, *[f"user{n}@example.com" for n in range(50)], "*-bot@example.com"),
    a_list("regexes", ListKind.REGEX, "casino", "(?-i)Viagra"),
    a_list("globs", ListKind.DOMAIN, *[f"mx{n}.*.example" for n in range(20)]),
)


@pytest.fixture(autouse=True)
def forgetful() -> Iterator[None]:
    """The engine has compiled nothing yet, as in a new process."""
    budget.forget()
    yield
    budget.forget()


def next_to(before: bytes, loaded: Loaded) -> bytes:
    """The image of `loaded`, with what `before` lends."""
    return image.build(loaded, 2, image.earlier(before))


@given(
    st.lists(st.sampled_from(RULES), unique_by=lambda rule: rule.id),
    st.lists(st.sampled_from(RULES), unique_by=lambda rule: rule.id),
    st.lists(st.sampled_from(LISTS), unique_by=lambda data: data.name),
    st.lists(st.sampled_from(LISTS), unique_by=lambda data: data.name),
)
@settings(max_examples=30, deadline=None)
def test_the_image_is_the_same_as_without(
    rules: list[Rule], more: list[Rule], lists: list[MemberListData], others: list[MemberListData]
) -> None:
    """Byte for byte, whatever is new, gone or as it was."""
    before = image.build(Loaded(tuple(rules), tuple(lists)), 1)
    after = Loaded(tuple(more), tuple(others))
    assert image.build(after, 2) == next_to(before, after)


def test_what_did_not_change_is_not_compiled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more rule with one more pattern costs that pattern and the groups that it joins."""
    before = image.build(Loaded(RULES, LISTS), 1)
    budget.forget()
    compiled: list[tuple[str, ...]] = []
    compile_ = patterns.Database.compile

    def watched(expressions: list[str], folded: bool) -> patterns.Database:
        compiled.append(tuple(expressions))
        return compile_(expressions, folded)

    monkeypatch.setattr(patterns.Database, "compile", watched)
    next_to(before, Loaded((*RULES, a_rule("new", matching("header.y", "secret"))), LISTS))
    assert [("secret",)] == compiled


def test_a_list_that_did_not_change_is_not_hashed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its body is taken as it lies; another list beside it is made."""
    before = image.build(Loaded(lists=LISTS), 1)
    hashed: list[str] = []
    hash_ = image.lists._hash
    monkeypatch.setattr(image.lists, "_hash", lambda key, salted: hashed.append(key) or hash_(key, salted))
    next_to(before, Loaded(lists=(*LISTS, a_list("new", ListKind.LOGIN, "alice"))))
    assert ["alice"] == hashed


def test_another_engine_makes_its_own_databases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Databases that this machine's engine can't read are not lent; lists are."""
    before = image.build(Loaded(RULES, LISTS), 1)
    budget.forget()

    def refuse(data: bytes) -> patterns.Database:
        raise patterns.PatternError("made by another version")

    monkeypatch.setattr(patterns.Database, "deserialise", refuse)
    lent = image.earlier(before)
    assert ({}, {}, 3) == (budget._MADE, lent.groups, len(lent.lists))


@pytest.mark.parametrize("size", [0, 10, 200], ids=["empty", "cut in the header", "cut behind it"])
def test_what_is_no_image_lends_nothing(size: int) -> None:
    """It is refused, as by whoever opens an image."""
    with pytest.raises(image.BadImage):
        image.earlier(image.build(Loaded(RULES, LISTS), 1)[:size])
