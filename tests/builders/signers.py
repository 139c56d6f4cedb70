"""People with keys: what they sign, and the folder in which they are trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.builders.revisions import a_manifest, a_revision
from tidegate.revisions import EMPTY, Revision, digest_of
from tidegate.signing import PrivateKey, Trust, create, public_text
from tidegate.store.contents import Content, fetch
from tidegate.store.revisions import Moved, Revisions


def a_key(folder: Path, name: str = "anna") -> PrivateKey:
    """A new one in a file."""
    return create(str(folder / f"{name}.pem"))


def trusted(folder: Path, key: PrivateKey, *environments: str, name: str = "anna") -> Trust:
    """It is trusted from now on, for these environments."""
    place = folder / "trusted"
    place.mkdir(exist_ok=True)
    path = place / f"{name}.pub"
    path.write_text(public_text(key.public(name, environments or ("test",))), "utf-8")
    path.chmod(0o644)
    return Trust(str(place))


def put_signed(
    server: Revisions, texts: dict[str, str], key: PrivateKey | None, removed: Sequence[str] = ()
) -> Revision:
    """In force in a real Redis, as an editor with this key would put it."""
    head = server.head()
    before, number = EMPTY, 0
    if head.revision is not None:
        found = fetch(server, head)
        assert isinstance(found, Content)
        before, number = found.manifest, head.revision.number
    now = a_manifest(texts, removed)
    revision = replace(a_revision(number + 1, now, environment=server.environment), parent=number)
    revision = key.sign(revision) if key else revision
    known = {digest_of(text.encode()): text for text in texts.values()}
    moved = server.commit(revision, [now, before], known, head, {"event": "put"})
    assert isinstance(moved, Moved), moved
    return revision
