"""A private redis-server for a test: started in a folder of its own, asked, troubled, and gone afterwards.

`RedisServer` listens on a unix socket (no port can be taken by somebody else), with `tcp=True` on a loopback port too,
with `tls=True` on one that speaks TLS. `Watched` is a master, a replica and three Sentinels; `Cluster` three nodes.
Nothing of the machine's own Redis is touched. `conftest`-free: use them as context managers.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.builders.ports import free_port

LIMIT = 15.0  # seconds for anything that is waited for
STRAY = 5  # tries for a free port


def until(condition: Callable[[], Any], what: str, limit: float = LIMIT) -> Any:
    """Poll until `condition` gives something true; what it raises of a server that isn't up yet counts as no."""
    end = time.monotonic() + limit
    while True:
        try:
            found = condition()
        except (OSError, RedisSaysNoError):
            found = None
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {limit:g} s: {what}")
        time.sleep(0.02)


class RedisSaysNoError(Exception):
    """An error reply."""


class Wire:
    """The protocol spoken by hand, so that what a test looks at owes nothing to redis-py."""

    def __init__(self, place: str | tuple[str, int]) -> None:
        family = socket.AF_UNIX if isinstance(place, str) else socket.AF_INET
        self._link = socket.socket(family)
        self._link.settimeout(LIMIT)
        self._link.connect(place)
        self._file = self._link.makefile("rb")

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._file.close()
        self._link.close()

    def ask(self, *words: str | bytes | int | float) -> Any:
        """One command; texts come back as str where they are UTF-8. Raises RedisSaysNoError."""
        parts = [one if isinstance(one, bytes) else str(one).encode() for one in words]
        self._link.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(one), one) for one in parts))
        return self._reply()

    def _reply(self) -> Any:
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RedisSaysNoError(rest.decode(errors="replace"))
        if kind == b":":
            return int(rest)
        if kind == b"+":
            return rest.decode()
        if kind == b"$":
            if rest == b"-1":
                return None
            data = self._file.read(int(rest) + 2)[:-2]
            try:
                return data.decode()
            except UnicodeDecodeError:
                return data
        return None if rest == b"-1" else [self._reply() for _ in range(int(rest))]


class RedisServer:
    """`with RedisServer() as server:`; `options` are lines of redis.conf, `name` tells several in one test apart."""

    def __init__(
        self,
        *options: str,
        tcp: bool = False,
        tls: bool = False,
        folder: str | Path | None = None,
        sentinel: bool = False,
    ) -> None:
        self._options = options
        self._tcp, self._tls, self._sentinel = tcp, tls, sentinel
        self._aside = None if folder else tempfile.TemporaryDirectory(prefix="tgr-")  # short: a socket's path is
        self.folder = Path(folder or self._aside.name)  # type: ignore[union-attr]
        self.path = str(self.folder / "r.sock")
        self.port = 0
        self.password = ""  # of the default user, for `ask`
        self._process: subprocess.Popen[bytes] | None = None

    # What goes into the setting `redis`.
    @property
    def url(self) -> str:
        """Of the unix socket."""
        return f"unix://{self.path}"

    @property
    def tcp_url(self) -> str:
        """Of the port."""
        return f"{'rediss' if self._tls else 'redis'}://localhost:{self.port}"

    @property
    def pid(self) -> int:
        """Of the server."""
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self.kill()
        if self._aside:
            self._aside.cleanup()

    def start(self) -> None:
        """Start it, with the data that it saved last; on the same port as before."""
        for _ in range(STRAY):
            wanted = self.port or (free_port() if self._tcp or self._tls else 0)
            process = self._process = self._launch(wanted)
            until(lambda one=process: one.poll() is not None or self._answers(), "redis-server starts")
            if process.poll() is None:
                self.port = wanted
                return
        log = (self.folder / "log").read_text("utf-8")
        raise AssertionError(f"redis-server does not start: {log[-2000:]}")

    def _launch(self, port: int) -> subprocess.Popen[bytes]:
        lines = [
            f"unixsocket {self.path}",
            "unixsocketperm 700",
            f"dir {self.folder}",
            "logfile log",
            "daemonize no",
            "bind 127.0.0.1",
            f"port {0 if self._tls else port}",
        ]
        if not self._sentinel:
            lines += ['save ""', "appendonly no", "repl-diskless-sync-delay 0"]
        if self._tls:
            lines += [
                f"tls-port {port}",
                f"tls-cert-file {self.folder}/server.pem",
                f"tls-key-file {self.folder}/server.pem",
                f"tls-ca-cert-file {self.folder}/ca.pem",
            ]
        config = self.folder / "redis.conf"
        if not (self._sentinel and config.exists()):  # a Sentinel keeps what it knows in it
            config.write_text("\n".join([*lines, *self._options]) + "\n", "utf-8")
        command = ["redis-server", str(config), *(["--sentinel"] if self._sentinel else [])]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _answers(self) -> bool:
        try:
            return bool(self.ask("PING") == "PONG")
        except RedisSaysNoError as error:
            return str(error).startswith(("NOAUTH", "NOPERM"))
        except OSError:
            return False

    def ask(self, *words: str | bytes | int | float) -> Any:
        """One command over the unix socket, as redis-cli would."""
        with Wire(self.path) as wire:
            if self.password:
                wire.ask("AUTH", self.password)
            return wire.ask(*words)

    # Trouble.
    def stop(self) -> None:
        """As an admin would: it saves nothing (unless it was told to) and is gone."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """With no notice, stopped or not."""
        self._end(signal.SIGKILL)

    def _end(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            self._process.wait(LIMIT)
        self._process = None

    def freeze(self) -> None:
        """SIGSTOP: connections are accepted by the kernel, and nobody answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """And goes on."""
        os.kill(self.pid, signal.SIGCONT)

    def flush(self) -> None:
        """FLUSHALL."""
        self.ask("FLUSHALL")

    def set_acl(self, text: str) -> None:
        """Give it the users of an ACL file (lines `user NAME …`); `default` stays as it is unless it is among them."""
        for line in text.splitlines():
            words = line.split()
            if words[:1] == ["user"]:
                self.ask("ACL", "SETUSER", words[1], "reset", *words[2:])

    def settings(self, name: str, value: str | int) -> None:
        """CONFIG SET."""
        self.ask("CONFIG", "SET", name, value)


