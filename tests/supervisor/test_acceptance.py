"""A broken edit brings back the text that was for all last: never that of a canary that was given up."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.supervisor.test_ladder import House
from tidegate.loader.report import Report
from tidegate.model import EntryState
from tidegate.supervisor.canary import End

POLICY = """version: 1
rules:
  - {id: stop, when: {login: %s}, do: {hold: {reason: look}}}
%s...
"""
BROKEN = POLICY.replace("when:", "wehn:")
MORE = "  - {id: more, when: always, do: {hold: {reason: look}}}\n"


class Site(House):
    """With canaries; `first` is for all."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, share=30.0)
        self.first = self.edit("alice")

    def edit(self, login: str, more: str = "", policy: str = POLICY) -> str:
        """Load this; the digest of the rule's text in what it came to."""
        self.policy(policy % (login, more))
        self.load()
        return self.digest()

    def digest(self, rule: str = "rule stop") -> str:
        """Of this rule in the newest generation; "" where it has none in force."""
        report: Report = self.picture.trial or self.picture.report
        (found,) = [one for one in report.entries if str(one.key) == rule]
        return "" if found.state is EntryState.SKIPPED else found.digest

    def states(self) -> dict[str, str]:
        report: Report = self.picture.trial or self.picture.report
        return {one.key.id: one.state.value for one in report.entries}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.mark.parametrize("end", [End.ABANDONED, End.PROMOTED, End.UNPROVEN, End.REPLACED, End.WAITING])
def test_a_broken_edit_after_a_canary(site: Site, end: End) -> None:
    """Its text serves from then on if it was for all, and only then."""
    second = site.edit("bob")
    assert site.picture.trial is not None
    if end is not End.WAITING:
        site.canaries.stop(end)
    assert (second if end in (End.PROMOTED, End.UNPROVEN) else site.first) == site.edit("bob", policy=BROKEN)
    assert {"stop": "stale"} == site.states()


@pytest.mark.parametrize("end", [End.ABANDONED, End.PROMOTED, None])
def test_and_after_a_restart(site: Site, tmp_path: Path, end: End | None) -> None:
    """None: the daemon was killed in the middle of the canary."""
    second = site.edit("bob")
    if end is not None:
        site.canaries.stop(end)
    site.policy(BROKEN % ("bob", ""))
    after = House(tmp_path, share=30.0)
    after.load()
    (entry,) = (after.picture.trial or after.picture.report).entries
    assert (EntryState.STALE, second if end is End.PROMOTED else site.first) == (entry.state, entry.digest)


def test_an_entry_that_is_new(site: Site) -> None:
    """On trial it serves as it is there, though a later edit broke it; given up, it never was in force."""
    site.edit("alice", MORE)
    broken = MORE.replace("when:", "wehn:")
    site.edit("alice", broken)
    assert {"stop": "active", "more": "stale"} == site.states()
    site.canaries.stop(End.ABANDONED)
    site.edit("bob", broken)
    assert {"stop": "active", "more": "skipped"} == site.states()


def test_confirmed_while_on_trial(site: Site) -> None:
    """That much was deleted is asked once, though the deletion is not for all yet."""
    many = "".join(MORE.replace("more", f"more{number}") for number in range(20))
    site.edit("alice", many)
    site.canaries.stop(End.PROMOTED)
    site.edit("carol")
    assert "mass-vanish" in site.alerts()
    site.loads.ask(confirmed=True)
    site.wait()
    for _ in range(2):
        assert ({"stop": "active"}, False) == (site.states(), "mass-vanish" in site.alerts())
        site.load()


def test_numbers_of_what_was_given_up(site: Site, tmp_path: Path) -> None:
    """Are not given again, not by the next daemon either."""
    site.edit("bob")
    site.canaries.stop(End.ABANDONED)
    after = House(tmp_path)
    after.policy(POLICY % ("carol", ""))
    after.load()
    assert 3 == after.picture.number


def test_after_a_roll_back(site: Site) -> None:
    """The harmful text does not come back by a broken edit either, nor is any number given twice."""
    site.soak()
    assert 1 == len(site.ladder.known)
    site.edit("bob")
    site.canaries.stop(End.PROMOTED)
    site.ladder.quarantine(site.picture.report.digest, "harm")
    site.ladder.roll_back("harm")
    site.wait()
    assert site.first == site.digest()
    assert site.first == site.edit("bob", policy=BROKEN)
    assert ({"stop": "stale"}, 3) == (site.states(), (site.picture.trial or site.picture.report).number)


def test_a_promotion_during_a_load(site: Site) -> None:
    """That load began beside what was for all before, so it is done again."""
    second = site.edit("bob")
    site.policy(BROKEN % ("bob", ""))
    site.loads.ask()
    site.canaries.stop(End.PROMOTED)
    site.wait()
    assert (second, {"stop": "stale"}) == (site.digest(), site.states())


def test_a_record_that_can_not_be_moved(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """An alert, and the generation comes into force; the next one that can be moved clears it."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("tidegate.live.settle_trial", full)
        site.edit("bob")
        site.canaries.stop(End.PROMOTED)
    assert (2, True) == (site.picture.number, "accepted-unwritable" in site.alerts())
    site.edit("carol")
    assert "accepted-unwritable" not in site.alerts()
