"""The proven record: images of generations that passed their soak, each a file, the newest few of different rules.
Beside it, while there is nothing proven that a canary could fall back on, the image of what was for all when it began.

Promises: a file is whole or not there (records.py); what can't be used on this machine (damaged, another engine's,
another format's) is told and passed over, never a crash. Refuses: deciding when a generation is proven (soak.py).
Both ways read or write megabytes and are for a child, never for the supervisor; `known` is not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tidegate import image, records
from tidegate.alerts import problem
from tidegate.live.acceptance import forget_texts, keep_texts, recall_texts
from tidegate.live.recorded import ForeignError
from tidegate.model import Place, Problem, Severity

FOLDER = "proven"
NAME = "beside"
KEPT = 3  # generations of different rules
_FORMAT = 1
_HEAD = 4096  # bytes in which checksum and head stand


@dataclass(frozen=True, slots=True)
class Proven:
    """What is known of a proven generation beside its image. Times are POSIX seconds."""

    number: int
    digest: str  # of the image
    sources: str  # of what it was made of (loader/sources.py)
    rules: str  # soak.rules_digest
    release: str  # of Tidegate that made it
    engine: str  # of patterns that made its databases
    since: float  # when it went live
    proven: float  # when its soak was over; 0: it is not

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Opened:
    """One that can serve here: its head, the loader's report as it was (JSON), its image."""

    head: Proven
    report: bytes
    image: bytes


def keep(state: str, head: Proven, report: bytes, data: bytes) -> None:
    """Put it on record, in place of an older one of the same rules or of the oldest. Raises OSError."""
    folder = Path(state) / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    for leftover in (*folder.glob("*.damaged"), *folder.glob("*.tmp")):  # of processes that were killed
        leftover.unlink(missing_ok=True)
    path = _place(state, head)
    _write(path, head, report, data)
    kept = 1
    for other, known in _heads(folder):
        if other == path:
            continue
        kept += 1
        if known is None or known.rules == head.rules or kept > KEPT:
            other.unlink(missing_ok=True)
            kept -= 1
    keep_texts(state, path.name, head.digest)
    forget_texts(state, frozenset(other.name for other, _ in _heads(folder)))


def recall_texts_of(state: str, head: Proven) -> tuple[Problem, ...]:
    """This one comes back, and what was accepted comes back with it (acceptance.py); what can't be written is told."""
    try:
        recall_texts(state, _place(state, head).name)
    except OSError as error:
        text = f"the texts of a proven generation can't be put back: {error.strerror}"
        return (problem("record-unwritable", text, Place(state, 0, 0), Severity.WARNING),)
    return ()


def _place(state: str, head: Proven) -> Path:
    return Path(state) / FOLDER / f"{head.number:010}-{head.digest[:16]}"


def keep_beside(state: str, head: Proven, report: bytes, data: bytes) -> None:
    """A canary begins beside this one, which is not proven: it serves again after a restart. Raises OSError."""
    _write(Path(state) / NAME, head, report, data)


def beside(state: str) -> Proven | None:
    """What was for all when a canary began, if that was not proven."""
    return _head(Path(state) / NAME)


def drop_beside(state: str) -> None:
    """It is not for all any more. Raises OSError."""
    (Path(state) / NAME).unlink(missing_ok=True)


def _write(path: Path, head: Proven, report: bytes, data: bytes) -> None:
    top = json.dumps({"format": _FORMAT, **head.document()}).encode()
    records.write(path, b"\n".join((top, report, data)))


def known(state: str) -> tuple[Proven, ...]:
    """What is on record, the newest first; only the first bytes of each file are read."""
    return tuple(head for _, head in _heads(Path(state) / FOLDER) if head is not None)


def newest(
    state: str,
    barred: frozenset[str],
    skip: frozenset[str],
    progress: Callable[[str], None],
    check: Callable[[bytes], object],
) -> tuple[Opened | None, tuple[Problem, ...]]:
    """The newest that serves here and is none of `barred` (digests), and what is wrong with those passed over.

    Where none is proven, what a canary began beside.

    `progress` is told each file before it is read, since one may kill the process; those in `skip` did. `check` raises
    ValueError for a report that can't be read.
    """
    problems: list[Problem] = []
    for path in (*(path for path, _ in _heads(Path(state) / FOLDER)), Path(state) / NAME):
        if str(path) in skip:
            continue
        progress(str(path))
        try:
            opened = _open(path)
            check(opened.report)
        except FileNotFoundError:
            continue  # a newer one took its place meanwhile
        except OSError as error:
            problems.append(_unusable(path, error.strerror or "it can't be read"))
        except (records.DamagedError, ValueError, KeyError, TypeError, RecursionError, image.BadImage) as error:
            problems.append(_unusable(path, str(error)[:200]))
        else:
            if opened.head.digest not in barred:
                return opened, tuple(problems)
    return None, tuple(problems)


def _open(path: Path) -> Opened:
    """Raises OSError, ValueError and its like, or image.BadImage where this machine can't use it."""
    top, _, rest = records.read(path).partition(b"\n")
    head = _decode(top)
    report, _, data = rest.partition(b"\n")
    if image.Generation(data).digest != head.digest:
        raise ValueError("it holds another generation than its head says")
    return Opened(head, report, data)


def _decode(top: bytes) -> Proven:
    values: Mapping[str, Any] = json.loads(top)
    if values["format"] != _FORMAT:
        raise ForeignError(values["format"])
    texts = {name: str(values[name]) for name in ("digest", "sources", "rules", "release", "engine")}
    return Proven(number=int(values["number"]), since=float(values["since"]), proven=float(values["proven"]), **texts)


def _heads(folder: Path) -> list[tuple[Path, Proven | None]]:
    """The files by name, the newest first; None: not even the head can be read."""
    try:
        paths = sorted(
            (path for path in folder.iterdir() if path.name[:10].isdigit() and not path.suffix), reverse=True
        )
    except OSError:
        return []  # none was ever written, or none can be read
    return [(path, _head(path)) for path in paths]


def _head(path: Path) -> Proven | None:
    try:
        with path.open("rb") as file:
            lines = file.read(_HEAD).split(b"\n", 2)
        return _decode(lines[1])
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError):
        return None


def _unusable(path: Path, why: str) -> Problem:
    text = f"a proven generation can't be used here: {why}"
    return problem("proven-unusable", text, Place(str(path), 0, 0), Severity.WARNING)
