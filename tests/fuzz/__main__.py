"""`make fuzz`: what `make test` tries of hostile bytes, with many more examples.

make fuzz FUZZ=20000    the properties of reading and loading with that many examples each (10,000), and then a tenth as
                        many damaged policies, some of them in several places, under one live daemon
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.builders import mutations
from tests.builders.mutations import Mutation
from tests.builders.scenes import LISTS, RULES, Scene
from tests.builders.siege import Siege

ROOT = Path(__file__).resolve().parents[2]
SEED = 20211210


def main() -> int:
    """Both halves; 1 where one of them found something."""
    examples = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    settings.register_profile("fuzz", max_examples=examples, deadline=None)
    settings.load_profile("fuzz")
    status = int(pytest.main(["-q", "tests/property", "-p", "no:cacheprovider"]))
    return status or max(besiege(scene, examples // 20) for scene in (RULES, LISTS))


def besiege(scene: Scene, count: int) -> int:
    """One daemon under `count` damaged policies."""
    complaints: list[str] = []
    with Siege(scene) as siege:
        for number, mutation in enumerate(damages(scene.victim.encode(), count)):
            found = siege.endure(mutation)
            complaints += found
            print("\n".join(found) if found else f"\r{number + 1} of {count}", end="\n" if found else "", flush=True)
    print(f"\n{len(complaints)} complaints")
    return 1 if complaints else 0


def damages(good: bytes, count: int) -> Iterator[Mutation]:
    """First each kind of damage of the whole file, then two or three spots at once; other policies in its place too."""
    made = 0
    for mutation in (*mutations.whole_files(good), *others()):
        made += 1
        if made <= count:
            yield mutation
    chance = random.Random(SEED)
    while made < count:
        made += 1
        name, data = "", good
        for _ in range(chance.choice((1, 2, 2, 3))):
            if len(data) > 100:
                one = chance.choice([*mutations.some_of_each(data, 1, chance.randrange(1 << 30))])
                name, data = f"{name}; {one.name}", one.data
        yield Mutation(name[2:], data)


def others() -> Iterator[Mutation]:
    """The policies that we ship, and those that provoke each problem."""
    for path in sorted([*ROOT.glob("policies/*.yaml"), *ROOT.glob("tests/badpolicies/*/*.yaml")]):
        yield Mutation(str(path.relative_to(ROOT)), path.read_bytes())


if __name__ == "__main__":
    sys.exit(main())
