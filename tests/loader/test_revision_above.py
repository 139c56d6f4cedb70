"""A policy revision over the files: what serves is a function of snapshot and clock, and damage changes nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest

from tests.builders.revisions import ENVIRONMENT, a_snapshot, a_text, fetched
from tidegate import live
from tidegate.live.snapshot import FOLDER, Snapshot
from tidegate.loader.child import Request, work
from tidegate.loader.confine import Confined
from tidegate.loader.report import Report, decode, decode_record, encode
from tidegate.loader.sources import Digester
from tidegate.model import Conventions, Severity
from tidegate.revisions import Expected, digest_of

FILE = a_text("r", "file")
UPPER = a_text("r", "upper")
OTHER = "  - {id: b, when: always, do: {hold: {reason: x}}}\n...\n"
LATER, EARLIER = int(time.time()) + 36_000, int(time.time()) - 36_000


class Unconfined:
    """A child without limits, in this process."""

    def __init__(self) -> None:
        self.result, self.extra = os.memfd_create("result"), os.memfd_create("extra")

    def progress(self, name: str) -> None:
        """Nobody asks."""


@dataclass(frozen=True)
class Site:
    """A policy directory and a state directory; each load is a new process, as far as it can know."""

    folder: Path

    @property
    def state(self) -> str:
        return str(self.folder / "s")

    def load(
        self,
        snapshot: Snapshot | None = None,
        confirmed: bool = False,
        environment: str = ENVIRONMENT,
        baseline: str = "",
    ) -> Report:
        """One load, after this snapshot was fetched."""
        if snapshot is not None:
            fetched(self.state, snapshot)
        child = Unconfined()
        request = Request(
            baseline or str(self.folder / "p"),
            self.state,
            Conventions(),
            1,
            confirmed=confirmed,
            environment=environment,
            instead_of=str(self.folder / "p") if baseline else "",
        )
        work(cast(Confined, child), request)
        report = decode(os.pread(child.result, 1 << 24, 0))
        if report.recorded:
            live.settle_next(self.state, on_trial=False)
        return report

    def newest(self) -> Path:
        """The newest snapshot's file."""
        return sorted((self.folder / "s" / FOLDER).iterdir())[-1]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """One file with rule r."""
    (tmp_path / "s").mkdir()
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.yaml").write_text(FILE)
    return Site(tmp_path)


def origins(report: Report) -> dict[str, tuple[str, str]]:
    """Each entry's source and state."""
    return {one.key.id: (one.place.source, one.state.value) for one in report.entries}


def codes(report: Report) -> list[str]:
    """What is wrong, but for notices."""
    return sorted({one.code for one in report.problems if one.severity is not Severity.NOTICE})


def upper(text: str, name: str = "r") -> str:
    """The source's name of a text."""
    return f"redis:{ENVIRONMENT}/{name}@{digest_of(text.encode())[:8]}"


def test_it_lies_over_the_files(site: Site) -> None:
    """One entry replaced, one more, and where each of them comes from and what it overrides."""
    more = a_text("more")
    report = site.load(a_snapshot(3, {"r": UPPER, "more": more}))
    assert {"r": (upper(UPPER), "active"), "more": (upper(more, "more"), "active")} == origins(report)
    assert {"r": "a.yaml:3:5", "more": ""} == {one.key.id: one.overrides for one in report.entries}
    assert ([], 3, 2) == (codes(report), report.revised.number, report.revised.entries)
    assert 3 == report.counts["revision"]


def test_a_report_keeps_it(site: Site) -> None:
    """Between processes and on record, where an earlier release knew nothing of it."""
    report = site.load(a_snapshot(3, {"r": UPPER}, removed=["x"], urgent="now", before={"r": FILE}, expires=LATER))
    assert report == decode(encode(report))
    assert Report().revised == decode_record(b'{"number": 1}').revised


def test_a_tombstone(site: Site) -> None:
    """The file's rule is off, and the status says by what."""
    report = site.load(a_snapshot(1, {}, removed=["r"]))
    assert {"r": (f"redis:{ENVIRONMENT}", "off")} == origins(report)
    assert (1, ()) == (report.revised.removed, report.rules)


def test_no_redis_is_configured(site: Site) -> None:
    """Nothing lies over the files, whatever lies in the state directory."""
    report = site.load(a_snapshot(1, {"r": UPPER}), environment="")
    assert ({"r": ("a.yaml", "active")}, "") == (origins(report), report.revised.environment)


def test_reached_and_without_a_revision(site: Site) -> None:
    """An environment that never had a head counts as read: the files alone serve."""
    report = site.load(Snapshot(1, ENVIRONMENT, 1.0))
    assert ({"r": ("a.yaml", "active")}, [], 0) == (origins(report), codes(report), report.revised.number)


