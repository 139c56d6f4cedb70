"""Throw-away Debian systems: a base that is made once and kept, layers of packages on it, and on top what is written.

Promises: the machine's own packages, services and network are untouched; whatever runs in a root ends with the command
that started it; what was written is gone afterwards. Needs root, mmdebstrap and a mirror (TIDEGATE_MIRROR where it is
not Debian's own). What is kept lies in /var/cache/tidegate-roots (TIDEGATE_ROOTS) and is made anew after a week; where
two want to make it, the second waits.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CACHE = Path(os.environ.get("TIDEGATE_ROOTS", "/var/cache/tidegate-roots"))
RELEASES = ("bookworm", "trixie")
KEPT = 7 * 86400.0  # seconds
TRIED = 86400.0  # and what was written to
APT = "apt-get -q -y -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold --no-install-recommends"


class RootError(Exception):
    """A command in a root, or the making of one, failed; the text holds what it printed."""


class UnavailableError(RootError):
    """No root can be made on this machine, whatever the package is like."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command in a root came to."""

    code: int
    out: str  # standard output and standard error, in the order in which they came


def own_release() -> str:
    """The release of this machine. Raises UnavailableError where the package is made for another."""
    text = Path("/etc/os-release").read_text()
    found = re.search(r"^VERSION_CODENAME=(\w+)$", text, re.MULTILINE)
    if not found or found[1] not in RELEASES:
        raise UnavailableError(f"this machine is none of {', '.join(RELEASES)}")
    return found[1]


@dataclass(slots=True)
class Root:
    """One system to write to. `with Root("bookworm", layers=[("postfix",)]) as root: root.run("postfix check")`."""

    release: str
    layers: Sequence[tuple[str, ...]] = ()  # packages, each a dependency as in debian/control; those below come first
    folder: Path = field(init=False)
    lower: list[Path] = field(init=False, default_factory=list)

    def __enter__(self) -> Self:
        self.lower = [_base(self.release)]
        for packages in self.layers:
            self.lower.insert(0, _layer(self.release, packages, self.lower))
        self.folder = Path(tempfile.mkdtemp(prefix="root-", dir=CACHE))
        for name in ("upper", "work", "at"):
            (self.folder / name).mkdir(mode=0o755)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.folder)

    def run(self, script: str, network: bool = False, check: bool = True, **environment: str) -> Ran:
        """Run a script of sh(1) in it, as root; what it leaves running ends with it.

        Without `network` it has a loopback interface of its own. Raises RootError where it fails, unless `check` is
        False.
        """
        return _run(self.folder, self.lower, script, network, check, environment)

    def put(self, source: Path, target: str) -> None:
        """Copy a file or folder of this machine to a path in the root."""
        path = self.folder / "upper" / target.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, path, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copy2(source, path)

    def get(self, path: str) -> Path:
        """Where a path that was written in the root lies on this machine."""
        return self.folder / "upper" / path.lstrip("/")

    def download(self, packages: str) -> None:
        """Fetch what apt needs to install these without a network."""
        self.run(f"apt-get -q update && {APT} --download-only install {packages}", network=True)


def _base(release: str) -> Path:
    def make(place: Path) -> None:
        command = ["mmdebstrap", "--quiet", "--variant=minbase", "--mode=root", "--dpkgopt=force-unsafe-io"]
        command += [f"--aptopt={line}" for line in _of_this_machine()]
        command += [release, str(place)] + ([os.environ["TIDEGATE_MIRROR"]] if "TIDEGATE_MIRROR" in os.environ else [])
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            raise UnavailableError(done.stdout)

    if os.geteuid() or not shutil.which("mmdebstrap"):
        raise UnavailableError("it takes root and mmdebstrap (sh tests/setup/install.sh roots)")
    return _kept(f"{release}-base", make)


def _layer(release: str, packages: tuple[str, ...], lower: list[Path]) -> Path:
    def make(place: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="layer-", dir=CACHE) as name:
            folder = Path(name)
            for part in ("upper", "work", "at"):
                (folder / part).mkdir(mode=0o755)
            wanted = ", ".join(packages)
            deny = "printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d"
            updated = _run(folder, lower, "apt-get -q update -o APT::Update::Error-Mode=any", True, False, {})
            if updated.code:
                raise UnavailableError(updated.out)
            _run(folder, lower, f"{deny}; {APT} satisfy '{wanted}'; rm /usr/sbin/policy-rc.d", True, True, {})
            (folder / "upper").rename(place)

    # A layer fits what it was made on, and nothing that was made since.
    below = [f"{one} {one.stat().st_mtime_ns}" for one in lower]
    digest = hashlib.sha256("\n".join([*below, *packages]).encode()).hexdigest()[:12]
    return _kept(f"{release}-{digest}", make)


def _kept(name: str, make: object) -> Path:
    """The folder of this name in the cache; made where it is missing or old."""
    assert callable(make)
    CACHE.mkdir(mode=0o755, parents=True, exist_ok=True)
    place = CACHE / name
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _sweep()
        if not place.exists():
            draft = CACHE / f"{name}.new"
            shutil.rmtree(draft, ignore_errors=True)
            make(draft)
            os.utime(draft)
            draft.rename(place)
    return place


def _sweep() -> None:
    """Delete what is too old to be used, and what a run that was killed has left."""
    for path in CACHE.iterdir():
        limit = TRIED if path.name.startswith(("root-", "layer-")) else KEPT
        if path.name != "lock" and time.time() - path.stat().st_mtime > limit:
            shutil.rmtree(path)


def _of_this_machine() -> list[str]:
    """How this machine's apt reaches its mirror: proxies, and what it does not check because of a wrong clock."""
    shown = subprocess.run(["apt-config", "dump", "Acquire"], capture_output=True, text=True, check=True).stdout
    wanted = re.compile(r"Acquire::(Check-|https?::(Proxy|CAInfo)|Retries)")
    return [line for line in shown.splitlines() if wanted.match(line)] + ['APT::Install-Recommends "false";']


def _run(
    folder: Path, lower: Sequence[Path], script: str, network: bool, check: bool, environment: dict[str, str]
) -> Ran:
    own = ["--net"] if not network else []
    command = [
        "nice",
        "-n",
        "5",
        "unshare",
        "--mount",
        "--pid",
        "--ipc",
        "--uts",
        "--fork",
        "--kill-child",
        *own,
        "sh",
        "-e",
    ]
    command += [str(HERE / "enter.sh"), str(folder), ":".join(map(str, lower)), f"set -e; {script}"]
    clean = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"}
    clean |= {"DEBIAN_FRONTEND": "noninteractive", **environment}
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=clean, check=False
    )
    out = done.stdout.decode("utf-8", "backslashreplace")
    if check and done.returncode:
        raise RootError(f"exit {done.returncode} of:\n{script}\n{out[-12000:]}")
    return Ran(done.returncode, out)
