"""Whose the daemon's socket is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.supervisor.places import Account, socket_group

ACCOUNT = Account(user=7, group=9, name="daemon")


@pytest.mark.parametrize(
    ("account", "mode", "expected"),
    [
        pytest.param(ACCOUNT, 0o750, 9, id="the account's group"),
        pytest.param(ACCOUNT, 0o2750, -1, id="a set-group-ID folder has given it one"),
        pytest.param(None, 0o750, -1, id="the daemon stays who it is"),
    ],
)
def test_the_group_of_a_socket(tmp_path: Path, account: Account | None, mode: int, expected: int) -> None:
    """Where the settings name no group: the account's, unless the folder hands on its own."""
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(mode)
    assert expected == socket_group(account, str(folder))