def test_never_read_at_the_very_first_start(site: Site) -> None:
    """Nothing is known: no generation, so mail waits, and not even the baseline may serve."""
    report = site.load()
    assert not report.image
    assert {"revision-unread", "nothing-readable"} <= set(codes(report))
    (site.folder / "b").mkdir()
    (site.folder / "b" / "baseline.yaml").write_text(FILE)
    assert not site.load(baseline=str(site.folder / "b")).image
    fetched(site.state, Snapshot(1, ENVIRONMENT, 1.0))
    assert site.load(baseline=str(site.folder / "b")).image


def test_never_read_on_a_host_that_has_served(site: Site) -> None:
    """What was in force stays, and an edit of a file is taken; the alert says that Redis is missing."""
    site.load(environment="")
    (site.folder / "p" / "a.yaml").write_text(a_text("r", "edited"))
    report = site.load()
    assert ({"r": ("a.yaml", "active")}, ["revision-unread"]) == (origins(report), codes(report))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: os.truncate(path, 100),
    "a byte": lambda path: path.write_bytes(path.read_bytes()[:-3] + b"x}}"),
    "a directory": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_snapshot_changes_nothing(site: Site, damage: Callable[[Path], object]) -> None:
    """What lay over the files lies there still, what it removed stays removed; it heals with the next snapshot."""
    (site.folder / "p" / "b.yaml").write_text(a_text("gone"))
    site.load(a_snapshot(1, {"r": a_text("r", "older")}))
    good = site.load(a_snapshot(2, {"r": UPPER}, removed=["gone"]))
    damage(site.newest())
    for _ in range(2):
        report = site.load()
        assert (good.form, good.faces, good.rules) == (report.form, report.faces, report.rules)
        assert ["snapshot-damaged"] == codes(report)
        assert (2, True) == (report.revised.number, bool(report.revised.held))
    assert [] == codes(site.load(a_snapshot(2, {"r": UPPER}, removed=["gone"], serial=3)))


def test_everything_is_damaged(site: Site) -> None:
    """No record of what was accepted either: the snapshot before serves, with an alert."""
    site.load(a_snapshot(1, {"r": UPPER}))
    fetched(site.state, a_snapshot(2, {"r": a_text("r", "newer")}))
    os.truncate(site.newest(), 10)
    (site.folder / "s" / "accepted").unlink()
    report = site.load()
    assert ({"r": (upper(UPPER), "active")}, ["snapshot-damaged"]) == (origins(report), codes(report))


def test_it_expires_by_the_clock(site: Site) -> None:
    """Until then the load says when; from then on what was before is in force at once, with an alert."""
    site.load(a_snapshot(1, {"r": a_text("r", "before")}))
    two = {"texts": {"r": UPPER}, "before": {"r": a_text("r", "before")}}
    waiting = site.load(a_snapshot(2, two["texts"], before=two["before"], expires=LATER))
    assert (float(LATER), "", {"r": (upper(UPPER), "active")}) == (waiting.due, waiting.urgent, origins(waiting))
    past = site.load(a_snapshot(2, two["texts"], before=two["before"], expires=EARLIER, serial=3))
    assert {"r": (upper(a_text("r", "before")), "active")} == origins(past)
    assert (0.0, True, ["revision-expired"]) == (past.due, past.revised.expired, codes(past))


def test_a_revert_does_not_wait_for_a_canary(site: Site) -> None:
    """What expires while it is in force goes at once; one that had expired when it was first seen changes nothing."""
    site.load(a_snapshot(1, {"r": FILE}))
    soon = int(time.time()) + 2  # at least a second for the next load
    site.load(a_snapshot(2, {"r": UPPER}, before={"r": FILE}, expires=soon))
    while time.time() < soon:
        time.sleep(0.02)
    assert "not confirmed in time" in site.load().urgent
    assert "" == site.load().urgent
    assert "" == site.load(a_snapshot(3, {"r": UPPER}, before={"r": FILE}, expires=EARLIER)).urgent


def test_an_urgent_revision_is_urgent_once(site: Site) -> None:
    """The reason goes with the load that brings it, not with later ones."""
    site.load(a_snapshot(1, {"r": FILE}))
    assert "an outbreak" == site.load(a_snapshot(2, {"r": UPPER}, urgent="an outbreak")).urgent
    (site.folder / "p" / "b.yaml").write_text(a_text("other"))
    assert "" == site.load().urgent


