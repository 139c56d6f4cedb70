"""A rule whose examples fail does not go live."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builders.policies import NOW
from tidegate import image
from tidegate.loader import proof
from tidegate.model import Conventions, EntryKey, EntryKind, EntryState, Source
from tidegate.policy.load import LoadedPolicy, load_policy

KEY = EntryKey(EntryKind.RULE, "r")
RULE = "version: 1\nrules:\n  - {{id: r, when: {{subject: {{contains: {}}}}}, do: {{hold: {{reason: look}}}}{}}}\n...\n"


def policy_of(source: Source, accepted: dict[EntryKey, str], skip: dict[str, str]) -> LoadedPolicy:
    """Load one file."""
    return load_policy((source,), lambda name: Source(name, error="none"), Conventions(), NOW, accepted, skip=skip)


def test_a_failing_rule_serves_as_it_last_was(tmp_path: Path) -> None:
    """The rule falls back on its accepted text, with the failed example as reason and as a problem with its line."""
    old = policy_of(Source("a.yaml", RULE.format("old", "").encode()), {}, {}).loaded.texts
    source = Source("a.yaml", RULE.format("new", ", examples: {match: [{subject: other}]}").encode())
    told: list[str] = []
    policy = policy_of(source, dict(old), {})
    found = proof.prove(policy, image.build(policy.loaded, 1), old, (source,), str(tmp_path), NOW, told.append)
    assert ["a.yaml: rule r"] == told == list(found.skip)
    assert [("example-failed", KEY)] == [(one.code, one.entry) for one in found.problems]
    assert "examples" in found.problems[0].excerpt
    again = policy_of(source, dict(old), dict(found.skip)).loaded
    assert [EntryState.STALE] == [one.state for one in again.entries]
    assert again.entries[0].reason.startswith("an example of it fails: expected: it matches")
    assert old == again.texts


@pytest.mark.parametrize("changed", [True, False], ids=["changed", "as accepted"])
def test_only_what_changed_is_proven(tmp_path: Path, changed: bool) -> None:
    """A rule that serves already is not taken out of force by an example."""
    source = Source("a.yaml", RULE.format("new", ", examples: {match: [{subject: other}]}").encode())
    policy = policy_of(source, {}, {})
    accepted = {} if changed else policy.loaded.texts
    found = proof.prove(
        policy, image.build(policy.loaded, 1), accepted, (source,), str(tmp_path), NOW, lambda _name: None
    )
    assert changed is bool(found.skip)


def test_a_doubt_is_no_failure(tmp_path: Path) -> None:
    """What can't be known today says nothing against the text."""
    more = ", examples: {match: [{subject: new, unreadable: [subject]}]}"
    source = Source("a.yaml", RULE.format("new", more).encode())
    policy = policy_of(source, {}, {})
    found = proof.prove(policy, image.build(policy.loaded, 1), {}, (source,), str(tmp_path), NOW, lambda _name: None)
    assert proof.Proof() == found
