"""Ports that are given to one test process only."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from tests.builders.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
ASK = "from tests.builders.ports import free_port; print(*(free_port() for _ in range(50)))"


def asked_elsewhere() -> subprocess.Popen[str]:
    """Another process that asks for fifty, and keeps what it has as long as it lives."""
    program = f"{ASK}\nimport sys; sys.stdout.flush(); sys.stdin.read()"
    return subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_no_port_is_given_twice() -> None:
    """Neither here nor in another process that runs tests."""
    others = [asked_elsewhere() for _ in range(3)]
    try:
        lines = [other.stdout.readline() for other in others if other.stdout]
    finally:
        for other in others:
            other.communicate(timeout=30)
    given = [int(word) for line in lines for word in line.split()] + [free_port() for _ in range(50)]
    assert 200 == len(given)
    assert 200 == len(set(given))


def test_a_port_on_which_somebody_listens_is_passed_over() -> None:
    """The block is walked through again and again, and what is taken is left out."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port()))
        taken = listener.getsockname()[1]
        assert taken not in [free_port() for _ in range(150)]
