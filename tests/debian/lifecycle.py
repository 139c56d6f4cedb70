"""What happens to the package in its life, each as a story in a throw-away root: installed, upgraded, removed, purged.

Promises: nothing in a story reaches a network, but for the release upgrade; one that goes wrong is a RootError with all
that was printed. No installation may ever fail, so systems without Postfix, without systemd, and with broken policies
are stories of their own.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.debian.package import depends
from tests.debian.roots import APT, Root, RootError

NEXT = "99.0"  # the version of the release after this one
POSTFIX = ("postfix", "procps")
# Where there is no systemd: what its programs for accounts and folders are packed as.
WITHOUT_SYSTEMD = ("systemd-standalone-sysusers", "systemd-standalone-tmpfiles", "procps")
STAGE = """stage() { tidegate status --json | sed -n 's/^  "stage": "\\(.*\\)",$/\\1/p'; }"""
IS = 'is() { [ "$1" = "$2" ] || { echo "expected $1, found $2"; exit 1; }; }'
NOT = 'not() { if "$@"; then echo "unexpected: $*"; exit 1; fi; }'
# What an upgrade left draining leaves by itself.
GONE = """gone() {
    left=90
    while pgrep -x tidegate >/dev/null; do left=$((left - 1)); [ $left -gt 0 ] || exit 1; sleep 0.5; done
}"""
TAKEN_OVER = """taken_over() { # from the process $1
    left=150
    while [ "$1" = "$(cat /var/lib/tidegate/lock)" ]; do left=$((left - 1)); [ $left -gt 0 ] || exit 1; sleep 0.1; done
    until [ serving = "$(stage)" ]; do left=$((left - 1)); [ $left -gt 0 ] || exit 1; sleep 0.1; done
}"""
STARTS = "printf '#!/bin/sh\\nexit 0\\n' >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d"
INSTALL = f"{APT} install /package/tidegate.deb"
UPGRADE = f"{APT} install /package/next.deb"
RULE = "version: 1\\nrules:\\n  - {id: %s, when: {%s: x}, do: {hold: {reason: a}}}\\n"  # printf(1): id, field
BROKEN = "/etc/tidegate/policies/10-broken.yaml"


def libraries(deb: Path) -> tuple[str, ...]:
    """What the package depends on, but for systemd."""
    return tuple(one for one in depends(deb) if not one.startswith("systemd"))


def the_next(deb: Path, folder: Path) -> Path:
    """The same package as a later release: another version, and a shipped settings file that has changed."""
    tree = folder / "tree"
    subprocess.run(["dpkg-deb", "--raw-extract", str(deb), str(tree)], check=True)
    control = tree / "DEBIAN" / "control"
    control.write_text(re.sub(r"^Version: .*$", f"Version: {NEXT}", control.read_text(), flags=re.MULTILINE))
    with (tree / "etc/tidegate/tidegate.yaml").open("a") as settings:
        settings.write("# A line that the next release adds.\n")
    made = folder / "next.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "--build", str(tree), str(made)], stdout=subprocess.DEVNULL, check=True
    )
    shutil.rmtree(tree)
    return made


def told(root: Root, deb: Path, script: str) -> None:
    """Put the package and its successor into a root, and run the story."""
    with tempfile.TemporaryDirectory() as name:
        root.put(deb, "/package/tidegate.deb")
        root.put(the_next(deb, Path(name)), "/package/next.deb")
    root.run("\n".join([STAGE, IS, NOT, GONE, TAKEN_OVER, STARTS, script, """is '' "$(dpkg --audit)" """]))


def edited_settings(release: str, deb: Path) -> None:
    """Upgrade, removal and reinstallation keep what the admin wrote; a purge takes what is ours and nothing else."""
    with Root(release, [depends(deb), POSTFIX]) as root:
        told(
            root,
            deb,
            f"""{INSTALL}
            is serving "$(stage)"
            echo '# mine' >>/etc/tidegate/tidegate.yaml
            echo 'version: 1' >/etc/tidegate/policies/50-mine.yaml
            before=$(cat /var/lib/tidegate/lock)
            {UPGRADE}
            is {NEXT} "$(dpkg-query -W -f '${{Version}}' tidegate)"
            tail -n 1 /etc/tidegate/tidegate.yaml | grep -qx '# mine'
            grep -q 'the next release' /etc/tidegate/tidegate.yaml.dpkg-dist
            # The new release takes over from the running one.
            taken_over "$before"
            kill -0 "$(cat /var/lib/tidegate/lock)"
            dpkg --remove tidegate
            gone
            test -s /etc/tidegate/policies/50-mine.yaml
            test -d /var/lib/tidegate
            {UPGRADE}
            is serving "$(stage)"
            tail -n 1 /etc/tidegate/tidegate.yaml | grep -qx '# mine'
            dpkg --purge tidegate
            not test -e /var/lib/tidegate
            not test -e /var/log/tidegate
            not test -e /var/spool/postfix/tidegate
            is /etc/tidegate/policies/50-mine.yaml "$(find /etc/tidegate -type f)"
            getent passwd tidegate >/dev/null""",
        )


def without_postfix(release: str, deb: Path) -> None:
    """It installs and waits; a Postfix that comes later gives its socket a place, without a hand."""
    with Root(release, [depends(deb)]) as root:
        root.download("postfix procps")
        told(
            root,
            deb,
            f"""not getent group postfix
            {INSTALL}
            not test -e /var/spool/postfix/tidegate
            tidegate check /usr/share/tidegate/policies
            {APT} install postfix procps
            is '2750 tidegate postfix' "$(stat -c '%a %U %G' /var/spool/postfix/tidegate)"
            service tidegate start
            is serving "$(stage)"
            {UPGRADE}
            dpkg --purge tidegate""",
        )


def without_systemd(release: str, deb: Path) -> None:
    """The init script does it: it starts, answers, reloads, hands over at an upgrade, stops."""
    with Root(release, [(*libraries(deb), *WITHOUT_SYSTEMD), ("postfix",)]) as root:
        told(
            root,
            deb,
            f"""not command -v systemctl
            {INSTALL}
            is serving "$(stage)"
            service tidegate status >/dev/null
            before=$(cat /var/lib/tidegate/lock)
            {UPGRADE}
            taken_over "$before"
            is serving "$(stage)"
            service tidegate restart
            is serving "$(stage)"
            service tidegate stop
            is dead "$(stage)"
            {APT} remove tidegate
            {INSTALL.replace("tidegate.deb", "next.deb")}
            is serving "$(stage)"
            dpkg --purge tidegate
            gone
            is '' "$(find /etc -name '*tidegate*' ! -path '/etc/tidegate*')" """,
        )


def broken_policies(release: str, deb: Path) -> None:
    """Neither broken policies nor broken settings are a reason for dpkg to fail; the daemon serves where it can."""
    with Root(release, [depends(deb), POSTFIX]) as root:
        told(
            root,
            deb,
            f"""mkdir -p /etc/tidegate/policies
            printf '{RULE}' bad logn >{BROKEN}; echo '  - [[[' >>{BROKEN}
            {INSTALL}
            is serving "$(stage)"
            tidegate status | grep -q '10-broken.yaml:'
            {UPGRADE}
            is serving "$(stage)"
            head -c 4096 /dev/urandom >/etc/tidegate/tidegate.yaml
            service tidegate restart
            is serving "$(stage)"
            tidegate status | grep -q 'tidegate.yaml'
            {APT} install --allow-downgrades /package/tidegate.deb
            service tidegate stop || :
            rm -rf /var/lib/tidegate/*
            {UPGRADE}
            {APT} install --reinstall --allow-downgrades /package/tidegate.deb
            dpkg --purge tidegate""",
        )


def leaves_nothing(release: str, deb: Path) -> None:
    """What piuparts asks: after install, upgrade and purge every path is there that was there before, and no other."""
    listing = (
        "find / -xdev \\( -path /proc -o -path /dev -o -path /package -o -path /tmp -o -path /run -o -path /var/cache"
        " -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/log -o -path /var/spool/postfix \\) -prune -o"
        " -printf '%p %l %m %u %g\\n' | grep -v ' __pycache__\\|/__pycache__' | sort"
    )
    # The account stays: files elsewhere may be its own. systemd-sysusers and deb-systemd-helper keep records.
    files = r"etc/(passwd|group|g?shadow)-?|etc/\.pwd\.lock|var/lib/systemd/deb-systemd-helper-\S*"
    known = rf"^[<>] /({files}|etc/rc\d\.d|etc|var/lib) "
    with Root(release, [depends(deb), POSTFIX]) as root:
        told(
            root,
            deb,
            f"""{listing} >/tmp/before
            {INSTALL}
            {UPGRADE}
            dpkg --purge tidegate
            {listing} >/tmp/after
            diff /tmp/before /tmp/after | grep '^[<>]' >/tmp/differs || :""",
        )
        left = [line for line in root.get("/tmp/differs").read_text().splitlines() if not re.match(known, line)]
        if left:
            raise RootError("\n".join(["purge leaves:", *left]))


def release_upgrade(release: str, deb: Path) -> None:
    """From Debian 12 to 13 with the package in place: it runs there, by another Python, on what it had."""
    if release != "bookworm":
        return
    with Root(release, [depends(deb), POSTFIX]) as root:
        told(
            root,
            deb,
            f"""{INSTALL}
            {{ printf '{RULE}' one subject; echo ...; }} >/etc/tidegate/policies/10.yaml
            service tidegate reload
            service tidegate stop; service postfix stop""",
        )
        root.run("sed -i 's/bookworm/trixie/g' /etc/apt/sources.list; apt-get -q update", network=True)
        root.run(f"{APT} full-upgrade", network=True)
        told(
            root,
            deb,
            """python3 --version | grep -F 'Python 3.13.'
            ls /usr/lib/python3/dist-packages/tidegate/__pycache__ | grep -q 313
            service tidegate start
            is serving "$(stage)"
            tidegate status
            dpkg --purge tidegate""",
        )


STORIES: tuple[Callable[[str, Path], None], ...] = (
    edited_settings,
    without_postfix,
    without_systemd,
    broken_policies,
    leaves_nothing,
    release_upgrade,
)
