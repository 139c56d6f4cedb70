"""What the running daemon judges by, borrowed over its control socket: the image that its workers map.

Promises: the same bytes and the same engine as the daemon's, so the same answer, whatever became of the files since:
an entry that is STALE is judged as it serves, one that is SKIPPED is not, and one that is eased as far as it is left.
Refuses: changing anything.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass

from tidegate import image
from tidegate.cli.output import UnableError
from tidegate.cli.reach import find_daemon
from tidegate.engine.reply import temporary
from tidegate.live import decode_restraint
from tidegate.model import Disposition, Restraint, Verdict

NO_POLICY = "no policy was ever loaded"


@dataclass(frozen=True, slots=True)
class Lent:
    """What a daemon judges by at this moment; `generation` None: nothing was ever loaded, all mail is deferred."""

    generation: image.Generation | None
    number: int
    digest: str
    restraint: Restraint
    stage: str
    current: bool  # do all workers have this generation?


def borrow(config: str, state: str) -> Lent:
    """Ask the daemon of these settings, or of this state directory. Raises UnableError."""
    daemon = find_daemon(config, state)
    answer, files = daemon.ask_for_files({"do": "lend"})
    try:
        generation = _opened(files[0]) if files else None
        return Lent(
            generation,
            int(answer["number"]),
            str(answer["digest"]),
            decode_restraint(str(answer["restraint"]).encode()),
            str(answer["stage"]),
            bool(answer["current"]),
        )
    except (image.BadImage, OSError, ValueError, KeyError, TypeError) as error:
        raise UnableError(f"{daemon.state}: what the daemon lends can't be read: {error}") from error
    finally:
        for descriptor in files:
            os.close(descriptor)


def _opened(descriptor: int) -> image.Generation:
    # Private as in a worker: before Linux 6.7 a shared map of a write-sealed memfd is refused.
    return image.Generation(mmap.mmap(descriptor, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ))


def without_policy(reference: str) -> Verdict:
    """What the daemon answers at end of message while nothing was ever loaded."""
    return Verdict(Disposition.DEFER, temporary(reference), NO_POLICY, certain=False)
