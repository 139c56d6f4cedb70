"""How long an entry has been broken is known over restarts, and ten entries in ten states survive one."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders.daemon import Daemon, reject_all, until


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: a socket's name has 107 bytes."""
    path = Path("/tmp") / f"tg-{os.getpid()}-{time.monotonic_ns() % 1_000_000}"
    path.mkdir(mode=0o755)
    yield path
    shutil.rmtree(path)


def aging(broken: bool) -> str:
    """A policy whose one rule refuses everything, and may be broken for three seconds."""
    good = reject_all().replace("    when:", "    max_stale: {after: 3s, then: defer}\n    when:")
    return good.replace("when:", "whenn:") if broken else good


def since(daemon: Daemon) -> float:
    return float(next(one["since"] for one in daemon.status()["entries"] if one["key"] == "rule stop"))


def test_max_stale_over_a_restart(folder: Path) -> None:
    """The age is that of the first load that found it broken; nobody has to touch a file when its time is over."""
    with Daemon(folder) as daemon:
        daemon.policy(aging(broken=False))
        daemon.start()
        daemon.policy(aging(broken=True))
        until(lambda: "unknown-key" in daemon.alerts(), "the edit is broken")
        began = since(daemon)
        assert daemon.message().startswith("550 5.7.1 stopped by stop")
        daemon.stop()
        daemon.start()
        assert began == since(daemon)
        until(lambda: "stale-too-long" in daemon.alerts(), "its time is over")
        until(lambda: daemon.message().startswith("451"), "its mail waits")
        daemon.policy(aging(broken=False))
        until(lambda: daemon.message().startswith("550"), "it is repaired")
        until(lambda: set() == daemon.alerts(), "no alert stands")
