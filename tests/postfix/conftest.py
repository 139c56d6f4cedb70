"""A configuration directory for postconf(1), made for one test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.builders.mainconf import MAIN, MASTER, MakePostfix


@pytest.fixture
def make_postfix(tmp_path: Path) -> MakePostfix:
    """Makes a configuration directory: lines added to main.cf, and what replaces texts of master.cf."""

    def make(main: str = "", replace: tuple[tuple[str, str], ...] = ()) -> str:
        folder = tmp_path / "postfix"
        folder.mkdir(exist_ok=True)
        master = MASTER
        for old, new in replace:
            assert old in master
            master = master.replace(old, new)
        (folder / "main.cf").write_text(MAIN + main)
        (folder / "master.cf").write_text(master)
        for name in ("main.cf", "master.cf"):
            os.utime(folder / name, (1, 1))  # or postconf waits until they are a second old
        return str(folder)

    return make
