"""Where Redis is: what is asked of the settings, and the setting `redis` as a value.

Promises: one spelling for each kind of Redis, all mistakes named with what to write instead. Refuses: passwords in a
URL (they would stand in the settings, in a status and in tickets), and options that change time-outs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Protocol
from urllib.parse import unquote

_PORT = 6379
_SENTINEL_PORT = 26379
_HOSTS = 32
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}")
_IPV6 = re.compile(r"[0-9A-Fa-f:.]{2,45}")
_SERVICE = re.compile(r"[A-Za-z0-9._-]{1,100}")
_WRITE = (
    "write redis://HOST:PORT/DB, rediss://HOST:PORT (TLS), unix:///path/to/socket, "
    "redis+sentinel://HOST:PORT,HOST:PORT/SERVICE or redis+cluster://HOST:PORT,HOST:PORT (rediss+… for TLS)"
)


class StoreSettings(Protocol):
    """What a link needs of the settings."""

    @property
    def redis(self) -> str: ...
    @property
    def redis_user(self) -> str: ...
    @property
    def redis_password_file(self) -> str: ...
    @property
    def redis_ca_file(self) -> str: ...
    @property
    def redis_cert_file(self) -> str: ...
    @property
    def redis_key_file(self) -> str: ...
    @property
    def redis_sentinel_user(self) -> str: ...
    @property
    def redis_sentinel_password_file(self) -> str: ...
    @property
    def environment(self) -> str: ...


class Shape(str, Enum):
    """One server; one that Sentinels name; or one of a Cluster."""

    ONE = "one"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect to. `hosts` are the server, the Sentinels or some nodes of the Cluster; empty: `path` it is."""

    shape: Shape
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""  # of a unix socket
    tls: bool = False
    service: str = ""  # what the Sentinels call the master
    database: int = 0

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        shown = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        return f"{self.service} of the Sentinels {shown}" if self.shape is Shape.SENTINEL else shown


def parse(text: str) -> Address:
    """The address that a URL names. Raises ValueError, whose text says what to write."""
    scheme, colon, rest = text.partition(":")
    if not colon:
        raise ValueError(_WRITE)
    if scheme == "unix":
        return _unix(rest.removeprefix("//"))
    kind, plus, shape = scheme.partition("+")
    if kind not in ("redis", "rediss") or not rest.startswith("//") or (plus and shape not in ("sentinel", "cluster")):
        raise ValueError(_WRITE)
    hosts, slash, tail = rest[2:].partition("/")
    if "@" in hosts:
        raise ValueError("no login or password in the URL: use `redis_user` and `redis_password_file`")
    if "?" in rest or "#" in rest:
        raise ValueError("the URL takes no options")
    tls = kind == "rediss"
    if shape == "sentinel":
        if not _SERVICE.fullmatch(tail):
            raise ValueError("it has to end in the name of the service that the Sentinels watch, such as /mymaster")
        return Address(Shape.SENTINEL, _hosts(hosts, _SENTINEL_PORT), tls=tls, service=tail)
    if shape == "cluster":
        if tail:
            raise ValueError("a Cluster has no databases: end it after the last node")
        return Address(Shape.CLUSTER, _hosts(hosts, _PORT), tls=tls)
    found = _hosts(hosts, _PORT)
    if len(found) > 1:
        raise ValueError("several hosts are redis+sentinel:// or redis+cluster://")
    return Address(Shape.ONE, found, tls=tls, database=_database(tail) if slash and tail else 0)


def _unix(rest: str) -> Address:
    path, question, option = rest.partition("?")
    path = unquote(path)
    if not path.startswith("/") or "\0" in path:
        raise ValueError("the socket needs an absolute path: unix:///run/redis/redis-server.sock")
    if question and not option.startswith("db="):
        raise ValueError("the URL takes no option but ?db=N")
    return Address(Shape.ONE, path=path, database=_database(option[3:]) if question else 0)


def _database(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text):
        raise ValueError(f"{text[:20]!r} is no number of a database")
    return int(text)


def _hosts(text: str, port: int) -> tuple[tuple[str, int], ...]:
    found = tuple(_host(one, port) for one in text.split(","))
    if len(found) > _HOSTS:
        raise ValueError(f"at most {_HOSTS} hosts")
    return found


def _host(text: str, port: int) -> tuple[str, int]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or not _IPV6.fullmatch(host) or (rest and not rest.startswith(":")):
            raise ValueError("an IPv6 address stands in brackets: [2001:db8::1]:6379")
        colon, number = rest[:1], rest[1:]
    else:
        host, colon, number = text.partition(":")
        if not _HOST.fullmatch(host):
            raise ValueError(_WRITE)
    if not colon:
        return host, port
    if not re.fullmatch(r"[0-9]{1,5}", number) or not 1 <= int(number) <= 65535:
        raise ValueError(f"{number[:20]!r} is no port (1 to 65535)")
    return host, int(number)
