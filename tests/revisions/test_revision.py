"""The record of a revision: one text, a strict reader, and what is in force by the clock."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tidegate.model import EntryKey, EntryKind
from tidegate.revisions import EMPTY, Expected, Flaw, Revision, canonical, read_revision, signed_bytes
from tidegate.revisions.revision import expected_of

A = format(10, "064x")
PLAIN = Revision(1, 0, EMPTY.digest(), "prod", "ann", "first", 1_800_000_000, "mx1")
FULL = Revision(
    number=8,
    parent=7,
    manifest=A,
    environment="prod",
    author="ann <ann@example.com>",
    reason="größer",
    at=1_800_000_000,
    host="mx1",
    expires=1_800_007_200,
    fallback=EMPTY.digest(),
    urgent="an outbreak",
    expect=(Expected("stop", A, 40), Expected("halt", A, 3, 60)),
    key="ann-2027",
    signature="c2lnbmF0dXJl",
)


@pytest.mark.parametrize("revision", [PLAIN, FULL], ids=["plain", "full"])
def test_a_record_is_read_as_it_was_written(revision: Revision) -> None:
    """Every field."""
    assert revision == read_revision(revision.canonical(), "prod")


def test_its_text() -> None:
    """The text is part of the format: signatures of other releases stand on it."""
    assert (
        b'{"at":1800000000,"author":"ann","environment":"prod","expect":[],"expires":0,"fallback":"","format":1,'
        b'"host":"mx1","key":"","manifest":"' + EMPTY.digest().encode() + b'","number":1,"parent":0,"reason":"first",'
        b'"signature":"","urgent":""}'
    ) == PLAIN.canonical()


def test_what_a_signature_covers() -> None:
    """Everything but itself; and it can't be mistaken for another document."""
    assert signed_bytes(FULL) == signed_bytes(replace(FULL, signature="YW5vdGhlcg=="))
    assert signed_bytes(FULL).startswith(b"tidegate-revision-v1\0{")
    others = [
        replace(FULL, number=9),
        replace(FULL, parent=6),
        replace(FULL, manifest=EMPTY.digest()),
        replace(FULL, environment="test"),
        replace(FULL, expires=1_800_007_201),
        replace(FULL, fallback=A),
        replace(FULL, urgent=""),
        replace(FULL, expect=()),
        replace(FULL, key="bob-2027"),
    ]
    assert len(others) + 1 == len({signed_bytes(one) for one in (FULL, *others)})


def test_what_is_in_force_by_the_clock() -> None:
    """A revision that nobody confirmed reverts by itself, to the second."""
    assert (A, EMPTY.digest()) == (FULL.in_force(1_800_007_199.9), FULL.in_force(1_800_007_200.0))
    assert PLAIN.manifest == PLAIN.in_force(9e9)


def test_what_is_expected_goes_with_the_text() -> None:
    """Of another text of that rule nothing is expected, and nothing of a list of that name."""
    rule = EntryKey(EntryKind.RULE, "stop")
    assert Expected("stop", A, 40) == expected_of(rule, A, FULL.expect)
    assert expected_of(rule, EMPTY.digest(), FULL.expect) is None
    assert expected_of(EntryKey(EntryKind.LIST, "stop"), A, FULL.expect) is None


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"format": 2}, "format"),
        ({"number": 0}, "`number`"),
        ({"number": "8"}, "`number`"),
        ({"number": True}, "`number`"),
        ({"parent": 8}, "`parent`"),
        ({"parent": -1}, "`parent`"),
        ({"manifest": ""}, "`manifest`"),
        ({"manifest": "x" * 64}, "`manifest`"),
        ({"environment": "test"}, "environment `test`"),
        ({"environment": "}:"}, "`environment`"),
        ({"author": ""}, "`author`"),
        ({"author": "a\u001b[31m"}, "`author`"),
        ({"author": "a" * 201}, "too long"),
        ({"reason": "a" * 501}, "too long"),
        ({"reason": None}, "no text"),
        ({"expires": 5, "fallback": ""}, "belong together"),
        ({"expires": 0}, "belong together"),
        ({"key": ""}, "belong together"),
        ({"signature": "***"}, "`signature`"),
        ({"expect": 5}, "list"),
        ({"expect": [["stop", A, 0, 60]]}, "`expect`"),
        ({"expect": [["stop", "a", 1, 60]]}, "`expect`"),
        ({"expect": [["stop", A, 1]]}, "`expect`"),
        ({"more": 1}, "no field `more`"),
    ],
    ids=lambda value: json.dumps(value)[:40] if isinstance(value, dict) else "",
)
def test_what_is_refused(change: dict[str, object], word: str) -> None:
    """Each with its reason, never an exception."""
    found = read_revision(canonical({**json.loads(FULL.canonical()), **change}), "prod")
    assert isinstance(found, Flaw)
    assert word in found.why


@pytest.mark.parametrize("missing", sorted(json.loads(FULL.canonical())))
def test_a_field_that_is_missing(missing: str) -> None:
    """It is named."""
    document = json.loads(FULL.canonical())
    del document[missing]
    found = read_revision(canonical(document), "prod")
    assert isinstance(found, Flaw)
    assert f"`{missing}`" in found.why


def test_another_spelling() -> None:
    """The same values, written by hand."""
    found = read_revision(json.dumps(json.loads(FULL.canonical()), indent=1).encode(), "prod")
    assert isinstance(found, Flaw)
    assert "tidegate policy" in found.why
