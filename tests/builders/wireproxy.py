"""A proxy before a Redis that troubles the connection: replies that are late, cut in the middle, or something else.

Promises: listens on a unix socket of its own; what it does may be changed while it runs, for new replies; it ends all
its threads with the context. Refuses: knowing the protocol.
"""

from __future__ import annotations

import socket
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

Spoil = Callable[[bytes], "bytes | None"]
"""A piece of a reply to what is sent instead; None: the connection is reset."""


def passed(data: bytes) -> bytes:
    """As it came."""
    return data


class WireProxy:
    """`with WireProxy(server.path) as proxy:`; `spoil` is what becomes of replies, `wait` the seconds before each."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._aside = tempfile.TemporaryDirectory(prefix="tgp-")
        self.path = str(Path(self._aside.name) / "p.sock")
        self.spoil: Spoil = passed
        self.wait = 0.0
        self._ended = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(64)
        self._listener.settimeout(0.1)
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        """What goes into the setting `redis`."""
        return f"unix://{self.path}"

    def __enter__(self) -> WireProxy:
        self._start(self._accept)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(5)
        self._listener.close()
        self._aside.cleanup()

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(self._target)
            except OSError:
                client.close()
                server.close()
                continue
            for one in (client, server):
                one.settimeout(0.1)
            self._start(self._pump, client, server, False)
            self._start(self._pump, server, client, True)

    def _pump(self, source: socket.socket, target: socket.socket, replies: bool) -> None:
        with source, target:
            while not self._ended.is_set():
                try:
                    data = source.recv(1 << 16)
                except TimeoutError:
                    continue
                except OSError:
                    return
                if replies and data:
                    self._ended.wait(self.wait)
                    changed = self.spoil(data)
                    if changed is None:
                        return
                    data = changed
                if not data:
                    return
                try:
                    target.sendall(data)
                except OSError:
                    return
