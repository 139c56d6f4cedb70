"""What is in force in a worker. Everything here changes by one assignment, so sessions need no lock."""

from __future__ import annotations

from tidegate import image


class Live:
    """The set that new messages take; None until one was ever loaded."""

    __slots__ = ("current",)

    def __init__(self) -> None:
        self.current: image.Generation | None = None
