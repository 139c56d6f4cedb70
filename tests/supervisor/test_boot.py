"""Starting: what can't be used is a refusal with its reason, never a traceback."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidegate.settings import Listen, ListenKind, Settings, remember
from tidegate.supervisor import boot as boot_module
from tidegate.supervisor.boot import EX_CONFIG, EX_TEMPFAIL, Booted, Refusal, boot
from tidegate.supervisor.places import Lock


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
    assert (EX_TEMPFAIL, ["no-resources"]) == (refused.status, [one.code for one in refused.problems])
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
    assert ["no-resources", "settings-last-good"] == [one.code for one in booted.problems]
    assert [(str(tmp_path), True)] == started


def lack(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """From now on there are none to be had."""

    def nothing(*_: object) -> int:
        raise OSError(errno.EAGAIN if what == "processes" else errno.EMFILE, "not to be had")

    monkeypatch.setattr(os, "fork" if what == "processes" else "memfd_create", nothing)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a good settings file, whose state directory is where daemons look for it unasked."""
    folder = Path(tempfile.mkdtemp(prefix="tg-"))
    (folder / "state").mkdir()
    (folder / "t.yaml").write_text(f"listen: unix:{folder}/s\npolicies: {folder}/p\nstate: {folder}/state\n")
    monkeypatch.setenv("TIDEGATE_STATE", str(folder / "state"))
    yield folder
    shutil.rmtree(folder)


def left(booted: Booted | Refusal) -> Booted | Refusal:
    """Let go of what it holds."""
    if isinstance(booted, Booted):
        booted.lock.close_in_child()
        booted.listener.close_in_child()
        if booted.place:
            booted.place.withdraw()
            booted.place.close_in_child()
    return booted


@pytest.mark.parametrize(
    ("number", "status"), [(errno.ENOLCK, EX_TEMPFAIL), (errno.EINVAL, EX_CONFIG)], ids=["none left", "none at all"]
)
def test_a_file_system_without_locks(site: Path, monkeypatch: pytest.MonkeyPatch, number: int, status: int) -> None:
    """Two daemons could not be told apart: a refusal with its reason, never a traceback."""

    def refuse(_descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    found = left(boot(str(site / "t.yaml"), takeover=False))
    assert isinstance(found, Refusal)
    assert status == found.status
    assert os.strerror(number) in found.text


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES])
def test_a_state_directory_that_can_not_be_written(site: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """The daemon runs, and a second one does not run beside it."""
    really = os.open

    def open_(path: str, flags: int, mode: int = 0o777, **named: int) -> int:
        if str(path).endswith("/lock") and flags & os.O_CREAT:
            raise OSError(number, os.strerror(number))
        return really(path, flags, mode, **named)

    monkeypatch.setattr(os, "open", open_)
    first, second = Lock(str(site / "state"), None), Lock(str(site / "state"), None)
    assert (True, False) == (first.take(), second.take())
    first.release()
    assert second.take()
    for one in (first, second):
        one.close_in_child()


@pytest.mark.parametrize("file", [True, False], ids=["an earlier release has it", "a daemon without a file has it"])
def test_either_lock_keeps_a_second_daemon_out(site: Path, file: bool) -> None:
    """The directory's lock and the file's: who has one of them runs."""
    path = site / "state" / "lock" if file else site / "state"
    path.touch()
    held = os.open(path, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    lock = Lock(str(site / "state"), None)
    assert not lock.take()
    os.close(held)
    assert lock.take()
    lock.close_in_child()
