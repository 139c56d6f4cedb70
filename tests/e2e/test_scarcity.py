"""What the daemon needs is missing or full: the log, the control socket, descriptors. Mail is judged all the same."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from tests.builders.daemon import Daemon, Session, reject_all, until


def judged(daemon: Daemon) -> bool:
    """Does the rule still stop the message?"""
    return daemon.message().startswith("550 5.7.1 stopped by stop")


def test_a_full_log(folder: Path) -> None:
    """Lines are lost, an alert says so, and clears once the log is a file again and USR1 came."""
    (folder / "log").mkdir()
    log = folder / "log" / "link"
    log.symlink_to("/dev/full")
    with Daemon(folder, log=log) as daemon:
        daemon.policy(reject_all())
        daemon.start()
        assert judged(daemon)
        until(lambda: "log-unwritable" in daemon.alerts(), "the alert")
        log.unlink()
        daemon.signal(signal.SIGUSR1)
        until(lambda: log.exists() and "log-unwritable" not in daemon.alerts(), "the alert is gone")
        assert judged(daemon)
        assert log.read_text()


@pytest.mark.parametrize("reader", [False, True], ids=["without a reader", "with one that stalls"])
def test_a_log_that_is_a_fifo(folder: Path, reader: bool) -> None:
    """Nobody reads it: neither the start nor a message waits for somebody who does."""
    fifo = folder / "fifo"
    os.mkfifo(fifo)
    stalled = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK) if reader else -1
    with Daemon(folder, log=fifo) as daemon:
        daemon.policy(reject_all())
        daemon.start()
        assert [True] * 200 == [judged(daemon) for _ in range(200)]
        daemon.stop()
    if reader:
        os.close(stalled)


def test_the_control_socket_is_removed(folder: Path) -> None:
    """Somebody cleans the state directory up: the socket is back within seconds, and so are the records."""
    with Daemon(folder, workers=1) as daemon:
        daemon.policy(reject_all())
        daemon.start()
        for path in daemon.state.iterdir():
            if path.name != "lock":
                path.unlink(missing_ok=True)  # a record on its way has a name of its own
        until(daemon.status, "the control socket")
        assert judged(daemon)
        daemon.policy(reject_all(rule="other"), "20-other.yaml")
        until(lambda: "rule other" in {one["key"] for one in daemon.status().get("entries", ())}, "an edit")
        assert (daemon.state / "accepted").exists()
        assert list(daemon.state.glob("settings-*"))


def test_out_of_descriptors(folder: Path) -> None:
    """Clients take all of them, at the control socket and at the milter's: when they leave it serves as before."""
    with Daemon(folder, workers=1, prefix=("sh", "-c", 'ulimit -n 40; exec "$@"', "sh")) as daemon:
        daemon.policy(reject_all())
        daemon.start()
        links = []
        for path in [daemon.state / "control"] * 60 + [daemon.socket] * 60:
            link = socket.socket(socket.AF_UNIX)
            link.settimeout(0.2)
            try:
                link.connect(str(path))
            except OSError:
                pass  # the backlog is full
            links.append(link)
        for link in links:
            link.close()
        until(lambda: _serves(daemon), "it serves again")
        assert judged(daemon)
        assert daemon.status()["stage"] == "serving"


def _serves(daemon: Daemon) -> bool:
    try:
        Session(daemon.socket).close()
        return bool(daemon.status())
    except OSError:
        return False
