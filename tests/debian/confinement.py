"""What systemd-analyze(1) and apparmor_parser(8) of a release say of the units and the profile in the package.

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
    with Root(release, [depends(deb), ("apparmor",)]) as root:
        root.put(deb, "/package/tidegate.deb")
        root.run(f"{APT} install /package/tidegate.deb")
        for unit in (*UNITS, "tidegate-mail.service", "tidegate-mail.path", "tidegate-mail@.service"):
            said = root.run(f"systemd-analyze verify --man=no /usr/lib/systemd/system/{unit}", check=False)
            if said.code or said.out.strip():
                wrong.append(f"{unit} does not verify: {said.out.strip()}")
        parsed = root.run("apparmor_parser --skip-kernel-load --skip-cache /etc/apparmor.d/tidegate", check=False)
        # Where this machine's kernel has no AppArmor, it says that it can't look into its cache.
        said = [line for line in parsed.out.splitlines() if not line.startswith("Cache read/write disabled")]
        if parsed.code or said:
            wrong.append(f"the AppArmor profile: {said or parsed.code}")
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
