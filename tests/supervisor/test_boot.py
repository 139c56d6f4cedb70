"""Starting: what can't be used is a refusal with its reason, never a traceback."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tidegate.settings import Listen, ListenKind, Settings, remember
from tidegate.supervisor.boot import EX_CONFIG, Refusal, boot


@pytest.mark.parametrize(
    ("user", "group", "socket_group"),
    [("no-such-user", "", ""), ("", "no-such-group", ""), ("", "", "no-such-group")],
    ids=["user", "group", "socket group"],
)
def test_last_good_settings_whose_account_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: str, group: str, socket_group: str
) -> None:
    """The file is broken, and what ran before names an account that somebody has removed since."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    config = tmp_path / "tidegate.yaml"
    config.write_text(f"state: {tmp_path}\nlisten: [\n")
    listen = Listen(ListenKind.UNIX, path=str(tmp_path / "socket"))
    settings = Settings(listen, str(tmp_path), str(tmp_path), user=user, group=group, socket_group=socket_group)
    remember(str(config), settings)
    refused = boot(str(config), takeover=False)
    assert isinstance(refused, Refusal)
    assert EX_CONFIG == refused.status
    assert "no-such" in refused.text
    assert not (tmp_path / "socket").exists()
