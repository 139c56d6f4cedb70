"""tests/dialogues: SMTP sessions as text, played against a real Postfix with Tidegate before it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tests.e2e.harness.client import Client
from tests.e2e.harness.postfix import until
from tests.e2e.harness.site import OpenSite, Site

FOLDER = Path(__file__).parent.parent / "dialogues"
DIALOGUES = sorted(FOLDER.glob("*.smtp"))


@pytest.fixture(scope="module")
def site(open_site: OpenSite) -> Site:
    """One site with the policies of the dialogues."""
    policies = {path.name: path.read_bytes() for path in (FOLDER / "policies").glob("*.yaml")}
    return open_site(policies)


def kill_workers(site: Site) -> None:
    """kill -9 of all workers, until new ones are there."""
    before = set(site.daemon.workers())
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(set(site.daemon.workers()) - before) == len(before), "all workers are replaced")


HAPPENINGS: dict[str, Callable[[Site], object]] = {
    "kill workers": kill_workers,
    "kill daemon": lambda site: site.daemon.kill(),
    "stop daemon": lambda site: site.daemon.stop(),
    "start daemon": lambda site: site.daemon.start(),
}


@pytest.mark.parametrize("path", DIALOGUES, ids=lambda path: path.stem)
def test_dialogue(site: Site, path: Path) -> None:
    """Every reply is the one that the dialogue shows."""
    with Client(site.submission) as client:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            mark, text = line[:2], line[2:].strip()
            if mark == "C:":
                client.raw(text.encode() + b"\r\n")
            elif mark == "S:":
                answer = client.reply()
                reply = f"{answer.code} {answer.text}"
                assert fnmatchcase(reply, text), f"{path.name}:{number}: {reply!r} is not {text!r}"
            elif mark == "! ":
                HAPPENINGS[text](site)
            else:
                assert line.startswith("#") or not line, f"{path.name}:{number}: {line!r}"


def test_there_are_dialogues() -> None:
    """The folder is found, and each dialogue says first what it shows."""
    assert len(DIALOGUES) >= 10
    assert all(path.read_text().startswith("# ") for path in DIALOGUES)
