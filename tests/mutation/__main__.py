"""`make mutation`: every entry of tests/mutation/policy, damaged in every way, under one live daemon.

    make mutation                          every entry and every operator once, in an order by the seed
    make mutation MUTATION="--count 2500"  that many of them, each operator equally often
    make mutation MUTATION="--seed 7"      another order, other bytes
    make mutation MUTATION="--only 'rule ip-equals:bit flipped:7'"      one of them again

Each fourth mutant is also tried as an entry that never was valid, some over a restart, some as what a daemon finds when
it starts for the first time. A mutant under which a promise is broken is written into build/mutants,
with its complaints and the command that repeats it.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.builders.campaign import Campaign
from tests.builders.mutants import SEED, chosen, endure, named
from tests.builders.operators import Mutant

OUT = Path("build/mutants")


def main() -> int:
    """All of it; 1 where a promise was broken."""
    options = _options()
    began, broken, tried = time.monotonic(), 0, 0
    with Campaign() as campaign:
        mutants = [named(options.only)] if options.only else chosen(options.count, options.seed)
        print(f"mutation: {len(mutants)} mutants, seed {options.seed}", flush=True)
        for number, mutant in enumerate(mutants, 1):
            complaints = endure(campaign, mutant, 0 if options.only else number)
            tried += 1
            if complaints:
                broken += 1
                print("\n" + "\n".join(complaints[:5]), flush=True)
                _keep(mutant, complaints)
            if not number % 25 or number == len(mutants):
                seconds = time.monotonic() - began
                print(f"\r{number} of {len(mutants)}, {broken} broken, {seconds:.0f} s", end="", flush=True)
    print(f"\n{tried} mutants in {time.monotonic() - began:.0f} s: {broken} under which a promise is broken")
    return 1 if broken else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutation", description=__doc__)
    parser.add_argument("--count", type=int, default=0, help="so many; all of them, if left out")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--only", default="", help="ENTRY:OPERATOR:SEED")
    return parser.parse_args()


def _keep(mutant: Mutant, complaints: list[str]) -> None:
    folder = OUT / mutant.name.replace(" ", "-").replace("/", "-")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / mutant.file).write_bytes(mutant.data)
    repeat = f"make mutation MUTATION=\"--only '{mutant.name}'\""
    (folder / "complaints").write_text("\n".join([repeat, *complaints]) + "\n")
    print(repeat)


if __name__ == "__main__":
    sys.exit(main())
