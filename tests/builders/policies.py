"""Policies in one line, for the tests of the policy language: text in, what was loaded out."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Mapping, Sequence

from tidegate.model import Condition, Conventions, EntryKey, EntryKind, Loaded, Problem, Rule, Severity, Source
from tidegate.policy.layers import NO_LAYER, NOTHING_COVERED, Covered, Layer
from tidegate.policy.load import LoadedPolicy, load_policy

NOW = 1_800_000_000.0
"""The tests' clock: 15 January 2027, 08:00 UTC."""

HOLD = '{hold: {reason: "Look at it"}}'


def a_policy(text: str) -> str:
    """`text` without its indentation, between version and end mark."""
    return f"version: 1\n{textwrap.dedent(text).strip()}\n...\n"


def load_text(
    *texts: str,
    files: Mapping[str, str | bytes] | None = None,
    accepted: Mapping[EntryKey, str] | None = None,
    conventions: Conventions | None = None,
    skip: Collection[str] = (),
    progress: list[str] | None = None,
    now: float = NOW,
    lost: Collection[str] = (),
    stale: Mapping[EntryKey, float] | None = None,
    broken: Mapping[EntryKey, Sequence[str]] | None = None,
    redis: bool = True,
    layer: Layer = NO_LAYER,
    covered: Covered = NOTHING_COVERED,
) -> LoadedPolicy:
    """Load policies `1.yaml`, `2.yaml` …; `files` are list files, `lost` are policy files that can't be read."""

    def read_file(name: str) -> Source:
        data = (files or {}).get(name)
        if data is None:
            return Source(name, error="No such file or directory")
        return Source(name, data if isinstance(data, bytes) else data.encode())

    sources = [Source(f"{number}.yaml", text.encode()) for number, text in enumerate(texts, 1)]
    sources += [Source(name, error="Permission denied") for name in lost]
    told: list[str] = [] if progress is None else progress
    return load_policy(
        sources,
        read_file,
        conventions or Conventions(),
        now,
        accepted,
        told.append,
        frozenset(skip),
        stale=stale or {},
        broken=broken or {},
        redis=redis,
        layer=layer,
        covered=covered,
    )


def a_rule(when: str = "always", do: str = HOLD, more: str = "", before: str = "") -> str:
    """A policy with one rule `r`, flow style; `more` are further keys, `before` are further sections."""
    keys = f", {more}" if more else ""
    return f"version: 1\n{before}\nrules:\n  - {{id: r, when: {when}, do: {do}{keys}}}\n...\n"


def the_rule(loaded: LoadedPolicy, name: str = "r") -> Rule:
    """The rule `name`; nothing may be wrong with the policy."""
    assert [] == errors(loaded.loaded)
    return next(rule for rule in loaded.loaded.rules if rule.id == name)


def errors(loaded: Loaded) -> list[str]:
    """Code and message of everything that is graver than a warning."""
    return [f"{one.code}: {one.message}" for one in loaded.problems if one.severity is Severity.ERROR]


def codes(loaded: LoadedPolicy) -> list[str]:
    """The codes of all problems, in order."""
    return [one.code for one in loaded.loaded.problems]


def states(loaded: LoadedPolicy) -> dict[str, str]:
    """The state of each entry: {"rule r": "active"}."""
    return {str(entry.key): entry.state.value for entry in loaded.loaded.entries}


def rule_key(name: str) -> EntryKey:
    """The key of a rule."""
    return EntryKey(EntryKind.RULE, name)


def condition_of(when: str, before: str = "", more: str = "") -> Condition:
    """What `when` comes to in a rule that is otherwise fine."""
    return the_rule(load_text(a_rule(when, before=before, more=more))).when


def problems_of(loaded: LoadedPolicy, code: str) -> list[Problem]:
    """All problems of one code."""
    return [one for one in loaded.loaded.problems if one.code == code]
