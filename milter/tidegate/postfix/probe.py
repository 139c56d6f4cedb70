"""The live test: a service answers with a banner, and the daemon gets a session for it.

smtpd asks its milters as soon as a client connects, so a list that it can't read, or a milter that it can't reach,
shows before the first command; `postfix check` sees neither.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass

from tidegate.postfix.instance import Instance, Service

_LOOKS = 20
_LOOK = 0.1


@dataclass(frozen=True, slots=True)
class Probe:
    """One service tried: its banner, what went wrong, and whether the daemon saw it (None: nobody could be asked)."""

    service: str
    address: str
    banner: str = ""
    trouble: str = ""
    seen: bool | None = None


def address_of(instance: Instance, service: Service) -> tuple[str, int] | None:
    """Where this machine reaches an inet service; None for one whose port has no number."""
    host, _, port = service.name.rpartition(":")
    try:
        number = int(port) if port.isdigit() else socket.getservbyname(port, "tcp")
    except OSError:
        return None
    if not host:
        interfaces = instance.value(service, "inet_interfaces").replace(",", " ").split()
        named = next((one for one in interfaces if one not in ("all", "loopback-only", "localhost")), "")
        host = named if named and not named.startswith("$") else "127.0.0.1"
    return host.strip("[]"), number


def probe(
    instance: Instance, service: Service, patience: float, connections: Callable[[], int | None] | None = None
) -> Probe:
    """Connect, wait `patience` seconds for a banner, and see whether the daemon counts one connection more."""
    where = address_of(instance, service)
    if where is None:
        return Probe(service.key, service.name, trouble="its port has no number on this machine")
    address = f"{where[0]}:{where[1]}"
    before = connections() if connections is not None else None
    try:
        with socket.create_connection(where, patience) as plain, contextlib.ExitStack() as stack:
            plain.settimeout(patience)
            link: socket.socket = plain
            if instance.value(service, "smtpd_tls_wrappermode") == "yes":
                context = ssl.create_default_context()
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is ourselves
                link = stack.enter_context(context.wrap_socket(plain, server_hostname=where[0]))
            banner = link.recv(512).decode("ascii", "backslashreplace").strip()
            seen = _seen(before, connections) if banner.startswith("220") else None
            with contextlib.suppress(OSError):
                link.sendall(b"QUIT\r\n")
    except OSError as error:
        return Probe(service.key, address, trouble=f"{error.strerror or error}")
    if not banner:
        return Probe(service.key, address, trouble="the connection was closed without a banner: see Postfix's log")
    trouble = "" if banner.startswith("220") else f"it answers {banner}"
    return Probe(service.key, address, banner, trouble, seen)


def _seen(before: int | None, connections: Callable[[], int | None] | None) -> bool | None:
    """Did a connection come? Where others come meanwhile, one more is all that can be asked for."""
    if before is None or connections is None:
        return None
    for _ in range(_LOOKS):
        if (connections() or 0) > before:
            return True
        time.sleep(_LOOK)
    return False
