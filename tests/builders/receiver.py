"""A real HTTP receiver on a loopback port: keeps what was posted; can answer anything, drip, or never answer."""

from __future__ import annotations

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


class Receiver:
    """`with Receiver() as receiver:` listens; `down` and `up` close and open the same port."""

    def __init__(self) -> None:
        self.status = 200
        self.bodies: list[Any] = []
        self.paths: list[str] = []
        self.tokens: list[str] = []
        self.port = 0
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def __enter__(self) -> Receiver:
        self.up()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self.down()

    def up(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if receiver.status == 200:
                    receiver.bodies.append(json.loads(body))
                    receiver.paths.append(self.path)
                    receiver.tokens.append(self.headers.get("Authorization", ""))
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, format: str, *arguments: object) -> None:
                """The test says what it saw."""

        ThreadingHTTPServer.allow_reuse_address = True
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def down(self) -> None:
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def told(self, event: str = "") -> list[dict[str, Any]]:
        """The notifications so far; of one event where one is named."""
        return [body for body in self.bodies if not event or body["event"] == event]


class BlackHole:
    """Accepts connections and never says a word."""

    def __init__(self) -> None:
        self._link = socket.socket()
        self._link.bind(("127.0.0.1", 0))
        self._link.listen(64)
        self.url = f"http://127.0.0.1:{self._link.getsockname()[1]}/hook"

    def __enter__(self) -> BlackHole:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._link.close()
