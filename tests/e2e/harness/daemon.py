"""Tidegate as an admin runs it: a settings file, a policy directory, `tidegate run --config`.

Promises: everything below one directory; ended at the end of `with` and at the interpreter's exit; a policy file is
replaced by rename, never seen half written; `load` returns once every worker has the new generation. Refuses: looking
into the daemon other than through its log, its control socket and its commands.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.e2e.harness.postfix import until
from tests.e2e.harness.started import Started

ROOT = Path(__file__).resolve().parents[3]
STARTS_WITHIN = 12.0  # seconds; the daemon promises 10
MARK = "...\n"


class Daemon(Started):
    """One daemon; `with Daemon({"10.yaml": TEXT}) as daemon:` runs it on a unix socket of its own."""

    def __init__(self, policies: Mapping[str, str | bytes] | None = None, **settings: object) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="td-"))
        self.policies = self.root / "policies"
        self.state = self.root / "state"
        self.config = self.root / "tidegate.yaml"
        self.log = self.root / "decisions.log"
        self.socket = self.root / "run" / "tidegate.sock"
        self.process: subprocess.Popen[bytes] | None = None
        self.program: list[str] = []  # in place of the command, as a test would have it
        for folder in (self.policies, self.state, self.socket.parent):
            folder.mkdir()
        for path in (self.root, self.policies, self.socket.parent):
            path.chmod(0o755)
        self.settings: dict[str, object] = {
            "listen": f"unix:{self.socket}",
            "policies": self.policies,
            "state": self.state,
            "log": self.log,
            "workers": 2,
            "mask": "false",
            "poll": "500ms",
            "canary_share": "off",
            "metrics": "off",
            "alerts": "{syslog: false}",  # a test is no news for the machine's journal
            "socket_group": "postfix",
            "default_realm": "example.com",
        } | settings
        self.configure()
        for name, text in (policies or {}).items():
            self.policy(name, text)

    @property
    def endpoint(self) -> str:
        """What goes into Postfix's smtpd_milters."""
        return f"unix:{self.socket}"

    def configure(self, **settings: object) -> None:
        """(Re)write the settings file."""
        self.settings |= settings
        self.config.write_text("".join(f"{name}: {value}\n" for name, value in self.settings.items()))

    # ── life ─────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self, *options: str, wait: bool = True) -> subprocess.Popen[bytes]:
        """Start it; with `wait` until the socket accepts. Raises RuntimeError with what it printed."""
        atexit.register(self.remove)
        with open(self.root / "stderr", "ab") as stderr:
            command = [*(self.program or _command()), "run", "--config", str(self.config), *options]
            self.process = subprocess.Popen(command, stderr=stderr, env=_environment())
        if wait:
            self.wait_until_serving()
        return self.process

    def wait_until_serving(self, seconds: float = STARTS_WITHIN) -> None:
        """Until the milter socket accepts. Raises RuntimeError with what the daemon printed and logged."""
        try:
            until(lambda: self.ended or self.accepts, "the milter socket accepts", seconds)
        except TimeoutError as error:
            raise RuntimeError(f"{error}\n{self.said()}") from None
        if self.ended:
            raise RuntimeError(f"the daemon ended with {self.process and self.process.returncode}\n{self.said()}")

    @property
    def ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    @property
    def accepts(self) -> bool:
        """Does somebody listen on the milter socket?"""
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1.0)
            try:
                probe.connect(str(self.socket))
            except OSError:
                return False
            return True

    def said(self) -> str:
        """The end of standard error and of the log."""
        files = (self.root / "stderr", self.log)
        return "\n".join(file.read_text("utf-8", "backslashreplace")[-6000:] for file in files if file.exists())

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the supervisor."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self, seconds: float = 15.0) -> int:
        """TERM, and wait for the end; returns the exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(seconds)

    def kill(self) -> None:
        """SIGKILL for the supervisor and all that it forked, at once: a crash, or the out-of-memory killer."""
        assert self.process is not None
        family = self.freeze()
        for pid in family:
            os.kill(pid, signal.SIGKILL)
        self.process.wait(10)
        # A killed process is a zombie while its last threads, and with them the socket, are still there.
        until(lambda: not any(alive(pid) for pid in family) and not self.accepts, "all processes are gone")

    def freeze(self) -> list[int]:
        """SIGSTOP for all of its processes, parents first, so that none forks or acts meanwhile; their ids."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)
        family = [self.process.pid]
        while fresh := [pid for pid in descendants(self.process.pid) if pid not in family]:
            for pid in filter(alive, fresh):
                os.kill(pid, signal.SIGSTOP)
            family += fresh
        return [pid for pid in family if alive(pid)]

    def remove(self) -> None:
        """End it and delete all that it had; harmless when done twice."""
        atexit.unregister(self.remove)
        if self.process and self.process.poll() is None:
            family = descendants(self.process.pid)
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
            for pid in filter(alive, family):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.root, ignore_errors=True)

    # ── policies ─────────────────────────────────────────────────────────────────────────────────────────────

    def policy(self, name: str, text: str | bytes) -> Path:
        """Put a file into the policy directory, whole, by rename."""
        data = text.encode() if isinstance(text, str) else text
        path = self.policies / name
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.new")
        fresh.write_bytes(data)
        fresh.rename(path)
        return path

    def load(self, *policies: tuple[str, str | bytes]) -> dict[str, Any]:
        """Put these files there, HUP, wait until the load is done and every worker has its generation."""
        for name, text in policies:
            self.policy(name, text)
        before = int(self.status()["load"]["count"])
        self.signal(signal.SIGHUP)
        until(lambda: self._loaded_since(before), "the policies are loaded", 20.0)
        return self.status()

    def _loaded_since(self, count: int) -> bool:
        status = self.status()
        return int(status["load"]["count"]) > count and not status["load"]["busy"] and current(status)

    def wait_for_generation(self, number: int, seconds: float = 15.0) -> None:
        """Until every worker has this generation or a newer one."""
        until(lambda: self.generation >= number and current(self.status()), f"generation {number} is in force", seconds)

    # ── what it says ─────────────────────────────────────────────────────────────────────────────────────────

    def ask(self, **request: str) -> dict[str, Any]:
        """One question at the control socket. Raises OSError where nobody answers."""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(5.0)
            link.connect(str(self.state / "control"))
            link.sendall(json.dumps(request).encode() + b"\n")
            with link.makefile("rb") as stream:
                answer: dict[str, Any] = json.loads(stream.readline())
                return answer

    def status(self) -> dict[str, Any]:
        return self.ask(do="status")

    @property
    def generation(self) -> int:
        return int(self.status()["generation"]["number"])

    def states(self) -> dict[str, str]:
        """Each entry's state: `rule suspended-account` → `active`."""
        return {str(entry["key"]): str(entry["state"]) for entry in self.status().get("entries", ())}

    def alerts(self) -> dict[str, dict[str, Any]]:
        """The alerts that stand, by code."""
        return {str(alert["code"]): alert for alert in self.status().get("alerts", ())}

    def workers(self) -> list[int]:
        """The workers' process ids."""
        return [int(worker["pid"]) for worker in self.status()["workers"] if worker["ready"]]

    def lines(self, event: str = "") -> list[dict[str, Any]]:
        """The log so far, parsed; only lines of this event where one is given."""
        if not self.log.exists():
            return []
        whole = self.log.read_text("utf-8").rpartition("\n")[0]
        rows: list[dict[str, Any]] = [json.loads(line) for line in whole.splitlines()]
        return [row for row in rows if not event or row.get("event") == event]

    def decision(self, key: str, seconds: float = 5.0) -> dict[str, Any]:
        """The decision line that holds `key` (a queue id, a reference, a login) in one of its values."""
        deadline = time.monotonic() + seconds
        while True:
            found = [row for row in self.lines() if "disposition" in row and key in json.dumps(row)]
            if found:
                return found[-1]
            if time.monotonic() > deadline:
                raise TimeoutError(f"no decision line with {key!r}; the log:\n{self.said()}")
            time.sleep(0.05)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `tidegate …` as an admin would."""
        return subprocess.run(
            [*_command(), *arguments], capture_output=True, text=True, env=_environment(), timeout=60, check=False
        )


def _command() -> list[str]:
    return [sys.executable, "-m", "tidegate"]


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "NOTIFY_"))}
    return kept | {"PYTHONPATH": str(ROOT / "milter"), "PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def current(status: Mapping[str, Any]) -> bool:
    """Do all workers run the newest generation?"""
    number = status["generation"]["number"]
    workers = status["workers"]
    return bool(workers) and all(one["ready"] and one["generation"] == number for one in workers)


def descendants(pid: int) -> list[int]:
    """All processes below one, from /proc."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text("utf-8", "replace").rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        parents.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found = list(parents.get(pid, ()))
    for child in found:
        found += parents.get(child, ())
    return found


def alive(pid: int) -> bool:
    """Is there such a process, and is it no zombie?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
