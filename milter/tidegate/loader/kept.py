"""The list files as they last were good, in the state directory: what a list falls back on across restarts.

Promises: a file is written whole (tmp, fsync, rename, checksum) or not at all; a damaged one is as if there were none.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping
from pathlib import Path

from tidegate.model import Source

FOLDER = "lists"


class KeptLists:
    """One state directory's."""

    def __init__(self, state: str) -> None:
        self._folder = Path(state) / FOLDER

    def __call__(self, name: str) -> Source:
        """The list file `name` (as the policy writes it) as it last was good."""
        try:
            data = self._place(name).read_bytes()
        except FileNotFoundError:
            return Source(name, error="no good version of it is known")
        except OSError as error:
            return Source(name, error=error.strerror or "its good version can't be read")
        checksum, newline, body = data.partition(b"\n")
        if not newline or checksum != _checksum(body):
            return Source(name, error="its good version is damaged")
        return Source(name, body)

    def keep(self, good: Mapping[str, bytes], stale: Collection[str]) -> None:
        """Write those that changed; leave those that serve as they last were; forget the others. Raises OSError."""
        wanted = {self._place(name): _checksum(data) + b"\n" + data for name, data in good.items()}
        if not wanted and not self._folder.is_dir():
            return
        self._folder.mkdir(mode=0o700, exist_ok=True)
        for path, data in wanted.items():
            if not _holds(path, data):
                self._write(path, data)
        staying = {*wanted, *(self._place(name) for name in stale)}
        for path in self._folder.iterdir():
            if path not in staying:
                path.unlink(missing_ok=True)
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _place(self, name: str) -> Path:
        return self._folder / hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:40]

    def _write(self, path: Path, data: bytes) -> None:
        draft = path.with_suffix(".tmp")
        with open(draft, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False  # there is none that could be kept: write it


def _checksum(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()
