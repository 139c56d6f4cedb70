"""Revisions in a real Redis: moved by compare-and-set, every digest verified, and what somebody did by hand."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from tests.builders.redisserver import Cluster, RedisServer
from tests.builders.stored import a_revision, by_sha, document, manifest_of, put, revisions_of, rule
from tests.builders.storesettings import StoreWords
from tidegate.revisions import EMPTY, Flaw, Revision
from tidegate.store import nodes
from tidegate.store.connection import Fault, StoreError, open_store
from tidegate.store.contents import Content, Refused, fetch, loose
from tidegate.store.revisions import Conflict, Head, Moved, Revisions

STOP, HALT = rule("stop"), rule("halt")
TEXTS = {STOP: document("stop"), HALT: document("halt")}


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def revisions(server: RedisServer) -> Revisions:
    return revisions_of(server)


def content(revisions: Revisions, allow: bool = False) -> Content:
    found = fetch(revisions, revisions.head(), allow=allow)
    assert isinstance(found, Content), found
    return found


def refused(revisions: Revisions, allow: bool = False) -> Refused:
    found = fetch(revisions, revisions.head(), allow=allow)
    assert isinstance(found, Refused), found
    return found


def test_an_environment_without_a_revision(revisions: Revisions) -> None:
    """Its head is not there, and it comes to nothing."""
    assert not revisions.head().there
    assert Content() == content(revisions)
    assert [] == revisions.log(10)
    assert revisions.revision(1) is None


def test_what_was_put_is_what_is_fetched(revisions: Revisions) -> None:
    """The record, the manifest and the texts; and a line in the audit stream."""
    assert isinstance(put(revisions, TEXTS), Moved)
    head = revisions.head()
    assert a_revision(1, manifest_of(TEXTS)) == head.revision == revisions.revision(1)
    assert Content(head.revision, manifest_of(TEXTS), EMPTY, by_sha(TEXTS)) == content(revisions)
    (line,) = revisions.log(10)
    assert ("put", "1", "ann", "a test") == tuple(line.fields[name] for name in ("event", "number", "author", "reason"))
    assert line.at > 1_700_000_000


def test_texts_that_are_known_are_not_asked_for(revisions: Revisions, server: RedisServer) -> None:
    """Who polls asks for what is new only."""
    put(revisions, TEXTS)
    known = by_sha(TEXTS)
    server.ask("DEL", revisions.keys.entries)
    assert known == fetch(revisions, revisions.head(), known).texts  # type: ignore[union-attr]


def test_in_a_cluster() -> None:
    """All keys of an environment lie on one node, so the script may touch them."""
    with Cluster() as cluster:
        revisions = Revisions(open_store(StoreWords(cluster.url), 5.0))
        assert isinstance(put(revisions, TEXTS), Moved)
        assert by_sha(TEXTS) == content(revisions).texts
        nodes.say(revisions.link, "mx1", b"{}", 1000.0)
        assert ["mx1"] == [one.name for one in nodes.heard(revisions.link)]


def test_whoever_was_slower_is_told_who_was_faster(revisions: Revisions) -> None:
    """Nothing of the second is written."""
    before = revisions.head()
    put(revisions, TEXTS, before)
    found = put(revisions, {STOP: document("stop", "example.org")}, before, author="bob")
    assert isinstance(found, Conflict)
    assert found.head.revision is not None
    assert ("ann", 1) == (found.head.revision.author, found.head.revision.number)
    assert by_sha(TEXTS) == content(revisions).texts
    assert 1 == len(revisions.log(10))


def _edit(url: str, name: str, wins: int, told: multiprocessing.Queue[int]) -> None:
    """One editor: adds its own rule, again and again, until it has won so often."""
    revisions = Revisions(open_store(StoreWords(url), 5.0))
    tries = 0
    for turn in range(wins):
        while True:
            tries += 1
            head = revisions.head()
            found = fetch(revisions, head)
            assert isinstance(found, Content)
            key, text = rule(f"{name}-{turn}"), document(f"{name}-{turn}")
            manifest = found.manifest.edited(manifest_of({key: text}).entries)
            number = found.revision.number + 1 if found.revision else 1
            revision = a_revision(number, manifest, author=name)
            if isinstance(revisions.commit(revision, [manifest], by_sha({key: text}), head, {}), Moved):
                break
    told.put(tries)


def test_editors_that_race_lose_nothing(server: RedisServer, revisions: Revisions) -> None:
    """Four processes, fifty edits each: all of them are in the last manifest, and the history is one line."""
    context = multiprocessing.get_context("fork")
    told: multiprocessing.Queue[int] = context.Queue()
    names = ("ann", "bob", "cyd", "dan")
    editors = [context.Process(target=_edit, args=(server.url, name, 50, told)) for name in names]
    for editor in editors:
        editor.start()
    tries = [told.get(timeout=60) for _ in editors]
    for editor in editors:
        editor.join(10)
        assert 0 == editor.exitcode
    assert {f"{name}-{turn}" for name in names for turn in range(50)} == {
        named.key.id for named in content(revisions).manifest.entries
    }
    records = dict(revisions.history(range(1, 201)))
    assert 200 == len(records) == len(revisions.log(1000))
    for number in range(1, 201):
        found = records[number]
        assert isinstance(found, Revision)
        assert number - 1 == found.parent
    assert revisions.revision(201) is None
    assert sum(tries) >= 200


def test_an_answer_that_is_lost_on_its_way(
    server: RedisServer, revisions: Revisions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit was done: the head says so. It was not done: the failure is told."""
    link = revisions.link
    run = link.run

    def lost(*arguments: object) -> object:
        run(*arguments)  # type: ignore[arg-type]
        raise StoreError("reset", Fault.UNREACHABLE)

    monkeypatch.setattr(link, "run", lost)
    assert isinstance(put(revisions, TEXTS), Moved)

    def never(*_arguments: object) -> object:
        raise StoreError("reset", Fault.UNREACHABLE)

    monkeypatch.setattr(link, "run", never)
    with pytest.raises(StoreError, match="reset"):
        put(revisions, {STOP: document("stop", "example.org")})
    assert by_sha(TEXTS) == content(revisions).texts


