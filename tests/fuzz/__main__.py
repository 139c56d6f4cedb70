"""`make fuzz`: the properties of reading and loading with many more examples than `make test` takes.

make fuzz FUZZ=20000
"""

from __future__ import annotations

import sys

import pytest
from hypothesis import settings


def main() -> int:
    """Run tests/property with the number of examples named on the command line (10,000)."""
    examples = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    settings.register_profile("fuzz", max_examples=examples, deadline=None)
    settings.load_profile("fuzz")
    return int(pytest.main(["-q", "tests/property", "-p", "no:cacheprovider"]))


if __name__ == "__main__":
    sys.exit(main())
