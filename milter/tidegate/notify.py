"""sd_notify without a library: systemd learns that we are ready, reload, stop, and live.

Promises: no effect and no error where there is no systemd. Refuses: everything but sending.
"""

from __future__ import annotations

import os
import socket
import time


def notify(*lines: str) -> None:
    """Send e.g. `READY=1`, `STATUS=…` to the socket that systemd named in NOTIFY_SOCKET, if it did."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.setblocking(False)
        try:
            channel.sendto("\n".join(lines).encode(), address)
        except OSError:
            # systemd is gone or doesn't read: it decides by its own timeouts, and mail does not wait for it.
            return


def reloading() -> None:
    """Type=notify-reload wants the moment on the monotonic clock with it."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def watchdog_interval() -> float:
    """Seconds between two WATCHDOG=1 that systemd asks for (half of its limit), 0: none."""
    limit = os.environ.get("WATCHDOG_USEC", "")
    meant_for = os.environ.get("WATCHDOG_PID", str(os.getpid()))
    if not limit.isdigit() or meant_for != str(os.getpid()):
        return 0.0
    return int(limit) / 2e6