def test_a_commit_repairs_what_was_damaged(server: RedisServer, revisions: Revisions) -> None:
    """A text that somebody changed under its digest is put right by whoever puts that text again."""
    put(revisions, TEXTS)
    sha = manifest_of(TEXTS).shas[STOP]
    server.ask("HSET", revisions.keys.entries, sha, "something else")
    put(revisions, TEXTS)
    assert by_sha(TEXTS) == content(revisions).texts


# What somebody does with redis-cli. `server.ask` is what they type.


def _moved(server: RedisServer, keys: Revisions) -> None:
    put(keys, {STOP: document("stop", "example.org")})
    server.ask("HDEL", keys.keys.head, "record")
    server.ask("HSET", keys.keys.head, "number", 1)


def _only_number(server: RedisServer, keys: Revisions) -> None:
    put(keys, {STOP: document("stop", "example.org")})
    server.ask("HSET", keys.keys.head, "number", 1)


def _record(server: RedisServer, keys: Revisions) -> None:
    record = json.dumps({"number": 2, "manifest": manifest_of(TEXTS).digest()})
    server.ask("HSET", keys.keys.head, "number", 2, "record", record)


def _proper_record(server: RedisServer, keys: Revisions) -> None:
    record = a_revision(2, manifest_of(TEXTS)).canonical()
    server.ask("HSET", keys.keys.head, "number", 2, "record", record)


def _text(server: RedisServer, keys: Revisions) -> None:
    server.ask("HSET", keys.keys.entries, manifest_of(TEXTS).shas[STOP], document("stop", "hand.example"))


def _manifest(server: RedisServer, keys: Revisions) -> None:
    text = json.dumps(json.loads(manifest_of({STOP: TEXTS[STOP]}).canonical()), indent=2)
    server.ask("HSET", keys.keys.manifests, manifest_of(TEXTS).digest(), text)


BY_HAND = {
    "the head moved": (_moved, "moved by hand: it has no record", 2),
    "its number only": (_only_number, "its record is of revision 2", 1),
    "a record": (_record, "written by hand", 2),
    "a record as we write it": (_proper_record, "revision 2 is not among the revisions", 2),
    "a text": (_text, "text of rule stop was changed by hand", 2),
    "a manifest": (_manifest, "manifest", 1),
}


@pytest.mark.parametrize("done", sorted(BY_HAND))
def test_what_is_written_by_hand_is_unreviewed(server: RedisServer, revisions: Revisions, done: str) -> None:
    """Refused with the reason; where the settings allow it, in force, consistent, and told."""
    do, word, entries = BY_HAND[done]
    put(revisions, TEXTS)
    do(server, revisions)
    found = refused(revisions)
    assert found.unreviewed
    assert word in found.why
    allowed = content(revisions, allow=True)
    assert any(word in doubt for doubt in allowed.doubts)
    assert allowed.revision is not None
    assert allowed.revision.manifest == allowed.manifest.digest()
    assert entries == len(allowed.manifest.entries)
    for named in allowed.manifest.entries:
        assert named.sha in by_sha({named.key: allowed.texts[named.sha]})
    if done == "a text":
        assert "hand.example" in allowed.texts[allowed.manifest.shas[STOP]]


def test_a_reviewed_revision_over_what_was_written_by_hand(server: RedisServer, revisions: Revisions) -> None:
    """The head that is there, whatever it is, is what a commit compares with."""
    put(revisions, TEXTS)
    _record(server, revisions)
    head = revisions.head()
    assert head.there
    assert head.revision is None
    manifest = manifest_of(TEXTS)
    found = revisions.commit(replace(a_revision(3, manifest), parent=2), [manifest], {}, head, {})
    assert isinstance(found, Moved)
    assert () == content(revisions).doubts


