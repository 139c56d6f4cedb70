"""Whatever lies in policies, settings and state: the daemon starts, listens and answers within 10 s (promise P1)."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.harness.client import a_message
from tests.e2e.harness.daemon import Daemon
from tests.e2e.harness.postfix import Postfix, Service, until
from tests.e2e.harness.sink import Sink
from tests.e2e.harness.site import ALICE, BOB
from tests.e2e.harness.texts import SITE, on_subject, refuse, rules

WITHIN = 10.0
GOOD = rules(on_subject("stop-me", refuse()))


def nothing(folder: Path) -> None:
    """An empty directory."""


def no_folder(folder: Path) -> None:
    """The directory is not there."""
    folder.rmdir()


def a_file_instead(folder: Path) -> None:
    """A file where the directory should be."""
    folder.rmdir()
    folder.write_text("x")


def no_yaml(folder: Path) -> None:
    """Files that are no policies."""
    (folder / "20.yaml.dpkg-dist").write_text("version: [")
    (folder / "20.yaml~").write_text("version: [")
    (folder / "README").write_text("x")


def broken(folder: Path) -> None:
    """A syntax error from the first byte."""
    (folder / "20.yaml").write_text("{[}\n- - :")


def binary(folder: Path) -> None:
    """NUL, BOM, UTF-16, Latin-1, and every byte there is."""
    (folder / "20.yaml").write_bytes(bytes(range(256)) * 100)
    (folder / "21.yaml").write_bytes("version: 1\nrules: []\n".encode("utf-16"))
    (folder / "22.yaml").write_bytes(b"\xef\xbb\xbfversion: 1\nrules: []\n...\n")
    (folder / "23.yaml").write_bytes(b"version: 1\nrules:\n  - id: \xe4\xf6\n")
    (folder / "24.yaml").write_bytes(b"version: 1\n\0rules: []\n")


def deep(folder: Path) -> None:
    """50,000 levels of nesting: enough to kill a recursive parser."""
    (folder / "20.yaml").write_text("version: 1\nrules: " + "[" * 50_000)
    (folder / "21.yaml").write_text("version: 1\nrules:\n" + "".join(" " * level + "-\n" for level in range(3_000)))


def bomb(folder: Path) -> None:
    """Aliases that unfold to a gigabyte."""
    levels = "".join(f"  - &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    (folder / "20.yaml").write_text("version: 1\nrules:\n  - &a0 [x]\n" + levels)


def huge(folder: Path) -> None:
    """100 MB in one file."""
    with open(folder / "20.yaml", "wb") as file:
        file.write(b"version: 1\nrules:\n")
        for _ in range(100):
            file.write(b"#" * (1 << 20))


def many(folder: Path) -> None:
    """As many files as are read, and some more."""
    for number in range(5_100):
        (folder / f"A{number:05}.yaml").write_text("version: 1\nrules: []\n...\n")


def odd_entries(folder: Path) -> None:
    """A directory, a dangling link, a link to itself, a FIFO and a device with policy names."""
    import os

    (folder / "20.yaml").mkdir()
    (folder / "21.yaml").symlink_to("nowhere")
    (folder / "22.yaml").symlink_to("22.yaml")
    os.mkfifo(folder / "23.yaml")
    (folder / "24.yaml").symlink_to("/dev/zero")


HOSTILE: list[Callable[[Path], None]] = [
    nothing,
    no_folder,
    a_file_instead,
    no_yaml,
    broken,
    binary,
    deep,
    bomb,
    huge,
    many,
    odd_entries,
]


@pytest.fixture(scope="module")
def gate() -> Iterator[tuple[Daemon, Postfix, Sink]]:
    """A Postfix whose milter socket belongs to a daemon that each test starts anew."""
    daemon = Daemon(workers=1)
    with Sink() as sink, Postfix(sink.port, [Service([daemon.endpoint])]) as postfix:
        yield daemon, postfix, sink
    daemon.remove()


def answer(postfix: Postfix, subject: str) -> int:
    """The code with which one message is answered."""
    from tests.e2e.harness.client import Client

    with Client(postfix.port) as client:
        client.xclient(login=ALICE, addr="192.0.2.7")
        return client.send(ALICE, [BOB], a_message(subject)).final.code


def clean(daemon: Daemon) -> None:
    """Empty policies and state."""
    for folder in (daemon.policies, daemon.state):
        if folder.is_dir():
            shutil.rmtree(folder)
        elif folder.exists():
            folder.unlink()
        folder.mkdir(mode=0o755)


@pytest.mark.parametrize("spoil", HOSTILE, ids=lambda spoil: spoil.__name__)
def test_it_starts_with(gate: tuple[Daemon, Postfix, Sink], spoil: Callable[[Path], None]) -> None:
    """The daemon listens within 10 s and every message gets one reply, 250 or 451; it says what is wrong."""
    daemon, postfix, _ = gate
    clean(daemon)
    spoil(daemon.policies)
    daemon.start(wait=False)
    try:
        daemon.wait_until_serving(WITHIN)
        assert answer(postfix, f"start {spoil.__name__}") in (250, 451)
        until(daemon.alerts, "an alert says that something is wrong here", 60.0)
    finally:
        assert 0 == daemon.stop()


@pytest.mark.parametrize("spoil", [spoil for spoil in HOSTILE if spoil not in (no_folder, a_file_instead)])
def test_a_good_file_beside_it_serves(gate: tuple[Daemon, Postfix, Sink], spoil: Callable[[Path], None]) -> None:
    """A rule in a good file is in force, whatever lies beside it (P4)."""
    daemon, postfix, _ = gate
    clean(daemon)
    daemon.policy("10-site.yaml", SITE)
    daemon.policy("90-good.yaml", GOOD)
    spoil(daemon.policies)
    daemon.start()
    try:
        daemon.wait_for_generation(1, 60.0)
        assert 550 == answer(postfix, "stop-me")
        assert answer(postfix, "let me go") == 250
    finally:
        assert 0 == daemon.stop()


def test_bad_settings_and_none_were_good(gate: tuple[Daemon, Postfix, Sink]) -> None:
    """Exit 78, and all mistakes at once, each with its place."""
    daemon, _, _ = gate
    clean(daemon)
    good = daemon.config.read_text()
    daemon.config.write_text(f"{good}worker: 2\ndeadline: soon\n")
    process = daemon.start(wait=False)
    assert 78 == process.wait(10)
    said = daemon.said()
    daemon.config.write_text(good)
    assert "tidegate.yaml:" in said
    assert "worker" in said
    assert "deadline" in said


def test_bad_settings_after_good_ones(gate: tuple[Daemon, Postfix, Sink]) -> None:
    """The last good settings run, with an alert."""
    daemon, postfix, _ = gate
    clean(daemon)
    daemon.start()
    assert 0 == daemon.stop()
    good = daemon.config.read_text()
    daemon.config.write_text(f"{good}worker: 2\n")
    daemon.start()
    try:
        assert 250 == answer(postfix, "with the last good settings")
        assert "settings-last-good" in daemon.alerts()
    finally:
        daemon.config.write_text(good)
        assert 0 == daemon.stop()


def test_a_corrupt_state(gate: tuple[Daemon, Postfix, Sink]) -> None:
    """Records of nonsense in the state directory are set aside."""
    daemon, postfix, _ = gate
    clean(daemon)
    daemon.policy("90-good.yaml", GOOD)
    daemon.start()
    daemon.wait_for_generation(1)
    assert 0 == daemon.stop()
    for path in daemon.state.rglob("*"):
        if path.is_file():
            path.write_bytes(b"\xff\0nonsense" * 100)
    daemon.start()
    try:
        daemon.wait_for_generation(1)
        assert 550 == answer(postfix, "stop-me")
    finally:
        assert 0 == daemon.stop()
