"""Starting: what can't be used is a refusal with its reason, never a traceback."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tidegate.settings import Listen, ListenKind, Settings, remember
from tidegate.supervisor import boot as boot_module
from tidegate.supervisor.boot import EX_CONFIG, EX_TEMPFAIL, Booted, Refusal, boot


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


@pytest.mark.parametrize("scarce", ["processes", "descriptors"])
def test_nothing_to_read_the_settings_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scarce: str) -> None:
    """Who has no last good settings tries again later, with a reason: they may be good."""
    lack(monkeypatch, scarce)
    refused = boot(str(tmp_path / "tidegate.yaml"), takeover=False)
    assert isinstance(refused, Refusal)
    assert (EX_TEMPFAIL, ["settings-died"]) == (refused.status, [one.code for one in refused.problems])
    assert "can't be read now, no process is to be had for it" in refused.text


def test_last_good_settings_serve_where_none_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon starts with what ran before, and says so."""
    monkeypatch.setenv("TIDEGATE_STATE", str(tmp_path))
    config = tmp_path / "tidegate.yaml"
    remember(
        str(config), Settings(Listen(ListenKind.UNIX, path=str(tmp_path / "socket")), str(tmp_path), str(tmp_path))
    )
    started: list[tuple[str, bool]] = []

    def start(_config: str, settings: Settings, _takeover: bool, problems: tuple, last_good: bool) -> Refusal:
        started.append((settings.state, last_good))
        return Refusal(0, "", problems)

    monkeypatch.setattr(boot_module, "_start", start)
    lack(monkeypatch, "processes")
    booted = boot(str(config), takeover=False)
    assert not isinstance(booted, Booted)
    assert ["settings-died", "settings-last-good"] == [one.code for one in booted.problems]
    assert [(str(tmp_path), True)] == started


def lack(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """From now on there are none to be had."""

    def nothing(*_: object) -> int:
        raise OSError(errno.EAGAIN if what == "processes" else errno.EMFILE, "not to be had")

    monkeypatch.setattr(os, "fork" if what == "processes" else "memfd_create", nothing)
