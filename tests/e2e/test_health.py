"""Live, ready, degraded; and a status that knows since when, over a restart and while workers are replaced."""

from __future__ import annotations

import os
import signal
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.builders.daemon import ACCEPT_ALL, Daemon, reject_all, until
from tests.builders.ports import free_port
from tidegate.cli import main

BROKEN = "version: 1\nrules:\n  - {id: stop, when: {logn: x}, do: {hold: {reason: a}}}\n...\n"


def asked(port: int, page: str) -> tuple[int, str]:
    """Status and text of a page; (0, "") where nobody serves."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{page}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


@pytest.fixture
def port() -> int:
    return free_port()


def status(daemon: Daemon) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["status", "--state", str(daemon.state)])
    return done.exit_code, done.output


def test_ready_with_a_policy(port: int, tmp_path: Path) -> None:
    """Both pages say so, the metrics too, and the command's exit code is 0."""
    with Daemon(tmp_path, metrics=f"127.0.0.1:{port}") as daemon:
        daemon.policy(ACCEPT_ALL)
        daemon.start()
        until(lambda: asked(port, "/readyz") == (200, "ready\n"), "it is ready")
        assert (200, "live\n") == asked(port, "/livez")
        assert "tidegate_ready 1" in asked(port, "/metrics")[1]
        assert 404 == asked(port, "/elsewhere")[0]
        code, text = status(daemon)
        assert (0, True) == (code, "all is as written" in text)


def test_degraded_is_ready_all_the_same(port: int, tmp_path: Path) -> None:
    """A rule is skipped: mail goes on, and somebody should look."""
    with Daemon(tmp_path, metrics=f"127.0.0.1:{port}") as daemon:
        daemon.policy(BROKEN)
        daemon.start()
        until(lambda: "tidegate_degraded 1" in asked(port, "/metrics")[1], "it is degraded")
        until(lambda: asked(port, "/readyz")[0] == 200, "it is ready")
        code, text = status(daemon)
    assert 1 == code
    first, second, *_ = text.splitlines()
    assert first.endswith("degraded: 1 alert stands")
    assert "ERROR       10-test.yaml:3:" in second


def test_not_ready_without_a_policy(port: int, tmp_path: Path) -> None:
    """It lives, and defers everything: the page says why."""
    with Daemon(tmp_path, metrics=f"127.0.0.1:{port}") as daemon:
        daemon.policies.rmdir()
        daemon.start()
        until(lambda: asked(port, "/readyz")[0] == 503, "it says that it is not ready")
        assert "no policy is in force: all mail is deferred" in asked(port, "/readyz")[1]
        assert 200 == asked(port, "/livez")[0]
        code, text = status(daemon)
        assert (1, True) == (code, "NOT READY: no policy is in force" in text)


def test_not_ready_without_a_worker(port: int, tmp_path: Path) -> None:
    """While none is there the daemon says so; then it is ready again."""
    with Daemon(tmp_path, metrics=f"127.0.0.1:{port}") as daemon:
        daemon.policy(ACCEPT_ALL)
        daemon.start()
        until(lambda: asked(port, "/readyz")[0] == 200, "it is ready")
        for _ in range(4):  # each death makes the next pause longer
            with suppress(ProcessLookupError):  # the status may still name one that is gone
                os.kill(until(daemon.workers, "a worker")[0], signal.SIGKILL)
        seen = until(lambda: daemon.status()["health"]["unready"], "it is not ready")
        assert ["no worker is ready"] == seen
        until(lambda: asked(port, "/readyz")[0] == 200, "it is ready again")


def test_not_live_while_the_supervisor_is_stopped(port: int, tmp_path: Path) -> None:
    """The clerk serves on, and says that nobody answers it."""
    with Daemon(tmp_path, metrics=f"127.0.0.1:{port}") as daemon:
        daemon.policy(ACCEPT_ALL)
        daemon.start()
        until(lambda: asked(port, "/livez")[0] == 200, "it lives")
        daemon.signal(signal.SIGSTOP)
        try:
            until(lambda: asked(port, "/livez")[0] == 503, "it does not live any more")
            assert (503, "not ready: the supervisor does not answer\n") == asked(port, "/readyz")
        finally:
            daemon.signal(signal.SIGCONT)


def entry(daemon: Daemon) -> dict[str, Any]:
    return dict(daemon.status()["entries"][0])


def test_since_when_survives_a_restart(tmp_path: Path) -> None:
    """A rule is STALE since its edit, not since the daemon's start."""
    with Daemon(tmp_path) as daemon:
        daemon.policy(reject_all())
        daemon.start()
        active = entry(daemon)
        daemon.policy(BROKEN)
        until(lambda: entry(daemon)["state"] == "stale", "the edit is refused")
        stale = entry(daemon)
        until(lambda: (daemon.state / "ages").exists(), "it is on record")
        daemon.stop()
        daemon.start()
        assert stale == entry(daemon)
        document = daemon.status()
    assert active["since"] < stale["since"] < document["started"]
    (source,) = document["sources"]
    assert ("policy", "10-test.yaml", len(BROKEN), "") == (
        source["kind"],
        source["name"],
        source["size"],
        source["error"],
    )


def test_what_is_wrong_with_a_source_is_told(tmp_path: Path) -> None:
    """Each file with its digest, or the reason why it counts for nothing; list files as well."""
    with Daemon(tmp_path) as daemon:
        (daemon.policies / "logins.txt").write_text("a\n")
        daemon.policy("version: 1\nlists:\n  l: {type: login, file: logins.txt}\n...\n")
        daemon.policy(ACCEPT_ALL, "20.yaml")
        daemon.start()
        daemon.policy("", "10-test.yaml")
        (daemon.policies / "logins.txt").unlink()
        until(lambda: any(one["error"] for one in daemon.status()["sources"]), "it is read")
        _, text = status(daemon)
        found = {one["name"]: (one["kind"], one["error"]) for one in daemon.status()["sources"]}
    assert ("policy", "it is empty, and held entries before") == found["10-test.yaml"]
    assert ("policy", "") == found["20.yaml"]
    assert "10-test.yaml: it is empty" in text
