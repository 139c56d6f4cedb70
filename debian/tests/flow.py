"""This machine's own Postfix and the installed Tidegate, with a next hop that keeps what arrives.

For the tests that debian/tests/control names, in a system that is thrown away: Postfix's configuration is changed.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.e2e.harness.client import Client, Outcome, a_message
from tests.e2e.harness.sink import Sink

POLICIES = Path("/etc/tidegate/policies")
GOOD = """version: 1
lists:
  relay-networks: {type: ip, items: [127.0.0.0/8]}
rules:
  - {id: stop, when: {subject: forbidden}, do: {reject: {code: "550 5.7.1", text: "not this ({ref})"}}}
  - {id: mark, when: {subject: marked}, do: {add_header: {X-Seen: "by Tidegate"}}}
...
"""
BROKEN = GOOD.replace("subject: forbidden", "subjekt: forbidden")
NEVER_GOOD = "version: 1\nrules:\n  - {id: new, when: {subjekt: x}, do: {hold: {reason: a}}}\n...\n"
POSTFIX = {
    "myhostname": "mx.example.com",
    "mydestination": "",
    "mynetworks": "127.0.0.0/8 10.20.0.0/16",
    "inet_interfaces": "loopback-only",
    "inet_protocols": "ipv4",
    "smtp_host_lookup": "native",
    "smtp_dns_support_level": "disabled",
    "alias_maps": "",
    "alias_database": "",
    "maillog_file": "/var/log/mail.log",
}


def run(*command: str, expect: int | None = 0) -> str:
    """A command's output. Ends the test where its exit code is not the expected one."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    print(f"$ {' '.join(command)}\n{done.stdout}", flush=True)
    if expect is not None and done.returncode != expect:
        raise SystemExit(f"{command[0]} ended with {done.returncode}, not {expect}")
    return done.stdout


def until(fact: Callable[[], object], what: str, seconds: float = 30.0) -> None:
    """Look until it is true; ends the test where it never is."""
    end = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > end:
            raise SystemExit(f"not within {seconds:g} s: {what}")
        time.sleep(0.1)


def expect(expected: object, actual: object) -> None:
    """Ends the test where they differ."""
    if expected != actual:
        raise SystemExit(f"expected {expected!r}, found {actual!r}")


def start(sink: Sink) -> None:
    """Postfix, relaying to the sink; Tidegate runs, with a policy."""
    settings = POSTFIX | {"relayhost": f"[127.0.0.1]:{sink.port}"}
    run("postconf", "-e", *(f"{name}={value}" for name, value in settings.items()))
    service("postfix", "restart")
    until(greets, "Postfix greets")
    (POLICIES / "10-test.yaml").write_text(GOOD)
    service("tidegate", "restart")
    until(serves, "Tidegate serves")


def service(name: str, action: str, expect: int | None = 0) -> None:
    """As an admin does it, with systemd or without."""
    run("service", name, action, expect=expect)


def serves() -> bool:
    """Does the daemon answer, with its policy in force?"""
    shown = subprocess.run(["tidegate", "status"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return shown.returncode == 0


def greets() -> bool:
    """Does Postfix take a connection?"""
    try:
        with Client(25) as client:
            return client.banner.good
    except OSError:
        return False


def send(subject: str) -> Outcome:
    """One message, to a machine that relays for this one."""
    with Client(25) as client:
        client.command("EHLO client.example.com")
        outcome = client.send("alice@example.com", ["bob@example.net"], a_message(subject))
        client.quit()
    print(f"{subject}: {outcome.final}", flush=True)
    return outcome
