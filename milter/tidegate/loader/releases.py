"""Releases: a policy directory that is a symbolic link to a folder which was applied whole, and known by its digest.

    POLICIES                     a link to POLICIES.releases/DIGEST (`tidegate apply` swaps it)
    POLICIES.releases/DIGEST/    the files as they were applied, and `.release`, which has the SHA-256 of each
    POLICIES.releases/DIGEST.record   who applied it, when and why, from when on it lapses, which gates said no

Promises: whoever reads the directory goes through the link once, so a swap is seen as one change and never half; a
release that was not confirmed in time is left for the one before it by every reader alike, without anybody writing;
one whose files are all there as they were applied is whole, so what it lacks is deleted and not absent.
Refuses: writing. `tidegate apply` does (cli/releasing.py).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from tidegate import records
from tidegate.alerts import problem
from tidegate.loader.sources import LIST_LIMIT, Directory, content_digest, read_file
from tidegate.model import Place, Problem, Severity

MANIFEST = ".release"
_SUFFIX = ".releases"
_RECORD = ".record"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LARGEST = 16 << 20  # bytes of a manifest

Files = Mapping[str, str]
"""Paths below the folder, with `/`, and the SHA-256 of what stands there."""


@dataclass(frozen=True, slots=True)
class Applied:
    """The record of one release. Times are POSIX seconds; `until` 0: it stays; `forced`: gates that said no."""

    digest: str
    previous: str
    at: float
    who: str
    reason: str = ""
    until: float = 0.0
    forced: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Home:
    """Where policies are read now. `digest` "": that is no release; `lapsed`: the one that is left for it."""

    path: str
    digest: str = ""
    applied: Applied | None = None
    lapsed: Applied | None = None
    trouble: str = ""  # why the record of the release can't be read


def releases_of(policies: str) -> Path:
    """The folder of the releases of a policy directory."""
    return Path(f"{os.path.normpath(policies)}{_SUFFIX}")


def home_of(policies: str, now: float) -> Home:
    """The folder that `policies` stands for at `now` (POSIX seconds): where it is a link, the end of it."""
    if not os.path.islink(policies):
        return Home(policies)
    path = os.path.realpath(policies)
    digest = os.path.basename(path)
    folder = os.path.realpath(releases_of(policies))
    if not _DIGEST.fullmatch(digest) or os.path.dirname(path) != folder:
        return Home(path)
    try:
        applied = read_applied(policies, digest)
    except (OSError, ValueError) as error:
        return Home(path, digest, trouble=str(error))
    if applied is not None and applied.until and now >= applied.until:
        before = os.path.join(folder, applied.previous)
        if _DIGEST.fullmatch(applied.previous) and os.path.isdir(before):
            return Home(before, applied.previous, None, applied)
    return Home(path, digest, applied)


def read_applied(policies: str, digest: str) -> Applied | None:
    """The record of a release; None where there is none. Raises OSError, or ValueError where it is damaged."""
    try:
        body = records.read(releases_of(policies) / f"{digest}{_RECORD}")
    except FileNotFoundError:
        return None
    try:
        values = json.loads(body)
        return Applied(
            str(values["digest"]),
            str(values["previous"]),
            float(values["at"]),
            str(values["who"]),
            str(values["reason"]),
            float(values["until"]),
            tuple(map(str, values["forced"])),
        )
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"not the record of a release: {error!r}") from error


def applied_text(applied: Applied) -> bytes:
    """The record as it is written."""
    return json.dumps(asdict(applied)).encode()


def record_path(policies: str, digest: str) -> Path:
    """Where the record of a release is written."""
    return releases_of(policies) / f"{digest}{_RECORD}"


def digest_of_files(files: Files) -> str:
    """One digest of a folder: as `sha256sum` of all its files by name, and `sha256sum` of what that prints."""
    rows = sorted((path.encode("utf-8", "surrogateescape"), digest) for path, digest in files.items())
    return hashlib.sha256(b"".join(b"%s  %s\n" % (digest.encode(), path) for path, digest in rows)).hexdigest()


def manifest_text(files: Files) -> bytes:
    """`.release` as it is written."""
    return json.dumps({"version": 1, "files": dict(sorted(files.items()))}, indent=1).encode()


def read_manifest(folder: str) -> Files:
    """Its files. Raises ValueError for what is no manifest of this very folder."""
    source = read_file(folder, MANIFEST, _LARGEST)
    if source.error:
        raise ValueError(f"{MANIFEST}: {source.error}")
    try:
        files = {str(path): str(digest) for path, digest in json.loads(source.data)["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{MANIFEST} is damaged") from error
    if digest_of_files(files) != os.path.basename(folder):
        raise ValueError(f"{MANIFEST} is that of another release")
    return files


def changed(folder: str, found: Directory | None = None) -> tuple[str, ...]:
    """What of a release is not as it was applied: paths, and why; empty where it is whole.

    `found` are its policy files where they have been read already: what is compared is what is loaded.
    """
    try:
        files = read_manifest(folder)
    except ValueError as error:
        return (str(error),)
    read = {source.name: content_digest(source) for source in found.sources} if found else {}
    if found is not None and found.error:
        return (found.error,)
    wrong = [
        path
        for path, digest in sorted(files.items())
        if (read[path] if path in read else content_digest(read_file(folder, path, LIST_LIMIT))) != digest
    ]
    return (*wrong, *_added(files, found))


def _added(files: Files, found: Directory | None) -> Iterable[str]:
    """Policy files that nobody applied."""
    names = [source.name for source in found.sources] if found else []
    return [f"{name} was added" for name in names if name not in files]


def remarks(home: Home, wrong: tuple[str, ...]) -> tuple[Problem, ...]:
    """What has to be told of the release that is read; `wrong` as `changed` has it."""
    found = []
    if home.trouble:
        found.append(_warning("release-changed", f"the record of release {home.digest[:12]}: {home.trouble}"))
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        text = f"release {home.digest[:12]} is not as it was applied: {', '.join(wrong[:3])}{more}"
        found.append(_warning("release-changed", text))
    lapsed = home.lapsed
    if lapsed is not None:
        text = f"release {lapsed.digest[:12]} was not confirmed until {_date(lapsed.until)}; {home.digest[:12]} serves"
        found.append(_warning("release-lapsed", text))
    applied = home.applied
    if applied is not None and applied.forced:
        why = f"{applied.who} applied release {applied.digest[:12]} past its gates ({', '.join(applied.forced)})"
        found.append(_warning("release-forced", f"{why}: {applied.reason}"))
    return tuple(found)


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _warning(code: str, text: str) -> Problem:
    return problem(code, text, Place(".", 0, 0), Severity.WARNING)
