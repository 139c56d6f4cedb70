"""The policy of `make mutation` leaves nothing out: every field, operator and action of the registries, and a message
for every entry that decides something."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass

import pytest

from tests.builders.campaign import LETTERS, POLICY
from tests.builders.corpus import CONVENTIONS
from tests.builders.golden import Golden, fresh
from tests.builders.mutants import chosen
from tests.builders.operators import OPERATORS
from tests.builders.spots import spots
from tidegate.conditions.fields import FIELDS
from tidegate.model import ListKind, Loaded, Operator, Quantifier, Recipients, Source, Test
from tidegate.policy.actions import KNOWN
from tidegate.policy.load import load_policy

SOURCES = [Source(path.name, path.read_bytes()) for path in sorted(POLICY.glob("*.yaml"))]
TEXT = b"\n".join(one.data for one in SOURCES).decode()
ELSEWHERE = {"suspend"}  # needs a live list, whose entries are no part of a policy: tests/e2e/test_redis_lists.py
SILENT = {"rule in-shadow", "rule switched-off"}  # entries that change no verdict


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    """The policy, as it is."""

    def read_file(name: str) -> Source:
        return Source(name, (POLICY / name).read_bytes())

    return load_policy(SOURCES, read_file, CONVENTIONS, 1_800_000_000.0).loaded


def parts(value: object) -> Iterator[object]:
    """The value and all that it is made of."""
    yield value
    if isinstance(value, tuple):
        for one in value:
            yield from parts(one)
    elif is_dataclass(value):
        for field in fields(value):
            yield from parts(getattr(value, field.name))


def asked_by(loaded: Loaded) -> list[Test]:
    """All tests of all rules."""
    return [part for rule in loaded.rules for part in parts(rule) if isinstance(part, Test)]


def test_there_are_a_hundred_entries(loaded: Loaded) -> None:
    """At least; and each has a spot to be damaged at."""
    assert len(loaded.entries) >= 100
    assert {str(entry.key) for entry in loaded.entries} == {
        spot.key for source in SOURCES for spot in spots(source.data)
    }


def test_every_field_is_asked(loaded: Loaded) -> None:
    """Of the registry, and some header."""
    asked = {test.field for test in asked_by(loaded)}
    assert set() == FIELDS.keys() - asked
    assert any(name.startswith("header.x-") for name in asked)


def test_every_operator_quantifier_and_list_type_is_used(loaded: Loaded) -> None:
    """Of the registries."""
    found = [part for rule in loaded.rules for part in parts(rule)]
    assert {*Operator} == {test.operator for test in asked_by(loaded)}
    assert {*Quantifier} == {part.quantifier for part in found if isinstance(part, Recipients)}
    assert {*ListKind} == {one.kind for one in loaded.lists}


def test_every_action_is_taken() -> None:
    """Of the registry."""
    assert set() == {name for name in {*KNOWN} - ELSEWHERE if not re.search(rf"\b{name}:", TEXT)}


def test_every_entry_decides_the_fate_of_a_message() -> None:
    """Of those that are written for it: without the entry they get something else."""
    known = fresh(SOURCES, POLICY)
    assert known is not None
    golden = Golden(LETTERS, POLICY)
    idle = set()
    for key in known.states:
        golden.which = [number for number, letter in enumerate(LETTERS) if letter.about == key]
        if golden.vector(known.texts) == golden.vector(known.texts, {key: "without"}):
            idle.add(key)
    assert SILENT == idle


def test_the_sample_has_every_operator() -> None:
    """Twice or more."""
    operators = [one.operator for one in chosen(150)]
    assert set() == {one for one in OPERATORS if operators.count(one) < 2}
    assert len(chosen()) >= 2_000
