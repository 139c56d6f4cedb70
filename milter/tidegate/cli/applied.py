"""What `tidegate apply` did, for a person and for programs, and whether a daemon has it in force."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.cli.gates import Answer, Difference
from tidegate.cli.output import UnableError
from tidegate.cli.progress import Bar
from tidegate.cli.reach import Daemon
from tidegate.cli.releasing import Deed
from tidegate.cli.statustext import moment, several

_LOOK = 0.2
_PATIENCE = 120.0  # seconds beyond the longest canary; the loader itself has 60
_NAMED = 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one apply. `daemon` says what became of it there."""

    link: str
    digest: str
    previous: str
    files: int
    answers: tuple[Answer, ...]
    difference: Difference
    applied: bool
    until: float = 0.0
    forced: tuple[str, ...] = ()
    daemon: str = ""


def document(one: Outcome) -> dict[str, Any]:
    """For `--json`."""
    entries = {"new": one.difference.new, "changed": one.difference.changed, "gone": one.difference.gone}
    return {
        "link": one.link,
        "digest": one.digest,
        "previous": one.previous,
        "files": one.files,
        "gates": [answer.document() for answer in one.answers],
        "entries": {name: list(keys) for name, keys in entries.items()},
        "applied": one.applied,
        "until": one.until or None,
        "forced": list(one.forced),
        "daemon": one.daemon,
    }


def text(one: Outcome) -> Iterator[str]:
    """Lines for a person."""
    yield f"digest {one.digest}, {several(one.files, 'file')}"
    for answer in one.answers:
        word = "ok" if answer.passed else "passed by" if answer.gate in one.forced else "NO"
        yield f"  {word:<10}{answer.gate}: {answer.text}"
    changes = one.difference
    yield f"{len(changes.new)} entries are new, {len(changes.changed)} changed, {len(changes.gone)} gone"
    for word, keys in (("new", changes.new), ("changed", changes.changed), ("gone", changes.gone)):
        yield from (f"  {word:<10}{key}" for key in keys[:_NAMED])
        if len(keys) > _NAMED:
            yield f"  {word:<10}… and {len(keys) - _NAMED} more"
    if not one.applied:
        yield f"not applied; {one.link} is as it was"
        return
    before = f" (before: {one.previous[:12]})" if one.previous else ""
    yield f"applied: {one.link} is release {one.digest[:12]}{before}"
    if one.until:
        yield f"it lapses at {moment(one.until)}, and the one before it serves, unless: tidegate apply --confirm"
    if one.daemon:
        yield one.daemon


def history_text(deeds: Sequence[Deed], now: float) -> Iterator[str]:
    """The history, the newest last."""
    confirmed = {deed.digest for deed in deeds if deed.what == "confirm"}
    for deed in deeds:
        parts = [moment(deed.at), f"{deed.what:<8}", deed.digest[:12], f"by {deed.who}"]
        if deed.previous:
            parts.append(f"instead of {deed.previous[:12]}")
        if deed.forced:
            parts.append(f"PAST ITS GATES ({', '.join(deed.forced)})")
        if deed.until and deed.digest not in confirmed:
            parts.append(f"lapsed at {moment(deed.until)}" if now >= deed.until else f"until {moment(deed.until)}")
        if deed.reason:
            parts.append(f": {deed.reason}")
        yield "  ".join(parts).replace("  : ", ": ")
    if not deeds:
        yield "nothing was ever applied"


def wait_for(daemon: Daemon, digest: str, loads: int) -> str:
    """Until this release is in force for all; what to say then. `loads`: how many had ended when it was asked to load.

    Raises UnableError where it does not come into force.
    """
    bar = Bar("waiting until it is in force")
    try:
        return _until_in_force(daemon, digest, loads, bar)
    finally:
        bar.clear()


def _until_in_force(daemon: Daemon, digest: str, loads: int, bar: Bar) -> str:
    began, end = time.monotonic(), 0.0
    while True:
        status = daemon.status(brief=True)
        now = time.monotonic()
        end = end or now + _PATIENCE + float(status["settings"]["values"].get("canary_longest", 0.0))
        if _in_force(status, digest):
            return f"in force: generation {status['generation']['number']}"
        if _refused(status, digest, loads):
            raise UnableError("it is not in force: tidegate status says why")
        if now > end:
            raise UnableError("it is not in force yet; tidegate status shows how far it is")
        bar.show(round(now - began), round(end - began), "on trial" if _on_trial(status) else "loading")
        time.sleep(_LOOK)


def _in_force(status: Mapping[str, Any], digest: str) -> bool:
    desired, number = status["desired"], status["generation"]["number"]
    everywhere = all(worker["generation"] == number for worker in status["workers"] if not worker["leaving"])
    return desired.get("release") == digest and desired["active"] and everywhere and not _on_trial(status)


def _refused(status: Mapping[str, Any], digest: str, loads: int) -> bool:
    """Was it read, and is neither in force nor on its way?"""
    load, desired = status["load"], status["desired"]
    over = load["count"] > loads and not load["busy"] and not _on_trial(status)
    return bool(over and (desired.get("release") != digest or not desired["active"]))


def _on_trial(status: Mapping[str, Any]) -> bool:
    return bool((status.get("canary") or {}).get("runs"))
