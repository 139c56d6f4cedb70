"""What a head comes to: its revision, the manifests that it names and the text of every entry, each of them verified.

Two things can be wrong. What is damaged (a manifest or a text is missing, or is no text) is refused. What was written
past `tidegate policy` (a head or a record by hand, a manifest in another spelling, a text that does not have the digest
by which it is named) is *unreviewed*: refused too, unless the settings allow it (`redis_unreviewed`); then it is made
consistent, so that who gets it may rely on every digest, and its doubts are told.

Promises: a Content is whole: each manifest has the digest that the record names, each text the digest that a manifest
names. Refuses: YAML. What `unreviewed` holds (`loose`) is text that nobody has read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from tidegate.revisions import EMPTY, Flaw, Manifest, Named, Revision, digest_of, read_manifest, read_revision
from tidegate.store.revisions import Head, Revisions, many, one

_BATCH = 500  # texts that are asked for at once
_LOOSE = 200  # entries by hand that are looked at
_LARGEST = 17 << 20  # bytes of one text: more than the reader of policies takes
_SHOWN = 12  # characters of a digest


@dataclass(frozen=True, slots=True)
class Content:
    """All of a revision. `revision` None: the environment has none yet. `doubts`: why it counts as unreviewed."""

    revision: Revision | None = None
    manifest: Manifest = EMPTY
    fallback: Manifest = EMPTY
    texts: Mapping[str, str] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()

    def in_force(self, now: float) -> Manifest:
        """The manifest that holds at a time (POSIX seconds)."""
        return self.fallback if self.revision is not None and self.revision.expired(now) else self.manifest


@dataclass(frozen=True, slots=True)
class Refused:
    """Why it can't be used. `unreviewed`: it could be read, and was not written by `tidegate policy`."""

    why: str
    unreviewed: bool = False


_NOTHING: Mapping[str, str] = {}


def fetch(
    revisions: Revisions, head: Head, known: Mapping[str, str] = _NOTHING, allow: bool = False
) -> Content | Refused:
    """What a head comes to. `known`: texts by digest that need not be asked for; `allow`: also what is unreviewed.

    Raises StoreError.
    """
    if not head.there:
        return Content()
    doubts: list[str] = []
    revision = _revision(revisions, head, doubts)
    if isinstance(revision, Flaw):
        return Refused(f"{head.why}; {revision}", unreviewed=True)
    if doubts and not allow:
        return Refused(doubts[0], unreviewed=True)
    content = content_of(revisions, revision, known, doubts)
    if isinstance(content, Content) and content.doubts and not allow:
        return Refused(content.doubts[0], unreviewed=True)
    return content


def content_of(
    revisions: Revisions, revision: Revision, known: Mapping[str, str] = _NOTHING, doubts: Iterable[str] = ()
) -> Content | Refused:
    """What a record comes to; with its doubts, for the caller to decide. Raises StoreError."""
    told = list(doubts)
    names = [revision.manifest, *([revision.fallback] if revision.fallback else [])]
    found = many(revisions.link.call("HMGET", revisions.keys.manifests, *names), len(names))
    manifests: list[Manifest] = []
    for name, text in zip(names, found, strict=True):
        manifest = _manifest(name, text, revision.number, told)
        if isinstance(manifest, Flaw):
            return Refused(manifest.why)
        manifests.append(manifest)
    texts = _texts(revisions, manifests, known, told)
    if isinstance(texts, Flaw):
        return Refused(texts.why)
    real, by_sha = texts
    manifests = [one.edited([Named(named.key, real[named.sha]) for named in one.entries]) for one in manifests]
    main, fallback = manifests[0], manifests[1] if len(manifests) > 1 else EMPTY
    sound = replace(revision, manifest=main.digest(), fallback=fallback.digest() if revision.fallback else "")
    return Content(sound, main, fallback, by_sha, tuple(told))


def _revision(revisions: Revisions, head: Head, doubts: list[str]) -> Revision | Flaw:
    """The head's revision, as far as it can be read, with what speaks against it."""
    if head.revision is not None:
        kept = one(revisions.link.call("HGET", revisions.keys.revisions, head.revision.number))
        if kept != head.record:
            doubts.append(f"the head was written by hand: revision {head.revision.number} is not among the revisions")
        return head.revision
    doubts.append(head.why)
    if head.record:
        return read_revision(head.record, revisions.environment, strict=False)
    if not head.number.isdigit() or len(head.number) > 15:
        return Flaw("it has no number either")
    found = revisions.revision(int(head.number))
    return found if found is not None else Flaw(f"there is no revision {int(head.number)}")


def _manifest(name: str, text: bytes | None, number: int, doubts: list[str]) -> Manifest | Flaw:
    what = f"the manifest {name[:_SHOWN]} of revision {number}"
    if text is None:
        return Flaw(f"{what} is missing")
    manifest = read_manifest(text)
    if isinstance(manifest, Manifest) and digest_of(text) == name:
        return manifest
    loose = read_manifest(text, strict=False)
    if isinstance(loose, Flaw):
        return Flaw(f"{what}: {loose}")
    doubts.append(f"{what} was written by hand")
    return loose


def _texts(
    revisions: Revisions, manifests: Iterable[Manifest], known: Mapping[str, str], doubts: list[str]
) -> tuple[dict[str, str], dict[str, str]] | Flaw:
    """For each digest that is named the real one (the same, but where somebody changed the text), and the texts."""
    keys = {named.sha: named.key for manifest in manifests for named in manifest.entries}
    real = {sha: sha for sha in keys if sha in known}
    texts = {sha: known[sha] for sha in real}
    missing = [sha for sha in keys if sha not in known]
    for start in range(0, len(missing), _BATCH):
        some = missing[start : start + _BATCH]
        replies = many(revisions.link.call("HMGET", revisions.keys.entries, *some), len(some))
        for sha, data in zip(some, replies, strict=True):
            text = _text(data)
            if isinstance(text, Flaw):
                return Flaw(f"the text of {keys[sha]} ({sha[:_SHOWN]}) {text}")
            real[sha] = digest_of(text.encode())
            texts[real[sha]] = text
            if real[sha] != sha:
                doubts.append(f"the text of {keys[sha]} was changed by hand: its digest is not {sha[:_SHOWN]}")
    return real, texts


def _text(data: bytes | None) -> str | Flaw:
    if data is None:
        return Flaw("is missing")
    if len(data) > _LARGEST:
        return Flaw(f"is larger than {_LARGEST} bytes")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return Flaw("is not UTF-8")


def loose(revisions: Revisions) -> dict[str, str]:
    """What stands in `unreviewed`: texts by a name that somebody gave them, unread. Raises StoreError."""
    reply = revisions.link.call("HGETALL", revisions.keys.unreviewed)
    words = many(reply, len(reply) if isinstance(reply, list) else 1)
    pairs = zip(words[::2], words[1::2], strict=False)
    found = {(name or b"").decode("utf-8", "replace"): _text(data) for name, data in pairs}
    return {name: text for name in sorted(found)[:_LOOSE] if isinstance(text := found[name], str)}
