"""A sample of `make mutation`: entries damaged under one live daemon (P1, P2, P4, P5, P6, P8, P9)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.builders.campaign import Campaign
from tests.builders.mutants import chosen, endure
from tests.builders.operators import Mutant

SAMPLE = [pytest.param(number, one, id=one.name) for number, one in enumerate(chosen(150), 1)]


@pytest.fixture(scope="module")
def campaign() -> Iterator[Campaign]:
    """One daemon for all of them; a third of the messages for each, and those about its entry."""
    with Campaign(share=1 / 3) as one:
        yield one


@pytest.mark.parametrize(("number", "mutant"), SAMPLE)
def test_a_mutant_costs_its_entry_and_nothing_else(campaign: Campaign, number: int, mutant: Mutant) -> None:
    """The process, all verdicts, the alert with its place, its end after the repair; some over a restart."""
    assert [] == endure(campaign, mutant, number)
