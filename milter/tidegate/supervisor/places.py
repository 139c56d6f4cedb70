"""The things that only one daemon may have: the state directory's lock, the socket's name; and the account.

Theory of the socket's name. libmilter binds a temporary name, which is renamed into place: libmilter's own unlink at
its end hits nothing, and a new daemon takes over without a moment in which there is no socket. Who finds another
inode under the name knows that it was succeeded. Looking and then renaming or unlinking are two steps, so both are
done under a short flock on `<socket>.lock`: an old daemon can't remove its successor's socket.
"""

from __future__ import annotations

import errno
import fcntl
import glob
import grp
import os
import pwd
import stat
import time
from dataclasses import dataclass

_UNWRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT, errno.ENOENT)
"""Why a lock file can't be made although the directory is there (ENOENT: nor opened for reading, after one of them)."""
_PATIENCE = 2.0  # seconds for the other daemon's rename or unlink


@dataclass(frozen=True, slots=True)
class Account:
    """Who the daemon becomes; None where it stays who it is."""

    user: int
    group: int
    name: str

    @staticmethod
    def named(user: str, group: str) -> Account | None:
        """The account of the settings, where we are root and one is named."""
        if os.geteuid() != 0 or not (user or group):
            return None
        entry = pwd.getpwnam(user) if user else pwd.getpwuid(os.getuid())
        return Account(entry.pw_uid, grp.getgrnam(group).gr_gid if group else entry.pw_gid, entry.pw_name)

    def become(self) -> None:
        """For good: groups, group, user, in this order."""
        os.initgroups(self.name, self.group)
        os.setgid(self.group)
        os.setuid(self.user)

    def may_write(self, directory: str) -> bool:
        """Could this account rename files in `directory`?"""
        os.setegid(self.group)
        os.seteuid(self.user)
        try:
            return os.access(directory, os.W_OK | os.X_OK, effective_ids=True)
        finally:
            os.seteuid(0)
            os.setegid(0)


def make_state(path: str, account: Account | None) -> None:
    """The state directory, made where it is missing. Raises OSError."""
    if not os.path.isdir(path):
        os.makedirs(path, 0o755)
        os.chmod(path, 0o750)
        if account:
            os.chown(path, account.user, account.group)


class Lock:
    """A flock on the state directory, and on `<state>/lock`, which names the process that has it.

    The directory itself is locked because a file can't be made on a full or read-only file system, where a daemon has
    to run all the same; the file, because earlier releases lock nothing else. A flock belongs to the open file, so
    every child closes it (`close_in_child`).
    """

    def __init__(self, state: str, account: Account | None) -> None:
        """Raises OSError where the directory can't be opened, or the file for a reason that is none of those above."""
        self._path = os.path.join(state, "lock")
        self._descriptors = [os.open(state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)]
        try:
            self._descriptors.append(self._open_file(account))
        except OSError as error:
            if error.errno not in _UNWRITABLE:
                self.close_in_child()
                raise
        self.held = False

    def _open_file(self, account: Account | None) -> int:
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError:
            return os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)  # a lock needs no permission to write
        if account:
            os.fchown(descriptor, account.user, account.group)
        return descriptor

    def take(self, patience: float = 0.0) -> bool:
        """Try for `patience` seconds. Raises OSError where the file system has no locks to give."""
        end = time.monotonic() + patience
        while not self.held:
            try:
                for descriptor in self._descriptors:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.release()
                if time.monotonic() >= end:
                    return False
                time.sleep(0.05)
            else:
                self.held = True
                self._sign()
        return True

    def _sign(self) -> None:
        """Write who has it, for people; on a full or read-only file system nobody is told."""
        try:
            os.ftruncate(self._descriptors[-1], 0)
            os.pwrite(self._descriptors[-1], f"{os.getpid()}\n".encode(), 0)
        except OSError:
            return

    def release(self) -> None:
        """Let a successor have it."""
        for descriptor in self._descriptors:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        self.held = False

    def close_in_child(self) -> None:
        """A child that kept it would keep the next daemon from starting."""
        for descriptor in self._descriptors:
            os.close(descriptor)


def lock_holder(state: str) -> str:
    """The process that a lock file names."""
    try:
        with open(os.path.join(state, "lock")) as file:
            return file.read(32).strip() or "unknown"
    except (OSError, ValueError):
        return "unknown"


def lock_is_held(state: str) -> bool:
    """Does a daemon run on this state directory, whether or not it can be asked? By what the kernel says: to try the
    lock could keep one from starting. False where that can't be told (some file systems have two device numbers).
    """
    try:
        place = os.stat(state)
        key = f" {os.major(place.st_dev):02x}:{os.minor(place.st_dev):02x}:{place.st_ino} "
        with open("/proc/locks") as file:
            return any(" FLOCK " in line and key in line for line in file)
    except OSError:
        return False


def remove_leftovers(path: str) -> None:
    """Remove temporary sockets of daemons that were killed before they had put theirs into place."""
    for name in glob.glob(f"{glob.escape(path)}.*.new"):
        owner = name[len(path) + 1 : -len(".new")]
        if owner.isdigit() and not os.path.exists(f"/proc/{owner}"):
            try:
                os.unlink(name)
            except OSError:
                return  # another account's: it harms nobody


def socket_group(account: Account | None, folder: str) -> int:
    """The group of a new socket for which the settings name none; -1: the one that it was made with.

    A set-group-ID folder has already given it its own (open(2), inode(7)), so that Postfix may reach it there.
    """
    if account is None or os.stat(folder).st_mode & stat.S_ISGID:
        return -1
    return account.group


class SocketPlace:
    """The published name of a unix socket that was bound under `temporary`."""

    def __init__(self, path: str, temporary: str, account: Account | None) -> None:
        self.path = path
        self.temporary = temporary
        state = os.stat(temporary)
        self._identity = (state.st_dev, state.st_ino)
        self._guard = -1
        self._published = False
        try:
            self._guard = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            if account:
                os.fchown(self._guard, account.user, account.group)
        except PermissionError:
            pass  # another account's daemon made it: then only that one's unlink is unguarded

    def publish(self) -> None:
        """Put the socket under its name, over whatever socket is there. Raises OSError."""
        self._lock()
        try:
            os.rename(self.temporary, self.path)
            self._published = True
        finally:
            self._unlock()

    @property
    def published(self) -> bool:
        return self._published

    def owner(self) -> str:
        """Who is under the name: `ours`, `other` or `nobody`."""
        try:
            state = os.stat(self.path)
        except OSError:
            return "nobody"
        return "ours" if (state.st_dev, state.st_ino) == self._identity else "other"

    def withdraw(self) -> None:
        """Remove the socket if it is still ours, so that clients see at once that nobody is there."""
        self._lock()
        try:
            if not self._published:
                os.unlink(self.temporary)
            elif self.owner() == "ours":
                os.unlink(self.path)
        except OSError:
            pass  # it stays, and nobody answers there: to a client that is the same
        finally:
            self._unlock()

    def close_in_child(self) -> None:
        if self._guard >= 0:
            os.close(self._guard)
            self._guard = -1

    def _lock(self) -> None:
        end = time.monotonic() + _PATIENCE
        while self._guard >= 0:
            try:
                fcntl.flock(self._guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > end:
                    return  # whoever holds it that long is stuck; the rename itself is atomic
                time.sleep(0.01)

    def _unlock(self) -> None:
        if self._guard >= 0:
            fcntl.flock(self._guard, fcntl.LOCK_UN)
