"""One value, one text: what is read is what would be written, and everything else is a Flaw."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.revisions import Flaw, canonical, digest_of
from tidegate.revisions.canonical import SIZE_LIMIT, parse

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(value=VALUES)
def test_a_text_is_read_as_it_was_written(value: object) -> None:
    """And written again it is the same text, in ASCII, without spaces that JSON does not need."""
    text = canonical(value)
    again = parse(text)
    if isinstance(again, Flaw):
        assert "deep" in again.why
        return
    assert value == again
    assert text == canonical(again)
    assert text.isascii()
    assert json.loads(text) == value


@given(data=st.binary(max_size=60))
def test_no_bytes_raise(data: bytes) -> None:
    """Whatever a store holds."""
    parse(data)


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b"\xff", "UTF-8"),
        (b'{"a":1,"a":2}', "twice"),
        (b"1.5", "whole number"),
        (b"1e9", "whole number"),
        (b"NaN", "whole number"),
        (b"99999999999999999999999999", "too large"),
        (b"9" * 5000, "too large"),
        (b"[" * 9 + b"]" * 9, ""),
        (b"[" * 10 + b"]" * 10, "too deep"),
        (b"[" * 100_000, "no JSON"),
        (b" " * (SIZE_LIMIT + 1), "larger"),
    ],
    ids=lambda value: repr(value[:12]),
)
def test_what_is_refused(data: bytes, word: str) -> None:
    """With the reason."""
    found = parse(data)
    assert word in found.why if isinstance(found, Flaw) else word == ""


def test_keys_are_sorted() -> None:
    """Two ways to write a map are one text, so one digest."""
    one, other = canonical({"b": 1, "a": "ü"}), canonical({"a": "ü", "b": 1})
    assert b'{"a":"\\u00fc","b":1}' == one == other
    assert "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" == digest_of(b"")
