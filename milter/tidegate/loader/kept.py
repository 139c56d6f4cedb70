"""The list files as they last were good, in the state directory: what a list falls back on across restarts.

Promises: a file is whole or not there (records.py); a damaged one is as if there were none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path

from tidegate import records
from tidegate.model import Source

FOLDER = "lists"


class KeptLists:
    """One state directory's."""

    def __init__(self, state: str) -> None:
        self._folder = Path(state) / FOLDER

    def __call__(self, name: str) -> Source:
        """The list file `name` (as the policy writes it) as it last was good."""
        try:
            return Source(name, records.read(self._place(name)))
        except FileNotFoundError:
            return Source(name, error="no good version of it is known")
        except OSError as error:
            return Source(name, error=error.strerror or "its good version can't be read")
        except records.DamagedError:
            return Source(name, error="its good version is damaged")

    def keep(self, good: Mapping[str, bytes], stale: Collection[str], *, forget: bool = True) -> None:
        """Write those that changed; leave those that serve as they last were; forget the others, if `forget` says so.

        Raises OSError.
        """
        wanted = {self._place(name): data for name, data in good.items()}
        if not wanted and not self._folder.is_dir():
            return
        self._folder.mkdir(mode=0o700, exist_ok=True)
        for path, data in wanted.items():
            records.write(path, data, durable=False)
        staying = {*wanted, *(self._place(name) for name in stale)}
        for path in self._folder.iterdir():
            if forget and path not in staying:
                path.unlink(missing_ok=True)
        records.settle(self._folder)

    def _place(self, name: str) -> Path:
        return self._folder / hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:40]
