"""Examples before a rule goes live: a changed rule whose examples fail is treated as a broken one.

Only what changed is proven: a list that was edited or can't be read must not take a rule out of force that serves
already, and `tidegate test` tells of those. A doubt is no failure here for the same reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tidegate import image, trial
from tidegate.loader.sources import read_file
from tidegate.model import EntryKey, EntryKind, Problem, ReadFile, Source
from tidegate.policy.excerpts import with_excerpts
from tidegate.policy.load import LoadedPolicy


@dataclass(frozen=True, slots=True)
class Proof:
    """What failed: `skip` holds progress names of entries and why they don't count as written."""

    skip: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def prove(
    policy: LoadedPolicy,
    data: bytes,
    accepted: Mapping[EntryKey, str],
    sources: tuple[Source, ...],
    base: str,
    now: float,
    progress: Callable[[str], None],
) -> Proof:
    """Try the examples of all rules that differ from `accepted`. `data` is the image made of `policy`."""
    changed = _changed(policy, accepted) & policy.examples.keys()
    if not changed:
        return Proof()
    found = trial.prove(policy, image.Generation(data), now, changed, _messages(base), doubts=False, progress=progress)
    rules = {rule.id: rule for rule in policy.loaded.rules}
    skip: dict[str, str] = {}
    for one in found:
        assert one.entry is not None
        name = trial.progress_name(rules[one.entry.id])
        skip.setdefault(name, f"an example of it fails: {one.message}")
    return Proof(skip, tuple(with_excerpts(list(found), {one.name: one.data for one in sources})))


def _changed(policy: LoadedPolicy, accepted: Mapping[EntryKey, str]) -> set[str]:
    """Ids of the rules to prove; all of them where a condition changed, which any rule may use."""
    changed = {key for key, text in policy.loaded.texts.items() if accepted.get(key) != text}
    if any(key.kind is EntryKind.CONDITION for key in changed):
        return {rule.id for rule in policy.loaded.rules}
    return {key.id for key in changed if key.kind is EntryKind.RULE}


def _messages(base: str) -> ReadFile:
    """Reads a case's message below the policy directory."""

    def read(name: str) -> Source:
        if name.startswith("/") or ".." in name.split("/"):
            return Source(name, error="it does not lie below the policy directory")
        return read_file(base, name)

    return read
