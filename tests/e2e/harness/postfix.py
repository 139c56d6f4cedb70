"""A private Postfix: its own configuration, queue, data and log below one directory, on free loopback ports.

Promises: never touches the machine's own Postfix; runs as root without systemd; every service names its milters with
their own `default_action=tempfail` and timeouts, as postfix/README.md asks of an admin; stopped at the end of `with`,
and at the interpreter's exit. Refuses: DNS (`smtp_host_lookup = native`), the network (one next hop), chroot.

A service trusts XCLIENT from loopback: `XCLIENT LOGIN=alice@example.com ADDR=192.0.2.7` is the shortest login.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.builders.patience import PATIENCE
from tests.builders.ports import free_port
from tests.e2e.harness.started import Started

_PROGRAMS = "/usr/lib/postfix/sbin"
_MAILBOXES = ("pickup unix n - n 1 1 pickup", "cleanup unix n - n - 0 cleanup", "qmgr unix n - n 1 1 qmgr")
_HELPERS = """\
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
"""
_SASL = "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {path}\nmech_list: PLAIN LOGIN\n"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """A milter's timeouts in seconds; short ones, so that a test of a hang is short."""

    connect: int = 2
    command: int = 3
    content: int = 6


@dataclass(slots=True)
class Service:
    """One smtpd. `milters` are Postfix endpoints (`inet:127.0.0.1:3540`, `unix:/path`), in order."""

    milters: Sequence[str] = ()
    submission: bool = True  # a login is demanded; SASL is offered
    timeouts: Timeouts = Timeouts()
    options: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)

    def lines(self) -> str:
        """Its paragraph of master.cf."""
        settings = {"milter_macro_daemon_name": "ORIGINATING" if self.submission else "smtpd"}
        if self.submission:
            settings |= {
                "syslog_name": "postfix/submission",
                "smtpd_sasl_auth_enable": "yes",
                "smtpd_client_restrictions": "permit_sasl_authenticated,reject",
            }
        if self.milters:
            settings["smtpd_milters"] = ", ".join(endpoint(milter, self.timeouts) for milter in self.milters)
        settings |= self.options
        written = "".join(f"    -o {{ {name} = {value} }}\n" for name, value in settings.items())
        return f"127.0.0.1:{self.port} inet n - n - - smtpd\n{written}"


def endpoint(milter: str, timeouts: Timeouts) -> str:
    """One milter with its own default action and timeouts, in the braces of postconf(5) smtpd_milters."""
    return (
        f"{{ {milter}, default_action=tempfail, connect_timeout={timeouts.connect}s, "
        f"command_timeout={timeouts.command}s, content_timeout={timeouts.content}s }}"
    )


@dataclass(frozen=True, slots=True)
class Queued:
    """One message in the queue, as `postqueue -j` shows it."""

    queue: str  # maildrop, hold, incoming, active, deferred
    queue_id: str
    sender: str
    recipients: tuple[str, ...]


