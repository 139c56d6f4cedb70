"""The policy directory as bytes: which files count, what they hold, and one digest of it all.

Promises: never hangs on a FIFO, a socket or a device; never reads more than the caps; what can't be read is a Source
with its reason, never an exception. The clerk and the loader use the same digest, so "what is on disk" and "what was
loaded" can be compared. Refuses: recursion, includes, names that don't end in .yaml or begin with a dot.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field

from tidegate.model import Place, Problem, Severity, Source

FILE_LIMIT = 32 << 20  # bytes of one policy file
LIST_LIMIT = 256 << 20  # bytes of one list file
FILES_LIMIT = 5_000
_DIRECTORY = "it is a directory"
_IGNORED = "ignored"
_RACY = 2.0  # seconds: a file changed so recently may change again within one tick of its time stamp


@dataclass(frozen=True, slots=True)
class Directory:
    """What the policy directory holds. `error`: it can't be read at all, and why."""

    sources: tuple[Source, ...] = ()
    error: str = ""
    ignored: tuple[tuple[str, str], ...] = ()  # (name, why) of what looks like a policy file and is none


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file as it was read, for the status: its digest, or why it counts for nothing."""

    kind: str  # policy or list
    name: str
    digest: str = ""
    size: int = 0
    error: str = ""

    def document(self, read: float) -> dict[str, object]:
        """For JSON; `read` in POSIX seconds."""
        return {**asdict(self), "read": read}


def described(found: Directory, believed: Iterable[Source], lists: Mapping[str, Source]) -> tuple[SourceFile, ...]:
    """What was read; `believed` says of which policy files something was wrong that their bytes don't show."""
    errors = {source.name: source.error for source in believed if source.error}
    files = [_described("policy", source, errors.get(source.name, "")) for source in found.sources]
    files += [SourceFile("policy", name, error=why) for name, why in found.ignored]
    return (*files, *(_described("list", lists[name]) for name in sorted(lists)))


def _described(kind: str, source: Source, error: str = "") -> SourceFile:
    digest = "" if source.error else hashlib.sha256(source.data).hexdigest()
    return SourceFile(kind, source.name, digest, len(source.data), source.error or error)


def names(path: str) -> list[str]:
    """The policy files' names in order. Raises OSError."""
    return sorted(name for name in os.listdir(path) if name.endswith(".yaml") and not name.startswith("."))


def read_directory(path: str) -> Directory:
    """Read everything that counts, in name order."""
    try:
        found = names(path)
    except OSError as error:
        return Directory(error=f"{path}: {error.strerror}")
    sources: list[Source] = []
    ignored: list[tuple[str, str]] = []
    for name in found[:FILES_LIMIT]:
        if _is_directory(os.path.join(path, name)):
            ignored.append((_shown(name), _DIRECTORY))
            continue
        sources.append(read_file(path, name, FILE_LIMIT))
    ignored += [(_shown(name), f"there are more than {FILES_LIMIT} files") for name in found[FILES_LIMIT:]]
    return Directory(tuple(sources), "", tuple(ignored))


def _is_directory(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except OSError:
        return False  # reading it will say why


def read_file(base: str, name: str, limit: int = LIST_LIMIT) -> Source:
    """Read one regular file (or a link to one), `name` relative to `base`."""
    shown = _shown(name)
    try:
        descriptor = os.open(os.path.join(base, name), os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        return Source(shown, error=error.strerror or "it can't be opened")
    except ValueError:
        return Source(shown, error="its name holds a NUL byte")
    state = os.fstat(descriptor)
    if not stat.S_ISREG(state.st_mode):  # asked before `open`, which raises for a directory
        os.close(descriptor)
        return Source(shown, error="it is not a regular file")
    with open(descriptor, "rb", closefd=True) as file:
        try:
            if state.st_size > limit:
                return Source(shown, error=f"it is larger than {limit} bytes")
            data = file.read(limit + 1)
        except OSError as error:
            return Source(shown, error=error.strerror or "it can't be read")
    if len(data) > limit:
        return Source(shown, error=f"it is larger than {limit} bytes")
    return Source(shown, data)


def _shown(name: str) -> str:
    """File names are bytes; what isn't UTF-8 in them is shown escaped and never breaks a log or a JSON text."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def problems(directory: Directory) -> list[Problem]:
    """What was passed over, and must not be in silence."""
    return [
        Problem("source-ignored", f"{name} is not read: {why}", Place(name, 1, 1), Severity.WARNING)
        for name, why in directory.ignored
    ]


@dataclass(slots=True)
class Digester:
    """Digests of directory and list files, reading again only what changed by its inode, size and times."""

    files: str = ""  # the last digest without what lies over the files
    _known: dict[str, tuple[tuple[int, ...], str]] = field(default_factory=dict)

    def digest(self, path: str, lists: Iterable[str], above: str = "") -> str:
        """One digest of all policy files and of these list files, readable or not, and of what lies over them: `above`
        names the snapshot of the policy revision (revision.py)."""
        whole = hashlib.sha256()
        fresh: dict[str, tuple[tuple[int, ...], str]] = {}
        try:
            found = sorted(names(path)[:FILES_LIMIT], key=_shown)  # as whole_digest does, which has no other names
        except OSError as error:
            whole.update(f"unreadable: {path}: {error.strerror}".encode())
            found = []
        for kind, name in [*(("policy", name) for name in found), *(("list", name) for name in sorted(set(lists)))]:
            if kind == "policy" and _is_directory(os.path.join(path, name)):
                whole.update(f"policy {_IGNORED} {_shown(name)}\n".encode())
                continue
            mark = self._mark(path, name)
            known = self._known.get(name)
            if known and mark and known[0] == mark:
                digest = known[1]
            else:
                digest = content_digest(read_file(path, name, FILE_LIMIT if kind == "policy" else LIST_LIMIT))
            if mark:
                fresh[name] = (mark, digest)
            whole.update(f"{kind} {digest} {_shown(name)}\n".encode())
        self._known = fresh
        self.files = whole.hexdigest()
        _lay_over(whole, above)
        return whole.hexdigest()

    def _mark(self, path: str, name: str) -> tuple[int, ...] | None:
        """What tells two states of a file apart without reading it; None where that can't be trusted yet."""
        try:
            state = os.stat(os.path.join(path, name))
        except (OSError, ValueError):
            return None
        if time.time() - state.st_ctime < _RACY:
            return None
        return (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_mode)


def content_digest(source: Source) -> str:
    """sha256 of the bytes, or of the reason why there are none."""
    if source.error:
        return "error " + hashlib.sha256(source.error.encode("utf-8", "replace")).hexdigest()
    return hashlib.sha256(source.data).hexdigest()


def whole_digest(directory: Directory, lists: Mapping[str, Source], above: str = "") -> str:
    """Digester.digest of what the loader has read (not of what lies there by now)."""
    whole = hashlib.sha256()
    if directory.error:
        whole.update(f"unreadable: {directory.error}".encode())
    rows = [("policy", source.name, content_digest(source)) for source in directory.sources]
    rows += [("policy", name, _IGNORED) for name, why in directory.ignored if why == _DIRECTORY]
    rows = sorted(rows, key=lambda row: row[1])
    rows += [("list", name, content_digest(lists[name])) for name in sorted(lists)]
    for kind, name, digest in rows:
        whole.update(f"{kind} {digest} {name}\n".encode())
    _lay_over(whole, above)
    return whole.hexdigest()


def _lay_over(whole: hashlib._Hash, above: str) -> None:
    if above:
        whole.update(f"above {above}\n".encode())
