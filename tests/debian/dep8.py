"""Runs debian/tests as autopkgtest(1) does, in throw-away roots: what DEP-8 says of the fields that ours use.

Promises: each test has a system of its own, in which nothing but the package, what it depends on and what the test asks
for is installed; `breaks-testbed` is no reason to leave one out. Refuses fields and restrictions that it does not know.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.debian.package import depends, unpack
from tests.debian.roots import APT, ROOT, Root

CONTROL = ROOT / "debian" / "tests" / "control"
FIELDS = {"Tests", "Depends", "Restrictions"}
RESTRICTIONS = {"allow-stderr", "breaks-testbed", "isolation-container", "needs-root", "superficial"}


@dataclass(frozen=True, slots=True)
class Dep8:
    """One test: its script in debian/tests, the packages that it needs, what it is allowed."""

    name: str
    depends: tuple[str, ...]
    restrictions: frozenset[str]


def dep8s(text: str = "") -> Iterator[Dep8]:
    """The tests of a control file, in order. Raises ValueError for what it does not know."""
    for paragraph in (text or CONTROL.read_text()).strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines())
        restrictions = frozenset(_members(fields.get("Restrictions", "")))
        if fields.keys() - FIELDS or restrictions - RESTRICTIONS:
            raise ValueError(f"unknown in {CONTROL}: {fields.keys() - FIELDS or restrictions - RESTRICTIONS}")
        for name in _members(fields["Tests"]):
            yield Dep8(name, tuple(_members(fields.get("Depends", "@"))), restrictions)


def _members(value: str) -> list[str]:
    return [one.strip() for one in value.split(",") if one.strip()]


def run(release: str, deb: Path, test: Dep8) -> str:
    """What the test printed. Raises RootError where it fails, with that."""
    wanted = tuple(one for one in test.depends if one != "@")
    with Root(release, [depends(deb)] + ([wanted] if wanted else [])) as root:
        root.put(deb, "/package/tidegate.deb")
        unpack(root, "/source")
        root.run(f"{APT} install /package/tidegate.deb")
        root.run("adduser --quiet --disabled-password --gecos '' tester 2>/dev/null || useradd -m tester")
        told = "" if "allow-stderr" in test.restrictions else "2>/tmp/stderr"
        command = f"/source/debian/tests/{test.name} {told}"
        if "needs-root" not in test.restrictions:
            command = f"setpriv --reuid tester --regid tester --clear-groups env HOME=/home/tester {command}"
        folders = {"AUTOPKGTEST_TMP": "/tmp/scratch", "AUTOPKGTEST_ARTIFACTS": "/tmp/artifacts"}
        root.run(f"mkdir -m 1777 {' '.join(folders.values())}")
        quiet = "! test -s /tmp/stderr || { cat /tmp/stderr; exit 1; }"
        return root.run(f"cd /source; {command}; {quiet}", **folders).out
