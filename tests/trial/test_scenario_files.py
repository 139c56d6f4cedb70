"""The scenario files of tests/scenarios: what DESIGN section 4 promises, as an administrator would write it down."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.cli.test import scenario_failures

FILES = sorted((Path(__file__).resolve().parent.parent / "scenarios").glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_every_promise_of_a_scenario_file_is_kept(path: Path) -> None:
    """Each scenario comes out as its file says."""
    assert [] == list(scenario_failures(str(path)))


def test_there_are_scenario_files() -> None:
    """An empty table would pass in silence."""
    assert FILES
