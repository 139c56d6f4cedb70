"""One end of a SOCK_SEQPACKET pair between the supervisor and a child: a JSON object per packet.

Promises: non-blocking on the supervisor's side; a peer that floods, stalls or sends nonsense can't stop the reader.
What is larger than a packet travels as a sealed memfd beside it.
"""

from __future__ import annotations

import array
import fcntl
import json
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_PACKET = 32 * 1024
_DESCRIPTORS = 4
_ANCILLARY = socket.CMSG_SPACE(_DESCRIPTORS * array.array("i").itemsize)


@dataclass(frozen=True, slots=True)
class Packet:
    """One message: what it says, and the descriptors that came with it (the reader closes them)."""

    word: str
    values: Mapping[str, Any]
    descriptors: tuple[int, ...] = ()


class ClosedError(Exception):
    """The other side is gone."""


class Channel:
    """Sends and receives packets; `fileno` for select."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        end.setblocking(False)

    @staticmethod
    def pair() -> tuple[Channel, Channel]:
        """Two connected ends."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        return Channel(ours), Channel(theirs)

    def fileno(self) -> int:
        return self._end.fileno()

    def close(self) -> None:
        self._end.close()

    def send(self, word: str, **values: object) -> bool:
        """Send one packet; False where the peer's buffer is full (it is stuck) or it is gone."""
        return self.send_with((), word, **values)

    def send_with(self, descriptors: Sequence[int], word: str, **values: object) -> bool:
        """The same, with descriptors beside it."""
        data = json.dumps({"word": word, **values}).encode()
        try:
            if descriptors:
                socket.send_fds(self._end, [data], list(descriptors))
            else:
                self._end.send(data)
        except OSError:
            return False
        return True

    def receive(self) -> Packet | None:
        """The next packet, None where there is none yet. Raises ClosedError at the end."""
        try:
            data, ancillary, _flags, _address = self._end.recvmsg(_PACKET, _ANCILLARY, socket.MSG_CMSG_CLOEXEC)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as error:
            raise ClosedError from error
        descriptors = _descriptors(ancillary)
        if not data:
            raise ClosedError
        try:
            values = json.loads(data)
            word = values.pop("word")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            for descriptor in descriptors:
                os.close(descriptor)
            return Packet("nonsense", {})
        return Packet(str(word), values, descriptors)


def _descriptors(ancillary: Sequence[tuple[int, int, bytes]]) -> tuple[int, ...]:
    found = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return tuple(found)


def memory(name: str, data: bytes) -> int:
    """A sealed memfd with `data`: whoever maps it can't be killed by a truncation, as with a plain file (SIGBUS).

    The caller closes it. Raises OSError.
    """
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        written = 0
        while written < len(data):
            written += os.write(descriptor, memoryview(data)[written:])
        seal(descriptor)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def seal(descriptor: int) -> None:
    """No more writing, growing or shrinking."""
    seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)


def content(descriptor: int) -> bytes:
    """All bytes of a memfd, wherever its offset stands."""
    size = os.fstat(descriptor).st_size
    parts: list[bytes] = []
    done = 0
    while done < size:
        part = os.pread(descriptor, size - done, done)
        if not part:
            break
        parts.append(part)
        done += len(part)
    return b"".join(parts)
