"""One target under atheris (libFuzzer for Python), in a process of its own: libFuzzer never comes back.

    python -m tests.fuzz.with_atheris reader -runs=100000 build/fuzz/reader

The arguments behind the target's name are libFuzzer's.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["tidegate"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Until libFuzzer has had enough, or found something."""
    name, *options = sys.argv[1:]
    atheris.Setup([sys.argv[0], *options], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
