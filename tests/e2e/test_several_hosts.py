"""Several hosts (issue 5): the loss of one daemon is no client's error, and a network that is cut is a deferral."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _scenario(name: str) -> dict[str, Any]:
    """Run one in namespaces of its own, and return its report."""
    done = subprocess.run(
        ["unshare", "-n", "-m", sys.executable, "-m", "tests.e2e.hosts", name],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'milter'}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(report, dict)
    return report


def _namespaces() -> bool:
    """May this process have a network of its own? In some containers nobody may."""
    return subprocess.run(["unshare", "-n", "-m", "true"], capture_output=True, check=False).returncode == 0


needs_namespaces = pytest.mark.skipif(not _namespaces(), reason="no namespaces here")


def _unnoticed(report: dict[str, Any]) -> bool:
    """Nobody heard anything but the answer to a message; who connected in the very moment of the stop may be deferred.

    Between the last accept(2) of a daemon that stops and the end of its socket there is an instant.
    """
    drained = report["after_drain"]
    return len(drained) <= 1 and all(one.endswith(": 451") for one in drained) and report["after_kill"] == []


@needs_namespaces
@pytest.mark.skipif(shutil.which("haproxy", path="/usr/sbin:/usr/bin") is None, reason="no haproxy here")
def test_behind_a_balancer_nobody_notices_the_loss_of_one() -> None:
    """postfix/haproxy.cfg: one daemon drains under load, the other is killed; every message has its right answer."""
    report = _scenario("balancer")
    assert _unnoticed(report), report


@needs_namespaces
def test_a_name_with_two_addresses_does_it_too() -> None:
    """`inet:NAME:PORT`: Postfix tries the next address where connecting fails."""
    report = _scenario("name")
    assert _unnoticed(report), report


@needs_namespaces
def test_a_network_that_is_cut_is_a_deferral() -> None:
    """Postfix and Tidegate on different hosts: 451 while the other one can't be reached, and mail as before after."""
    report = _scenario("apart")
    assert report["cut_off"] // 100 == 4
    assert (report["before"], report["after"], report["daemon_lives"]) == ([], [], True)
