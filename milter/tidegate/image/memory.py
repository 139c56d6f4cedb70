"""Images in memory that is sealed: nobody can cut them under a worker's feet (a mapped file that shrinks is SIGBUS)."""

from __future__ import annotations

import fcntl
import mmap
import os

from tidegate.image.layout import BadImage


def sealed_memfd(data: bytes | memoryview, name: str = "tidegate-image") -> int:
    """A memory file with `data` that can't be written, grown or shrunk. The caller closes it. Raises OSError."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        written = 0
        while written < len(data):
            written += os.write(descriptor, memoryview(data)[written:])
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def map_fd(descriptor: int) -> mmap.mmap:
    """The file, mapped for reading; the descriptor may be closed. Raises BadImage where it is empty, and OSError."""
    if os.fstat(descriptor).st_size == 0:
        raise BadImage("the image is empty")
    # Private: before Linux 6.7 a shared map of a write-sealed memfd is refused, even one only for reading.
    return mmap.mmap(descriptor, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
