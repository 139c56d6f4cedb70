"""Loading never raises, whatever the structure and whatever the bytes, and always says what became of each entry."""

from __future__ import annotations

import json

import pytest

hypothesis = pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, given, settings  # noqa: E402 - after the check that it is there
from hypothesis import strategies as st  # noqa: E402

from tests.builders.policies import load_text  # noqa: E402
from tidegate.conditions.fields import FIELDS  # noqa: E402
from tidegate.model import EntryState, Severity, Source  # noqa: E402
from tidegate.policy.actions import ACTIONS  # noqa: E402
from tidegate.policy.comparisons import WRITTEN_OPERATORS  # noqa: E402
from tidegate.policy.examples import CASE_KEYS  # noqa: E402
from tidegate.policy.keys import EXCEPT_KEYS, RULE_KEYS  # noqa: E402
from tidegate.policy.lists import KINDS, LIST_KEYS  # noqa: E402
from tidegate.policy.render import render  # noqa: E402
from tidegate.policy.scenarios import EXPECT_KEYS, SCENARIO_FILE_KEYS, SCENARIO_KEYS, parse_scenarios  # noqa: E402
from tidegate.policy.schedule import ACTIVE_KEYS  # noqa: E402
from tidegate.policy.when import WORDS  # noqa: E402

KEYS = sorted(
    {*RULE_KEYS, *EXCEPT_KEYS, *LIST_KEYS, *CASE_KEYS, *FIELDS, *ACTIONS, *WRITTEN_OPERATORS, *WORDS, *ACTIVE_KEYS}
    | {*SCENARIO_FILE_KEYS, *SCENARIO_KEYS, *EXPECT_KEYS, "matched", "code", "text", "reason", "confirm", "match"}
)
VALUES = ["a", "b", "always", "all", "matched", "example.com", "a@example.com", "10.0.0.0/8", "2027-06-30", "550 5.7.1"]
scalars = st.one_of(
    st.sampled_from([*VALUES, *(kind.value for kind in KINDS), "off", "shadow", "defer", "", "mon-fri", "08:00-09:00"]),
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=20,
)
rules = st.dictionaries(st.sampled_from(sorted(RULE_KEYS)), values, max_size=6)
limits = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def consistent(*texts: str) -> None:
    """Each entry that is not in force as written has a reason; each problem can be shown."""
    loaded = load_text(*texts, files={"a": "a\nb"}).loaded
    for entry in loaded.entries:
        if entry.state in (EntryState.SKIPPED, EntryState.STALE, EntryState.DEFERRING):
            assert entry.reason
    for problem in loaded.problems:
        assert render(problem)
    broken = {one.entry for one in loaded.problems if one.severity is Severity.ERROR and one.entry}
    assert not broken & set(loaded.texts)


@limits
@given(
    st.lists(rules, max_size=3),
    st.dictionaries(st.sampled_from("abc"), values),
    st.dictionaries(st.sampled_from("abc"), values),
)
def test_any_structure(found: list, lists: dict, conditions: dict) -> None:
    """Known keys with whatever behind them. JSON is YAML."""
    named = [{"id": name, **rule} for name, rule in zip("abc", found, strict=False)]
    parts = {"version": 1, "lists": lists, "conditions": conditions, "rules": named}
    consistent(json.dumps(parts) + "\n...\n")


@limits
@given(values)
def test_any_condition(value: object) -> None:
    """Behind `when`, where most is written."""
    consistent(json.dumps({"version": 1, "rules": [{"id": "a", "when": value, "do": {"hold": {"reason": "b"}}}]}))


@limits
@given(values)
def test_any_action(value: object) -> None:
    """Behind `do`."""
    consistent(json.dumps({"version": 1, "rules": [{"id": "a", "when": "always", "on_invalid": "defer", "do": value}]}))


@limits
@given(values)
def test_any_scenario_file(value: object) -> None:
    """Scenario files are read by the same reader."""
    parse_scenarios(Source("s.yaml", json.dumps(value).encode()))


@limits
@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    """Whatever stands in a file."""
    consistent(text.encode("utf-8", "replace").decode(), "version: 1\nrules:\n" + text)
