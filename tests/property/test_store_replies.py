"""A Redis that answers anything at all: what is read from it is sound, refused with a reason, or a StoreError."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders.stored import a_revision, document, manifest_of, rule
from tidegate.revisions import digest_of
from tidegate.store import nodes
from tidegate.store.connection import Link, StoreError
from tidegate.store.contents import Content, Refused, fetch, loose
from tidegate.store.keys import Keys
from tidegate.store.lists import ListStore
from tidegate.store.revisions import Revisions

TEXTS = {rule("stop"): document("stop")}
MANIFEST = manifest_of(TEXTS)
RECORD = a_revision(1, MANIFEST).canonical()
KNOWN = (b"1", RECORD, MANIFEST.canonical(), TEXTS[rule("stop")].encode(), b"1-1", b"moved", b"conflict", b"")
REPLIES = st.recursive(
    st.none() | st.integers(-5, 5) | st.binary(max_size=20) | st.sampled_from(KNOWN),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)


class _Anything(Link):
    """A link whose answers a test makes up."""

    def __init__(self, replies: list[Any]) -> None:
        self.keys = Keys("prod")
        self._replies = iter(replies)

    @property
    def where(self) -> str:
        return "a Redis of the test"

    def call(self, *_command: object) -> Any:
        return next(self._replies, None)

    def run(self, *_arguments: object) -> Any:
        return next(self._replies, None)


class _Holding(_Anything):
    """A link to a Redis that holds one thing under each key, whatever field is asked for."""

    def __init__(self, held: dict[str, Any]) -> None:
        super().__init__([])
        self._held = held

    def call(self, *command: object) -> Any:
        name = str(command[1]).rpartition(":")[2]
        if name == "head":
            return [self._held["number"], self._held["record"]]
        return [self._held[name]] * (len(command) - 2) if command[0] == "HMGET" else self._held[name]


def _commit(revisions: Revisions) -> None:
    revisions.commit(a_revision(1, MANIFEST), [MANIFEST], {}, revisions.head(), {})


QUESTIONS: list[Callable[[Revisions], object]] = [
    Revisions.head,
    lambda revisions: revisions.revision(1),
    lambda revisions: revisions.history([1, 2]),
    lambda revisions: revisions.log(3),
    _commit,
    loose,
    lambda revisions: nodes.heard(revisions.link),
    lambda revisions: fetch(revisions, revisions.head()),
    lambda revisions: fetch(revisions, revisions.head(), allow=True),
]


@settings(max_examples=400)
@given(replies=st.lists(REPLIES, max_size=5), question=st.sampled_from(QUESTIONS))
def test_any_answer(replies: list[Any], question: Callable[[Revisions], object]) -> None:
    """No other exception, whatever comes; and a Content holds what its digests say."""
    try:
        found = question(Revisions(_Anything(replies)))
    except StoreError:
        return
    if isinstance(found, Content):
        _is_sound(found)
    elif isinstance(found, Refused):
        assert found.why


@settings(max_examples=300)
@given(
    number=st.sampled_from([b"1", b"2", b"", b"x"]),
    record=st.sampled_from(
        [RECORD, b"", RECORD[:-1], RECORD + b" ", b"{}", a_revision(1, MANIFEST, "test").canonical()]
    ),
    kept=st.sampled_from([RECORD, None, b"x"]),
    manifest=st.sampled_from([MANIFEST.canonical(), None, b"{}", MANIFEST.canonical() + b"\n"]),
    text=st.sampled_from([TEXTS[rule("stop")].encode(), None, b"\xff", b"other"]),
    allow=st.booleans(),
)
def test_each_part_sound_or_not(
    number: bytes, record: bytes, kept: bytes | None, manifest: bytes | None, text: bytes | None, allow: bool
) -> None:
    """What is fetched without doubts is the one sound combination; nothing that is missing is made up."""
    held = {"number": number, "record": record, "revisions": kept, "manifests": manifest, "entries": text}
    revisions = Revisions(_Holding(held))
    found = fetch(revisions, revisions.head(), allow=allow)
    sound = (number, record, kept, manifest, text) == (b"1", RECORD, RECORD, MANIFEST.canonical(), KNOWN[3])
    if isinstance(found, Content) and found.revision is not None:
        _is_sound(found)
        assert sound == (not found.doubts)
        assert allow or sound
    elif isinstance(found, Content):
        assert not number
        assert not record
    else:
        assert not sound


def _is_sound(content: Content) -> None:
    if content.revision is None:
        return
    assert content.revision.manifest == content.manifest.digest()
    for named in content.manifest.entries:
        assert named.sha == digest_of(content.texts[named.sha].encode())


@settings(max_examples=200)
@given(replies=st.lists(REPLIES, max_size=5))
def test_lists_take_any_answer(replies: list[Any]) -> None:
    """Versions, changes and entries of lists."""
    for question in (
        lambda lists: lists.versions(),
        lambda lists: lists.version("l"),
        lambda lists: list(lists.entries("l")),
        lambda lists: lists.some("l", ["a"]),
    ):
        try:
            question(ListStore(_Anything(list(replies))))
        except StoreError:
            continue
