"""Loopback ports for what a test starts, none of which anybody else is given meanwhile.

Promises: each process that asks has a block of ports to itself, however many processes run tests on this machine; the
ports lie below those that the kernel hands out, so that no outgoing connection sits on one between the asking and the
listening.
Refuses: to say that a port is free for whoever does not ask here.
"""

from __future__ import annotations

import errno
import os
import socket

_FIRST, _SIZE, _BLOCKS = 16000, 100, 160  # up to 31999; Linux hands out 32768 and above
_CLAIMED: list[socket.socket] = []  # ours as long as this process lives
_next = 0


def free_port(host: str = "127.0.0.1") -> int:
    """A port on which nobody listens, and which nobody else is given.

    Raises OSError where the machine has no such address, RuntimeError where all ports are taken.
    """
    global _next
    if not _CLAIMED:
        _claim()
    for _ in range(_SIZE):
        port = _next
        _next = port + 1 if (port + 1 - _FIRST) % _SIZE else port + 1 - _SIZE
        if _is_free(host, port):
            return port
    raise RuntimeError(f"ports {_next} to {_next + _SIZE - 1} of {host} are all taken")


def _claim() -> None:
    """Take a block: an abstract unix socket has one owner, leaves no file, and is gone with the process."""
    global _next
    for number in range(_BLOCKS):
        block = (os.getpid() + number) % _BLOCKS
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0tidegate-test-ports-{block}")
        except OSError:
            claim.close()
            continue
        _CLAIMED.append(claim)
        _next = _FIRST + block * _SIZE
        return
    raise RuntimeError("every block of ports has an owner: are tests left running?")


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
        return True
