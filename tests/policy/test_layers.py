"""Two layers: what the upper one holds replaces what the files hold under the same id, and never by accident."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from tests.builders.policies import a_policy, codes, load_text
from tidegate.model import EntryKey, EntryKind, Source
from tidegate.policy.layers import Layer
from tidegate.policy.load import LoadedPolicy

R = EntryKey(EntryKind.RULE, "r")
FILE = a_policy("rules:\n  - {id: r, when: {login: alice}, do: {hold: {reason: file}}}")
OTHER = a_policy("rules:\n  - {id: r, when: {login: alice}, do: {hold: {reason: edited file}}}")
UPPER = a_policy("rules:\n  - {id: r, when: {login: alice}, do: {hold: {reason: upper}}}")
BROKEN = a_policy("rules:\n  - {id: r, whenn: {login: alice}, do: {hold: {reason: broken}}}")
NO_YAML = "version: 1\nrules:\n  - {id: r, when: {login: [}}\n...\n"
EMPTY = a_policy("rules: []")


def a_layer(text: str = "", removed: bool = False, error: str = "", key: EntryKey = R) -> Layer:
    """`redis:test` with one entry, one tombstone, or the reason why it can't be read."""
    sources = {key: Source(f"redis:test/{key.id}@12345678", text.encode())} if text else {}
    return Layer("redis:test", sources, frozenset({key}) if removed else frozenset(), error)


@dataclass(frozen=True, slots=True)
class Load:
    """One load: the file (None: it can't be read), and the upper layer."""

    file: str | None
    layer: Layer = field(default_factory=a_layer)


def load_all(loads: tuple[Load, ...]) -> LoadedPolicy:
    """One after the other, each with what the one before left."""
    before = LoadedPolicy(load_text().loaded)
    for one in loads:
        before = load_text(
            *([one.file] if one.file is not None else []),
            lost=[] if one.file is not None else ["1.yaml"],
            accepted=before.loaded.texts,
            broken=before.broken,
            layer=one.layer,
            covered=before.covered,
        )
    return before


def reasons(policy: LoadedPolicy) -> Mapping[str, str]:
    """The hold reason of each rule in force: which text serves."""
    return {
        rule.id: rule.do.ending.reason.text
        for rule in policy.loaded.rules
        if rule.do.ending is not None and rule.do.ending.reason is not None and rule.state.value != "skipped"
    }


