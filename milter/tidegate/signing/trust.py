"""Who is trusted: the files `NAME.pub` of one folder, and what that makes of a revision.

Promises: a revision is trusted only where a key of the folder, which may sign for the revision's environment, has
signed all of it; every other case is a Doubt that says why. A key that is taken out of the folder is not trusted from
the next look on. Refuses: asking anybody but the files.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from tidegate.revisions import Flaw, Revision
from tidegate.signing.keys import LARGEST, NAME, PublicKey, UnavailableError, read_public

_SUFFIX = ".pub"
_SHOWN = 16  # digits of a fingerprint


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why a revision is not trusted. `unable`: signatures can't be checked here at all, whatever the revision says."""

    why: str
    unable: bool = False


@dataclass(frozen=True, slots=True)
class Trusted:
    """What the folder holds. `flaws`: files that are no keys, by name, and why."""

    keys: tuple[PublicKey, ...] = ()
    flaws: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Trust:
    """The trusted keys of this machine; `folder` "": none are configured."""

    folder: str

    def trusted(self) -> Trusted | Flaw:
        """Read the folder. A Flaw where it can't be read."""
        if not self.folder:
            return Flaw("`trusted_keys` is not set")
        try:
            names = sorted(one for one in os.listdir(self.folder) if one.endswith(_SUFFIX) and one[0] != ".")
        except OSError as error:
            return Flaw(f"{self.folder}: {error.strerror}")
        keys, flaws = [], []
        for name in names:
            found = _read(Path(self.folder) / name, name.removesuffix(_SUFFIX))
            if isinstance(found, Flaw):
                flaws.append((name, found.why))
            else:
                keys.append(found)
        return Trusted(tuple(keys), tuple(flaws))

    def doubt(self, revision: Revision) -> Doubt | None:
        """Why it is not trusted; None: it is."""
        found = self.trusted()
        if isinstance(found, Flaw):
            return Doubt(found.why, unable=True)
        if not found.keys:
            bad = f"; {found.flaws[0][0]}: {found.flaws[0][1]}" if found.flaws else ""
            return Doubt(f"there is no key in {self.folder}{bad}", unable=True)
        if not revision.signature or not revision.key:
            return Doubt("it is not signed")
        named = [one for one in found.keys if one.fingerprint == revision.key]
        shown = revision.key[:_SHOWN]
        if not named:
            return Doubt(f"its key {shown} is not among the trusted ones in {self.folder}")
        if not any(revision.environment in one.environments for one in named):
            return Doubt(f"its key {named[0].name} ({shown}) may not sign for {revision.environment}")
        try:
            fits = named[0].signed(revision)
        except UnavailableError as error:
            return Doubt(str(error), unable=True)
        return None if fits else Doubt(f"its signature by {named[0].name} ({shown}) does not fit what it says")

    def name_of(self, fingerprint: str) -> str:
        """Whose key this is, as far as it is trusted here; else the fingerprint's beginning. "" for ""."""
        found = self.trusted() if fingerprint else Flaw("")
        keys = () if isinstance(found, Flaw) else found.keys
        return next((one.name for one in keys if one.fingerprint == fingerprint), fingerprint[:_SHOWN])


def _read(path: Path, name: str) -> PublicKey | Flaw:
    if not NAME.fullmatch(name):
        return Flaw("its name is none for a key")
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(LARGEST + 1) if stat.S_ISREG(mode) else b""
    except OSError as error:
        return Flaw(error.strerror or "it can't be read")
    if not stat.S_ISREG(mode) or len(data) > LARGEST:
        return Flaw("it is no key file")
    if mode & 0o002:
        return Flaw("everybody can write it, so it says nothing: chmod 644")
    return read_public(name, data)