def certificates(folder: Path, host: str = "localhost", address: str = "") -> None:
    """A CA (`ca.pem`) and a certificate of `host` with its key (`server.pem`), for RedisServer(tls=True). It is one of
    an IP `address` too where that is given: Sentinels name servers by it."""

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], check=True, cwd=folder, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test ca")
    openssl("req", *key[:-2], "-keyout", "server.key", "-out", "server.csr", "-subj", f"/CN={host}")
    (folder / "names").write_text(f"subjectAltName=DNS:{host}{f',IP:{address}' if address else ''}\n", "utf-8")
    openssl(
        *("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
        *("-days", "2", "-extfile", "names", "-out", "server.crt"),
    )
    whole = (folder / "server.crt").read_text("utf-8") + (folder / "server.key").read_text("utf-8")
    (folder / "server.pem").write_text(whole, "utf-8")


class Watched:
    """A master, a replica and three Sentinels that agree on them within a second of a death."""

    def __init__(self, *options: str, service: str = "policy") -> None:
        self.service = service
        self.master = RedisServer(*options, tcp=True)
        self._options = options
        self.replica: RedisServer | None = None
        self.sentinels: list[RedisServer] = []

    @property
    def url(self) -> str:
        """What goes into the setting `redis`."""
        hosts = ",".join(f"127.0.0.1:{one.port}" for one in self.sentinels)
        return f"redis+sentinel://{hosts}/{self.service}"

    def __enter__(self) -> Watched:
        try:
            self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _start(self) -> None:
        self.master.start()
        self.replica = RedisServer(f"replicaof 127.0.0.1 {self.master.port}", *self._options, tcp=True)
        self.replica.start()
        until(lambda: "master_link_status:up" in self.replica.ask("INFO", "replication"), "the replica follows")  # type: ignore[union-attr]
        watch = (
            f"sentinel monitor {self.service} 127.0.0.1 {self.master.port} 2",
            f"sentinel down-after-milliseconds {self.service} 500",
            f"sentinel failover-timeout {self.service} 2000",
        )
        for _ in range(3):
            sentinel = RedisServer(*watch, tcp=True, sentinel=True)
            self.sentinels.append(sentinel)
            sentinel.start()
        for sentinel in self.sentinels:
            until(lambda one=sentinel: self._agrees(one), "the Sentinels know each other")

    def _agrees(self, sentinel: RedisServer) -> bool:
        flat: Sequence[str] = sentinel.ask("SENTINEL", "MASTER", self.service)
        known = dict(zip(flat[::2], flat[1::2], strict=True))
        return (known["num-other-sentinels"], known["num-slaves"]) == ("2", "1")

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        for one in (*self.sentinels, *([self.replica] if self.replica else []), self.master):
            one.__exit__(kind, value, trace)


class Cluster:
    """Three masters without replicas, each with a third of the slots."""

    def __init__(self, *options: str) -> None:
        self.nodes: list[RedisServer] = []
        self._options = options

    @property
    def url(self) -> str:
        """What goes into the setting `redis`: one node, the others are found."""
        return f"redis+cluster://127.0.0.1:{self.nodes[0].port}"

    def __enter__(self) -> Cluster:
        try:
            self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _start(self) -> None:
        bus = []
        for _ in range(3):
            bus.append(free_port())
            options = ("cluster-enabled yes", f"cluster-port {bus[-1]}", "cluster-node-timeout 2000", *self._options)
            node = RedisServer(*options, tcp=True)
            self.nodes.append(node)
            node.start()
        share = 16384 // 3 + 1
        for number, node in enumerate(self.nodes):
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            node.ask("CLUSTER", "ADDSLOTSRANGE", number * share, min((number + 1) * share, 16384) - 1)
        for node, port in zip(self.nodes[1:], bus[1:], strict=True):
            self.nodes[0].ask("CLUSTER", "MEET", "127.0.0.1", node.port, port)
        for node in self.nodes:
            until(lambda one=node: "cluster_state:ok" in one.ask("CLUSTER", "INFO"), "the Cluster is whole")

    def holder(self, key: str) -> RedisServer:
        """The node that holds a key's slot."""
        slot = self.nodes[0].ask("CLUSTER", "KEYSLOT", key)
        for first, last, master, *_ in self.nodes[0].ask("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == master[1])
        raise AssertionError(f"nobody serves slot {slot}")

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        for node in self.nodes:
            node.__exit__(kind, value, trace)
