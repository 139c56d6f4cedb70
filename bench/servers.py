"""Starts and stops the filters that `make bench` compares, and reads what they cost.

Each server is a `Server`: its name, its milter socket in both spellings, and its process tree. CPU is user and system
time of the whole tree from /proc (10 ms ticks, so cells must be long enough); memory is RSS and PSS of each process.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.builders.ports import free_port
from tidegate.control import UnreachableError, ask

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "bench" / "build"
_TOP_DOMAINS = ("/usr/share/publicsuffix/effective_tld_names.dat", "/usr/share/rspamd/effective_tld_names.dat")
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Memory:
    """One process: bytes resident, and its proportional share."""

    pid: int
    rss: int
    pss: int


@dataclass(frozen=True, slots=True)
class Server:
    """A running filter; `spec` is what the load client dials."""

    name: str
    spec: str
    process: subprocess.Popen[bytes]

    def pids(self) -> list[int]:
        """The process and all its descendants."""
        children: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                except OSError:
                    continue  # ended between the listing and the look
                children.setdefault(int(fields[1]), []).append(int(entry.name))
        found, queue = [], [self.process.pid]
        while queue:
            pid = queue.pop()
            found.append(pid)
            queue += children.get(pid, [])
        return found

    def cpu(self) -> float:
        """User and system seconds of the tree so far, waited-for children included."""
        total = 0
        for pid in self.pids():
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            total += sum(int(fields[n]) for n in (11, 12, 13, 14))
        return total / _TICK

    def memory(self) -> list[Memory]:
        """RSS and PSS of each process of the tree."""
        rows = []
        for pid in self.pids():
            try:
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            except OSError:
                continue
            sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines[1:] if ":" in line}
            rows.append(Memory(pid, sizes.get("Rss", 0), sizes.get("Pss", 0)))
        return rows

    def stop(self) -> None:
        """TERM, then KILL after five seconds."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def _ready(spec: str, process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait until `spec` accepts a connection. Raises RuntimeError where it never does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            if spec.startswith("unix:"):
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.connect(spec[5:])
                return
            port, host = spec[5:].split("@")
            with socket.create_connection((host, int(port))):
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"no answer at {spec} (exit status {process.poll()})")


def launch(stack: ExitStack, name: str, spec: str, command: Sequence[str | Path], seconds: float = 30) -> Server:
    """Start `command` in a process group of its own and wait until it accepts connections; `stack` stops it.

    Raises RuntimeError where it never does.
    """
    environment = dict(os.environ, PYTHONPATH=str(ROOT / "milter"))
    with (BUILD / f"{name.replace(' ', '-')}.log").open("wb") as log:
        process = subprocess.Popen(
            [str(word) for word in command], stdout=log, stderr=log, start_new_session=True, env=environment, cwd=ROOT
        )
    server = Server(name, spec, process)
    stack.callback(server.stop)  # before it is waited for, which ^C may end
    try:
        _ready(spec, process, seconds)
    except RuntimeError as error:
        raise RuntimeError(f"{name} does not start: {error}; {log.name} says why") from None
    return server


