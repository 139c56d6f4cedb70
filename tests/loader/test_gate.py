"""The whole load with an example that fails: the rest goes live."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

from tidegate.loader.child import Request, work
from tidegate.loader.confine import Confined
from tidegate.loader.report import decode
from tidegate.model import Conventions

POLICY = """version: 1
rules:
  - id: fails
    when: {subject: {contains: lottery}}
    do: {hold: {reason: look}}
    examples: {match: [{subject: raffle}]}
  - {id: neighbour, when: {subject: {contains: x}}, do: {hold: {reason: look}}, examples: {match: [{subject: x}]}}
...
"""


class Unconfined:
    """A child without limits, in this process."""

    def __init__(self) -> None:
        self.result, self.extra = os.memfd_create("result"), os.memfd_create("extra")
        self.told: list[str] = []

    def progress(self, name: str) -> None:
        self.told.append(name)


def test_a_rule_with_a_failing_example_is_skipped_and_its_neighbour_is_not(tmp_path: Path) -> None:
    """One entry is SKIPPED with the problem at the example; the generation holds the other."""
    (tmp_path / "p").mkdir()
    (tmp_path / "s").mkdir()
    (tmp_path / "p" / "a.yaml").write_text(POLICY)
    child = Unconfined()
    work(cast(Confined, child), Request(str(tmp_path / "p"), str(tmp_path / "s"), Conventions(), 1))
    report = decode(os.pread(child.result, 1 << 20, 0))
    assert {"rule fails": "skipped", "rule neighbour": "active"} == {
        str(one.key): one.state.value for one in report.entries
    }
    assert ("fails", "neighbour") == tuple(report.rules)  # the first for the exposure ledger only
    assert 1 == report.counts["rules"]
    assert [("example-failed", "a.yaml:6")] == [
        (one.code, f"{one.place.source}:{one.place.line}") for one in report.problems
    ]
