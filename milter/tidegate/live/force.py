"""What is in force in a worker. Everything here changes by one assignment, so sessions need no lock."""

from __future__ import annotations

from tidegate import image
from tidegate.live.canary import Canary
from tidegate.live.watchlist import Watchlist
from tidegate.model import NO_RESTRAINT, Restraint


class Live:
    """`current` is the set that new messages take, None until one was ever loaded; `restraint` what is taken from its
    rules, read when a message is judged, so that it acts on messages in flight too; `canary` is the set that some of
    them take instead; `watchlist` whose mail has killed.
    """

    __slots__ = ("canary", "current", "restraint", "watchlist")

    def __init__(self) -> None:
        self.current: image.Generation | None = None
        self.canary: Canary | None = None
        self.restraint: Restraint = NO_RESTRAINT
        self.watchlist: Watchlist | None = None
