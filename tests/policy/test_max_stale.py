"""`max_stale`: how long the last valid version of a broken rule may serve, and what comes then."""

from __future__ import annotations

import pytest

from tests.builders.policies import codes, load_text, rule_key, states
from tests.builders.transactions import FakePolicies, a_transaction
from tidegate.engine.judge import judge
from tidegate.model import Disposition
from tidegate.policy.load import LoadedPolicy

NOW = 1_800_000_000.0
DAY = 86400.0
REJECT = '{reject: {code: "550 5.7.1", text: "no"}}'
WHEN = "{all: [{login: alice@example.com}, {not: {sender.domain: spared.example}}]}"
EXCEPT = "except: [{name: x, when: {sender.domain: excepted.example}}]"


def rule(more: str, broken: bool = False) -> str:
    body = "whenn: x" if broken else f"when: {WHEN}, {EXCEPT}"
    return f"version: 1\nrules:\n  - {{id: r, {body}, do: {REJECT}, {more}}}\n...\n"


def loaded(good: str, bad: str, age: float) -> LoadedPolicy:
    """The last valid text, and what stands there now, broken for `age` seconds."""
    accepted = load_text(rule(good)).loaded.texts
    return load_text(rule(bad, broken=True), accepted=accepted, stale={rule_key("r"): NOW - age}, now=NOW)


def verdict(policy: LoadedPolicy, sender: str, login: str = "alice@example.com") -> tuple[Disposition, bool]:
    found = judge(a_transaction(login=login, sender=sender), FakePolicies(policy.loaded.rules), NOW)
    return found.disposition, found.certain


DEFER = "max_stale: {after: 7d, then: defer}"


@pytest.mark.parametrize(
    ("good", "bad", "age", "state", "told"),
    [
        ("owner: me", "owner: me", 900 * DAY, "stale", False),
        ("max_stale: 7d", "max_stale: 7d", 6 * DAY, "stale", False),
        ("max_stale: 7d", "max_stale: 7d", 8 * DAY, "stale", True),
        ("max_stale: {after: 7d}", "owner: me", 8 * DAY, "stale", True),
        (DEFER, DEFER, 6 * DAY, "stale", False),
        (DEFER, DEFER, 8 * DAY, "deferring", True),
        (DEFER, "owner: me", 8 * DAY, "deferring", True),
        ("owner: me", DEFER, 8 * DAY, "deferring", True),
        (DEFER, "max_stale: 9d", 8 * DAY, "stale", False),
        (DEFER, f"{DEFER}, mode: off", 8 * DAY, "off", False),
        (DEFER, DEFER, -DAY, "stale", False),
    ],
    ids=[
        "without one, for ever", "in time", "alert only", "alert is the default", "in time for the mail too", "defer",
        "the broken text is silent", "the broken text says it", "the broken text has longer",
        "switched off", "the clock was set back",
    ],
)  # fmt: skip
def test_states(good: str, bad: str, age: float, state: str, told: bool) -> None:
    """After its time the rule is told, and where it says so, counts as DEFERRING."""
    found = loaded(good, bad, age)
    assert {"rule r": state} == states(found)
    assert told == ("stale-too-long" in codes(found))


@pytest.mark.parametrize(
    ("sender", "login", "wanted"),
    [
        ("a@example.com", "alice@example.com", Disposition.DEFER),
        ("a@excepted.example", "alice@example.com", Disposition.DEFER),
        ("a@spared.example", "alice@example.com", Disposition.DEFER),
        ("a@example.com", "bob@example.com", Disposition.ACCEPT),
    ],
    ids=["matches", "is excepted", "is spared by `not`", "concerns another login"],
)
def test_whose_mail_waits(sender: str, login: str, wanted: Disposition) -> None:
    """All that the rule may concern, by what it let through too: the edit may have been meant to narrow that."""
    assert (wanted, wanted is Disposition.ACCEPT) == verdict(loaded(DEFER, DEFER, 8 * DAY), sender, login)


def test_a_rule_that_can_not_be_found_has_an_age_too() -> None:
    """Its file is unreadable: after its time its mail waits as well."""
    accepted = load_text(rule(DEFER)).loaded.texts
    found = load_text(accepted=accepted, stale={rule_key("r"): NOW - 8 * DAY}, now=NOW, lost=["1.yaml"])
    assert {"rule r": "deferring"} == states(found)
    assert (Disposition.DEFER, False) == verdict(found, "a@example.com")


def test_a_repaired_rule_is_young() -> None:
    """Nothing of its age is left, and its text stays in force for the next load meanwhile."""
    broken = loaded(DEFER, DEFER, 8 * DAY)
    assert rule_key("r") in broken.loaded.texts
    assert [NOW - 8 * DAY] == [entry.since for entry in broken.loaded.entries]
    good = load_text(rule(DEFER), accepted=broken.loaded.texts, stale={rule_key("r"): NOW - 8 * DAY}, now=NOW)
    assert ({"rule r": "active"}, [0.0]) == (states(good), [entry.since for entry in good.loaded.entries])


def test_when_a_load_is_due() -> None:
    """At the end of the first `max_stale`: nobody has to touch a file."""
    assert NOW + DAY == loaded(DEFER, DEFER, 6 * DAY).due
    assert 0.0 == loaded(DEFER, DEFER, 8 * DAY).due
    assert 0.0 == loaded("owner: me", "owner: me", DAY).due
