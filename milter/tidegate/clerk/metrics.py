"""The metrics over HTTP, and whether we live and are ready: one scrape at a time, each within a few seconds.

Promises: a scraper that stalls, drips or hangs up costs its own turn only.
"""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

from tidegate.observe.counters import Counters
from tidegate.observe.metrics import CONTENT_TYPE, Gauges, render

_SILENT = "the supervisor does not answer"
_TEXT = "text/plain; charset=utf-8"
_SCRAPE = 5.0  # seconds that one scraper gets in all


class Metrics(socketserver.TCPServer):
    """One scrape at a time is enough; a scraper that stalls loses its turn."""

    allow_reuse_address = True

    def __init__(
        self, host: str, port: int, counters: Counters, gauges: Callable[[], Gauges], hears: Callable[[float], bool]
    ) -> None:
        """Raises OSError where the address can't be had. `hears`: has the supervisor said something lately?"""
        if ":" in host:
            self.address_family = socket.AF_INET6
        self.counters, self.gauges, self.hears = counters, gauges, hears
        super().__init__((host, port), _Scrape)

    def handle_error(self, request: object, client_address: object) -> None:
        """A scraper that hangs up is not worth a trace."""


class _Scrape(BaseHTTPRequestHandler):
    server: Metrics

    def setup(self) -> None:
        super().setup()
        # A timeout of the socket would begin anew with each byte of a scraper that drips.
        self._alarm = threading.Timer(_SCRAPE, self._cut)
        self._alarm.daemon = True
        self._alarm.start()

    def finish(self) -> None:
        self._alarm.cancel()
        super().finish()

    def _cut(self) -> None:
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it left by itself

    def do_GET(self) -> None:
        server, alive = self.server, self.server.hears(time.monotonic())
        match self.path.split("?")[0]:
            case "/metrics" | "/":
                self._answer(200, CONTENT_TYPE, render(server.counters, server.gauges()))
            case "/livez":
                self._answer(200 if alive else 503, _TEXT, "live\n" if alive else f"not live: {_SILENT}\n")
            case "/readyz":
                reasons = list(server.gauges().unready) if alive else [_SILENT]
                self._answer(
                    503 if reasons else 200, _TEXT, f"not ready: {'; '.join(reasons)}\n" if reasons else "ready\n"
                )
            case _:
                self.send_error(404)

    def _answer(self, code: int, kind: str, text: str) -> None:
        page = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *arguments: object) -> None:
        """Scrapes are not news."""
