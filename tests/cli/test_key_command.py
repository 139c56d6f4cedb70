"""`tidegate key new`: what is there already stays, and nothing is left half made."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from tidegate.cli import main


@pytest.mark.parametrize("there", ["k", "k.pub"])
def test_no_key_is_written_over(there: str, tmp_path: Path) -> None:
    """Neither the private nor the public one, and the other one is not made."""
    (tmp_path / there).write_text("mine")
    done = CliRunner().invoke(main, ["key", "new", "bob", "--file", str(tmp_path / "k"), "-e", "test"])
    assert 2 == done.exit_code
    assert f"{tmp_path / there} is there already, and no key is ever written over: name a new --file" in done.output
    assert ([there], "mine") == ([one.name for one in tmp_path.iterdir()], (tmp_path / there).read_text())
