"""The other end of an SMTP dialog on a loopback port: says yes to everything, and remembers what was said."""

from __future__ import annotations

import socketserver
import threading
from types import TracebackType

_OFFERS = b"250-end\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-AUTH PLAIN\r\n250 DSN\r\n"


class SmtpEnd:
    """`with SmtpEnd() as end:` listens on `end.port`."""

    def __init__(self, farewell: bytes = b"221 bye") -> None:
        """`farewell`: what it answers to QUIT."""
        self.commands: list[str] = []
        self.data = b""  # as it came, with the dots
        end = self

        class Dialog(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.wfile.write(b"220 end\r\n")
                while line := self.rfile.readline():
                    command = line.decode("utf-8", "surrogateescape").strip()
                    end.commands.append(command)
                    self.wfile.write(self._answer(command))

            def _answer(self, command: str) -> bytes:
                match command[:4].upper():
                    case "EHLO":
                        return _OFFERS
                    case "DATA":
                        self.wfile.write(b"354 go on\r\n")
                        while (line := self.rfile.readline()) not in (b".\r\n", b""):
                            end.data += line
                    case "QUIT":
                        return farewell + b"\r\n"
                return b"250 ok\r\n"

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Dialog)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])

    def __enter__(self) -> SmtpEnd:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def said(self, word: str) -> str:
        """The command that begins so; "" where there was none."""
        found = [one for one in self.commands if one.upper().startswith(word)]
        return word + found[0][len(word) :] if found else ""
