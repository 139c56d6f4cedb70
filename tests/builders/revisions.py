"""Policy revisions in one line, as snapshots in a state directory: what a clerk would have fetched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tidegate.live import snapshot
from tidegate.live.snapshot import Snapshot
from tidegate.model import EntryKey, EntryKind
from tidegate.revisions import EMPTY, Expected, Manifest, Named, Revision, digest_of
from tidegate.store.contents import Content, fetch
from tidegate.store.revisions import Moved, Revisions

ENVIRONMENT = "test"


def a_key(name: str) -> EntryKey:
    """`r` is rule r; `list l` and `condition c` say so."""
    kind, blank, rest = name.partition(" ")
    return EntryKey(EntryKind(kind), rest) if blank else EntryKey(EntryKind.RULE, name)


def a_text(name: str, reason: str = "x", when: str = "always", more: str = "") -> str:
    """The text of a rule as it is kept: a policy with this entry alone."""
    return f"version: 1\nrules:\n  - {{id: {name}, when: {when}, do: {{hold: {{reason: {reason}}}}}{more}}}\n...\n"


def a_manifest(texts: Mapping[str, str], removed: Sequence[str] = ()) -> Manifest:
    """These texts by their entries' names, and tombstones."""
    named = [Named(a_key(name), digest_of(text.encode())) for name, text in texts.items()]
    return EMPTY.edited(named, [a_key(name) for name in removed])


def a_revision(
    number: int,
    manifest: Manifest,
    fallback: Manifest | None = None,
    expires: int | None = None,
    urgent: str = "",
    expect: Sequence[Expected] = (),
    environment: str = ENVIRONMENT,
) -> Revision:
    """The record for it."""
    return Revision(
        number=number,
        parent=number - 1,
        manifest=manifest.digest(),
        environment=environment,
        author="anna",
        reason="a test",
        at=1_800_000_000 + number,
        host="mx1",
        expires=expires,
        fallback=(fallback or EMPTY).digest() if expires else "",
        urgent=urgent,
        expect=tuple(expect),
    )


def a_snapshot(
    number: int,
    texts: Mapping[str, str],
    removed: Sequence[str] = (),
    before: Mapping[str, str] | None = None,
    expires: int | None = None,
    urgent: str = "",
    expect: Sequence[Expected] = (),
    serial: int | None = None,
) -> Snapshot:
    """Revision `number`; with `expires` it reverts to the texts `before`."""
    manifest, fallback = a_manifest(texts, removed), a_manifest(before or {})
    known = {digest_of(text.encode()): text for text in (*texts.values(), *((before or {}).values()))}
    revision = a_revision(number, manifest, fallback, expires, urgent, expect)
    serial = number if serial is None else serial
    return Snapshot(serial, ENVIRONMENT, 1.0, revision, manifest, fallback if expires else EMPTY, known)


def fetched(state: str, one: Snapshot) -> None:
    """Put it in place."""
    snapshot.write(state, one)


def put(
    server: Revisions,
    texts: Mapping[str, str],
    removed: Sequence[str] = (),
    expires: int | None = None,
    urgent: str = "",
    manifest: Manifest | None = None,
) -> Revision:
    """Put these texts in force in a real Redis, as an editor would."""
    head = server.head()
    before = EMPTY
    number = head.revision.number if head.revision else 0
    if head.revision is not None:
        found = fetch(server, head)
        assert isinstance(found, Content)
        before = found.manifest
    now = manifest or a_manifest(texts, removed)
    revision = a_revision(number + 1, now, before, expires, urgent, environment=server.environment)
    known = {digest_of(text.encode()): text for text in texts.values()}
    moved = server.commit(revision, [now, before], known, head, {"event": "put"})
    assert isinstance(moved, Moved), moved
    return revision
