"""How far a load has come: its record of accepted entries lies beside that of the generation for all until it is that.

A load leaves its record as `accepted-next` before it can go live. The supervisor moves it: to `accepted-trial` while
its generation is a canary, to `accepted` once that is for all. Promises: an entry that breaks later serves as it last
was for all, never as it was in a generation that was given up; whenever a process ends, each record is whole, and
`accepted` is of a generation that was for all, or is about to be. Refuses: deciding which one that is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tidegate import records
from tidegate.live.accepted import NAME as FOR_ALL
from tidegate.live.accepted import Accepted, read_accepted, write_accepted
from tidegate.live.interrupted import read_interrupted
from tidegate.model import EntryKey, Problem

NEXT = "accepted-next"
TRIAL = "accepted-trial"
FOLDER = "accepted-proven"


@dataclass(frozen=True, slots=True)
class Known:
    """What a load has to know from before.

    `accepted`: the texts of what is for all, the rest as the last load found it. An entry that is new in a generation
    on trial has the text that it has there: nothing else is known of it. `latest`: the texts that the last load came
    to, whatever became of them.
    """

    accepted: Accepted = field(default_factory=Accepted)
    latest: Mapping[EntryKey, str] = field(default_factory=dict)


def read_known(state: str) -> tuple[Known, tuple[Problem, ...]]:
    """From the records in this state directory; those that are damaged are problems."""
    force, problems = read_accepted(state)
    trial, of_trial = read_accepted(state, TRIAL)
    fresh, of_fresh = read_accepted(state, NEXT)
    last = max((force, trial, fresh), key=_serial)
    tried = trial if read_interrupted(state)[0] else Accepted()
    accepted = replace(
        last,
        texts={**tried.texts, **force.texts},
        homes={**last.homes, **tried.homes, **force.homes},
    )
    return Known(accepted, last.texts), (*problems, *of_trial, *of_fresh)


def _serial(one: Accepted) -> int:
    return one.serial


def record_next(state: str, fresh: Accepted, known: Accepted) -> bool:
    """Leave the record of a load; False where nothing is new in it beside `known`. Raises OSError."""
    if replace(fresh, serial=known.serial) == known:
        return False
    write_accepted(state, fresh, NEXT)
    return True


def settle_next(state: str, *, on_trial: bool) -> None:
    """What the last load came to is for all from now on, or a canary. Raises OSError."""
    _move(state, NEXT, TRIAL if on_trial else FOR_ALL)
    if not on_trial:
        (Path(state) / TRIAL).unlink(missing_ok=True)  # of one that was given up: the newer record knows all of it


def settle_trial(state: str) -> None:
    """The canary is for all from now on. Raises OSError."""
    _move(state, TRIAL, FOR_ALL)


def keep_texts(state: str, name: str, digest: str) -> None:
    """Keep the texts of what is for all, if they are of the image of this digest, for the day it comes back.

    Raises OSError.
    """
    force, _ = read_accepted(state)
    if force.digest == digest:
        folder = Path(state) / FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        write_accepted(str(folder), force, name)


def forget_texts(state: str, but: frozenset[str]) -> None:
    """All that were kept under other names. Raises OSError."""
    folder = Path(state) / FOLDER
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name not in but:
            path.unlink(missing_ok=True)


def recall_texts(state: str, name: str) -> None:
    """A proven generation comes back: leave its texts as those of a load, for `settle_next`. Raises OSError.

    Where they were not kept nothing is left, and the texts stay as they are.
    """
    (Path(state) / NEXT).unlink(missing_ok=True)
    kept, _ = read_accepted(str(Path(state) / FOLDER), name)
    if kept.number:
        last = read_known(state)[0].accepted
        homes = {**last.homes, **kept.homes}
        write_accepted(state, replace(last, texts=kept.texts, homes=homes, serial=last.serial + 1), NEXT)


def _move(state: str, old: str, new: str) -> None:
    """Where the load could not leave a record there is none, and that is an alert of the load."""
    folder = Path(state)
    try:
        os.replace(folder / old, folder / new)
    except FileNotFoundError:
        return
    records.settle(folder)
