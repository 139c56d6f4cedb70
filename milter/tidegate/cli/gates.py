"""The gates of a change: what has to say yes before it is applied. No data, an error and a time-out are a no.

Promises: each gate says what it found in one sentence. Refuses: changing anything, and passing where it can't tell.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tidegate.cli.confined import Opened, load
from tidegate.cli.confined import run as run_confined
from tidegate.cli.output import UnableError
from tidegate.cli.replay import Sources, compared
from tidegate.cli.test import try_paths
from tidegate.model import Conventions, Entry, PolicySet, Severity
from tidegate.replay.gate import PASS, Gate

_NAMED = 3
_FEW = 10  # entries that may be gone at once without a question, as in live/absence.py
_EXAMPLE = "example-failed"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one gate says."""

    gate: str
    passed: bool
    text: str

    def document(self) -> dict[str, object]:
        """For `--json`."""
        return {"gate": self.gate, "passed": self.passed, "text": self.text}


@dataclass(frozen=True, slots=True)
class Difference:
    """The entries of a candidate, by those of what is in use."""

    new: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    before: int = 0  # entries of what is in use

    @property
    def masses(self) -> bool:
        """Are more gone than anybody means?"""
        return len(self.gone) > _FEW and 2 * len(self.gone) > self.before


def same_digest(digest: str, wanted: str) -> Answer:
    """Are these the bytes that ran on test?"""
    if digest.startswith(wanted.lower()) and len(wanted) >= 12:
        return Answer("digest", True, f"these are the bytes of {wanted}")
    if len(wanted) < 12:
        return Answer("digest", False, "a digest is given with twelve digits at least")
    return Answer("digest", False, f"these are not the bytes of {wanted}: their digest is {digest}")


def checked(opened: Opened) -> tuple[Answer, Answer]:
    """Is everything in force as written, and are all examples kept?"""
    wrong = [one for one in opened.problems if one.severity is Severity.ERROR and one.code != _EXAMPLE]
    failed = [one for one in opened.problems if one.code == _EXAMPLE]
    check = "no problem" if not wrong else _some([f"{one.place}: {one.message}" for one in wrong], "problem")
    examples = "all are kept" if not failed else _some([f"{one.place}: {one.message}" for one in failed], "example")
    return Answer("check", not wrong, check), Answer("examples", not failed, examples)


def _some(texts: Sequence[str], what: str) -> str:
    more = f"; and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
    plural = "" if len(texts) == 1 else "s"
    return f"{len(texts)} {what}{plural}: {'; '.join(texts[:_NAMED])}{more}"


def scenarios(paths: Sequence[str], candidate: str, conventions: Conventions) -> Answer:
    """Does the directory `candidate` keep the promises of these scenario files, whichever directory they name?"""
    try:
        tried = json.loads(run_confined(lambda progress: try_paths(tuple(paths), conventions, progress, candidate)))
    except UnableError as error:
        return Answer("scenarios", False, error.message)
    failures = [f"{one['place']}: {one['name']}: {one['what']}" for one in tried["failures"]]
    if failures:
        return Answer("scenarios", False, _some(failures, "failure"))
    if not tried["scenarios"]:
        return Answer("scenarios", False, "there is no scenario in them: no data is no pass")
    return Answer("scenarios", True, f"{tried['scenarios']} are kept")


def replayed(before: PolicySet, after: PolicySet, sources: Sources, gate: Gate) -> Answer:
    """Does the mail of the last days keep its verdicts?"""
    try:
        done = compared(before, after, sources)
    except UnableError as error:
        return Answer("replay", False, error.message)
    decision = gate.decide(done.found, done.read.lost)
    return Answer("replay", decision.code == PASS, decision.reason)


def difference(current: str, opened: Opened, conventions: Conventions) -> Difference:
    """What of `current`, a policy directory, is other in a candidate. Raises UnableError where it can't be read."""
    before, after = _texts(load(current, conventions).report.entries), _texts(opened.report.entries)
    return Difference(
        tuple(sorted(after.keys() - before.keys())),
        tuple(sorted(key for key in after.keys() & before.keys() if after[key] != before[key])),
        tuple(sorted(before.keys() - after.keys())),
        len(before),
    )


def removals(found: Difference, allowed: bool) -> Answer:
    """Is what is gone meant to be gone?"""
    text = f"{len(found.gone)} of {found.before} entries are gone"
    if found.masses and not allowed:
        return Answer("removals", False, f"{text}; where that is meant: --remove")
    return Answer("removals", True, text)


def _texts(entries: Sequence[Entry]) -> Mapping[str, str]:
    return {str(one.key): one.digest for one in entries}
