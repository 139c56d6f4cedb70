"""Damaged policies, one after the other, under one live daemon (P1, P2, P4, P5, P6, P8, P9); `make fuzz` has more."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.builders import mutations
from tests.builders.mutations import Mutation
from tests.builders.scenes import LISTS, RULES
from tests.builders.siege import Siege

GOOD = RULES.victim.encode()
EACH = 9  # of each kind of damage of one spot


@pytest.fixture(scope="module")
def siege() -> Iterator[Siege]:
    """One daemon for all of this module."""
    with Siege() as one:
        yield one


def names(some: Iterator[Mutation]) -> pytest.MarkDecorator:
    """One test for each."""
    return pytest.mark.parametrize("mutation", [pytest.param(one, id=one.name) for one in some])


@names(mutations.whole_files(GOOD))
def test_damage_of_the_whole_file(siege: Siege, mutation: Mutation) -> None:
    """No verdict is weaker, the alert names the place, and all is as before once the file is back."""
    assert [] == siege.endure(mutation)


@names(mutations.some_of_each(GOOD, EACH, seed=2021))
def test_damage_of_one_spot(siege: Siege, mutation: Mutation) -> None:
    """The entry in which it stands pays, and nobody else."""
    assert [] == siege.endure(mutation)


@pytest.fixture(scope="module")
def besieged_lists() -> Iterator[Siege]:
    """Another daemon: the lists are under attack, the rules that ask them are not."""
    with Siege(LISTS) as one:
        yield one


@names(mutations.some_of_each(LISTS.victim.encode(), 4, seed=1210))
def test_damage_of_lists(besieged_lists: Siege, mutation: Mutation) -> None:
    """A list that is damaged stops no less than before; what it allowed may wait."""
    assert [] == besieged_lists.endure(mutation)


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
def test_something_else_in_its_place(siege: Siege, put: Callable[[Path], None]) -> None:
    """What can't be read is not gone, and is not waited for."""
    put(siege.emptied())
    found = [*siege.look(None)]
    path = siege.victim
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    siege.daemon.policy(path.name, GOOD)
    assert [] == [*found, *siege.restored()]


def test_the_directory_is_emptied_and_made_anew(siege: Siege) -> None:
    """Gone, empty, and back: three times nothing changes."""
    folder = siege.daemon.policies
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    shutil.rmtree(folder)
    found = [*siege.look(None)]
    folder.mkdir()
    found += siege.look(None)
    for name, data in kept.items():
        siege.daemon.policy(name, data)
    assert [] == [*found, *siege.restored()]


def test_many_new_rules_are_taken_back(siege: Siege) -> None:
    """Sixty valid rules that stop all mail, for a moment: the revert is no loss to be doubted, whatever its size."""
    rules = "".join(
        f'  - {{id: flood-{number}, when: always, do: {{reject: {{code: "550 5.7.1", text: "{{rule}}"}}}}}}\n'
        for number in range(60)
    )
    assert [] == siege.endure(Mutation("a flood", f"version: 1\nrules:\n{rules}...\n".encode()))
    assert [] == siege.endure(Mutation("a flood beside it", GOOD.replace(b"...\n", rules.encode() + b"...\n")))
