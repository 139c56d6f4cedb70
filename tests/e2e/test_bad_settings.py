"""Settings that can't be used: exit 78 where none were ever good, otherwise the last good ones run."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.builders.daemon import LIMIT, Daemon, reject_all, until
from tidegate.supervisor.reading import read_settings

Break = Callable[[Path], object]


def written(data: bytes) -> Break:
    """The file holds this."""
    return lambda path: path.write_bytes(data)


def replaced(by: Callable[[Path], object]) -> Break:
    """Something else stands in its place."""

    def do(path: Path) -> None:
        path.unlink()
        by(path)

    return do


BREAKS: dict[str, Break] = {
    "empty": written(b""),
    "no map": written(b"- a\n"),
    "cut": written(b"listen: unix:/run/t.so"),
    "unclosed": written(b"listen: [\n"),
    "zeros": written(b"\0" * 1000),
    "utf-16": written("listen: a\n".encode("utf-16")),
    "latin-1": written(b"listen: \xe4\n"),
    "aliases": written(
        b"a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nlisten: [*b,*b,*b,*b,*b,*b,*b,*b]\n"
    ),
    "deep": written(b"listen: " + b"[" * 60_000),
    "huge": written(b"# " + b"x" * 1_000_000),
    "an account that is gone": written(b"listen: unix:/run/t.sock\npolicies: /p\nuser: nobody-of-this-name\n"),
    "a directory": replaced(Path.mkdir),
    "a pipe": replaced(os.mkfifo),
    "a circle": replaced(lambda path: path.symlink_to(path)),
    "gone": replaced(lambda path: None),
}


@pytest.mark.parametrize("broken", BREAKS.values(), ids=BREAKS)
def test_whatever_is_wrong_is_said(broken: Break, tmp_path: Path) -> None:
    """Problems with places and cures, never an exception, a hang, or memory."""
    config = tmp_path / "t.yaml"
    config.write_bytes(b"")
    broken(config)
    found, _ = read_settings(str(config))
    assert isinstance(found, tuple)
    assert found
    assert all(one.cure and one.message and str(config) == one.place.source for one in found)


@pytest.mark.parametrize("name", ["cut", "deep", "a directory", "gone"])
def test_last_good_settings_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never good: exit 78, a line that says what, no traceback. Good before: mail is judged as it was, and an alert."""
    with Daemon(tmp_path) as daemon:
        daemon.policy(reject_all())
        good = daemon.config.read_bytes()
        broken = BREAKS[name]
        broken(daemon.config)
        daemon.start(wait=False)
        assert daemon.process is not None
        assert 78 == daemon.process.wait(LIMIT)
        said = daemon.errors.read_text()
        assert "the settings can't be used, and none were ever good" in said
        assert (True, False) == (str(daemon.config) in said, "Traceback" in said)
        if daemon.config.is_dir():
            daemon.config.rmdir()
        else:
            daemon.config.unlink(missing_ok=True)
        daemon.config.write_bytes(good)
        daemon.start().stop()
        broken(daemon.config)
        # A file that can't be read does not name its state directory either; the unit file does.
        monkeypatch.setitem(os.environ, "TIDEGATE_STATE", str(daemon.state))
        monkeypatch.setattr("tests.builders.daemon.ENVIRONMENT", {**os.environ, "PYTHONPATH": "milter"})
        daemon.start()
        assert "550" in daemon.message()
        alerts = daemon.status()["alerts"]
        assert "settings-last-good" in {alert["code"] for alert in alerts}
        assert all(alert["cure"] and alert["place"].startswith(str(daemon.config)) for alert in alerts)
        daemon.stop()


def test_hup_tells_what_is_wrong_and_forgets_it(tmp_path: Path) -> None:
    """A running daemon keeps what it has; every mistake is an alert with its line, and a revert clears them all."""
    with Daemon(tmp_path) as daemon:
        daemon.policy(reject_all())
        daemon.start()
        good = daemon.config.read_text()
        daemon.config.write_text(f"{good}worker: 2\ndeadline: 40s\nmetrics: 9127\n")
        daemon.signal(signal.SIGHUP)
        until(lambda: {"settings-unknown-key", "settings-value"} <= daemon.alerts(), "the alerts")
        lines = len(good.splitlines())
        places = {(alert["code"], alert["place"], alert["count"]) for alert in daemon.status()["alerts"]}
        assert {
            ("settings-unknown-key", f"{daemon.config}:{lines + 1}:1", 1),
            ("settings-value", f"{daemon.config}:{lines + 2}:11", 2),
        } == places
        assert "550" in daemon.message()
        daemon.config.write_text(f"{good}deadline: 9s\n")
        daemon.signal(signal.SIGHUP)
        until(lambda: daemon.alerts() == {"settings-changed"}, "they differ from those in force")
        daemon.config.write_text(good)
        daemon.signal(signal.SIGHUP)
        until(lambda: daemon.alerts() == set(), "a revert clears it")
