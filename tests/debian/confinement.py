"""What systemd-analyze(1) of a release says of the units in the package: their exposure, and whether they can be read.

The limits are those of README.Debian: 1.2 as shipped, 0.9 with local-only.conf (10 is no confinement at all).
"""

from __future__ import annotations

import re
from pathlib import Path

from tests.debian.package import depends
from tests.debian.roots import APT, Root

UNITS = ("tidegate.service", "tidegate@.service")
LIMITS = (("", 1.2), ("local-only.conf", 0.9), ("unix-only.conf", 0.9))
EXAMPLES = "/usr/share/doc/tidegate/examples"


def findings(release: str, deb: Path) -> list[str]:
    """What is wrong, a sentence each."""
    wrong = []
    with Root(release, [depends(deb)]) as root:
        root.put(deb, "/package/tidegate.deb")
        root.run(f"{APT} install /package/tidegate.deb")
        for unit in (*UNITS, "tidegate-mail.service", "tidegate-mail.path", "tidegate-mail@.service"):
            said = root.run(f"systemd-analyze verify --man=no /usr/lib/systemd/system/{unit}", check=False)
            if said.code or said.out.strip():
                wrong.append(f"{unit} does not verify: {said.out.strip()}")
        for unit in UNITS:
            for drop_in, most in LIMITS:
                exposure = _exposure(root, unit, drop_in)
                if exposure > most:
                    wrong.append(f"{unit} with {drop_in or 'no drop-in'}: exposure {exposure}, at most {most}")
    return wrong


def _exposure(root: Root, unit: str, drop_in: str) -> float:
    folder = f"/etc/systemd/system/{unit}.d"
    copy = f"mkdir -p {folder}; cp {EXAMPLES}/{drop_in} {folder}/;" if drop_in else ""
    analyze = f"systemd-analyze security --offline=yes --no-pager {unit}"
    said = root.run(f"{copy} {analyze}; rm -rf {folder}").out
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    assert found, said
    return float(found[1])
