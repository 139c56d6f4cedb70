"""The control socket: never blocks its server, whatever its clients do."""

from __future__ import annotations

import json
import os
import selectors
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidegate.control import NAME, Parcel, Server, UnreachableError, ask, ask_for_files


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Path]:
    """A server in a loop of its own; `big` answers with four megabytes."""
    selector = selectors.DefaultSelector()
    size = 4_000_000
    server = Server(
        str(tmp_path), selector, lambda request: json.dumps({"got": request, "pad": "x" * (size * ("big" in request))})
    )
    stop = threading.Event()

    def loop() -> None:
        while not stop.is_set():
            for key, events in selector.select(0.02):
                key.data(events)

    thread = threading.Thread(target=loop)
    thread.start()
    yield tmp_path
    stop.set()
    thread.join()
    server.close()


def test_a_question_and_its_answer(served: Path) -> None:
    """One line there, one line back, larger than any buffer."""
    assert {"do": "status"} == ask(str(served), {"do": "status"})["got"]
    assert 4_000_000 == len(ask(str(served), {"big": 1})["pad"])


def test_a_client_that_does_not_read_or_write_holds_nobody_up(served: Path) -> None:
    """Others are answered meanwhile."""
    silent, greedy = (socket.socket(socket.AF_UNIX) for _ in range(2))
    silent.connect(str(served / NAME))
    greedy.connect(str(served / NAME))
    greedy.sendall(b'{"big": 1}\n')
    assert ask(str(served), {"do": "status"})
    silent.close()
    greedy.close()
    assert ask(str(served), {"do": "status"})


@pytest.mark.parametrize("line", [b"\n", b"[]\n", b"{\n", b"[" * 4000 + b"\n", b"\xff\n"])
def test_nonsense_gets_an_error(served: Path, line: bytes) -> None:
    """Not a hang, not a traceback."""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(5)
        link.connect(str(served / NAME))
        link.sendall(line)
        assert "error" in json.loads(link.makefile("rb").readline())


def test_an_endless_request_is_cut(served: Path) -> None:
    """Bounded memory per client."""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(5)
        link.connect(str(served / NAME))
        try:
            link.sendall(b"x" * 100_000)
            rest = link.recv(1)
        except (BrokenPipeError, ConnectionResetError):
            rest = b""
        assert b"" == rest


def test_the_socket_is_its_owners(served: Path) -> None:
    """Its mode is the authority."""
    assert 0o600 == (served / NAME).stat().st_mode & 0o777


def test_nobody_there(tmp_path: Path) -> None:
    """The reason is one line for a person."""
    with pytest.raises(UnreachableError, match="No such file"):
        ask(str(tmp_path), {"do": "status"})


def test_a_long_path_works(tmp_path: Path) -> None:
    """A socket's name has 107 bytes; a state directory may be deeper."""
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    selector = selectors.DefaultSelector()
    server = Server(str(deep), selector, lambda request: "{}")
    assert (deep / NAME).exists()
    server.close()


def test_open_files_come_with_an_answer(tmp_path: Path) -> None:
    """What the answerer handed over arrives, once, and nothing of it stays open at the server."""
    reader, writer = os.pipe()
    os.write(writer, b"lent")
    os.close(writer)
    selector = selectors.DefaultSelector()
    server = Server(str(tmp_path), selector, lambda _request: Parcel('{"here": true}', (reader,)))
    found: list[tuple[dict[str, bool], tuple[int, ...]]] = []
    asking = threading.Thread(target=lambda: found.append(ask_for_files(str(tmp_path), {"do": "lend"})))
    asking.start()
    while asking.is_alive():
        for key, events in selector.select(0.02):
            key.data(events)
    server.close()
    ((answer, files),) = found
    assert {"here": True} == answer
    assert b"lent" == os.read(files[0], 10)
    os.close(files[0])
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reader)