# What Redis loses.


def _points_nowhere(server: RedisServer, keys: Revisions) -> None:
    server.ask("HDEL", keys.keys.head, "record")
    server.ask("HSET", keys.keys.head, "number", 77)


DAMAGE: dict[str, tuple[Callable[[RedisServer, Revisions], object], str]] = {
    "manifests": (lambda server, keys: server.ask("DEL", keys.keys.manifests), "is missing"),
    "an entry": (lambda server, keys: server.ask("HDEL", keys.keys.entries, *list(by_sha(TEXTS))[:1]), "is missing"),
    "nonsense as manifest": (
        lambda server, keys: server.ask("HSET", keys.keys.manifests, manifest_of(TEXTS).digest(), "{"),
        "no JSON",
    ),
    "bytes": (
        lambda server, keys: server.ask("HSET", keys.keys.entries, next(iter(by_sha(TEXTS))), b"\xff\xfe"),
        "not UTF-8",
    ),
    "a head that points nowhere": (_points_nowhere, "no revision 77"),
    "a head of nonsense": (
        lambda server, keys: server.ask("HSET", keys.keys.head, "number", "x", "record", b"\xff"),
        "UTF-8",
    ),
    "another environment's record": (
        lambda server, keys: server.ask("HSET", keys.keys.head, "record", a_revision(1, EMPTY, "test").canonical()),
        "environment `test`",
    ),
}


@pytest.mark.parametrize("what", sorted(DAMAGE))
@pytest.mark.parametrize("allow", [False, True], ids=["refuse", "allow"])
def test_what_is_damaged_is_refused(server: RedisServer, revisions: Revisions, what: str, allow: bool) -> None:
    """Also where the settings allow what is unreviewed."""
    damage, word = DAMAGE[what]
    put(revisions, TEXTS)
    damage(server, revisions)
    assert word in refused(revisions, allow).why


@pytest.mark.parametrize("name", ["head", "entries", "manifests", "revisions", "unreviewed"])
def test_something_else_under_our_keys(server: RedisServer, revisions: Revisions, name: str) -> None:
    """A StoreError that says so, and no other exception."""
    put(revisions, TEXTS)
    key = getattr(revisions.keys, name)
    server.ask("DEL", key)
    server.ask("LPUSH", key, "x")

    def everything() -> None:
        fetch(revisions, revisions.head())
        loose(revisions)

    with pytest.raises(StoreError) as caught:
        everything()
    assert Fault.WRONG_TYPE is caught.value.fault


def test_records_of_other_numbers(server: RedisServer, revisions: Revisions) -> None:
    """A record under a wrong number is a Flaw, others are told as they are."""
    put(revisions, TEXTS)
    server.ask("HSET", revisions.keys.revisions, 2, a_revision(1, EMPTY).canonical(), 3, "x")
    found = dict(revisions.history([1, 2, 3, 4]))
    assert [1, 2, 3] == sorted(found)
    assert isinstance(found[1], Revision)
    assert isinstance(found[2], Flaw)
    assert isinstance(found[3], Flaw)


def test_loose_entries(server: RedisServer, revisions: Revisions) -> None:
    """What lies in `unreviewed`, by the name that it was given."""
    assert {} == loose(revisions)
    server.ask("HSET", revisions.keys.unreviewed, "block-x", document("block-x"), "b", b"\xff")
    assert {"block-x": document("block-x")} == loose(revisions)
    # Two names that are no text look the same; one of their texts is none either.
    server.ask("HSET", revisions.keys.unreviewed, b"\xfe", b"\xff", b"\xfd", "text")
    assert {"block-x", "\ufffd"} >= set(loose(revisions))


def test_nodes(server: RedisServer, revisions: Revisions) -> None:
    """A report lives for 90 s; a node that fell silent is known for a day."""
    nodes.say(revisions.link, "mx2", b"two", 1_000_000.0)
    nodes.say(revisions.link, "mx1", b"one", 1_000_010.0)
    assert 0 < server.ask("TTL", revisions.keys.node("mx1")) <= nodes.LIVES
    server.ask("DEL", revisions.keys.node("mx2"))
    assert [("mx1", 1_000_010.0, b"one"), ("mx2", 1_000_000.0, b"")] == [
        (one.name, one.seen, one.report) for one in nodes.heard(revisions.link)
    ]
    nodes.say(revisions.link, "mx1", b"one", 1_090_000.0)
    assert ["mx1"] == [one.name for one in nodes.heard(revisions.link)]


def test_heads_are_told_apart(revisions: Revisions) -> None:
    """Two environments in one Redis know nothing of each other."""
    put(revisions, TEXTS)
    other = Revisions(
        open_store(StoreWords(str("unix://" + revisions.link.where.partition("unix:")[2]), environment="test"), 5.0)
    )
    assert Head() == other.head()
