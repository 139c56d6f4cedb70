"""One HTTP POST with a limit on all of it: webhooks, Alertmanager and the heartbeat share it.

Promises: ends within its limit, name resolution aside, whatever the other side does; follows no redirect (a POST would
become a GET without its body), obeys no environment variable, checks certificates by the system's store.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Mapping
from urllib.parse import urlsplit

import tidegate

_ANSWER = 65536  # bytes of an answer that are read


class UndeliveredError(Exception):
    """It did not arrive; the text says why. `final`: and never will, as it stands."""

    def __init__(self, why: str, final: bool = False) -> None:
        super().__init__(why)
        self.final = final


def post(url: str, body: bytes, timeout: float, headers: Mapping[str, str] | None = None) -> None:
    """Deliver `body`, JSON. Raises UndeliveredError."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    link: http.client.HTTPConnection
    if parts.scheme == "https":
        link = http.client.HTTPSConnection(host, port, timeout=timeout, context=ssl.create_default_context())
    else:
        link = http.client.HTTPConnection(host, port, timeout=timeout)
    # The timeout of a socket begins anew with each byte of a server that drips.
    late = threading.Event()
    alarm = threading.Timer(timeout, _cut, (link, late))
    alarm.daemon = True
    alarm.start()
    try:
        target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        sent = {"Content-Type": "application/json", "User-Agent": f"tidegate/{tidegate.__version__}", **(headers or {})}
        link.request("POST", target, body, {**sent, "Connection": "close"})
        answer = link.getresponse()
        status = answer.status
        answer.read(_ANSWER)
    except ssl.SSLCertVerificationError as error:
        raise UndeliveredError(f"its certificate does not verify: {error.verify_message}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, TimeoutError) or late.is_set():
            raise UndeliveredError(f"no answer within {timeout:g} s") from error
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
        raise UndeliveredError(why) from error
    finally:
        alarm.cancel()
        link.close()
    if not 200 <= status < 300:
        raise UndeliveredError(f"it answers {status} {http.client.responses.get(status, '')}".rstrip(), _final(status))


def _final(status: int) -> bool:
    """Is it this notification that is not wanted? Missing rights, a wrong address and overload may be repaired."""
    return status in (400, 405, 406, 410, 411, 413, 414, 415, 422)


def _cut(link: http.client.HTTPConnection, late: threading.Event) -> None:
    late.set()  # before the reader wakes up and asks why
    if link.sock is not None:
        try:
            link.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it ended by itself
