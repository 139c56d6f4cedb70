"""What a fleet says of itself, in words: who lags, who is silent, who is not like the others, and who is too old."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.builders.editor import RULES, Editor
from tests.builders.redisserver import RedisServer
from tests.builders.stored import revisions_of
from tidegate.cli.fleet import lines
from tidegate.cli.nodes import judged, lagging, too_old
from tidegate.policy.vocabulary import words
from tidegate.revisions import Node
from tidegate.store.connection import Link
from tidegate.store.nodes import Heard, say

NOW = 1_800_000_000.0
GOOD = Node(
    "mx1",
    version="0.4",
    words=tuple(sorted(words())),
    loaded=7,
    revision=7,
    head=7,
    since=int(NOW) - 300,
    digest="ab" * 32,
    workers=2,
    current=2,
    states={"active": 12},
)


def a_heard(node: Node | None, name: str = "", seen: float = NOW - 3, report: bytes | None = None) -> Heard:
    """As Redis has it."""
    return Heard(name or (node.name if node else ""), seen, report or (node.canonical() if node else b""))


CASES: dict[str, tuple[Heard, str, str]] = {
    # what a third daemon says; then a part of its trouble, and of its remarks
    "fine": (a_heard(replace(GOOD, name="mx3")), "", ""),
    "behind": (a_heard(replace(GOOD, name="mx3", loaded=6, revision=6)), "it has revision 6, the head is 7", ""),
    "held": (a_heard(replace(GOOD, name="mx3", loaded=6, held="half is gone")), "the head is 7: half is gone", ""),
    "on trial": (a_heard(replace(GOOD, name="mx3", revision=6, canary=9)), "", "revision 7 is on trial"),
    "silent": (a_heard(None, "mx3", NOW - 3600), "it has been silent for 60 min", ""),
    "unreadable": (a_heard(None, "mx3", report=b"{"), "what it says can't be read", ""),
    "workers": (a_heard(replace(GOOD, name="mx3", current=1)), "1 of 2 workers have an older generation", ""),
    "stale": (a_heard(replace(GOOD, name="mx3", troubled=("stale rule r",))), "as written: stale rule r", ""),
    "no mail": (a_heard(replace(GOOD, name="mx3", unready="no policy")), "it judges no mail: no policy", ""),
    "an alert": (a_heard(replace(GOOD, name="mx3", error="redis-down: x")), "redis-down: x", ""),
    "other files": (a_heard(replace(GOOD, name="mx3", digest="cd" * 32)), "its policy differs", ""),
    "a release": (a_heard(replace(GOOD, name="mx3", version="0.3")), "", "it runs 0.3, most run 0.4"),
}


@pytest.mark.parametrize(("third", "trouble", "remark"), CASES.values(), ids=CASES)
def test_skew_in_words(third: Heard, trouble: str, remark: str) -> None:
    """Each daemon is judged by the head, by its own word, and beside the others."""
    found = judged([a_heard(GOOD), a_heard(replace(GOOD, name="mx2")), third], 7, NOW)
    one = found.rows[-1]
    assert ([], []) == ([row.troubles for row in found.rows[:-1] if row.troubles], [*found.rows[0].remarks])
    assert (bool(trouble), bool(remark), bool(trouble)) == (bool(one.troubles), bool(one.remarks), found.troubled)
    assert trouble in "; ".join(one.troubles)
    assert remark in "; ".join(one.remarks)
    shown = lines("prod", found, NOW)
    assert "prod: the head is revision 7; 3 daemons" == shown[0]
    assert f"{trouble}{remark}" in shown[-1]


def test_nobody() -> None:
    """An environment that no daemon follows."""
    assert ["prod: no revision yet; 0 daemons"] == lines("prod", judged([], 0, NOW), NOW)


def test_who_is_waited_for() -> None:
    """Live daemons that have not loaded it; one that is silent is not."""
    found = judged([a_heard(GOOD), a_heard(replace(GOOD, name="mx2", loaded=6)), a_heard(None, "mx3")], 7, NOW)
    assert ("mx2 has revision 6",) == lagging(found, 7)


@pytest.mark.parametrize(
    ("known", "refused"),
    [
        (words(), ""),
        (words() - {"bcc"}, ""),
        (words() - {"hold"}, "mx1 runs 0.4, which does not know `hold`"),
        ((), ""),
    ],
    ids=["the same release", "a word that is not used", "a word that is", "it tells no words"],
)
def test_a_daemon_that_is_too_old(known: frozenset[str], refused: str) -> None:
    """By the words that the texts use, not by its version."""
    text = "version: 1\nrules:\n  - {id: r, when: always, do: {hold: {reason: x}}}\n...\n"
    assert refused in too_old([a_heard(replace(GOOD, words=tuple(known)))], {"x": text})
    assert bool(refused) == bool(too_old([a_heard(replace(GOOD, words=tuple(known)))], {"x": text}))


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def editor(tmp_path: Path, server: RedisServer) -> Editor:
    editor = Editor(tmp_path, server)
    editor.site()
    return editor


def link(server: RedisServer) -> Link:
    return revisions_of(server).link


def test_the_command(editor: Editor, server: RedisServer) -> None:
    """0 while all have the head, 1 while one has not, 2 where Redis can't be asked."""
    assert 0 == editor.command("fleet", "--config", str(editor.config)).code
    editor.put(RULES)
    say(link(server), "mx1", replace(GOOD, loaded=1, revision=1).canonical(), time.time())
    done = editor.command("fleet", "--config", str(editor.config))
    assert (0, True) == (done.code, "mx1  ok       revision 1" in done.output)
    say(link(server), "mx2", replace(GOOD, name="mx2", loaded=0, revision=0).canonical(), time.time())
    done = editor.command("fleet", "--json", "--config", str(editor.config))
    document = json.loads(done.output)
    assert (1, 1, True) == (done.code, document["head"], document["troubled"])
    assert ["mx1", "mx2"] == [one["name"] for one in document["nodes"]]
    assert "words" not in document["nodes"][0]["report"]
    server.stop()
    assert 2 == editor.command("fleet", "--config", str(editor.config)).code


