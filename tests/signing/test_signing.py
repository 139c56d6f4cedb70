"""A signature counts where a trusted key, which may sign for the environment, has signed all of the revision."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.builders.revisions import a_manifest, a_revision, a_text
from tests.builders.signers import a_key, trusted
from tidegate.revisions import Expected, Flaw, Revision, read_revision
from tidegate.signing import (
    Trust,
    Trusted,
    UnavailableError,
    UnusableKeyError,
    create,
    open_private,
    public_text,
    read_public,
)

MANIFEST = a_manifest({"r": a_text("r")})
SHA = MANIFEST.digest()


def test_signed_and_trusted(tmp_path: Path) -> None:
    """What is signed is trusted, also after it was written and read."""
    key = a_key(tmp_path)
    trust = trusted(tmp_path, key, "test")
    revision = key.sign(a_revision(3, MANIFEST))
    again = read_revision(revision.canonical(), "test")
    assert isinstance(again, Revision)
    assert (None, None) == (trust.doubt(revision), trust.doubt(again))


@pytest.mark.parametrize(
    "change",
    [
        {"number": 4},
        {"parent": 1},
        {"manifest": "0" * 64},
        {"environment": "prod"},
        {"author": "mallory"},
        {"reason": "another"},
        {"at": 1},
        {"host": "mx9"},
        {"expires": 1_900_000_000, "fallback": SHA},
        {"urgent": "now"},
        {"expect": (Expected("r", SHA, 9000),)},
        {"forced": ("replay",)},
    ],
    ids=str,
)
def test_all_that_it_says_is_signed(tmp_path: Path, change: dict[str, object]) -> None:
    """Whatever is changed, the signature does not fit any more."""
    key = a_key(tmp_path)
    trust = trusted(tmp_path, key, "test", "prod")
    forged = replace(key.sign(a_revision(3, MANIFEST)), **change)  # type: ignore[arg-type]
    doubt = trust.doubt(forged)
    assert doubt is not None
    assert not doubt.unable
    assert "does not fit" in doubt.why


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"signature": "", "key": ""}, "it is not signed"),
        ({"signature": ""}, "it is not signed"),
        ({"key": ""}, "it is not signed"),
        ({"key": "0" * 32}, "is not among the trusted ones"),
        ({"key": "anna"}, "is not among the trusted ones"),
        ({"signature": "AAAA"}, "does not fit"),
        ({"signature": "A" * 86 + "=="}, "does not fit"),
        ({"signature": "no base64!"}, "does not fit"),
    ],
    ids=["stripped", "no signature", "no key", "another key", "a name", "short", "zeros", "no base64"],
)
def test_it_is_no_signature(tmp_path: Path, change: dict[str, str], why: str) -> None:
    """Nothing that the record says of its key makes anybody more lenient."""
    key = a_key(tmp_path)
    doubt = trusted(tmp_path, key).doubt(replace(key.sign(a_revision(1, MANIFEST)), **change))  # type: ignore[arg-type]
    assert doubt is not None
    assert why in doubt.why


def test_a_stranger_and_another_environment(tmp_path: Path) -> None:
    """A key that nobody trusts; one that is trusted for other environments; one under the name of a trusted one."""
    anna, mallory = a_key(tmp_path), a_key(tmp_path, "mallory")
    trust = trusted(tmp_path, anna, "dev", "prod")
    one = trust.doubt(anna.sign(a_revision(1, MANIFEST)))
    other = trust.doubt(mallory.sign(a_revision(1, MANIFEST)))
    assert one is not None
    assert other is not None
    assert "its key anna" in one.why
    assert "may not sign for test" in one.why
    assert "is not among the trusted ones" in other.why
    posing = replace(mallory.sign(a_revision(1, MANIFEST, environment="prod")), key=anna.public("", ()).fingerprint)
    doubt = trust.doubt(posing)
    assert doubt is not None
    assert "does not fit" in doubt.why


def test_a_key_that_is_taken_out(tmp_path: Path) -> None:
    """It is not trusted from the next look on."""
    anna, bob = a_key(tmp_path), a_key(tmp_path, "bob")
    trusted(tmp_path, bob, name="bob")
    trust = trusted(tmp_path, anna)
    revision = anna.sign(a_revision(1, MANIFEST))
    assert trust.doubt(revision) is None
    (tmp_path / "trusted" / "anna.pub").unlink()
    assert trust.doubt(revision) is not None


def _gone(folder: Path) -> None:
    (folder / "trusted" / "anna.pub").unlink()


def _no_folder(folder: Path) -> None:
    _gone(folder)
    (folder / "trusted").rmdir()


def _open_to_all(folder: Path) -> None:
    (folder / "trusted" / "anna.pub").chmod(0o666)


def _fifo(folder: Path) -> None:
    _gone(folder)
    os.mkfifo(folder / "trusted" / "anna.pub")


def _damaged(folder: Path) -> None:
    (folder / "trusted" / "anna.pub").write_text("ed25519 AAAA test\n")


@pytest.mark.parametrize("spoil", [_gone, _no_folder, _open_to_all, _fifo, _damaged])
def test_nobody_is_trusted(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    """Where no key can be read nothing can be checked, and nothing is trusted."""
    key = a_key(tmp_path)
    trust = trusted(tmp_path, key)
    spoil(tmp_path)
    doubt = trust.doubt(key.sign(a_revision(1, MANIFEST)))
    assert doubt is not None
    assert doubt.unable


def test_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is trusted, and no key is made, where python3-cryptography is missing."""
    key = a_key(tmp_path)
    trust, revision = trusted(tmp_path, key), key.sign(a_revision(1, MANIFEST))
    monkeypatch.setitem(sys.modules, "cryptography", None)
    doubt = trust.doubt(revision)
    assert doubt is not None
    assert (True, "python3-cryptography is not installed") == (doubt.unable, doubt.why)
    with pytest.raises(UnavailableError):
        create(str(tmp_path / "other.pem"))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"ed25519 AAAA prod\n",
        b"rsa " + b"A" * 43 + b"= prod\n",
        b"ed25519 " + b"A" * 43 + b"=\n",
        b"ed25519 " + b"A" * 43 + b"= *\n",
        b"ed25519 " + b"A" * 43 + b"= prod,\n",
        (b"ed25519 " + b"A" * 43 + b"= prod\n") * 2,
        b"\xff\xfe",
        b"ed25519 !!!! prod\n",
    ],
)
def test_no_public_key(text: bytes) -> None:
    """A Flaw, never an exception."""
    assert isinstance(read_public("x", text), Flaw)


