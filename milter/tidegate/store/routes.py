"""The way to the one server that holds our keys: given, named by Sentinels, or found in a Cluster.

Promises: what redis-py is told is told explicitly (time-outs, no retry, TLS with a checked host name, RESP2), for the
Sentinels as for the server; a password is read from its file each time a client is made, so that a new one needs no
restart. Refuses: waiting for a fail-over: the caller's next call asks again.
"""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import redis
from redis import exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel

from tidegate.store.address import Address, Shape
from tidegate.store.failure import Fault, StoreError
from tidegate.store.patience import bounded

_SECRET_LIMIT = 4096  # bytes of a password file
_REDIRECT = re.compile(r"(MOVED|ASK) [0-9]+ (.*):([0-9]{1,5})")
_KNOWS_PROTOCOL = "protocol" in inspect.signature(redis.Redis.__init__).parameters
_MAINTENANCE = "maint_notifications_config" in inspect.signature(redis.Redis.__init__).parameters


@dataclass(frozen=True, slots=True)
class Options:
    """How to connect. `timeout` in seconds, for connecting and for each read."""

    timeout: float
    user: str = ""
    password_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    sentinel_user: str = ""
    sentinel_password_file: str = ""

    def _common(self, tls: bool) -> dict[str, Any]:
        values: dict[str, Any] = {
            "socket_timeout": self.timeout,
            "socket_connect_timeout": self.timeout,
            "retry": Retry(NoBackoff(), 0),
            "health_check_interval": 0,
            "decode_responses": False,
        }
        if _KNOWS_PROTOCOL:
            values["protocol"] = 2  # redis-py 8 speaks RESP3 unless told otherwise; its replies have other types
        if tls:
            values |= {
                "ssl": True,
                "ssl_cert_reqs": "required",
                "ssl_check_hostname": True,
                "ssl_ca_certs": self.ca_file or None,
                "ssl_certfile": self.cert_file or None,
                "ssl_keyfile": self.key_file or None,
            }
        return values

    def server(self, tls: bool) -> dict[str, Any]:
        """redis-py's keyword arguments for the server. Raises StoreError where the password can't be read."""
        return self._common(tls) | _login(self.user, self.password_file)

    def sentinel(self, tls: bool) -> dict[str, Any]:
        """The same for the Sentinels, which have a login of their own or none."""
        login = _login(self.sentinel_user, self.sentinel_password_file)
        return self._common(tls) | login


def _login(user: str, password_file: str) -> dict[str, Any]:
    values: dict[str, Any] = {"username": user} if user else {}
    if password_file:
        try:
            with Path(password_file).open("rb") as file:
                secret = file.read(_SECRET_LIMIT).decode().strip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise StoreError(f"the password file {password_file} can't be read: {why}", Fault.SETTINGS) from error
        values["password"] = secret
    return values


Answer = Callable[[tuple[Any, ...]], Any]


class Route(Protocol):
    """Who is asked now. Not safe for threads: the Link holds a lock around each call of it."""

    where: str

    def client(self) -> redis.Redis:
        """The server's client, made if there is none. Raises StoreError and redis-py's exceptions."""

    def redirected(self, error: Exception) -> Answer | None:
        """What asks where the server sent us to; None: it did not send us anywhere."""

    def forget(self) -> None:
        """Drop the connections, and what is known of who is master."""


def route_to(address: Address, options: Options, slot: int) -> Route:
    """The way to an address; `slot` is where a Cluster keeps our keys."""
    match address.shape:
        case Shape.SENTINEL:
            return _Watched(address, options)
        case Shape.CLUSTER:
            return _Slot(address, options, slot)
        case _:
            return _Server(address, options)


def _plain(**values: Any) -> redis.Redis:
    """A client whose replies are those of the wire: redis-py's callbacks differ with its versions."""
    if _MAINTENANCE and values.get("protocol") == 2:
        values["maint_notifications_config"] = None
    client = redis.Redis(**values)
    client.response_callbacks.clear()
    return _bounded(client)


def _bounded(client: redis.Redis) -> redis.Redis:
    """Its connections read no longer than they may in all (patience.py)."""
    pool = client.connection_pool
    pool.connection_class = bounded(pool.connection_class)
    return client


class _Server:
    """One server."""

    def __init__(self, address: Address, options: Options) -> None:
        self.where = f"Redis at {address}"
        self._address = address
        self._options = options
        self._client: redis.Redis | None = None

    def client(self) -> redis.Redis:
        if self._client is None:
            values = self._options.server(self._address.tls) | {"db": self._address.database}
            if self._address.path:
                values["unix_socket_path"] = self._address.path
            else:
                values["host"], values["port"] = self._address.hosts[0]
            self._client = _plain(**values)
        return self._client

    def redirected(self, error: Exception) -> Answer | None:
        if _redirection(error) is not None:
            raise StoreError(
                f"{self.where}: it is a node of a Cluster (write redis+cluster://…)", Fault.SETTINGS
            ) from error
        return None

    def forget(self) -> None:
        if self._client is not None:
            self._client.connection_pool.disconnect(inuse_connections=False)
            self._client = None


