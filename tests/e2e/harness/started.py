"""What is started when a test enters it, and gone when the test leaves it, whatever happened in between."""

from __future__ import annotations

from types import TracebackType
from typing import Self


class Started:
    """The base of Postfix and Daemon: `start` and `remove` are theirs."""

    def start(self) -> object:
        """Begin, and come back when it serves."""
        raise NotImplementedError

    def remove(self) -> None:
        """End it, and leave nothing behind."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()
