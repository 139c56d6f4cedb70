"""When is a change of the sources a candidate? Pure: digests and monotonic seconds come in.

Promises: a change is announced when two looks in a row see the same digest that differs from what was loaded, and
again while it still differs, so that a lost announcement heals.
"""

from __future__ import annotations

from dataclasses import dataclass

_REMIND = 60.0  # seconds after which an unheeded announcement is repeated; doubles, for a load that keeps failing
_LONGEST = 3600.0


@dataclass(slots=True)
class Watch:
    """One clerk's."""

    loaded: str = ""
    steady: bool = False
    _last: str = ""
    _announced: str = ""
    _when: float = 0.0
    _times: int = 0

    def look(self, digest: str, now: float, growing: str | None = None) -> bool:
        """One look; True where the supervisor should load. `growing`: digest of that part of it which may be half
        written, where that is not all of it."""
        part = digest if growing is None else growing
        self.steady, self._last = part == self._last, part
        if digest == self.loaded:
            self._announced = ""
            return False
        wait = min(_LONGEST, _REMIND * 2**self._times)
        if not self.steady or (digest == self._announced and now - self._when < wait):
            return False
        self._times = self._times + 1 if digest == self._announced else 0
        self._announced, self._when = digest, now
        return True
