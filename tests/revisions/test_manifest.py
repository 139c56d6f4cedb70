"""Manifests: edited as values, one text each, and strictly read."""

from __future__ import annotations

import json

import pytest

from tidegate.model import EntryKey, EntryKind
from tidegate.revisions import EMPTY, Change, Flaw, Manifest, Named, canonical, compare, read_manifest

A, B, C = (format(number, "064x") for number in (10, 11, 12))
RULE, LIST = EntryKey(EntryKind.RULE, "stop"), EntryKey(EntryKind.LIST, "stop")
OTHER = EntryKey(EntryKind.CONDITION, "leaves-us")


def test_edits_are_values() -> None:
    """Put, removed with a tombstone, forgotten; the order in which it was done is nothing."""
    one = EMPTY.edited([Named(RULE, A), Named(LIST, B)]).edited(removed=[OTHER])
    other = EMPTY.edited([Named(LIST, C)], [OTHER, RULE]).edited([Named(RULE, A), Named(LIST, B)])
    assert one == other
    assert one.digest() == other.digest()
    assert {RULE: A, LIST: B} == one.shas
    assert (OTHER,) == one.removed
    assert (RULE, OTHER) == tuple(sorted(one.edited(removed=[RULE]).removed, key=str, reverse=True))
    assert EMPTY == one.edited(forgotten=[RULE, LIST, OTHER])


def test_its_text() -> None:
    """The text is part of the format: signatures and digests of other releases stand on it."""
    manifest = EMPTY.edited([Named(RULE, A), Named(OTHER, B)], [LIST])
    expected = (
        f'{{"entries":[["condition","leaves-us","{B}"],["rule","stop","{A}"]],"format":1,"removed":[["list","stop"]]}}'
    )
    assert expected.encode() == manifest.canonical()
    assert manifest == read_manifest(manifest.canonical())


def test_an_empty_one() -> None:
    """It is one too."""
    assert EMPTY == read_manifest(b'{"entries":[],"format":1,"removed":[]}') == Manifest()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"format": 2}, "this release reads 1"),
        ({"format": True}, "this release reads 1"),
        ({"more": 1}, "has to have"),
        ({"entries": {}}, "list"),
        ({"entries": ["rule"]}, "[kind, id, sha256]"),
        ({"entries": [["rule", "a"]]}, "[kind, id, sha256]"),
        ({"entries": [["rule", "a", "A" * 64]]}, "[kind, id, sha256]"),
        ({"entries": [["rule", "a", A + "0"]]}, "[kind, id, sha256]"),
        ({"entries": [["rules", "a", A]]}, "no kind"),
        ({"entries": [["rule", "", A]]}, "no id"),
        ({"entries": [["rule", "a\nb", A]]}, "no id"),
        ({"entries": [["rule", "a" * 257, A]]}, "no id"),
        ({"entries": [["rule", 5, A]]}, "[kind, id]"),
        ({"entries": [["rule", "a", A], ["rule", "a", B]]}, "twice"),
        ({"entries": [["rule", "a", A]], "removed": [["rule", "a"]]}, "twice"),
        ({"removed": [["rule"]]}, "[kind, id]"),
        ({"removed": 5}, "list"),
        ({"entries": [["rule", "b", A], ["rule", "a", A]]}, "not as"),
    ],
    ids=lambda value: json.dumps(value)[:40] if isinstance(value, dict) else "",
)
def test_what_is_refused(change: dict[str, object], word: str) -> None:
    """Each with its reason."""
    found = read_manifest(canonical({"format": 1, "entries": [], "removed": [], **change}))
    assert isinstance(found, Flaw)
    assert word in found.why


def test_one_that_was_written_by_hand() -> None:
    """It can be read, and is not what `tidegate policy` writes."""
    text = json.dumps({"format": 1, "entries": [["rule", "stop", A]], "removed": []}, indent=2).encode()
    assert isinstance(read_manifest(text), Flaw)
    assert EMPTY.edited([Named(RULE, A)]) == read_manifest(text, strict=False)


def test_what_lies_between_two() -> None:
    """Each entry once, with what became of it."""
    old = EMPTY.edited([Named(RULE, A), Named(LIST, A)], [OTHER])
    new = EMPTY.edited([Named(RULE, B), Named(OTHER, C)], [LIST])
    found = {one.key: (one.change, one.before, one.after) for one in compare(old, new)}
    assert {
        RULE: (Change.CHANGED, A, B),
        LIST: (Change.REMOVED, A, ""),
        OTHER: (Change.ADDED, "", C),
    } == found
    assert () == compare(old, old)
    assert [(Change.FORGOTTEN, "")] == [
        (one.change, one.before) for one in compare(EMPTY.edited(removed=[RULE]), EMPTY)
    ]
    assert [(Change.REMOVED, "")] == [(one.change, one.before) for one in compare(EMPTY, EMPTY.edited(removed=[RULE]))]
