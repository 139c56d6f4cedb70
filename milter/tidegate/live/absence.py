"""Absence is not deletion: what may be believed of sources that hold less than they did.

Promises: a source that is empty, cut, unreadable or gone takes nothing out of force, and entries that vanish in masses
stay until a person confirms. Pure: what is known from before is an argument.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import replace
from itertools import pairwise

from tidegate.alerts import problem
from tidegate.live.accepted import NO_OVERLAY, Accepted, File, Overlay, has_end_mark
from tidegate.model import EntryKey, Loaded, Place, Problem, Severity, Source

_FEW = 10  # so many entries may vanish at once without a question
_DAY = 86400.0  # seconds


def guard(
    sources: tuple[Source, ...], error: str, accepted: Accepted, confirmed: bool = False
) -> tuple[tuple[Source, ...], tuple[Problem, ...]]:
    """What the loader may believe of the sources: a known file that lost its content is unreadable, not empty.

    `error` says why the directory can't be read at all. An unreadable source makes every entry that is missing
    STALE (policy/load.py), which is what absence has to mean. `confirmed`: a person says that what is gone is meant to
    be; then an empty file is none, and only what can't be read keeps what it held.
    """
    if confirmed and not error:
        return tuple(source for source in sources if source.error or source.data.strip()), ()
    known = {name: file for name, file in accepted.files.items() if file.entries}
    if error or (not sources and known):
        why = error or "the policy directory holds no policy file any more"
        code = "source-unreadable" if error else "source-empty"
        lost = problem(code, f"{why}; what was in force before stays", Place(".", 0, 0))
        return tuple(Source(name, error=why) for name in known), (lost,)
    guarded: list[Source] = []
    problems: list[Problem] = []
    for source in sources:
        before = known.get(source.name)
        code, why = _loss(source, before) if before else ("", "")
        if code:
            problems.append(
                problem(code, f"{source.name}: {why}; what it held stays in force", Place(source.name, 1, 1))
            )
        guarded.append(replace(source, data=b"", error=why) if code else source)
    return tuple(guarded), tuple(problems)


def _loss(source: Source, before: File) -> tuple[str, str]:
    if source.error:
        return "", ""  # the reader itself names it
    if not source.data.strip():
        return "source-empty", "it is empty, and held entries before"
    if before.end_mark and not has_end_mark(source.data):
        return "source-truncated", "its end mark `...` is gone: it was cut"
    return "", ""


def digest_of(sources: tuple[Source, ...]) -> str:
    """What stands in all policy files together; "" where one of them can't be read."""
    if any(source.error for source in sources):
        return ""
    rows = "".join(f"{hashlib.sha256(source.data).hexdigest()} {source.name}\n" for source in sources)
    return hashlib.sha256(rows.encode("utf-8", "backslashreplace")).hexdigest()


def returned(digest: str, accepted: Accepted, now: float) -> bool:
    """Is it what was last believed to be whole, or what was until less than a day ago? Then somebody took an edit back:
    what that edit brought is gone, however much it was."""
    if not digest or not accepted.past:
        return False
    ends = pairwise(accepted.past)
    return accepted.past[-1][0] == digest or any(known == digest and now - end < _DAY for (known, _), (_, end) in ends)


def vanished(loaded: Loaded, before: Accepted, overlay: Overlay = NO_OVERLAY) -> tuple[EntryKey, ...]:
    """The entries that were accepted before and of which nothing is left, if those are too many to be believed.

    `overlay`: what lies over the files now. What it removes is gone, and so is what it no longer holds, whether or not
    the files have an entry of that id.
    """
    present = {entry.key for entry in loaded.entries} - overlay.removed
    gone = tuple(key for key in before.texts if key not in present)
    lost = tuple(key for key in before.overlay.texts if key not in overlay.texts and key not in gone)
    uncovered = tuple(key for key in (*gone, *lost) if key in before.overlay.texts)
    if _too_many(uncovered, before.overlay.texts):
        return uncovered
    return gone if _too_many(gone, before.texts) else ()


def _too_many(gone: Collection[EntryKey], known: Collection[EntryKey]) -> bool:
    return len(gone) > _FEW and 2 * len(gone) > len(known)


def mass_vanish(gone: tuple[EntryKey, ...], before: Accepted) -> Problem:
    """The alert for it, at the file in which the first of them stood."""
    some = ", ".join(str(key) for key in gone[:3])
    text = f"{len(gone)} entries are gone at once ({some}, …); they stay in force until `tidegate confirm`"
    home = before.homes.get(gone[0], "") or "."
    return problem("mass-vanish", text, Place(home, 1, 1), Severity.ERROR)
