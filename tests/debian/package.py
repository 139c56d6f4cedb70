"""Builds the package of the last commit in a throw-away root of a release, and has lintian read it.

Promises: what is built with is what debian/control names, and no network; the same commit on the same release gives
the same bytes, which `build` can be asked to prove by building twice: elsewhere, by another umask, time zone, language.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

from tests.debian.roots import ROOT, Root, RootError

# Standards-Version 4.6.2 is the newest that Debian 12's lintian knows, and old for Debian 13's.
SUPPRESSED = {"bookworm": (), "trixie": ("out-of-date-standards-version",)}


def build_depends() -> tuple[str, ...]:
    """What debian/control asks for to build."""
    value = re.search(r"^Build-Depends:((?:\n .*)+)", (ROOT / "debian" / "control").read_text(), re.MULTILINE)
    assert value
    return _members(value[1])


def depends(deb: Path, *fields: str) -> tuple[str, ...]:
    """What a package depends on; with `fields`, what it says there too (Recommends, Suggests)."""
    command = [
        "dpkg-deb",
        "--show",
        "--showformat",
        "".join(f"${{{name}}}," for name in ("Depends", *fields)),
        str(deb),
    ]
    return _members(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def _members(value: str) -> tuple[str, ...]:
    members = (" ".join(one.split()) for one in value.split(","))
    return tuple(one for one in members if one)


def build(release: str, into: Path, times: int = 1) -> Path:
    """Builds into a folder, source and package; returns the .deb. Raises RootError, also where two builds differ."""
    into.mkdir(parents=True, exist_ok=True)
    sums = set()
    for turn in range(times):
        with Root(release, [("build-essential", *build_depends())]) as root:
            place = f"/build{turn}/tidegate"
            unpack(root, place)
            clock = "" if turn == 0 else "umask 077; export TZ=Asia/Kolkata LC_ALL=C; touch debian/rules; "
            root.run(f"cd {place}; {clock}dpkg-buildpackage -us -uc >../log 2>&1 || {{ cat ../log; exit 1; }}")
            made = sorted(root.get(f"/build{turn}").glob("tidegate_*"))
            sums.add(tuple((one.name, digest(one)) for one in made if one.suffix in (".deb", ".xz")))
            for one in made:
                shutil.copy(one, into)
    if len(sums) != 1:
        raise RootError(f"two builds of the same commit differ: {sums}")
    return next(into.glob("*.deb"))


def unpack(root: Root, place: str) -> None:
    """The last commit, unpacked in a root."""
    folder = root.get(place)
    folder.mkdir(parents=True)
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", "HEAD"], stdout=subprocess.PIPE, check=True).stdout
    subprocess.run(["tar", "-x", "--no-same-owner", "-C", str(folder)], input=archive, check=True)


def lintian(release: str, built: Path) -> list[str]:
    """What lintian has to say, a line for each tag that no override explains."""
    with Root(release, [("lintian",)]) as root:
        root.put(built, "/built")
        options = "".join(f" --suppress-tags {tag}" for tag in SUPPRESSED[release])
        said = root.run(f"lintian -EvIL +pedantic --allow-root{options} /built/*.changes", check=False).out
    return [line for line in said.splitlines() if re.match(r"[EWIPXC]: ", line)]


def digest(path: Path) -> str:
    """sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
