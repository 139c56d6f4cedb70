"""Blocks of kept messages, sealed: compressed, then encrypted and authenticated with AES-256-GCM (NIST SP 800-38D).

A block is a head of 32 bytes (mark, which key, length, nonce) and what was sealed, with the first 20 bytes of the head
authenticated too. Each block has a random nonce of 96 bits; blocks are counted in millions at most, far below
the 2^32 after which a random nonce is not safe any more (section 8.3). python3-cryptography is imported when the first
key is used and not before: without it there is no store, and nothing else is lost.
Promises: a damaged block, or one of another key, is known for it and never read as something else.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

KEY_BYTES = 32
MARK = b"TGR1"
LARGEST = 64 << 20
"""Bytes of one block, sealed or not; a head that claims more is damaged."""

_HEAD = struct.Struct(">4s8sQ12s")
_BOUND = 20  # bytes of the head that are authenticated: all but the nonce, which is by itself
_LEVEL = 1  # of zlib: a third of the size for a tenth of the time of level 6

MISSING = "python3-cryptography is not installed"


class UnavailableError(Exception):
    """There is nothing to encrypt with on this machine; the text says why."""


class SealError(Exception):
    """A block that this key can't open."""


class _Cipher(Protocol):
    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...
    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...


class State(Enum):
    """Of a piece of a file."""

    OPEN = "open"
    LOCKED = "locked"  # a block of another key
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class Piece:
    """A block of a file, or bytes of it that are none, with what was sealed there."""

    start: int
    end: int
    state: State
    text: bytes = b""


class Seal:
    """One key in use."""

    def __init__(self, key: bytes) -> None:
        """Raises UnavailableError, or ValueError for what is no key."""
        if len(key) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes, this one {len(key)}")
        self._cipher = _cipher(key)
        self.name = name_of(key)

    def close(self, text: bytes) -> bytes:
        """`text` as a block."""
        nonce = os.urandom(12)
        packed = zlib.compress(text, _LEVEL)
        head = _HEAD.pack(MARK, self.name, len(packed) + 16, nonce)  # GCM adds a tag of 16 bytes
        return head + self._cipher.encrypt(nonce, packed, head[:_BOUND])

    def open(self, block: bytes) -> bytes:
        """What was sealed. Raises SealError."""
        from cryptography.exceptions import InvalidTag

        _, _, _, nonce = _HEAD.unpack_from(block)
        try:
            packed = self._cipher.decrypt(nonce, block[_HEAD.size :], block[:_BOUND])
            opener = zlib.decompressobj()
            text = opener.decompress(packed, LARGEST)
        except (InvalidTag, zlib.error) as error:
            raise SealError("it is damaged, or was sealed with another key") from error
        if not opener.eof:
            raise SealError("it is larger than any block that is written")
        return text


def _cipher(key: bytes) -> _Cipher:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError as error:
        raise UnavailableError(MISSING) from error
    # A broken installation shows itself as whatever its C or Rust part raises.
    except Exception as error:
        raise UnavailableError(f"python3-cryptography can't be used: {type(error).__name__}") from error
    return AESGCM(key)


def name_of(key: bytes) -> bytes:
    """Eight bytes by which a key is known, and that say nothing of it."""
    return hashlib.blake2b(key, digest_size=8, person=b"tidegate-replay").digest()


class Bytes(Protocol):
    """What can be read in pieces: bytes, or a file (replay/reading.py)."""

    def __len__(self) -> int: ...
    def __getitem__(self, piece: slice, /) -> bytes: ...
    def find(self, sub: bytes, start: int, /) -> int: ...


def pieces(data: Bytes, seal: Seal | None) -> Iterator[Piece]:
    """All of a file: its blocks, and the runs of bytes between them. `seal` None: there is no key."""
    at, lost, size = 0, -1, len(data)
    while at < size:
        found = _piece_at(data, at, size, seal)
        if found is None:
            lost = at if lost < 0 else lost
            following = data.find(MARK, at + 1)
            at = size if following < 0 else following
            continue
        if lost >= 0:
            yield Piece(lost, at, State.DAMAGED)
            lost = -1
        yield found
        at = found.end
    if lost >= 0:
        yield Piece(lost, size, State.DAMAGED)


def _piece_at(data: Bytes, at: int, size: int, seal: Seal | None) -> Piece | None:
    """The block that begins here; None where there is none, or a damaged one, whose length says nothing."""
    head = data[at : at + _HEAD.size]
    if len(head) < _HEAD.size:
        return None
    mark, key, length, _ = _HEAD.unpack(head)
    end = at + _HEAD.size + length
    if mark != MARK or length > LARGEST or end > size:
        return None
    if seal is None or key != seal.name:
        return Piece(at, end, State.LOCKED)
    try:
        return Piece(at, end, State.OPEN, seal.open(data[at:end]))
    except SealError:
        return None
