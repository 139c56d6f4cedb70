"""The control socket in the state directory: one JSON object per line, one answer per request.

Promises: the server never blocks and holds a bounded amount for a bounded number of clients; a client that stalls is
dropped. Open files may travel beside an answer (SCM_RIGHTS). Refuses: authentication of its own; the socket's mode
(owner only) is the authority.
"""

from __future__ import annotations

import errno
import json
import os
import selectors
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

NAME = "control"
_CLIENTS = 32
_REQUEST = 4096  # bytes
_PATIENCE = 30.0  # seconds for a whole exchange
_BREATH = 0.05  # seconds, while there is no descriptor for a client

_FILES = 8  # that may travel with an answer


@dataclass(frozen=True, slots=True)
class Parcel:
    """An answer with open files beside it; whoever takes the parcel closes them."""

    text: str
    descriptors: tuple[int, ...] = ()


Answer = Callable[[Mapping[str, Any]], "str | Parcel"]  # a request to the JSON text of its answer


class UnreachableError(Exception):
    """No daemon answers there; the text says why."""


def ask(state: str, request: Mapping[str, Any], patience: float = 5.0) -> dict[str, Any]:
    """Send one request to the daemon of this state directory. Raises UnreachableError."""
    answer, files = ask_for_files(state, request, patience)
    for descriptor in files:
        os.close(descriptor)
    return answer


def ask_for_files(
    state: str, request: Mapping[str, Any], patience: float = 5.0
) -> tuple[dict[str, Any], tuple[int, ...]]:
    """The same, with the open files that came beside the answer; the caller closes them."""
    path = os.path.join(state, NAME)
    files: list[int] = []
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as client:
            client.settimeout(patience)
            _reach(path, client.connect)
            client.sendall(json.dumps(dict(request)).encode() + b"\n")
            answer = json.loads(_line(client, files))
        if not isinstance(answer, dict):
            raise UnreachableError(f"{path}: it gave no answer of ours")
    except (OSError, ValueError, UnreachableError) as error:
        for descriptor in files:
            os.close(descriptor)
        if isinstance(error, UnreachableError):
            raise
        why = "it closed without an answer" if isinstance(error, ValueError) else error.strerror or str(error)
        raise UnreachableError(f"{path}: {why}") from error
    return answer, tuple(files)


def _line(client: socket.socket, files: list[int]) -> bytes:
    """One line of the answer; what comes beside it goes into `files`."""
    parts: list[bytes] = []
    while not parts or b"\n" not in parts[-1]:
        part, descriptors, _flags, _address = socket.recv_fds(client, 1 << 16, _FILES, socket.MSG_CMSG_CLOEXEC)
        files += descriptors
        if not part:
            break
        parts.append(part)
    return b"".join(parts)


def _reach(path: str, use: Callable[[str], None]) -> None:
    """Use a socket's path whatever its length: the limit of 107 bytes is on the name, not on the place."""
    if len(os.fsencode(path)) <= 107:
        use(path)
        return
    folder = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        use(f"/proc/self/fd/{folder}/{os.path.basename(path)}")
    finally:
        os.close(folder)


@dataclass(slots=True)
class _Client:
    link: socket.socket
    since: float
    received: bytearray = field(default_factory=bytearray)
    pending: bytes = b""
    files: tuple[int, ...] = ()  # that go with the first of the pending bytes


class Server:
    """Listens in the supervisor's selector; register() puts it in, close() takes it out."""

    def __init__(self, state: str, selector: selectors.BaseSelector, answer: Answer) -> None:
        """Raises OSError where the socket can't be made."""
        self._selector = selector
        self._answer = answer
        self._clients: dict[int, _Client] = {}
        path = os.path.join(state, NAME)
        draft = f"{path}.new"
        self._link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            os.unlink(draft)
        except FileNotFoundError:
            pass  # no daemon died between bind and rename
        before = os.umask(0o177)
        try:
            _reach(draft, self._link.bind)
        finally:
            os.umask(before)
        self._link.listen(_CLIENTS)
        os.rename(draft, path)
        self._path = path
        selector.register(self._link, selectors.EVENT_READ, self._accept)

    @property
    def lost(self) -> bool:
        """Is there nothing at its path any more? Another's socket is a successor's."""
        return not os.path.lexists(self._path)

    def close(self) -> None:
        """Stop listening; the path stays (a successor renames its own over it)."""
        for client in list(self._clients.values()):
            self._drop(client)
        self._selector.unregister(self._link)
        self._link.close()

    def descriptors(self) -> list[int]:
        """What a child has to close."""
        return [
            self._link.fileno(),
            *self._clients,
            *(one for client in self._clients.values() for one in client.files),
        ]

    def tick(self) -> None:
        """Drop clients that take too long."""
        now = time.monotonic()
        for client in [one for one in self._clients.values() if now - one.since > _PATIENCE]:
            self._drop(client)

    def _accept(self, _events: int) -> None:
        try:
            link, _ = self._link.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                time.sleep(_BREATH)  # it waits in the backlog, and select would report it without end
            return
        if len(self._clients) >= _CLIENTS:
            link.close()
            return
        link.setblocking(False)
        client = _Client(link, time.monotonic())
        self._clients[link.fileno()] = client
        self._selector.register(link, selectors.EVENT_READ, lambda events: self._serve(client, events))

    def _serve(self, client: _Client, events: int) -> None:
        try:
            if events & selectors.EVENT_READ:
                self._read(client)
            if client.pending:
                self._send(client)
        except BlockingIOError:
            pass  # the client reads slowly: select says when it goes on
        except OSError:
            self._drop(client)
            return
        if client.link.fileno() >= 0:
            wanted = selectors.EVENT_WRITE if client.pending else selectors.EVENT_READ
            self._selector.modify(client.link, wanted, lambda events: self._serve(client, events))

    def _send(self, client: _Client) -> None:
        if client.files:
            sent = socket.send_fds(client.link, [client.pending], client.files)
            _close(client)
        else:
            sent = client.link.send(client.pending)
        client.pending = client.pending[sent:]

    def _read(self, client: _Client) -> None:
        data = client.link.recv(_REQUEST)
        client.received += data
        if not data or len(client.received) > _REQUEST:
            self._drop(client)
            return
        line, newline, rest = bytes(client.received).partition(b"\n")
        if newline:
            client.received = bytearray(rest)
            _close(client)  # of an answer that it did not wait for
            parcel = self._reply(line)
            client.pending, client.files = parcel.text.encode("utf-8", "backslashreplace") + b"\n", parcel.descriptors

    def _reply(self, line: bytes) -> Parcel:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            request = None
        if not isinstance(request, dict):
            return Parcel('{"error": "a request is one JSON object on one line"}')
        answer = self._answer(request)
        return answer if isinstance(answer, Parcel) else Parcel(answer)

    def _drop(self, client: _Client) -> None:
        _close(client)
        if client.link.fileno() >= 0:
            self._clients.pop(client.link.fileno(), None)
            self._selector.unregister(client.link)
            client.link.close()


def _close(client: _Client) -> None:
    """The files that wait for it."""
    for descriptor in client.files:
        os.close(descriptor)
    client.files = ()
