"""The listening socket: opened once by the supervisor through libmilter, shared by all workers."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
import stat
from dataclasses import dataclass

import milter
from tidegate.front import callbacks

_BACKLOG = 1024
_PACKET = (1 << 20) - 1  # mfdef.h, MILTER_MDS_1M


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening, non-blocking descriptor that libmilter's main() will accept from."""

    descriptor: int

    def close_in_child(self) -> None:
        """For children that serve no mail."""
        os.close(self.descriptor)

    def shut(self) -> None:
        """For the supervisor, when none of its workers accepts any more: clients are refused from now on, at once.

        A worker whose poll(2) still waits for this socket would end libmilter with all of its sessions over that, so
        each has put another one over its descriptor first. A unix socket has lost its name by then.
        """
        with socket.socket(fileno=os.dup(self.descriptor)) as own, contextlib.suppress(OSError):
            if own.family != socket.AF_UNIX:
                own.shutdown(socket.SHUT_RDWR)


def open_listener(spec: str) -> Listener:
    """Open `spec` (as smfi_setconn takes it). Raises OSError where it can't be opened.

    Non-blocking, because every worker polls the same socket: a loser in a blocking accept(2) would hold libmilter's
    lock.
    """
    before = set(_listening())
    milter.setconn(spec)
    callbacks.register()
    milter.setbacklog(_BACKLOG)
    _allow_long_headers()
    try:
        milter.opensocket(True)
    except milter.error as error:
        raise OSError(_reason(spec), f"libmilter can't open {spec}: {error}") from error
    fresh = [descriptor for descriptor in _listening() if descriptor not in before]
    if not fresh:
        raise OSError(errno.EIO, f"libmilter opened no socket for {spec}")
    os.set_blocking(fresh[0], False)
    os.set_inheritable(fresh[0], False)
    return Listener(fresh[0])


def _allow_long_headers() -> None:
    """Let libmilter read packets of up to 1 MiB.

    It drops the connection over anything longer than 65,535 bytes, which poisons the SMTP session. Postfix 3.7 cuts a
    header at 60,000 bytes, in the queue as well as for us; other releases need not. pymilter does not offer the call,
    so it is looked up in the libmilter that pymilter is linked with. One without it keeps its limit.
    """
    set_size = getattr(ctypes.CDLL(milter.__file__), "smfi_setmaxdatasize", None)
    if set_size is not None:
        set_size(ctypes.c_size_t(_PACKET))


def _reason(spec: str) -> int:
    """libmilter tells no errno: a folder that isn't there or isn't ours is no socket that somebody else has."""
    family, _, path = spec.partition(":")
    if family not in ("unix", "local"):
        return errno.EADDRINUSE
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        return errno.ENOENT
    return errno.EADDRINUSE if os.access(folder, os.W_OK | os.X_OK) else errno.EACCES


def _listening() -> list[int]:
    """All descriptors of this process that are listening sockets."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        try:
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                continue  # a copy of it would stay open, and keep a lock
            with socket.socket(fileno=os.dup(descriptor)) as probe:
                if probe.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    found.append(descriptor)
        except OSError:
            continue  # the descriptor of the listing itself, gone by now
    return found