class Postfix(Started):
    """The whole of it; `with Postfix(sink_port, [Service(...)]) as postfix:` runs it."""

    def __init__(
        self,
        next_hop: int,
        services: Sequence[Service],
        non_smtpd_milters: Sequence[str] = (),
        settings: Mapping[str, str] | None = None,
        accounts: Mapping[str, str] | None = None,  # SASL user to password
    ) -> None:
        self.services = list(services)
        self.root = Path(tempfile.mkdtemp(prefix="tg-"))  # short: a unix socket's name has 107 bytes
        self.etc = self.root / "etc"
        self._next_hop = next_hop
        self._local = tuple(non_smtpd_milters)
        self._settings = dict(settings or {})
        self._accounts = dict(accounts or {})

    @property
    def port(self) -> int:
        """The first service's port."""
        return self.services[0].port

    def start(self) -> None:
        """Write everything, start, and wait until each service answers. Raises RuntimeError with the log."""
        atexit.register(self.remove)
        for name in ("etc/sasl", "spool", "data", "log", "sasl"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        for path in (self.root, *self.root.rglob("*")):
            path.chmod(0o755)
        shutil.chown(self.root / "data", "postfix")
        self._write_accounts()
        self.write()
        started = self._run("postfix", "start")
        if started.returncode:
            raise RuntimeError(f"postfix start: {started.stderr}{self.log()}")
        for service in self.services:
            until(lambda port=service.port: _answers(port), f"port {service.port} answers", 15.0)  # type: ignore[misc]

    def write(self) -> None:
        """(Re)write main.cf and master.cf; `reload` makes Postfix read them."""
        local = ", ".join(endpoint(milter, Timeouts()) for milter in self._local)
        fixed = _main(self.root, self._next_hop) | {"non_smtpd_milters": local}
        main = "".join(f"{name} = {value}\n" for name, value in (fixed | self._settings).items())
        (self.etc / "main.cf").write_text(main)
        services = "".join(service.lines() for service in self.services)
        (self.etc / "master.cf").write_text(services + "\n".join(_MAILBOXES) + "\n" + _HELPERS)

    def _write_accounts(self) -> None:
        store = self.root / "sasl" / "sasldb2"
        for name, password in self._accounts.items():
            user, _, realm = name.partition("@")
            command = ["saslpasswd2", "-p", "-c", "-f", str(store), "-u", realm or "example.com", user]
            subprocess.run(command, input=password.encode(), check=True)
        if self._accounts:
            shutil.chown(store, "root", "postfix")
            store.chmod(0o640)
        # Debian 12's Postfix reads no other place; Debian 13's reads what cyrus_sasl_config_path says.
        (self.etc / "sasl" / "smtpd.conf").write_text(_SASL.format(path=store))

    def remove(self) -> None:
        """Stop it and delete all that it had; harmless when done twice."""
        atexit.unregister(self.remove)
        if (self.etc / "main.cf").exists():
            self._run("postfix", "stop")
            self._run("postfix", "abort")  # what `stop` left within its patience
        shutil.rmtree(self.root, ignore_errors=True)

    def reload(self) -> None:
        """Make Postfix read its configuration again; sessions that are open keep the old one."""
        self.write()
        self._run("postfix", "reload")

    def _run(self, program: str, *arguments: str, data: bytes | None = None) -> subprocess.CompletedProcess[str]:
        option = "-C" if program == "sendmail" else "-c"
        path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
        done = subprocess.run(
            [shutil.which(program, path=path) or program, option, str(self.etc), *arguments],
            input=data,
            capture_output=True,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            timeout=60,
            check=False,
        )
        out, err = (text.decode("utf-8", "backslashreplace") for text in (done.stdout, done.stderr))
        return subprocess.CompletedProcess(done.args, done.returncode, out, err)

    def sendmail(self, sender: str, recipients: Sequence[str], message: bytes) -> None:
        """Submit locally, as cron and PHP do. Raises RuntimeError where sendmail(1) itself fails."""
        done = self._run("sendmail", "-i", "-f", sender or "<>", *recipients, data=message)
        if done.returncode:
            raise RuntimeError(f"sendmail: {done.stderr}")

    def flush(self) -> None:
        """Try everything that waits again, now: deferred mail, and what lies in maildrop."""
        self._run("postqueue", "-f")
        self._run("postkick", "public", "pickup", "W")

    def queue(self) -> list[Queued]:
        """What lies in the queue, maildrop included (postqueue shows it without addresses)."""
        out = []
        for line in self._run("postqueue", "-j").stdout.splitlines():
            row = json.loads(line)
            recipients = tuple(str(one["address"]) for one in row.get("recipients", ()))
            out.append(Queued(row["queue_name"], row["queue_id"], row.get("sender", ""), recipients))
        return out

    def queued(self, queue: str) -> list[Queued]:
        """What lies in one of the queues."""
        return [entry for entry in self.queue() if entry.queue == queue]

    def content(self, queue_id: str) -> str:
        """postcat: envelope and message of one queue file."""
        return self._run("postcat", "-q", queue_id).stdout

    def drop(self, queue_id: str = "ALL") -> None:
        """Delete from the queue."""
        self._run("postsuper", "-d", queue_id)

    def log(self) -> str:
        """The mail log so far."""
        path = self.root / "log" / "mail.log"
        return path.read_text("utf-8", "backslashreplace") if path.exists() else ""

    def wait_for_log(self, pattern: str, seconds: float = 15.0) -> str:
        """The first line of the log that fits. Raises TimeoutError with the end of the log."""
        expression = re.compile(rf"^.*{pattern}.*$", re.MULTILINE)
        try:
            until(lambda: expression.search(self.log()), f"{pattern!r} in the mail log", seconds)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.log()[-4000:]}") from None
        found = expression.search(self.log())
        return found[0] if found else ""


