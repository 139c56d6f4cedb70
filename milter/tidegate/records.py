"""Records: files of the state directory that are whole or not there.

Promises: a record is written beside its place, flushed to the disk and renamed, so that a power cut leaves the old one
or the new one; its first line is the SHA-256 of the rest, so a damaged one is known for it. Unchanged content is not
written again. Refuses: knowing what is in it, and deciding what a damaged one means.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


class DamagedError(ValueError):
    """It is there, and it is not what was written."""


def read(path: Path) -> bytes:
    """The content. Raises FileNotFoundError, another OSError, or DamagedError."""
    return body_of(path.read_bytes())


def body_of(data: bytes) -> bytes:
    """The content of a record's bytes. Raises DamagedError."""
    checksum, newline, body = data.partition(b"\n")
    if not newline or checksum != _checksum(body):
        raise DamagedError("the checksum does not fit")
    return body


def write(path: Path, body: bytes, *, durable: bool = True) -> bool:
    """Put `body` in place, readable by its owner only; False where it stood there already. Raises OSError.

    `durable` False: the caller writes several files of one folder and calls `settle` once.
    """
    data = _checksum(body) + b"\n" + body
    if _holds(path, data):
        return False
    for leftover in path.parent.glob(f"{path.name}.*.tmp"):  # of processes that were killed
        leftover.unlink(missing_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with open(draft, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    if durable:
        settle(path.parent)
    return True


def settle(folder: Path) -> None:
    """Flush the names in a folder: without it the rename itself may be lost with the power. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def set_aside(path: Path) -> None:
    """Keep a damaged record as NAME.damaged, for a person to look at. Raises OSError."""
    os.replace(path, path.with_name(f"{path.name}.damaged"))


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False  # there is none that could be kept: write it


def _checksum(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()