def test_public_text_is_read_back(tmp_path: Path) -> None:
    """With its environments; the folder names what is no key."""
    public = a_key(tmp_path).public("anna", ("prod", "test"))
    assert public == read_public("anna", public_text(public).encode())
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / "anna.pub").write_text(public_text(public))
    (folder / "bad name.pub").write_text(public_text(public))
    (folder / "README").write_text("no key")
    found = Trust(str(folder)).trusted()
    assert isinstance(found, Trusted)
    assert ((public,), ["bad name.pub"]) == (found.keys, [name for name, _ in found.flaws])


def test_a_private_key_is_its_owners(tmp_path: Path) -> None:
    """Mode 0600 whatever the umask, never over another file, never through a link, never of one that all can read."""
    path = tmp_path / "k.pem"
    before = os.umask(0)
    try:
        key = create(str(path))
    finally:
        os.umask(before)
    assert 0o600 == path.stat().st_mode & 0o777
    with pytest.raises(FileExistsError):
        create(str(path))
    link = tmp_path / "link.pem"
    link.symlink_to(tmp_path / "elsewhere.pem")
    with pytest.raises(FileExistsError):
        create(str(link))
    assert key.raw == open_private(str(path)).raw
    path.chmod(0o644)
    with pytest.raises(UnusableKeyError, match="everybody"):
        open_private(str(path))


def test_a_passphrase(tmp_path: Path) -> None:
    """It is asked for where there is one, and only there; what is said holds nothing of it."""
    path, plain = str(tmp_path / "k.pem"), str(tmp_path / "plain.pem")
    key = create(path, b"correct horse")
    create(plain)
    assert key.raw == open_private(path, b"correct horse").raw
    for wrong in (b"", b"battery staple"):
        with pytest.raises(UnusableKeyError) as told:
            open_private(path, wrong)
        assert "battery" not in str(told.value)
    with pytest.raises(UnusableKeyError):
        open_private(plain, b"correct horse")
    for text in ("", "nothing", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"):
        Path(plain).write_text(text)
        with pytest.raises(UnusableKeyError):
            open_private(plain)
