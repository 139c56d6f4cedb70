"""The three standard streams as the commands need them, whatever the caller gave us.

Promises: a stream that is closed is /dev/null (otherwise the next file or socket that is opened would get its number,
and what is written for a person would go there); a character that the terminal can't show is escaped; a full disk or
a reader that left is one line and an exit code, never a traceback.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable

_UNABLE = 2
_OF_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def prepare() -> None:
    """Before anything else is opened."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number is this one
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - for the whole life of the process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")


def guarded(command: Callable[[], None]) -> None:
    """Run it; what the system refuses is said in one line, and ends the process."""
    try:
        command()
    except OSError as error:
        if error.errno != errno.EPIPE:
            place = "standard output: " if error.errno in _OF_WRITING else ""
            place = f"{os.fsdecode(error.filename)}: " if error.filename is not None else place
            os.write(2, f"tidegate: {place}{error.strerror or error}\n".encode("utf-8", "backslashreplace"))
        os._exit(_UNABLE)  # what is still buffered would fail once more when the interpreter ends
