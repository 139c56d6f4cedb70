"""Where Postfix finds us: the same socket as it is written with a chroot and without, and who may connect to it."""

from __future__ import annotations

import grp
import os
import pwd
import socket
import stat
from dataclasses import replace
from pathlib import PurePosixPath

from tidegate.settings import Listen

_ANYWHERE = ("0.0.0.0", "::", "127.0.0.1", "localhost", "::1", "")
_PATIENCE = 5.0  # seconds


def for_postfix(listen: Listen, queue: str) -> str:
    """What to write into smtpd_milters: a path below the queue directory is right with and without chroot."""
    inside = os.path.relpath(listen.path, queue) if listen.path and queue else ".."
    if not inside.startswith(".."):
        return f"unix:{inside}"
    anywhere = listen.host in ("0.0.0.0", "localhost", "")
    return (replace(listen, host="127.0.0.1") if listen.port and anywhere else listen).for_postfix()


def is_ours(endpoint: str, listen: Listen, queue: str, chroot: bool) -> bool:
    """Does this endpoint of a milter list lead to us?"""
    kind, _, rest = endpoint.partition(":")
    if kind == "unix" and listen.path:
        # Relative to the queue directory in both cases (postconf(5), smtpd_milters); absolute below it in a chroot.
        path = os.path.join(queue, rest.lstrip("/")) if chroot or not rest.startswith("/") else rest
        return os.path.normpath(path) == os.path.normpath(listen.path) or (
            chroot and os.path.normpath(rest) == os.path.normpath(listen.path)
        )
    if kind in ("inet", "inet6") and listen.port:
        host, _, port = rest.rpartition(":")
        hosts = {host.strip("[]"), listen.host.strip("[]")}
        return port == str(listen.port) and (len(hosts) == 1 or hosts.issubset(_ANYWHERE))
    return False


def obstacle(path: str, user: str) -> str:
    """Why `user` can't connect to the unix socket at `path`; "" where it can.

    connect(2) asks for write permission on the socket and search permission on every folder above it.
    """
    trouble = barrier(path, user, 2, "connect to")
    return trouble or ("" if stat.S_ISSOCK(os.stat(path).st_mode) else f"{path} is no socket")


def barrier(path: str, user: str, wanted: int, what: str) -> str:
    """Why `user` may not do `what` with a path, which asks for the bits `wanted` (4 read, 2 write, 1 search) on it, and
    search permission on every folder above it; "" where it may."""
    try:
        account = pwd.getpwnam(user)
        groups = {account.pw_gid, *(one.gr_gid for one in grp.getgrall() if user in one.gr_mem)}
    except KeyError:
        return f"there is no user {user}, so whether it may {what} {path} can't be told"
    parents = [str(one) for one in PurePosixPath(path).parents][::-1]
    for place, bits in [*((one, 1) for one in parents), (path, wanted)]:
        try:
            found = os.stat(place)
        except OSError as error:
            return f"{place}: {error.strerror}"
        if not _may(found, account.pw_uid, groups, bits):
            doing = what if place == path else "pass through"
            return f"{user} may not {doing} {place} ({stat.filemode(found.st_mode)})"
    return ""


def nobody(listen: Listen) -> str:
    """Why nobody answers where we should listen; "" where somebody does."""
    host = "127.0.0.1" if listen.host in _ANYWHERE and ":" not in listen.host else listen.host.strip("[]")
    family = socket.AF_UNIX if listen.path else socket.AF_INET6 if ":" in host else socket.AF_INET
    where: str | tuple[str, int] = listen.path or (host, listen.port)
    try:
        with socket.socket(family, socket.SOCK_STREAM) as link:
            link.settimeout(_PATIENCE)
            link.connect(where)
    except OSError as error:
        return f"nobody answers at {listen.for_postfix()}: {error.strerror or error}; start the daemon first"
    return ""


def _may(found: os.stat_result, uid: int, groups: set[int], wanted: int) -> bool:
    if uid == 0:
        return True
    shift = 6 if found.st_uid == uid else 3 if found.st_gid in groups else 0
    return found.st_mode >> shift & wanted == wanted