class _Sentinels(Sentinel):
    """redis-py's own would ask all of them, each for its time-out, and in the same order the next time: one that does
    not answer would use up the patience of every call."""

    def __init__(self, watched: _Watched, timeout: float, hosts: Iterable[tuple[str, int]], **options: Any) -> None:
        super().__init__(list(hosts), **options)
        self._watched = watched
        self._timeout = timeout
        for one in self.sentinels:
            _bounded(one)

    def discover_master(self, service_name: str) -> tuple[str, int]:
        """As redis-py's; who can't say it is asked last by the next client."""
        end = time.monotonic() + self._timeout
        for one in self.sentinels:
            alone = Sentinel([])
            alone.sentinels = [one]
            try:
                host, port = alone.discover_master(service_name)
            except exceptions.ConnectionError:
                kwargs = one.connection_pool.connection_kwargs
                self._watched.silent((kwargs["host"], kwargs["port"]))
                if time.monotonic() < end:
                    continue
                raise
            return host, port
        raise MasterNotFoundError(f"No master found for {service_name!r}")


class _Watched:
    """The master of a service that Sentinels watch. redis-py asks them whenever it connects."""

    def __init__(self, address: Address, options: Options) -> None:
        self.where = f"Redis at {address}"
        self._address = address
        self._options = options
        self._hosts = address.hosts
        self._client: redis.Redis | None = None

    def client(self) -> redis.Redis:
        if self._client is None:
            tls = self._address.tls
            sentinel = _Sentinels(
                self,
                self._options.timeout,
                self._hosts,
                sentinel_kwargs=self._options.sentinel(tls),
                **self._options.server(tls),
            )
            self._client = _bounded(sentinel.master_for(self._address.service))
            self._client.response_callbacks.clear()
        return self._client

    def silent(self, host: tuple[str, int]) -> None:
        """This Sentinel did not name a master."""
        self._hosts = (*(one for one in self._hosts if one != host), host)

    def redirected(self, error: Exception) -> Answer | None:
        return None

    def forget(self) -> None:
        if self._client is not None:
            self._client.connection_pool.disconnect(inuse_connections=False)
            self._client = None


class _Slot:
    """The node of a Cluster that holds our slot: asked for, followed when it moves, asked for anew when it is gone."""

    def __init__(self, address: Address, options: Options, slot: int) -> None:
        self.where = f"Redis Cluster at {address}"
        self._address = address
        self._options = options
        self._slot = slot
        self._known = address.hosts
        self._client: redis.Redis | None = None

    def client(self) -> redis.Redis:
        if self._client is None:
            host, port = self._holder()
            self._client = self._connect(host, port)
        return self._client

    def redirected(self, error: Exception) -> Answer | None:
        found = _redirection(error)
        if found is None:
            return None
        word, host, port = found
        client = self._connect(host or self._last_host(), port)
        if word == "MOVED":
            self.forget()
            self._client = client
            return lambda command: client.execute_command(*command)

        def asking(command: tuple[Any, ...]) -> Any:
            # The slot is being moved: this once, and on one connection (Redis Cluster specification, ASK redirection).
            return client.pipeline(transaction=False).execute_command("ASKING").execute_command(*command).execute()[1]

        return asking

    def forget(self) -> None:
        if self._client is not None:
            self._client.connection_pool.disconnect(inuse_connections=False)
            self._client = None

    def _connect(self, host: str, port: int) -> redis.Redis:
        return _plain(host=host, port=port, **self._options.server(self._address.tls))

    def _last_host(self) -> str:
        assert self._client is not None  # somebody sent us on
        return str(self._client.connection_pool.connection_kwargs["host"])

    def _holder(self) -> tuple[str, int]:
        """Host and port of our slot's master, by the first node that knows. The given nodes stay the last resort."""
        end = time.monotonic() + self._options.timeout
        last: Exception | None = None
        for host, port in dict.fromkeys((*self._known, *self._address.hosts)):
            if last is not None and time.monotonic() > end:
                break
            client = self._connect(host, port)
            try:
                holder, known = self._read(client.execute_command("CLUSTER", "SLOTS"), host)
            except (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.ResponseError, OSError) as error:
                last = error
                continue
            finally:
                client.connection_pool.disconnect()
            if holder is not None:
                self._known = known
                return holder
            last = exceptions.ResponseError(f"CLUSTERDOWN nobody serves slot {self._slot}")
        assert last is not None  # there is at least one node
        # The one that did not answer is asked last the next time.
        self._known = (*self._known[1:], self._known[0])
        raise last

    def _read(self, reply: Any, asked: str) -> tuple[tuple[str, int] | None, tuple[tuple[str, int], ...]]:
        """CLUSTER SLOTS: [[first, last, [host, port, id, …], replicas…], …]; who holds our slot, and all masters."""
        holder = None
        masters: dict[tuple[str, int], None] = {}
        for first, last, master, *_ in reply:
            host, port = (master[0] or b"").decode(), int(master[1])
            place = (host if host not in ("", "?") else asked, port)
            masters[place] = None
            if first <= self._slot <= last:
                holder = place
        return holder, tuple(masters)


def _redirection(error: Exception) -> tuple[str, str, int] | None:
    text = str(error)
    if type(error).__name__ in ("MovedError", "AskError"):
        text = f"{type(error).__name__[:-5].upper()} {text}"
    found = _REDIRECT.match(text)
    return (found[1], found[2], int(found[3])) if found else None
