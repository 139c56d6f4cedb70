"""What a host has on record is put back into a Redis that lost it, with a number that every daemon takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.builders.editor import Editor
from tests.builders.redisserver import RedisServer
from tests.builders.revisions import a_snapshot, a_text, fetched
from tests.builders.storesettings import StoreWords
from tidegate.clerk.follow import Follower
from tidegate.live import snapshot
from tidegate.store.connection import open_store
from tidegate.store.revisions import Revisions

ONE, TWO = {"r": a_text("r", "one")}, {"r": a_text("r", "two")}


@pytest.fixture
def editor(tmp_path: Path) -> Iterator[Editor]:
    """Revision 2 was in force here, and a person went back to 1 on this host, while Redis was gone; it is empty now."""
    with RedisServer() as server:
        editor = Editor(tmp_path, server, environment="test")
        editor.site()
        state = str(tmp_path / "state")
        (tmp_path / "state").mkdir()
        fetched(state, a_snapshot(1, ONE))
        fetched(state, a_snapshot(2, TWO))
        fetched(state, replace(a_snapshot(1, ONE, serial=3), given_up=2, local=True))
        yield editor


def test_it_is_put_back_for_all(editor: Editor) -> None:
    """As revision 3, with both records under it: this host takes it, and so does one that still has revision 2."""
    done = editor.run("rollback", "1", "--reason", "back")
    assert 0 == done.code, done.output + done.errors
    assert 3 == json.loads(editor.server.ask("HGET", "{tidegate:test}:head", "record"))["number"]
    assert ["1", "2", "3"] == sorted(editor.server.ask("HKEYS", "{tidegate:test}:revisions"))
    other = editor.folder / "other"
    other.mkdir()
    fetched(str(other), a_snapshot(2, TWO))
    for state in (str(editor.folder / "state"), str(other)):
        follower = Follower(Revisions(open_store(StoreWords(editor.server.url, environment="test"), 5.0)), state)
        assert {} == dict(follower.poll(1_900_000_000.0).alerts)
        kept = snapshot.newest(state, "test").snapshot
        assert kept is not None
        assert (3, False, ONE["r"]) == (kept.number, kept.local, *kept.texts.values())


@pytest.mark.parametrize("words", [("1",), ("0", "-e", "prod")])
def test_nobody_is_there_to_go_back(editor: Editor, words: tuple[str, ...]) -> None:
    """--local is the daemon's doing: without one nothing is changed."""
    before = snapshot.newest(str(editor.folder / "state"), "test").digest
    done = editor.run("rollback", *words, "--local")
    assert 2 == done.code
    assert before == snapshot.newest(str(editor.folder / "state"), "test").digest