def burst(spec: str, *numbers: int) -> dict[str, float]:
    """One run of the load client; `numbers` as its page says. Raises RuntimeError with what it said where it failed."""
    command = [str(BUILD / "miltload"), spec, *map(str, numbers)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if not done.stdout.startswith("{"):
        raise RuntimeError(f"{' '.join(command)}: exit status {done.returncode} {done.stderr}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def c_noop(stack: ExitStack, folder: Path) -> Server:
    """The C filter that answers every event."""
    spec = f"unix:{folder}/noop.sock"
    server = launch(stack, "C no-op", spec, [BUILD / "noop", spec])
    (folder / "noop.sock").chmod(0o666)  # Postfix's smtpd is another user
    return server


def pymilter_noop(stack: ExitStack, folder: Path) -> Server:
    """pymilter's Milter.Base with every event answered."""
    spec = f"unix:{folder}/pymilter.sock"
    return launch(stack, "pymilter no-op", spec, [sys.executable, ROOT / "bench" / "pymilter_noop.py", spec])


def tidegate(stack: ExitStack, folder: Path, name: str, policies: Path, workers: int, **more: str) -> Server:
    """The daemon on `policies`, in force before it is handed out; `more` are settings."""
    state = folder / f"state-{name.replace(' ', '-')}"
    state.mkdir()
    sock = state / "t.sock"
    settings = state / "tidegate.yaml"
    settings.write_text(
        f"listen: unix:{sock}\npolicies: {policies}\nstate: {state}\nworkers: {workers}\n"
        f"log: {state}/decisions.log\nmetrics: off\nsocket_mode: 0666\ncanary_share: off\n"
        + "".join(f"{key}: {value}\n" for key, value in more.items())
    )
    server = launch(stack, name, f"unix:{sock}", [sys.executable, "-m", "tidegate", "run", "--config", settings])
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if generation(state) > 0:
            return server
        time.sleep(0.2)
    raise RuntimeError(f"{name}: no policy in force after 60 s")


def generation(state: Path) -> int:
    """The number of the generation that all workers have, -1 while nobody answers. Asks the daemon's own socket."""
    try:
        status = ask(str(state), {"do": "status", "brief": True})
        return min(int(worker["generation"]) for worker in status["workers"])
    except (UnreachableError, ValueError, KeyError, TypeError):
        return -1


def rspamd(stack: ExitStack, folder: Path, redis: str = "") -> Server | None:
    """Debian's rspamd with two multimap rules and nothing else, two workers; None where it isn't installed.

    With the socket of a Redis it also has a ratelimit: one bucket for each login, which is never full.

    Raises RuntimeError where it is installed and does not start.
    """
    program = shutil.which("rspamd", path="/usr/bin:/usr/sbin")
    if program is None:
        return None
    base = folder / ("rspamd-limited" if redis else "rspamd")
    base.mkdir()
    base.chmod(0o777)  # its workers write here as the user _rspamd
    (base / "from.map").write_text("blocked@corp.example\n")
    (base / "subject.map").write_text("/codeword[0-9]+/i\n")
    # Instead of rules/rspamd.lua, which would register some hundred rules beside the two.
    (base / "rspamd.lua").write_text('require "global_functions"()\nconfig["regexp"] = {}\nrspamd_maps = {}\n')
    domains = next((path for path in _TOP_DOMAINS if Path(path).exists()), "")
    port = free_port()
    modules, limit = "", ""
    if redis:
        modules = 'path = "/usr/share/rspamd/plugins/ratelimit.lua";'
        limit = (
            f'redis {{ servers = "{redis}"; }}\nratelimit {{ rates {{ bench {{ selector = "user.lower"; '
            'bucket { burst = 1000000000; rate = "1000000000 / 1h"; } } } }\n'
        )
    (base / "rspamd.conf").write_text(
        f"""options {{ pidfile = "{base}/pid"; filters = ""; dns {{ nameserver = ["127.0.0.1"]; }} tempdir = "{base}";
  cache_file = "{base}/cache"; hs_cache_dir = "{base}"; url_tld = "{domains}"; }}
logging {{ type = "console"; level = "warning"; }}
worker "normal" {{ enabled = false; }}
worker "rspamd_proxy" {{ bind_socket = "127.0.0.1:{port}"; milter = yes; count = 2; timeout = 60s;
  upstream "local" {{ default = yes; self_scan = yes; }} }}
lua = "{base}/rspamd.lua";
modules {{ path = "/usr/share/rspamd/plugins/multimap.lua"; {modules} }}
actions {{ reject = 15; add_header = 6; greylist = 4; }}
multimap {{ BENCH_FROM {{ type = "from"; map = "{base}/from.map"; score = 1.0; }}
  BENCH_SUBJECT {{ type = "header"; header = "subject"; regexp = true; map = "{base}/subject.map"; score = 1.0; }} }}
{limit}"""
    )
    # It compiles some 10,000 top-level domains into a pattern database before it listens.
    name = "rspamd, ratelimit" if redis else "rspamd"
    return launch(stack, name, f"inet:{port}@127.0.0.1", [program, "-f", "-i", "-c", base / "rspamd.conf"], seconds=120)