def test_put_waits_for_the_fleet(editor: Editor, server: RedisServer) -> None:
    """It is stored in any case; 0 where every live daemon has it, 1 with their names where one has not in time."""
    assert 0 == editor.put(RULES, "--wait", "1").code  # nobody is there
    say(link(server), "mx1", replace(GOOD, loaded=3).canonical(), time.time())
    done = editor.put(RULES.replace("stopped", "never"), "--wait", "1")
    assert (0, True) == (done.code, "1 of 1 live daemons have it" in done.output)
    say(link(server), "mx2", replace(GOOD, name="mx2", loaded=2).canonical(), time.time())
    done = editor.put(RULES.replace("stopped", "not"), "--wait", "1")
    assert (1, True) == (done.code, "1 of 2 live daemons have it\n  mx2 has revision 2\n" in done.output)
    done = editor.put(RULES.replace("stopped", "nowhere"), "--wait", "1", "--json")
    assert (1, ["mx1 has revision 3", "mx2 has revision 2"]) == (
        done.code,
        json.loads(done.output)["fleet"]["behind"],
    )


def test_put_refuses_what_a_daemon_can_not_read(editor: Editor, server: RedisServer) -> None:
    """Nothing is stored."""
    old = replace(GOOD, words=tuple(words() - {"reject"}))
    say(link(server), "mx1", old.canonical(), time.time())
    done = editor.put(RULES)
    assert (2, "") == (done.code, done.output)
    assert "mx1 runs 0.4, which does not know `reject`; upgrade it first; nothing was stored" in done.errors
    assert not revisions_of(server).head().there
