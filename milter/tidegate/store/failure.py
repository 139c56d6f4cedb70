"""What a store can fail with: one exception, with a reason that a person can read and a word that a program can.

Promises: no secret in the text (redis-py's messages hold none of ours; what a server says is cut and made printable).
"""

from __future__ import annotations

import errno
import os
import ssl
from enum import Enum

from redis import exceptions

_LONGEST = 200  # characters of what a server said


class Fault(str, Enum):
    """Which kind of failure; the value is for logs and JSON."""

    SETTINGS = "settings"  # a password or CA file can't be read
    UNREACHABLE = "unreachable"  # nobody answers there, or the connection broke
    TIMEOUT = "timeout"  # somebody is there and does not answer in time
    REFUSED = "refused"  # password, user or ACL
    READ_ONLY = "read-only"  # a replica, or a server that can't write to its disk
    FULL = "full"  # out of memory
    BUSY = "busy"  # loading, too many clients, a script that runs, a Cluster that is down
    WRONG_TYPE = "wrong-type"  # something else is kept under our key
    REPLY = "reply"  # any other error, or an answer that makes no sense


class StoreError(Exception):
    """The store did not do it. `why` is for people and holds no secret; `fault` says of which kind it is."""

    def __init__(self, why: str, fault: Fault = Fault.UNREACHABLE) -> None:
        super().__init__(why)
        self.why = why
        self.fault = fault


# How the message begins (redis-py takes some of the codes away), or what stands in it.
_WORDS: tuple[tuple[str, Fault, str], ...] = (
    ("NOAUTH", Fault.REFUSED, "it wants a password (`redis_password_file`)"),
    ("Authentication required", Fault.REFUSED, "it wants a password (`redis_password_file`)"),
    ("WRONGPASS", Fault.REFUSED, "user or password is wrong, or the user is disabled"),
    ("invalid username-password", Fault.REFUSED, "user or password is wrong, or the user is disabled"),
    ("invalid password", Fault.REFUSED, "user or password is wrong, or the user is disabled"),
    ("NOPERM", Fault.REFUSED, ""),
    ("has no permissions", Fault.REFUSED, ""),
    ("user executing the script", Fault.REFUSED, ""),
    ("READONLY", Fault.READ_ONLY, "it is a replica and takes no writes"),
    ("read only replica", Fault.READ_ONLY, "it is a replica and takes no writes"),
    ("MISCONF", Fault.READ_ONLY, "it can't save to its disk and takes no writes"),
    ("NOREPLICAS", Fault.READ_ONLY, "it has too few replicas and takes no writes"),
    ("OOM", Fault.FULL, "its memory is full (`maxmemory`)"),
    ("command not allowed when used memory", Fault.FULL, "its memory is full (`maxmemory`)"),
    ("WRONGTYPE", Fault.WRONG_TYPE, "something else is kept under our key"),
    ("max number of clients", Fault.BUSY, "it has too many clients (`maxclients`)"),
    ("CLUSTERDOWN", Fault.BUSY, "the Cluster is down"),
    ("TRYAGAIN", Fault.BUSY, "our keys are being moved to another node"),
    ("MASTERDOWN", Fault.BUSY, "its master is down"),
    ("LOADING", Fault.BUSY, "it is loading its data"),
    ("BUSY", Fault.BUSY, "a script keeps it busy"),
)
_CLASSES: tuple[tuple[type[Exception], Fault, str], ...] = (
    (exceptions.BusyLoadingError, Fault.BUSY, "it is loading its data"),
    (exceptions.ReadOnlyError, Fault.READ_ONLY, "it is a replica and takes no writes"),
    (exceptions.NoPermissionError, Fault.REFUSED, ""),
    (exceptions.AuthenticationError, Fault.REFUSED, "user or password is wrong, or the user is disabled"),
    (exceptions.TimeoutError, Fault.TIMEOUT, "it does not answer in time"),
    (TimeoutError, Fault.TIMEOUT, "it does not answer in time"),
)


def failure(error: Exception, where: str) -> StoreError:
    """What redis-py or the system raised, as a StoreError; `where` names the store."""
    said = printable(str(error))
    for word, fault, text in _WORDS:
        if said.startswith(word) or (word[:2].islower() and word in said):
            return StoreError(f"{where}: {text or said}", fault)
    for kind, fault, text in _CLASSES:
        if isinstance(error, kind):
            return StoreError(f"{where}: {text or said}", fault)
    if isinstance(error, exceptions.ConnectionError):
        return StoreError(f"{where}: {_broken(error, said)}", Fault.UNREACHABLE)
    if isinstance(error, OSError):
        return StoreError(f"{where}: {error.strerror or said}", Fault.UNREACHABLE)
    return StoreError(f"{where}: it answers with an error: {said}", Fault.REPLY)


def _broken(error: Exception, said: str) -> str:
    """The system's words where redis-py wraps them (`Error 111 connecting to host:port. Connection refused.`)."""
    cause = error.__cause__ or error.__context__
    if isinstance(cause, ssl.SSLError):
        return printable(str(cause))
    if isinstance(cause, OSError) and cause.errno is not None and cause.errno in errno.errorcode:
        return os.strerror(cause.errno)
    return said or "the connection broke"


def printable(text: str) -> str:
    """What a server said, made fit for a terminal and a log."""
    shown = "".join(one if one.isprintable() else " " for one in text[: _LONGEST + 1])
    return f"{shown[:_LONGEST]}…" if len(shown) > _LONGEST else shown
