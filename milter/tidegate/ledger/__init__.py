"""The exposure ledger: the mail that a rule would have concerned while it was not in force.

Promises: bounded, whatever happens; each line carries its own checksum, so a cut or a damaged one costs itself; a count
stays right when the rows behind it are dropped. Refuses: content, names that are not masked, and blocking who writes.

    rows       the lines: written by the workers, read by the commands
    tending    what the clerk does with them: bounds, retention, forgetting
    episodes   which rule was exposed, from when to when, and why
    report     both together, for a person
"""

from tidegate.ledger.episodes import Episode, Why, advance, read_episodes, write_episodes
from tidegate.ledger.report import Exposure, exposures
from tidegate.ledger.rows import (
    FOLDER,
    BusyError,
    Pen,
    Row,
    fingerprint,
    keep_owner,
    locked,
    make_key,
    read_key,
    read_rows,
)
from tidegate.ledger.tending import forget, tend

__all__ = [
    "FOLDER",
    "BusyError",
    "Episode",
    "Exposure",
    "Pen",
    "Row",
    "Why",
    "advance",
    "exposures",
    "fingerprint",
    "forget",
    "keep_owner",
    "locked",
    "make_key",
    "read_key",
    "read_episodes",
    "read_rows",
    "tend",
    "write_episodes",
]
