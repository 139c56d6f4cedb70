"""Which mutants of tests/mutation/policy there are, in which order, and what is tried with each.

Promises: a mutant is known by its name (`ENTRY:OPERATOR:SEED`), and made again from it; the first N of a seed are
always the same, each operator among them equally often.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.builders.campaign import POLICY, Campaign
from tests.builders.operators import OPERATORS, Mutant, mutant
from tests.builders.spots import spots

SEED = 20211210
_NEVER, _RESTART, _FIRST = 4, 75, 75


def all_mutants(seed: int) -> Iterator[Mutant]:
    """Every entry and every operator once."""
    for path in sorted(POLICY.glob("*.yaml")):
        data = path.read_bytes()
        for spot in spots(data):
            for operator in OPERATORS:
                yield mutant(operator, path.name, data, spot, seed)


def named(name: str) -> Mutant:
    """The mutant of this name. Raises StopIteration where there is none."""
    key, operator, seed = name.split(":")
    return next(one for one in all_mutants(int(seed)) if (one.key, one.operator) == (key, operator))


def chosen(count: int = 0, seed: int = SEED) -> list[Mutant]:
    """So many (0: all): one of each operator, then another of each; the entries of an operator in its own order."""
    by_operator: dict[str, list[Mutant]] = {}
    for one in all_mutants(seed):
        by_operator.setdefault(one.operator, []).append(one)
    for operator, mutants in by_operator.items():
        random.Random(f"{seed} {operator}").shuffle(mutants)
    found = [one for row in zip(*by_operator.values(), strict=True) for one in row]
    return found[:count] if count else found


def endure(campaign: Campaign, one: Mutant, number: int) -> list[str]:
    """Try the mutant; each fourth also as an entry that never was valid, some over a restart, some at a first start."""
    found = campaign.endure(one, restart=number % _RESTART == 1)
    if not number % _NEVER:
        found += campaign.never_valid(one, restart=not number % (_NEVER * _RESTART))
    if not number % _FIRST:
        found += campaign.at_first(one)
    return found