def test_what_its_author_expects(site: Site) -> None:
    """For the brake and the canary, as `expect:` in a rule; not once the rule's text is another one."""
    row = Expected("r", digest_of(UPPER.encode()), 40, 600)
    report = site.load(a_snapshot(1, {"r": UPPER}, expect=[row]))
    assert (40, 600.0) == (report.hints.expects["r"].max_logins, report.hints.expects["r"].per)
    assert ("r",) == report.expected
    assert () == site.load(a_snapshot(2, {"r": a_text("r", "newer")}, expect=[row])).expected


MANY = {f"r{number:02}": a_text(f"r{number:02}") for number in range(24)}
FEW = dict(list(MANY.items())[:5])


@pytest.mark.parametrize(
    ("texts", "removed"),
    [(FEW, []), ({}, []), ({}, list(MANY)), (FEW, [name for name in MANY if name not in FEW])],
    ids=["fewer", "none", "tombstones for all", "tombstones"],
)
@pytest.mark.parametrize("files", [False, True], ids=["in Redis only", "in files too"])
def test_a_revision_that_takes_most_away_waits_for_a_person(
    site: Site, texts: dict[str, str], removed: list[str], files: bool
) -> None:
    """As for files: what was in force stays until `tidegate confirm`, and then it is as the revision says."""
    if files:
        (site.folder / "p" / "b.yaml").write_text(
            "version: 1\nrules:\n" + "".join(text.splitlines()[2] + "\n" for text in MANY.values()) + "...\n"
        )
    before = site.load(a_snapshot(1, MANY))
    for _ in range(2):
        report = site.load(a_snapshot(2, texts, removed))
        assert (before.form, before.rules) == (report.form, report.rules)
        assert ["mass-vanish"] == codes(report)
        assert (1, True) == (report.revised.number, "takes away" in report.revised.held)
    confirmed = site.load(confirmed=True)
    left = {"r"} | (set(texts) if removed or not files else set(MANY))
    assert (left, [], 2) == (set(confirmed.rules), codes(confirmed), confirmed.revised.number)
    assert [] == codes(site.load())


def test_a_tenth_may_go(site: Site) -> None:
    """A few are believed."""
    site.load(a_snapshot(1, MANY))
    report = site.load(a_snapshot(2, dict(list(MANY.items())[8:])))
    assert ([], 17) == (codes(report), len(report.rules))


def test_a_file_that_loses_most_is_told_beside_a_revision(site: Site) -> None:
    """The files' entries stay; the revision is taken."""
    (site.folder / "p" / "b.yaml").write_text(
        "version: 1\nrules:\n" + "".join(text.splitlines()[2] + "\n" for text in MANY.values()) + "...\n"
    )
    site.load(a_snapshot(1, {}))
    (site.folder / "p" / "b.yaml").write_text("version: 1\nrules: []\n...\n")
    report = site.load(a_snapshot(2, {"r": UPPER}))
    assert (25, ["mass-vanish"], 2) == (len(report.rules), codes(report), report.revised.number)
    assert (upper(UPPER), "active") == origins(report)["r"]


def test_the_clerk_and_the_loader_agree(site: Site) -> None:
    """The digest of what lies there is the digest of what was loaded."""
    report = site.load(a_snapshot(1, {"r": UPPER}))
    row = f"{site.newest().name} {digest_of(site.newest().read_bytes())}"
    assert report.sources_digest == Digester().digest(str(site.folder / "p"), (), row)
    assert report.sources_digest != Digester().digest(str(site.folder / "p"), ())


def test_a_text_that_killed_the_loader_costs_its_entry(site: Site) -> None:
    """Left out by its source's name, as a file is: the file's version serves."""
    fetched(site.state, a_snapshot(1, {"r": UPPER, "s": a_text("s")}))
    child = Unconfined()
    request = Request(
        str(site.folder / "p"), site.state, Conventions(), 1, frozenset({upper(UPPER)}), environment=ENVIRONMENT
    )
    work(cast(Confined, child), request)
    report = decode(os.pread(child.result, 1 << 24, 0))
    assert {"r": "stale", "s": "active"} == {one.key.id: one.state.value for one in report.entries}


def test_what_was_written_by_hand(site: Site) -> None:
    """Where the settings allow it it comes with the snapshot, and lies over everything; it names one entry a text."""
    loose = {"mine": a_text("r", "by hand"), "two": a_text("a").replace("...\n", OTHER), "none": "x"}
    report = site.load(replace(a_snapshot(1, {"r": UPPER, "s": a_text("s")}), loose=loose))
    assert {"r": "redis:test/unreviewed/mine", "s": upper(a_text("s"), "s")} == {
        name: source for name, (source, _) in origins(report).items()
    }
    told = [one.place.source for one in report.problems if one.code == "revision-unreviewed"]
    assert ["redis:test/unreviewed/none", "redis:test/unreviewed/two"] == sorted(told)
