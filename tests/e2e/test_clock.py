"""A clock that jumps while the daemon runs: mail is judged, policies load, nothing is lost."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.e2e.harness.client import a_message
from tests.e2e.harness.site import OpenSite, Site
from tests.e2e.harness.texts import SITE, on_subject, refuse, rules

PROGRAM = """\
import runpy, sys, time
real = time.time
def moved():
    try:
        with open(sys.argv_offset) as file:
            return real() + float(file.read())
    except (OSError, ValueError):
        return real()
sys.argv_offset = sys.argv.pop(1)
time.time = moved
sys.argv[0] = "tidegate"
runpy.run_module("tidegate", run_name="__main__", alter_sys=True)
"""


@pytest.fixture(scope="module")
def offset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that says how many seconds the daemon's clock is ahead."""
    path = tmp_path_factory.mktemp("clock") / "offset"
    path.write_text("0")
    return path


@pytest.fixture(scope="module")
def site(open_site: OpenSite, offset: Path) -> Site:
    """A daemon whose clock is ours."""
    program = offset.with_name("program.py")
    program.write_text(PROGRAM)
    return open_site({"10.yaml": SITE, "20.yaml": policy("0")}, program=[sys.executable, str(program), str(offset)])


def policy(word: str) -> str:
    """A rule that refuses and says `word`, and one that marks with it."""
    return rules(on_subject("bad", refuse(f"No {word}")), on_subject("mark", f"{{add_header: {{X-Word: w{word}}}}}"))


@pytest.mark.parametrize(
    "seconds",
    [86_400.0, -86_400.0, 345_600_000.0, -1_700_000_000.0, -1_790_000_000.0, 100_000_000_000.0, 0.0],
    ids=["a day ahead", "a day behind", "eleven years", "1973", "before 1970", "the year 5000", "right again"],
)
def test_a_jump(site: Site, offset: Path, seconds: float) -> None:
    """What was loaded before the jump holds, and what is loaded behind it is in force; no alert, no fault."""
    offset.write_text(str(seconds))
    assert 550 == site.send("bad x").final.code
    word = f"{seconds:.0f}".replace("-", "m")
    site.daemon.load(("20.yaml", policy(word)))
    assert f"No {word}" in site.send("bad x").final.text
    mark = f"clock-{word}."
    assert 250 == site.send(message=a_message("mark x", x_mark=mark)).final.code
    assert [b"w" + word.encode()] == site.sink.wait_for(mark).headers("x-word")
    assert {} == site.daemon.alerts()
    assert [] == site.daemon.lines("fault")
