"""The packaged baseline: what it holds, and when it may serve."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import pytest

from tidegate.live import Accepted, File, write_accepted
from tidegate.loader import sources as directory
from tidegate.loader.baseline import unread
from tidegate.model import Conventions, Disposition, EntryKey, EntryKind, Mode
from tidegate.policy.load import load_policy

ROOT = Path(__file__).resolve().parents[2]
POLICY = "version: 1\nrules: []\n...\n"


def test_what_it_holds() -> None:
    """Nothing is wrong with it; every rule is enforced, has examples and defers; nobody is exempt."""
    found = directory.read_directory(str(ROOT / "policies" / "baseline"))
    assert found.sources
    policy = load_policy(found.sources, lambda name: pytest.fail(f"it reads {name}"), Conventions(), 0.0)
    assert () == policy.loaded.problems
    assert policy.loaded.rules
    for rule in policy.loaded.rules:
        assert Mode.ENFORCE is rule.mode
        assert rule.do.ending is not None
        assert Disposition.DEFER is rule.do.ending.disposition
        assert rule.do.exempt is None
        assert policy.examples[rule.id]


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """Policies that were read before, and the state directory that knows them."""
    policies, state = tmp_path / "policies", tmp_path / "state"
    policies.mkdir()
    state.mkdir()
    (policies / "10.yaml").write_text(POLICY)
    key = EntryKey(EntryKind.RULE, "a")
    write_accepted(str(state), Accepted({key: "- id: a\n"}, {key: "10.yaml"}, {"10.yaml": File(True, 1)}))
    return policies, state


SPOILT: MappingProxyType[str, Callable[[Path], object]] = MappingProxyType(
    {
        "a file is unreadable": lambda policies: (policies / "20.yaml").symlink_to("nowhere"),
        "a known file is empty": lambda policies: (policies / "10.yaml").write_text(""),
        "a known file is cut": lambda policies: (policies / "10.yaml").write_text(POLICY[:-5]),
        "the known file is gone": lambda policies: (policies / "10.yaml").unlink(),
        "the directory is gone": lambda policies: policies.rename(policies.parent / "elsewhere"),
        "a directory has a file's name": lambda policies: (policies / "20.yaml").mkdir(),
    }
)


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_a_source_that_was_not_read(places: tuple[Path, Path], spoil: Callable[[Path], object]) -> None:
    """It may hold a rule that stops mail: the baseline may not serve in its place."""
    policies, state = places
    assert "" == unread(str(policies), str(state))
    spoil(policies)
    assert unread(str(policies), str(state))
