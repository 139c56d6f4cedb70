"""Revisions for tests: documents of one entry, and a store into which they are put without a command."""

from __future__ import annotations

from collections.abc import Mapping

from tests.builders.redisserver import RedisServer
from tests.builders.storesettings import StoreWords
from tidegate.model import EntryKey, EntryKind
from tidegate.revisions import EMPTY, Manifest, Named, Revision, digest_of
from tidegate.store.connection import open_store
from tidegate.store.revisions import Conflict, Head, Moved, Revisions


def revisions_of(server: RedisServer, environment: str = "prod", timeout: float = 5.0) -> Revisions:
    """The revisions in a server."""
    return Revisions(open_store(StoreWords(server.url, environment=environment), timeout))


def rule(name: str) -> EntryKey:
    """The key of a rule."""
    return EntryKey(EntryKind.RULE, name)


def document(name: str, domain: str = "example.net") -> str:
    """A stored entry: a small policy document of one rule that refuses a domain."""
    return (
        f"version: 1\nrules:\n  - id: {name}\n    when: {{any_rcpt: {{domain: {domain}}}}}\n"
        f'    do: {{reject: {{code: "550 5.7.1", text: "stopped by {{rule}}"}}}}\n...\n'
    )


def manifest_of(texts: Mapping[EntryKey, str], removed: tuple[EntryKey, ...] = ()) -> Manifest:
    """Of these texts."""
    return EMPTY.edited([Named(key, digest_of(text.encode())) for key, text in texts.items()], removed)


def by_sha(texts: Mapping[EntryKey, str]) -> dict[str, str]:
    """The texts under their digests."""
    return {digest_of(text.encode()): text for text in texts.values()}


def a_revision(number: int, manifest: Manifest, environment: str = "prod", author: str = "ann") -> Revision:
    """One that says what it has to."""
    return Revision(number, number - 1, manifest.digest(), environment, author, "a test", 1_800_000_000, "mx1")


def put(
    revisions: Revisions, texts: Mapping[EntryKey, str], onto: Head | None = None, author: str = "ann"
) -> Moved | Conflict:
    """These entries as the next revision."""
    head = onto if onto is not None else revisions.head()
    manifest = manifest_of(texts)
    number = head.revision.number + 1 if head.revision else 1
    revision = a_revision(number, manifest, revisions.environment, author)
    return revisions.commit(revision, [manifest], by_sha(texts), head, {"event": "put"})
