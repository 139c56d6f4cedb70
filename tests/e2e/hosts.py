"""Several hosts in one: run in network and mount namespaces of its own, prints what happened as JSON.

    unshare -n -m python -m tests.e2e.hosts SCENARIO

Nothing of the machine's network or files is touched: loopback, /etc/hosts and a second host's interface are this
process's own. Scenarios: `balancer` (HAProxy before two daemons), `name` (one inet name, two addresses), `apart`
(Postfix and Tidegate on different hosts).
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.e2e.harness.client import Client, a_message
from tests.e2e.harness.daemon import Daemon
from tests.e2e.harness.postfix import Postfix, Service, until
from tests.e2e.harness.sink import Sink
from tests.e2e.harness.texts import SITE, on_subject, refuse, rules

ROOT = Path(__file__).resolve().parents[2]
SNIPPET = ROOT / "postfix" / "haproxy.cfg"
POLICY = {"10-site.yaml": SITE, "20.yaml": rules(on_subject("bad", refuse()))}
ALICE, BOB = "alice@example.com", "bob@example.net"
PORT = 8891
CLIENTS = 6
Report = dict[str, object]


def run(*command: str) -> None:
    """Raises CalledProcessError."""
    subprocess.run(command, check=True, capture_output=True)


def listens(address: str, port: int) -> bool:
    """Does somebody accept there?"""
    try:
        socket.create_connection((address, port), 1.0).close()
    except OSError:
        return False
    return True


def _serves(daemon: Daemon, address: str) -> bool:
    """Does it answer at both of its sockets, with a policy in force?"""
    try:
        return listens(address, PORT) and bool(daemon.status()["generation"]["number"])
    except OSError:
        return False  # the control socket comes after the other


@contextmanager
def a_daemon(address: str, prefix: tuple[str, ...] = ()) -> Iterator[Daemon]:
    """One that listens on this address, wherever `prefix` puts it."""
    daemon = Daemon(POLICY, listen=f"inet:{address}:{PORT}", workers=1, pin="false")
    daemon.program = [*prefix, sys.executable, "-m", "tidegate"]
    try:
        daemon.start(wait=False)
        until(lambda: _serves(daemon, address), f"{address} answers")
        yield daemon
    finally:
        daemon.remove()


class Load:
    """Clients that send one message after the other, each on a connection of its own, and count what they hear."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stop = threading.Event()
        self.accepted = 0
        self.refused = 0  # what the policy refuses
        self.errors: list[str] = []
        self._threads = [threading.Thread(target=self._send) for _ in range(CLIENTS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def go_on(self, count: int) -> None:
        """Until so many more messages have had an answer."""
        goal = self.accepted + self.refused + count
        until(lambda: self.accepted + self.refused >= goal or self.errors, f"{count} more messages", 60.0)

    def _send(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            subject = "bad one" if number % 3 == 0 else "good one"
            try:
                with Client(self._port) as client:
                    client.hello()
                    code = client.send(ALICE, [BOB], a_message(subject)).final.code
            except OSError as error:
                self.errors.append(f"{type(error).__name__}: {error}")
                continue
            if (code, subject) == (250, "good one"):
                self.accepted += 1
            elif (code, subject) == (550, "bad one"):
                self.refused += 1
            else:
                self.errors.append(f"{subject}: {code}")


@contextmanager
def a_postfix(endpoint: str, sink: Sink) -> Iterator[Postfix]:
    """One that relays for loopback, asks this endpoint, and drops what it accepts at the sink."""
    networks = {"mynetworks": "127.0.0.0/8"}
    with Postfix(sink.port, [Service([endpoint], submission=False, options=networks)]) as postfix:
        yield postfix


def loss_of_one(
    stack: ExitStack, endpoint: str, first: Daemon, second: Daemon, knows_both: Callable[[], bool] = lambda: True
) -> Report:
    """Drain one, then kill the other while nobody is in a session, and count what clients hear.

    `knows_both`: has whoever stands in front seen that the first one is back?
    """
    sink = stack.enter_context(Sink())
    postfix = stack.enter_context(a_postfix(endpoint, sink))
    report: Report = {}
    with Load(postfix.port) as load:
        load.go_on(40)
        first.signal(signal.SIGTERM)
        load.go_on(60)
        until(lambda: first.ended, "the first one has left")
        report["after_drain"] = list(load.errors)
    first.start(wait=False)
    address = str(first.settings["listen"]).split(":")[1]
    until(lambda: _serves(first, address), "it is back")
    until(knows_both, "it is known to be back")
    second.kill()
    gone = str(second.settings["listen"]).split(":")[1]
    until(lambda: not listens(gone, PORT), "the second one is gone")  # a session with one that dies is deferred
    with Load(postfix.port) as load:
        load.go_on(60)
        report["after_kill"] = list(load.errors)
    return report


def relays() -> str:
    """The clients come from loopback, without a login."""
    return "version: 1\nlists:\n  relay-networks: {type: ip, items: [127.0.0.0/8]}\n...\n"


def balancer(stack: ExitStack) -> Report:
    """postfix/haproxy.cfg, with the two servers' addresses put in."""
    one, two = (stack.enter_context(a_daemon(address)) for address in ("127.0.0.11", "127.0.0.12"))
    text = SNIPPET.read_text().replace("192.0.2.11", "127.0.0.11").replace("192.0.2.12", "127.0.0.12")
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    text = text.replace("global\n", f"global\n    stats socket {folder}/stats\n")
    (folder / "haproxy.cfg").write_text(text)
    process = subprocess.Popen(["haproxy", "-f", str(folder / "haproxy.cfg"), "-db"], stderr=subprocess.DEVNULL)
    stack.callback(process.wait)
    stack.callback(process.kill)
    until(lambda: listens("127.0.0.1", 8890), "HAProxy answers")
    return loss_of_one(stack, "inet:127.0.0.1:8890", one, two, lambda: _up(folder / "stats") == 2)


def _up(stats: Path) -> int:
    """How many servers HAProxy takes for healthy (its management guide, `show stat`)."""
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(str(stats))
        link.sendall(b"show stat\n")
        rows = link.makefile().read().splitlines()
    return sum(",UP," in row for row in rows if row.startswith(("tidegate,one,", "tidegate,two,")))


def name(stack: ExitStack) -> Report:
    """One name in smtpd_milters with two addresses: Postfix takes the next one where it can't connect."""
    hosts = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "hosts"
    hosts.write_text("127.0.0.1 localhost\n127.0.0.11 tidegate.example\n127.0.0.12 tidegate.example\n")
    run("mount", "--bind", str(hosts), "/etc/hosts")
    one, two = (stack.enter_context(a_daemon(address)) for address in ("127.0.0.11", "127.0.0.12"))
    return loss_of_one(stack, f"inet:tidegate.example:{PORT}", one, two)


def apart(stack: ExitStack) -> Report:
    """The daemon on another host, which is then cut off and comes back."""
    other = subprocess.Popen(["unshare", "-n", "sleep", "600"])
    stack.callback(other.wait)
    stack.callback(other.kill)
    inside = ("nsenter", "-t", str(other.pid), "-n")
    run("ip", "link", "add", "here", "type", "veth", "peer", "name", "there")
    until(lambda: _moved(other.pid), "the other host is there")
    run("ip", "addr", "add", "198.51.100.1/24", "dev", "here")
    run("ip", "link", "set", "here", "up")
    run(*inside, "ip", "addr", "add", "198.51.100.2/24", "dev", "there")
    run(*inside, "ip", "link", "set", "there", "up")
    daemon = stack.enter_context(a_daemon("198.51.100.2", inside))
    sink = stack.enter_context(Sink())
    postfix = stack.enter_context(a_postfix(f"inet:198.51.100.2:{PORT}", sink))
    with Load(postfix.port) as load:
        load.go_on(20)
    before = list(load.errors)
    run("ip", "link", "set", "here", "down")
    with Client(postfix.port) as client:
        client.hello()
        cut = client.send(ALICE, [BOB], a_message("good one")).final.code
    run("ip", "link", "set", "here", "up")
    until(lambda: listens("198.51.100.2", PORT), "the network is back")
    with Load(postfix.port) as load:
        load.go_on(20)
    return {"before": before, "cut_off": cut, "after": load.errors, "daemon_lives": not daemon.ended}


def _moved(pid: int) -> bool:
    """Give the other end to the other host, as soon as that has a network of its own."""
    with contextlib.suppress(OSError):
        if Path(f"/proc/{pid}/ns/net").stat().st_ino != Path("/proc/self/ns/net").stat().st_ino:
            run("ip", "link", "set", "there", "netns", str(pid))
            return True
    return False


SCENARIOS: dict[str, Callable[[ExitStack], Report]] = {"balancer": balancer, "name": name, "apart": apart}


def main() -> None:
    """One scenario; its report goes to standard output."""
    run("ip", "link", "set", "lo", "up")
    POLICY["30-relays.yaml"] = relays()
    with ExitStack() as stack:
        report = SCENARIOS[sys.argv[1]](stack)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
