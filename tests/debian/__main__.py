"""`python -m tests.debian matrix|systemd [RELEASE…]`: the package on Debian 12 and 13, in throw-away roots.

matrix builds it twice, has lintian read it, measures the units' confinement, runs debian/tests, and tells the stories
of lifecycle.py. systemd boots a real one and troubles the daemon under load (booted.py). A line for each; exit 1 where
one fails, with what it printed. Takes some ten minutes for a release, and makes roots (roots.py) where there are none.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.debian import booted, lifecycle
from tests.debian.confinement import findings
from tests.debian.dep8 import dep8s, run
from tests.debian.package import build, lintian
from tests.debian.roots import RELEASES, RootError

Check = Callable[[], object]


def main(arguments: list[str]) -> int:
    """Exit status: 0 all is well, 1 something is not, 2 wrong arguments."""
    what, releases = (arguments or [""])[0], arguments[1:] or list(RELEASES)
    if what not in ("matrix", "systemd") or not set(releases) <= set(RELEASES):
        print(__doc__, file=sys.stderr)
        return 2
    failed = 0
    for release in releases:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            times = 2 if what == "matrix" else 1
            if tried(f"{release}: builds, and the same again", partial(build, release, folder, times)):
                failed += 1
                continue
            deb = next(folder.glob("*.deb"))
            checks = matrix(release, deb) if what == "matrix" else systemd(release, deb)
            failed += sum(tried(f"{release}: {title}", check) for title, check in checks)
    print("all is well" if not failed else f"{failed} failed", flush=True)
    return 1 if failed else 0


def matrix(release: str, deb: Path) -> list[tuple[str, Check]]:
    """Everything but a booted system."""
    return [
        ("lintian", partial(nothing, lintian, release, deb.parent)),
        ("systemd-analyze", partial(nothing, findings, release, deb)),
        *((f"debian/tests/{test.name}", partial(run, release, deb, test)) for test in dep8s()),
        *((story.__name__.replace("_", " "), partial(story, release, deb)) for story in lifecycle.STORIES),
    ]


def systemd(release: str, deb: Path) -> list[tuple[str, Check]]:
    """A booted system."""
    return [(story.__name__.replace("_", " "), partial(story, release, deb)) for story in booted.STORIES]


def nothing(check: Callable[[str, Path], list[str]], release: str, path: Path) -> None:
    """A check that finds something has failed."""
    if found := check(release, path):
        raise RootError("\n".join(found))


def tried(title: str, check: Check) -> bool:
    """Did it fail?"""
    began = time.monotonic()
    try:
        check()
    except (RootError, AssertionError) as error:
        print(f"FAILED {title} ({time.monotonic() - began:.0f} s)\n{error}", flush=True)
        return True
    print(f"ok     {title} ({time.monotonic() - began:.0f} s)", flush=True)
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
