"""A broken entry whose file is lost stays what it was: absence changes no verdict."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.builders.policies import codes, load_text, states
from tidegate.model import Place, Rule
from tidegate.policy.load import LoadedPolicy

GOOD = """version: 1
lists:
  l: {type: login, items: [alice, bob]}
conditions:
  c: {login: alice}
rules:
  - {id: asks, when: {login: {in: l}}, do: {hold: {reason: x}}, tags: [t]}
  - {id: uses, when: {use: c}, do: {hold: {reason: x}}}
  - {id: r, when: {login: alice}, do: {hold: {reason: x}}}
...
"""
BROKEN = {
    "unknown key": GOOD.replace("id: r, when", "id: r, whenn"),
    "switched off": GOOD.replace("id: r, when", "id: r, mode: off, whenn"),
    "in shadow": GOOD.replace("id: r, when", "id: r, mode: shadow, whenn"),
    "a bracket": GOOD.replace("id: r, when: {", "id: r, mode: off, when: {{"),
    "block style": GOOD.replace("  - {id: r, when: {login: alice}", "  - id: r\n    mode: off\n    when: [\n    #"),
    "twice": GOOD.replace("...", "  - {id: r, when: always, do: {hold: {reason: x}}}\n..."),
    "a list": GOOD.replace("{type: login, items", "{type: login, itemz"),
    "a list that is no YAML": GOOD.replace("items: [alice, bob]", "items: [alice"),
    "a condition": GOOD.replace("c: {login", "c: {logn"),
    "an exempt, never valid": GOOD.replace("...", "  - {id: e, whenn: x, do: {exempt: [r, t]}}\n..."),
    "deferring": GOOD.replace("...", "  - {id: d, whenn: x, on_invalid: defer, do: {hold: {reason: x}}}\n..."),
    "deferring, no YAML": GOOD.replace(
        "...", "  - id: d\n    on_invalid: defer\n    scope: {logins: bob}\n    when: [\n..."
    ),
    "skipped": GOOD.replace("...", "  - {id: d, whenn: x, do: {hold: {reason: x}}}\n..."),
}


def judged(policy: LoadedPolicy) -> list[Rule]:
    """The rules without where they stand."""
    return [replace(rule, place=Place("", 0, 0)) for rule in policy.loaded.rules]


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_nothing_changes(text: str) -> None:
    """States, rules and lists are the same with the file gone, and after the next load that does not find it either."""
    accepted = load_text(GOOD).loaded.texts
    before = load_text(text, accepted=accepted)
    assert before.broken
    for _ in range(2):
        lost = load_text(accepted=before.loaded.texts, broken=before.broken, lost=["1.yaml"])
        changed = {key: state for key, state in states(lost).items() if states(before).get(key) != state}
        assert {} == {key: state for key, state in changed.items() if state != "stale"}
        assert [rule.when for rule in judged(before)] == [rule.when for rule in judged(lost)]
        assert [(rule.id, rule.state, rule.mode) for rule in judged(before)] == [
            (rule.id, rule.state, rule.mode) for rule in judged(lost)
        ]
        assert [(one.name, one.items, one.doubted) for one in before.loaded.lists] == [
            (one.name, one.items, one.doubted) for one in lost.loaded.lists
        ]
        assert all(not one.place.line for one in lost.loaded.problems if one.entry is not None)
        before = replace(before, broken=lost.broken, loaded=replace(before.loaded, texts=lost.loaded.texts))


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_what_is_deleted_is_gone(text: str) -> None:
    """The file is whole and the entry does not stand in it: nothing of it is remembered."""
    before = load_text(text, accepted=load_text(GOOD).loaded.texts)
    after = load_text("version: 1\nrules: []\n...\n", accepted=before.loaded.texts, broken=before.broken)
    assert ({}, []) == (states(after), codes(after))
    assert {} == dict(after.broken)