GONE = "Connection refused"
CASES: dict[str, tuple[tuple[Load, ...], str, str, str]] = {
    # what happened, load after load; then: whose text serves, the entry's state, what it overrides
    "the upper one replaces": ((Load(FILE, a_layer(UPPER)),), "upper", "active", "1.yaml:3:5"),
    "it stands above only": ((Load(EMPTY, a_layer(UPPER)),), "upper", "active", ""),
    "it stands below only": ((Load(FILE),), "file", "active", ""),
    "a tombstone removes": ((Load(FILE, a_layer(removed=True)),), "", "off", "1.yaml:3:5"),
    "taken out of the upper layer": ((Load(FILE, a_layer(UPPER)), Load(FILE)), "file", "active", ""),
    "a tombstone taken back": ((Load(FILE, a_layer(removed=True)), Load(FILE)), "file", "active", ""),
    "broken above, never valid": ((Load(FILE), Load(FILE, a_layer(BROKEN))), "file", "stale", "1.yaml:3:5"),
    "broken above at the first load": ((Load(FILE, a_layer(BROKEN)),), "file", "stale", "1.yaml:3:5"),
    "no YAML above": ((Load(FILE, a_layer(NO_YAML)),), "file", "stale", "1.yaml:3:5"),
    "broken above, and the file is edited": (
        (Load(FILE), Load(FILE, a_layer(BROKEN)), Load(OTHER, a_layer(BROKEN))),
        "edited file",
        "stale",
        "1.yaml:3:5",
    ),
    "broken above, valid before": (
        (Load(FILE, a_layer(UPPER)), Load(FILE, a_layer(BROKEN)), Load(OTHER, a_layer(BROKEN))),
        "upper",
        "stale",
        "1.yaml:3:5",
    ),
    "broken above and below, never valid above": (
        (Load(FILE), Load(BROKEN, a_layer(BROKEN))),
        "file",
        "stale",
        "1.yaml:3:5",
    ),
    "broken everywhere, always": ((Load(BROKEN, a_layer(BROKEN)),), "", "skipped", "1.yaml:3:5"),
    "the layer can't be read": (
        (Load(FILE, a_layer(UPPER)), Load(OTHER, a_layer(error=GONE)), Load(OTHER, a_layer(error=GONE))),
        "upper",
        "stale",
        "1.yaml:3:5",
    ),
    "a tombstone that can't be read": (
        (Load(FILE, a_layer(removed=True)), Load(FILE, a_layer(error=GONE)), Load(FILE, a_layer(error=GONE))),
        "",
        "off",
        "1.yaml:3:5",
    ),
    "nothing was above, and it can't be read": (
        (Load(FILE), Load(OTHER, a_layer(error=GONE))),
        "edited file",
        "active",
        "",
    ),
    "the file can't be read": ((Load(FILE, a_layer(UPPER)), Load(None, a_layer(UPPER))), "upper", "active", ""),
    "neither can be read": ((Load(FILE, a_layer(UPPER)), Load(None, a_layer(error=GONE))), "upper", "stale", ""),
    "a tombstone while the file can't be read": (
        (Load(FILE), Load(None, a_layer(removed=True))),
        "",
        "off",
        "",
    ),
    "back from being unreadable": (
        (Load(FILE, a_layer(UPPER)), Load(FILE, a_layer(error=GONE)), Load(FILE, a_layer(UPPER))),
        "upper",
        "active",
        "1.yaml:3:5",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("loads", "serves", "state", "overrides"), CASES.values(), ids=CASES)
def test_which_text_serves(loads: tuple[Load, ...], serves: str, state: str, overrides: str) -> None:
    """The upper layer's where it has one; no other comes into force because something broke or is gone."""
    policy = load_all(loads)
    entry = next(one for one in policy.loaded.entries if one.key == R)
    assert ({"r": serves} if serves else {}) == reasons(policy)
    assert (state, overrides) == (entry.state.value, entry.overrides)


def test_one_id_in_both_layers_is_no_duplicate() -> None:
    """Nothing is wrong, and the place is the upper one's."""
    policy = load_all((Load(FILE, a_layer(UPPER)),))
    assert [] == codes(policy)
    assert ["redis:test/r@12345678"] == [one.place.source for one in policy.loaded.entries]


def test_a_doubled_id_below_is_covered() -> None:
    """The files hold it twice, which is nobody's business while the upper layer says what it is."""
    twice = a_policy(f"rules:\n{FILE.splitlines()[2]}\n{FILE.splitlines()[2]}")
    policy = load_all((Load(twice, a_layer(UPPER)),))
    assert ({"r": "upper"}, []) == (reasons(policy), codes(policy))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (BROKEN, "unknown-key"),
        (NO_YAML, "yaml-syntax"),
        ("version: 2\nrules: []\n...\n", "unknown-version"),
        ("rules: []\n...\n", "no-version"),
        (a_policy("rules:\n  - {id: other, when: always, do: {hold: {reason: x}}}"), "bad-id"),
        (UPPER.replace("...", "  - {id: more, when: always, do: {hold: {reason: x}}}\n..."), "bad-id"),
        (UPPER.replace("reason: upper", "reason: \x01"), "control-character"),
        ("\x00" * 40, "wrong-section-type"),
        ("[" * 50_000, "too-deep"),
    ],
    ids=["a key", "no YAML", "version", "no version", "another entry", "two entries", "control", "NULs", "deep"],
)
def test_what_is_wrong_is_told_at_its_key(text: str, code: str) -> None:
    """The alert names the entry and the source in Redis; the file's version serves, nothing else is touched."""
    policy = load_all((Load(FILE, a_layer(text)),))
    assert code in [one.code for one in policy.loaded.problems if one.entry == R]
    assert all(one.place.source.startswith("redis:test/r@") for one in policy.loaded.problems)
    assert {"r": "file"} == reasons(policy)


def test_a_removed_list_leaves_its_rules_as_they_were() -> None:
    """A tombstone for a list that a rule asks: the rule serves as it last was, and says so."""
    file = a_policy(
        "lists:\n  l: {type: login, items: [a]}\nrules:\n  - {id: r, when: {login: {in: l}}, do: {hold: {reason: x}}}"
    )
    key = EntryKey(EntryKind.LIST, "l")
    policy = load_all((Load(file), Load(file, a_layer(removed=True, key=key))))
    assert {"r": "stale"} == {one.key.id: one.state.value for one in policy.loaded.entries if one.key == R}
    assert "unknown-list" in codes(policy)


def test_a_skipped_text_of_the_upper_layer_counts_as_broken() -> None:
    """One whose examples fail, or that killed the loader: the file's serves, as if it could not be read."""
    policy = load_text(FILE, layer=a_layer(UPPER), skip=["redis:test/r@12345678: rule r"])
    assert {"r": "file"} == reasons(policy)
