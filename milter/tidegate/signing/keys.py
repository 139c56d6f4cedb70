"""Key files. A private key is PEM (PKCS #8, with a passphrase or without) in a file that its owner alone can read; a
public one is a line of text that says for which environments it may sign:

    ed25519 BASE64 ENVIRONMENT[,ENVIRONMENT…]

python3-cryptography is imported when the first key is used and not before. Promises: a private key is never
overwritten, and never read from a file that everybody can read; no error text holds a part of a key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

from tidegate.revisions import Flaw, Revision, signed_bytes

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
LARGEST = 16 << 10
"""Bytes of a key file."""
MISSING = "python3-cryptography is not installed"
_RAW = 32  # bytes of a public key
_FINGERPRINT = 32  # hexadecimal digits
_ENVIRONMENT = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_KIND = "ed25519"


class UnavailableError(Exception):
    """There is nothing to sign or to check with on this machine; the text says why."""


class UnusableKeyError(Exception):
    """A key file that can't be used; the text says why."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One. `name` is that of its file, `raw` the key's 32 bytes."""

    name: str
    raw: bytes
    environments: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """By which a revision names its key: the first half of the key's SHA-256."""
        return hashlib.sha256(self.raw).hexdigest()[:_FINGERPRINT]

    def signed(self, revision: Revision) -> bool:
        """Is the revision's signature made with this key, over all that the revision says? Raises UnavailableError."""
        ed25519, exceptions = _library()
        try:
            signature = base64.b64decode(revision.signature, validate=True)
            ed25519.Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, signed_bytes(revision))
        except (exceptions.InvalidSignature, binascii.Error, ValueError):
            return False
        return True


class PrivateKey:
    """An opened one."""

    def __init__(self, key: Any) -> None:
        self._key = key
        self.raw: bytes = _raw_of(key)

    def public(self, name: str, environments: Iterable[str]) -> PublicKey:
        """Its other half, under a name."""
        return PublicKey(name, self.raw, tuple(sorted(set(environments))))

    def sign(self, revision: Revision) -> Revision:
        """The same revision with our name and signature."""
        named = replace(revision, key=PublicKey("", self.raw).fingerprint, signature="")
        signature = base64.b64encode(self._key.sign(signed_bytes(named))).decode("ascii")
        return replace(named, signature=signature)


def read_public(name: str, data: bytes) -> PublicKey | Flaw:
    """The key of a public key file. Lines that begin with `#` are for people."""
    try:
        lines = [line.split() for line in data.decode("utf-8").splitlines() if line.strip() and line[:1] != "#"]
    except UnicodeDecodeError:
        return Flaw("it is not UTF-8")
    if len(lines) != 1 or len(lines[0]) != 3 or lines[0][0] != _KIND:
        return Flaw(f"it has to hold one line: {_KIND} KEY ENVIRONMENT[,ENVIRONMENT…]")
    _, text, names = lines[0]
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return Flaw("its key is no base64")
    if len(raw) != _RAW:
        return Flaw(f"its key has {len(raw)} bytes, not {_RAW}")
    environments = names.split(",")
    for one in environments:
        if not _ENVIRONMENT.fullmatch(one):
            return Flaw(f"`{one[:40]}` is no name of an environment")
    return PublicKey(name, raw, tuple(sorted(set(environments))))


def public_text(key: PublicKey) -> str:
    """What a public key file holds."""
    raw = base64.b64encode(key.raw).decode("ascii")
    about = f"# {key.name}: fingerprint {key.fingerprint}; a key that may sign policy for these environments"
    return f"{about}\n{_KIND} {raw} {','.join(key.environments)}\n"


def create(path: str, passphrase: bytes = b"") -> PrivateKey:
    """Make a private key and its file, which must not be there. Raises OSError, UnavailableError."""
    ed25519, _ = _library()
    serialization = _serialization()
    key = ed25519.Ed25519PrivateKey.generate()
    guard = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    data: bytes = key.private_bytes(serialization.Encoding.PEM, form, guard)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(path, flags, 0o600), "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return PrivateKey(key)


def open_private(path: str, passphrase: bytes = b"") -> PrivateKey:
    """Read a private key. Raises UnusableKeyError, UnavailableError."""
    data = _private_bytes(path)
    ed25519, _ = _library()
    try:
        key = _serialization().load_pem_private_key(data, passphrase or None)
    except TypeError:
        why = "it has no passphrase, and one was given" if passphrase else "it has a passphrase, and none was given"
        raise UnusableKeyError(f"{path}: {why}") from None
    except ValueError:
        raise UnusableKeyError(f"{path}: it is no private key, or this is not its passphrase") from None
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise UnusableKeyError(f"{path}: it is a private key of another kind than Ed25519")
    return PrivateKey(key)


def _private_bytes(path: str) -> bytes:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(LARGEST + 1) if stat.S_ISREG(mode) else b""
    except OSError as error:
        raise UnusableKeyError(f"{path}: {error.strerror}") from error
    if not stat.S_ISREG(mode) or len(data) > LARGEST:
        raise UnusableKeyError(f"{path}: it is no key file")
    if mode & 0o007:
        raise UnusableKeyError(f"{path}: everybody on this machine can use this key: chmod 600, and think of a new one")
    return data


def unavailable() -> str:
    """Why there are no signatures on this machine; "": there are."""
    try:
        _library()
    except UnavailableError as error:
        return str(error)
    return ""


def _raw_of(key: Any) -> bytes:
    serialization = _serialization()
    raw: bytes = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return raw


def _library() -> tuple[ModuleType, ModuleType]:
    """Ed25519, and the errors of the library. Raises UnavailableError."""
    try:
        from cryptography import exceptions
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise UnavailableError(MISSING) from error
    # A broken installation shows itself as whatever its C or Rust part raises.
    except Exception as error:
        raise UnavailableError(f"python3-cryptography can't be used: {type(error).__name__}") from error
    return ed25519, exceptions


def _serialization() -> ModuleType:
    from cryptography.hazmat.primitives import serialization

    return serialization
