"""The package on systems that are really booted: systemd (or sysvinit) as process 1 of namespaces of its own.

Promises: under load no message gets a wrong answer, whatever is killed, restarted or upgraded meanwhile, and an upgrade
refuses no connection. The load is load.py, run inside. Refuses: to be quick; a watchdog takes its 30 seconds.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.debian.confinement import EXAMPLES
from tests.debian.lifecycle import GONE, INSTALL, IS, NOT, POSTFIX, STAGE, TAKEN_OVER, UPGRADE, libraries, the_next
from tests.debian.package import depends, unpack
from tests.debian.roots import HERE, Ran, Root, RootError

POLICY = """version: 1
rules:
  - {id: stop, when: {login: mallory}, do: {reject: {code: "550 5.7.1", text: "no"}}}
...
"""
COUNTING = """version: 1
rules:
  - id: counting
    when: {login: alice}
    limits: [{name: hour, by: login, count: messages, max: 1000000, per: 1h}]
    do: {defer: {code: "451 4.7.1", text: "later"}}
...
"""
WORDS = (
    f"{STAGE}\n{IS}\n{NOT}\n{GONE}\n{TAKEN_OVER}\n"
    + """
until_it() {
    left=300
    until "$@" >/dev/null 2>&1; do
        left=$((left - 1)); [ $left -gt 0 ] || { echo "never: $*"; exit 1; }; sleep 0.2
    done
}
main() { systemctl show --property MainPID --value "${1:-tidegate}"; }
serving() { [ serving = "$(stage)" ]; }
"""
)


@dataclass(slots=True)
class System:
    """A booted root."""

    root: Root
    init: int  # its process 1, as this machine numbers it

    def run(self, script: str, check: bool = True) -> Ran:
        """A script of sh(1) in it, as root. Raises RootError where it fails, unless `check` is False."""
        done = subprocess.run(
            self._inside(script),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        out = done.stdout.decode("utf-8", "backslashreplace")
        if check and done.returncode:
            journal = "" if "journalctl" in script else self.run("journalctl -n 60 --no-pager", check=False).out
            raise RootError(f"exit {done.returncode} of:\n{script}\n{out[-6000:]}\n{journal}")
        return Ran(done.returncode, out)

    def _inside(self, script: str) -> list[str]:
        clean = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8"]
        clean += ["DEBIAN_FRONTEND=noninteractive", "PYTHONDONTWRITEBYTECODE=1", "sh", "-ec", WORDS + script]
        enter = ["nsenter", "-t", str(self.init), "-m", "-p", "-n", "-i", "-u", "-C", "-r", "-w"]
        return [*enter, *clean]

    @contextmanager
    def load(self) -> Iterator[dict[str, int]]:
        """Messages without a pause while the block runs; what became of them is in the dict afterwards."""
        counts: dict[str, int] = {}
        command = "cd /source && exec python3 -m tests.debian.load /var/spool/postfix/tidegate/tidegate.sock"
        process = subprocess.Popen(self._inside(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout
            assert process.stdout.readline() == "begun\n"
            yield counts
        finally:
            out, _ = process.communicate("", timeout=120)
            counts.update(json.loads(out or "{}"))


@contextmanager
def booted(root: Root, init: str) -> Iterator[System]:
    """The root with this program as its process 1, until the block is left."""
    groups = Path("/sys/fs/cgroup/unified")
    group = (groups if groups.exists() else groups.parent) / f"tidegate-{root.folder.name}"
    group.mkdir()
    boot = ["unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--cgroup", "--fork", "--kill-child", "sh", "-e"]
    boot += [str(HERE / "boot.sh"), str(root.folder), ":".join(map(str, root.lower)), init]
    console = (root.folder / "console").open("wb")
    entered = f'echo $$ >{group}/cgroup.procs; exec "$@"'
    process = subprocess.Popen(
        ["sh", "-ec", entered, "sh", *boot], stdin=subprocess.DEVNULL, stdout=console, stderr=console
    )
    try:
        yield System(root, _first_child(process))
    finally:
        process.kill()
        process.wait()
        console.close()
        _remove(group)


def _first_child(process: subprocess.Popen[bytes]) -> int:
    for _ in range(200):
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        if process.poll() is None and (found := children.read_text().split()):
            return int(found[0])
        time.sleep(0.1)
    raise RootError("the system did not boot")


def _remove(group: Path) -> None:
    (group / "cgroup.kill").write_text("1")
    for _ in range(100):
        if "populated 0" in (group / "cgroup.events").read_text():
            break
        time.sleep(0.1)
    for below in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
        below.rmdir()
    group.rmdir()


@contextmanager
def _with_systemd(release: str, deb: Path, *more: str) -> Iterator[System]:
    """Booted, Postfix and the package installed under it, a policy in force; `more` packages beside them."""
    with Root(release, [depends(deb), (*POSTFIX, *more)]) as root:
        root.put(deb, "/package/tidegate.deb")
        root.put(the_next(deb, root.folder), "/package/next.deb")
        unpack(root, "/source")
        root.run("rm -f /etc/systemd/system/multi-user.target.wants/postfix.service; rm -f /usr/sbin/policy-rc.d")
        with booted(root, "/lib/systemd/systemd") as system:
            system.run("until_it systemctl is-active multi-user.target")
            system.run(
                f"mkdir -p /etc/tidegate/policies; printf '%s' '{POLICY}' >/etc/tidegate/policies/10.yaml; {INSTALL}"
            )
            system.run('until_it serving; is active "$(systemctl is-active tidegate)"')
            yield system


def killed_and_restarted(release: str, deb: Path) -> None:
    """Workers and supervisor are killed, the service is restarted: no wrong answer, and it is back each time."""
    with _with_systemd(release, deb) as system:
        with system.load() as counts:
            system.run("for turn in 1 2 3; do pkill -9 -P $(main) -n; sleep 1; until_it serving; done")
            killed = "before=$(main); kill -9 $before; until_it serving; not [ $before = $(main) ]"
            system.run(f"for turn in 1 2 3; do {killed}; done")
            system.run("systemctl restart tidegate; until_it serving; systemctl reload tidegate")
        _no_wrong_answer(counts)
        # Start limits never end it for good.
        system.run("for turn in 1 2 3 4 5 6 7 8; do kill -9 $(main); until_it serving; done")


def upgraded(release: str, deb: Path) -> None:
    """The new release takes over while mail flows: no connection is refused, none is broken."""
    with _with_systemd(release, deb) as system:
        with system.load() as counts:
            system.run(f"before=$(main); {UPGRADE}; not [ $before = $(main) ]; until_it serving")
        _no_wrong_answer(counts)
        if counts["refused"] or counts["broken"]:
            raise RootError(f"the upgrade was felt: {counts}")
        system.run("systemctl is-enabled tidegate; dpkg --purge tidegate; gone")


def watched(release: str, deb: Path) -> None:
    """A supervisor that hangs is replaced by the watchdog; settings that never were good end in status 78, once."""
    with _with_systemd(release, deb) as system:
        system.run("before=$(main); kill -STOP $before; until_it serving; not [ $before = $(main) ]")
        system.run(
            """systemctl stop tidegate; rm -rf /var/lib/tidegate/*; echo '[[[' >/etc/tidegate/tidegate.yaml
            not systemctl start tidegate
            is 78 "$(systemctl show -p ExecMainStatus --value tidegate)"
            is 0 "$(systemctl show -p NRestarts --value tidegate)" """
        )


def confined_and_twice(release: str, deb: Path) -> None:
    """With local-only.conf it serves as before; `tidegate@eu` is a second daemon that lives and ends by itself."""
    with _with_systemd(release, deb) as system:
        system.run(
            """mkdir -p /etc/systemd/system/tidegate.service.d
            cp /usr/share/doc/tidegate/examples/local-only.conf /etc/systemd/system/tidegate.service.d/
            systemctl daemon-reload; systemctl restart tidegate; until_it serving"""
        )
        with system.load() as counts:
            system.run(
                """mkdir /etc/tidegate/eu; cp /etc/tidegate/policies/10.yaml /etc/tidegate/eu/
                {
                    echo 'listen: unix:/var/spool/postfix/tidegate/eu.sock'; echo 'policies: /etc/tidegate/eu'
                    echo 'state: /var/lib/tidegate/eu'; echo 'log: /var/log/tidegate/eu.log'
                } >/etc/tidegate/eu.yaml
                systemctl enable --now tidegate@eu
                until_it tidegate status --config /etc/tidegate/eu.yaml
                systemctl restart tidegate@eu; systemctl reload tidegate@eu
                not [ $(main) = $(main tidegate@eu) ]
                systemctl stop tidegate@eu; is active "$(systemctl is-active tidegate)" """
            )
        _no_wrong_answer(counts)
        system.run("systemctl start tidegate@eu; dpkg --purge tidegate; gone")


def with_stores(release: str, deb: Path) -> None:
    """Confined, and with local-only.conf, it counts in SQLite, and reaches a Redis by its socket and by the network."""
    with _with_systemd(release, deb, "redis-server") as system:
        system.run(
            f"""systemctl stop redis-server; usermod -aG redis tidegate
            redis-server --port 6399 --unixsocket /run/redis.sock --unixsocketperm 770 --save '' --daemonize yes
            until_it test -S /run/redis.sock; chgrp redis /run/redis.sock
            mkdir -p /etc/systemd/system/tidegate.service.d
            cp {EXAMPLES}/local-only.conf /etc/systemd/system/tidegate.service.d/; systemctl daemon-reload
            printf '%s' '{COUNTING}' >/etc/tidegate/policies/20.yaml"""
        )
        system.run("systemctl restart tidegate; until_it serving")
        with system.load() as counts:
            system.run("until_it test -s /var/lib/tidegate/limits/counters.sqlite; sleep 2")
        _no_wrong_answer(counts)
        for place in ("unix:///run/redis.sock", "redis://127.0.0.1:6399/0"):
            system.run(
                f"""redis-cli -p 6399 flushall
                sed -i '/^redis:/d' /etc/tidegate/tidegate.yaml; echo 'redis: {place}' >>/etc/tidegate/tidegate.yaml
                systemctl restart tidegate; until_it serving"""
            )
            with system.load() as counts:
                system.run(
                    """counted() { redis-cli -p 6399 --scan --pattern '*limit:*' | grep -q .; }
                    told() { redis-cli -p 6399 --scan --pattern '*node:*' | grep -q .; }
                    until_it counted; until_it told; sleep 2"""
                )
            _no_wrong_answer(counts)


def with_sysvinit(release: str, deb: Path) -> None:
    """No systemd at all: sysvinit boots, the init script starts the daemon, and an upgrade hands over."""
    packages = ("sysvinit-core", "sysv-rc", "initscripts", "systemd-standalone-sysusers", "systemd-standalone-tmpfiles")
    with Root(release, [(*libraries(deb), "procps", *packages), ("postfix",)]) as root:
        root.put(deb, "/package/tidegate.deb")
        root.put(the_next(deb, root.folder), "/package/next.deb")
        unpack(root, "/source")
        with booted(root, "/sbin/init") as system:
            system.run("until_it pgrep getty")
            system.run(
                f"mkdir -p /etc/tidegate/policies; printf '%s' '{POLICY}' >/etc/tidegate/policies/10.yaml; {INSTALL}"
            )
            system.run("until_it serving; service tidegate status >/dev/null; service tidegate reload")
            with system.load() as counts:
                system.run(f'before=$(cat /var/lib/tidegate/lock); {UPGRADE}; taken_over "$before"; until_it serving')
            _no_wrong_answer(counts)
            if counts["refused"] or counts["broken"]:
                raise RootError(f"the upgrade was felt: {counts}")
            system.run("ls /etc/rc2.d | grep -q 'S..tidegate'; service tidegate restart; until_it serving")
            system.run("dpkg --purge tidegate; gone")


def _no_wrong_answer(counts: dict[str, int]) -> None:
    if not counts or counts["wrong"] or counts["right"] < 100:
        raise RootError(f"messages under load: {counts}")


STORIES: tuple[Callable[[str, Path], None], ...] = (
    killed_and_restarted,
    upgraded,
    watched,
    confined_and_twice,
    with_stores,
    with_sysvinit,
)
