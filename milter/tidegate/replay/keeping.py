"""The clerk's part of the replay store: its bounds, whether it can be kept at all, its end when it is switched off."""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.ledger import BusyError
from tidegate.replay.reading import purge, tend
from tidegate.replay.sealing import Seal, UnavailableError
from tidegate.replay.store import make_key

_CURE = "install python3-cryptography and restart, or set `replay: off`"


@dataclass(slots=True)
class Keeper:
    """Of one daemon. `keep` in seconds, 0: the store is off; `bound` in bytes."""

    state: str
    keep: float
    bound: int
    _removed: bool = False

    def look(self, now: float) -> str:
        """Tend it; "" or what is wrong, for a person. `now` in POSIX seconds."""
        try:
            if not self.keep:
                self._remove()
            else:
                Seal(make_key(self.state))
                tend(self.state, now - self.keep, self.bound, now)
        except BusyError:
            return ""  # somebody forgets a person at this moment
        except UnavailableError as error:
            return f"{error}, so nothing is kept for replay; {_CURE}"
        except OSError as error:
            return f"the replay store can't be kept: {error.strerror or error}"
        return ""

    def _remove(self) -> None:
        """What was kept before the setting was off."""
        if not self._removed:
            purge(self.state)
            self._removed = True
