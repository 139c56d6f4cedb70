"""The model as JSON and back: what is read is what was written, and nothing else can be read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders.rules import a_rule, rules
from tidegate.image.codec import RULE, MalformedError, dump, load
from tidegate.model import Always, Rule


@given(rules())
@settings(max_examples=150, deadline=None)
def test_a_rule_is_read_as_it_was_written(rule: Rule) -> None:
    """Any rule, with lone surrogates, empty conditions and huge numbers, survives, with the types of its values."""
    read = load(RULE, dump(RULE, rule))
    assert rule == read
    assert repr(rule) == repr(read)  # True is not 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=12,
)


@given(JSON, st.data())
@settings(max_examples=200, deadline=None)
def test_other_json_is_malformed_or_a_rule(junk: object, data: st.DataObject) -> None:
    """A part replaced by anything is refused with one exception, or makes another well-typed rule."""
    values = json.loads(dump(RULE, a_rule("a", Always())))
    values[data.draw(st.integers(0, len(values) - 1))] = junk
    try:
        rule = load(RULE, json.dumps(values).encode())
    except MalformedError:
        return
    assert rule == load(RULE, dump(RULE, rule))


@pytest.mark.parametrize("text", ["", "{}", "[]", "nul", "[1]", "\xff", "[" * 5000, '["a"' + ",0" * 18 + "]"])
def test_text_that_is_no_rule_is_malformed(text: str) -> None:
    """Bad JSON, bad shapes and bad bytes are one exception."""
    with pytest.raises(MalformedError):
        load(RULE, text.encode("latin-1"))