def _main(root: Path, next_hop: int) -> dict[str, str]:
    """main.cf, but for what a test adds."""
    return {
        "compatibility_level": "3.6",
        "config_directory": f"{root}/etc",
        "queue_directory": f"{root}/spool",
        "data_directory": f"{root}/data",
        "daemon_directory": _PROGRAMS,
        "command_directory": "/usr/sbin",
        "mail_owner": "postfix",
        "setgid_group": "postdrop",
        "maillog_file": f"{root}/log/mail.log",
        "maillog_file_prefixes": str(root),
        "inet_interfaces": "loopback-only",
        "inet_protocols": "ipv4",
        "myhostname": "mx.example.com",
        "mydomain": "example.com",
        "myorigin": "$mydomain",
        "mydestination": "",
        "local_recipient_maps": "",
        "relay_domains": "",
        "mynetworks": "127.0.0.0/8",
        "alias_maps": "",
        "alias_database": "",
        "default_transport": f"smtp:[127.0.0.1]:{next_hop}",
        "relay_transport": "$default_transport",
        "smtp_host_lookup": "native",
        "smtp_dns_support_level": "disabled",
        "smtp_destination_recipient_limit": "20000",  # one arrival per message
        "smtpd_peername_lookup": "no",
        "smtpd_recipient_limit": "20000",
        "smtpd_relay_restrictions": "permit_mynetworks, permit_sasl_authenticated, reject",
        "smtpd_authorized_xclient_hosts": "127.0.0.0/8",
        "smtpd_error_sleep_time": "0",
        "smtpd_soft_error_limit": "1000",
        "smtpd_hard_error_limit": "1000",
        "smtpd_client_connection_count_limit": "0",
        "smtpd_tls_security_level": "none",
        "smtpd_sasl_type": "cyrus",
        "smtpd_sasl_path": "smtpd",
        "cyrus_sasl_config_path": f"{root}/etc/sasl",
        "smtpd_sasl_local_domain": "example.com",
        "in_flow_delay": "0",
        "queue_run_delay": "3s",
        "minimal_backoff_time": "3s",
        "maximal_backoff_time": "5s",
        "milter_default_action": "tempfail",
        "milter_connect_timeout": "2s",
        "milter_command_timeout": "3s",
        "milter_content_timeout": "6s",
    }


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 2.0) as link:
            return link.recv(3) != b""
    except OSError:
        return False


def until(fact: Callable[[], object], what: str, seconds: float = 15.0, look: float = 0.05) -> None:
    """Look again and again until `fact()` is true. Raises TimeoutError that names `what`."""
    deadline = time.monotonic() + seconds * PATIENCE
    while not fact():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(look)


def unavailable() -> str:
    """Why a private Postfix can't run here; empty where it can."""
    if os.geteuid():
        return "Postfix's master has to be started by root"
    if not Path("/usr/sbin/postfix").exists():
        return "Postfix is not installed"
    return ""


def can_login() -> bool:
    """Can accounts be made for SASL (sasl2-bin, libsasl2-modules-db)?"""
    return bool(shutil.which("saslpasswd2", path=os.environ.get("PATH", "") + ":/usr/sbin"))
