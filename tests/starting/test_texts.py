"""The first policy as the daemon reads it: valid, its examples kept, all of it in shadow."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate import trial
from tidegate.cli.policies import files_of as list_files
from tidegate.cli.policies import open_policies
from tidegate.model import Conventions, EntryState, Mode
from tidegate.starting import Answers, Defects, answers_from, files_of

ANSWERS = {
    "least": Answers(("example.com",)),
    "below-a-domain": Answers((".example.com",)),
    "networks": Answers(("example.com",), ("10.0.0.0/8", "2001:db8::/32")),
    "logins": Answers(("example.com",), (), (("alice", ("alice@example.com", "@example.org")),)),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_it_is_valid_and_keeps_its_promises(name: str, tmp_path: Path) -> None:
    """No problem of any severity, every example kept, every rule in shadow, two examples or more."""
    for file, text in files_of(ANSWERS[name]).items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text)
    policy, generation, problems = open_policies(str(tmp_path), Conventions())
    assert [] == list(problems)
    assert [] == list(trial.prove(policy, generation, 0.0, read_file=list_files(str(tmp_path))))
    assert {Mode.SHADOW} == {rule.mode for rule in policy.loaded.rules}
    assert {EntryState.SHADOW, EntryState.ACTIVE} == {entry.state for entry in policy.loaded.entries}
    assert sum(map(len, policy.examples.values())) >= 2


def test_whose_address_is_whose_decides_which_rule_is_written() -> None:
    """Without a map of logins only the domain of the sender can be judged."""
    known, unknown = (files_of(ANSWERS[name])["20-accounts.yaml"] for name in ("logins", "least"))
    assert "id: spoofed-from" in known
    assert "id: foreign-sender" not in known
    assert "id: foreign-sender" in unknown
    assert "id: spoofed-from" not in unknown


DEFECTS = {
    "no-domain": (((), ()), "name at least one"),
    "not-a-domain": ((("exa mple.com",), ()), "own domain 'exa mple.com'"),
    "not-a-network": ((("example.com",), ("10.0.0.0/33",)), "relay network '10.0.0.0/33'"),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_an_answer_that_no_policy_can_hold_is_named(name: str) -> None:
    """All of them at once, in words."""
    (domains, networks), text = DEFECTS[name]
    found = answers_from(domains, networks, (), 300, 2000, 50)
    assert isinstance(found, Defects)
    assert text in "; ".join(found.texts)


def test_a_day_holds_its_hours() -> None:
    """Fewer recipients in a day than in an hour is a mistake of whoever answers."""
    found = answers_from(("example.com",), (), (), 300, 200, 50)
    assert isinstance(found, Defects)
