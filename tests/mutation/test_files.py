"""Whole policy files damaged, replaced and lost under one live daemon (P1, P4, P5, P8, P9)."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.builders import files
from tests.builders.campaign import Campaign
from tests.builders.operators import Mutant

VICTIM = "80-controls.yaml"


@pytest.fixture(scope="module")
def campaign() -> Iterator[Campaign]:
    """One daemon for all of them."""
    with Campaign(share=1 / 3) as one:
        yield one


def whole(name: str, data: bytes) -> Mutant:
    """The victim holds these bytes."""
    return Mutant(name, VICTIM, "", 0, data, 1, len(data.splitlines()) + 1)


@pytest.mark.parametrize("name", files.DAMAGES, ids=str)
def test_damage_of_the_whole_file(campaign: Campaign, name: str) -> None:
    """No verdict is weaker, the alert names the place, and all is as before once the file is back."""
    assert [] == campaign.endure(whole(name, files.DAMAGES[name](campaign.good[VICTIM])))


def a_socket(path: Path) -> None:
    """A socket that nobody listens on."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def sparse(path: Path) -> None:
    """A hundred megabytes."""
    with path.open("wb") as file:
        file.truncate(100 << 20)


IN_ITS_PLACE: dict[str, Callable[[Path], None]] = {
    "a directory": Path.mkdir,
    "a FIFO": os.mkfifo,
    "a socket": a_socket,
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to nowhere": lambda path: path.symlink_to("/nonexistent/policy.yaml"),
    "an endless device": lambda path: path.symlink_to("/dev/zero"),
    "memory": lambda path: path.symlink_to("/proc/self/mem"),
    "100 MB": sparse,
}


@pytest.mark.parametrize("put", IN_ITS_PLACE.values(), ids=IN_ITS_PLACE.keys())
def test_something_else_in_its_place(campaign: Campaign, put: Callable[[Path], None]) -> None:
    """What can't be read is not gone, and is not waited for."""
    path = campaign.daemon.policies / VICTIM
    path.unlink()
    put(path)
    found = [*campaign.unreadable(VICTIM)]
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    assert [] == [*found, *campaign.repaired()]


def test_the_directory_is_emptied_and_made_anew(campaign: Campaign) -> None:
    """Gone, empty, and back: three times nothing changes."""
    folder = campaign.daemon.policies
    lists = {path.name: path.read_bytes() for path in (folder / "lists").iterdir()}
    shutil.rmtree(folder)
    found = [*campaign.unreadable(VICTIM)]
    folder.mkdir()
    found += campaign.unreadable(VICTIM)
    for name, data in lists.items():
        campaign.daemon.policy(f"lists/{name}", data)
    assert [] == [*found, *campaign.repaired()]


def test_many_new_rules_are_taken_back(campaign: Campaign) -> None:
    """Sixty valid rules that stop all mail, for a moment: the revert is no loss to be doubted, whatever its size."""
    rules = "".join(
        f'  - {{id: flood-{number}, when: always, do: {{reject: {{code: "550 5.7.1", text: "{{rule}}"}}}}}}\n'
        for number in range(60)
    ).encode()
    good = campaign.good[VICTIM]
    assert [] == campaign.endure(whole("a flood", b"version: 1\nrules:\n" + rules + b"...\n"))
    assert [] == campaign.endure(whole("a flood beside it", good.replace(b"...\n", rules + b"...\n")))
