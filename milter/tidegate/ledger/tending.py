"""What becomes of old rows: bounds, retention, and forgetting a person. The file is rewritten whole, or not at all.

Dropping a row never changes a count: rows that leave for the bound are folded into one row for each rule. What is older
than the retention leaves without a trace.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from tidegate import records
from tidegate.ledger.rows import FOLDER, ROWS, Row, keep_owner, line, locked, read_rows

LISTED = 1000  # rows that one rule may list
ALL = 10_000  # and all of them together
LARGE = 8 << 20  # bytes at which the file is rewritten


def tend(state: str, oldest: float, *, due: bool = False) -> bool:
    """Rewrite the ledger where it is too large, or it is due: within the bounds, and nothing from before `oldest`.

    True where it was rewritten. Raises OSError.
    """
    path = Path(state) / FOLDER / ROWS
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return False
    if not size or (size <= LARGE and not due):
        return False
    _rewrite(state, lambda rows: bounded([row for row in rows if row.time >= oldest]))
    return True


def bounded(rows: Sequence[Row]) -> list[Row]:
    """The newest rows that the bounds allow; the others as one number for each rule, in front."""
    kept: list[Row] = []
    folded: dict[str, list[Row]] = {}
    listed: dict[str, int] = {}
    for row in reversed(rows):
        seen = listed.get(row.rule, 0)
        if row.listed and seen < LISTED and len(kept) < ALL:
            listed[row.rule] = seen + 1
            kept.append(row)
        else:
            folded.setdefault(row.rule, []).append(row)
    return [*map(_fold, folded.values()), *reversed(kept)]


def _fold(rows: Sequence[Row]) -> Row:
    return Row(
        rows[0].rule,
        max(row.time for row in rows),
        certain=all(row.certain for row in rows),
        count=sum(row.count for row in rows),
        first=min(row.first for row in rows),
    )


def forget(state: str, who: Collection[str], senders: Collection[str], *, only_count: bool = False) -> int:
    """Drop what tells of a person, by fingerprint, or by the masked sender where a row has none; the count stays.

    The number of rows that were meant. Raises OSError.
    """
    wanted, masks = set(who), set(senders)

    def meant(row: Row) -> bool:
        return bool(wanted & set(row.who) or (not row.who and masks & {row.sender, row.login}))

    def without(rows: Iterable[Row]) -> list[Row]:
        return [
            Row(row.rule, row.time, certain=row.certain, count=row.count, first=row.first) if meant(row) else row
            for row in rows
        ]

    found = sum(map(meant, read_rows(state)))
    if found and not only_count:
        _rewrite(state, without)
    return found


def _rewrite(state: str, change: Callable[[list[Row]], list[Row]]) -> None:
    folder = Path(state) / FOLDER
    with locked(folder, fcntl.LOCK_EX):
        rows = change(list(read_rows(state)))
        draft = folder / f"{ROWS}.{os.getpid()}.tmp"
        try:
            with open(draft, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                keep_owner(file.fileno(), folder)
                file.writelines(map(line, rows))
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, folder / ROWS)
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        records.settle(folder)
