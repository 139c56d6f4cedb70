"""Settings: both spellings of an address, all mistakes at once, and the last good ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tidegate.settings import (
    Listen,
    ListenKind,
    Settings,
    check_settings,
    from_json,
    load_settings,
    recall,
    remember,
    state_of,
    to_json,
)

GOOD = b"listen: unix:/run/t.sock\npolicies: /etc/tidegate/policies\n"


def good(extra: str = "", listen: str = "unix:/run/t.sock") -> Settings:
    settings = check_settings(f"listen: '{listen}'\npolicies: /p\n{extra}\n".encode(), "t.yaml")
    assert isinstance(settings, Settings), settings
    return settings


@pytest.mark.parametrize(
    ("text", "listen", "libmilter"),
    [
        ("unix:/a/b", Listen(ListenKind.UNIX, path="/a/b"), "unix:/a/b"),
        ("local:/a/b", Listen(ListenKind.UNIX, path="/a/b"), "unix:/a/b"),
        ("inet:8891@127.0.0.1", Listen(ListenKind.INET, host="127.0.0.1", port=8891), "inet:8891@127.0.0.1"),
        ("inet:127.0.0.1:8891", Listen(ListenKind.INET, host="127.0.0.1", port=8891), "inet:8891@127.0.0.1"),
        ("inet:localhost:8891", Listen(ListenKind.INET, host="localhost", port=8891), "inet:8891@localhost"),
        ("inet:[::1]:8891", Listen(ListenKind.INET6, host="::1", port=8891), "inet6:8891@::1"),
        ("inet6:8891@::1", Listen(ListenKind.INET6, host="::1", port=8891), "inet6:8891@::1"),
    ],
)
def test_listen_in_both_spellings(text: str, listen: Listen, libmilter: str) -> None:
    """Postfix's and libmilter's way to write an address mean the same."""
    assert listen == good(listen=text).listen
    assert libmilter == listen.for_libmilter()


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("listen: unix:tidegate/t.sock", "/var/spool/postfix/tidegate"),
        ("listen: inet:8891", "host"),
        ("listen: inet:127.0.0.1:99999", "port"),
        ("listen: 127.0.0.1:25", "inet:host:port"),
        (f"listen: unix:/{'x' * 200}", "too long"),
        ("listen: {a: b}", "one value"),
        ("policies: relative", "absolute"),
        ("workers: 0", "1 to 256"),
        ("workers: many", "1 to 256"),
        ("deadline: 40s", "25s"),
        ("deadline: fast", "8s"),
        ("metrics: 9127", "127.0.0.1:9127"),
        ("socket_mode: 999", "octal"),
        ("user: no-such-account", "no account"),
        ("format: xml", "json or logfmt"),
        ("worker: 2", "did you mean `workers`"),
        ("listen: unix:/a\nlisten: unix:/b", "twice"),
        ("- a", "map"),
        ("a: [", ""),
    ],
)
def test_a_mistake_has_its_place_and_a_cure(line: str, word: str) -> None:
    """Never an exception: a problem with line, column and what to write."""
    problems = check_settings(line.encode(), "t.yaml")
    assert isinstance(problems, tuple)
    assert any(word in problem.message for problem in problems)
    assert all(problem.cure and "t.yaml" == problem.place.source for problem in problems)


def test_all_mistakes_at_once() -> None:
    """Nobody should have to start a daemon five times."""
    problems = check_settings(b"listen: nowhere\nworkers: x\npoll: x\ncolour: blue\n", "t.yaml")
    assert isinstance(problems, tuple)
    assert [1, 1, 2, 3, 4] == sorted(problem.place.line for problem in problems)


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("deadline: 500ms", "deadline", 0.5),
        ("deadline: 8", "deadline", 8.0),
        ("socket_mode: 0660", "socket_mode", 0o660),
        ("socket_mode: '660'", "socket_mode", 0o660),
        ("metrics: off", "metrics_port", 0),
        ("metrics: 127.0.0.1:9127", "metrics_port", 9127),
        ("mask: false", "mask", False),
        ("workers: 3", "workers", 3),
        ("recipient_delimiter: +", "recipient_delimiter", "+"),
        ("log: /var/log/t.log", "log", "/var/log/t.log"),
    ],
)
def test_values(line: str, name: str, value: object) -> None:
    """What an admin would write means what they expect."""
    assert value == getattr(good(line), name)


@pytest.mark.parametrize("data", [b"", b"\0", b"\xff\xfe", b"a: &a [*a]", b"...", b"- ", b"? [a]\n: b"])
def test_any_bytes_are_problems(data: bytes) -> None:
    """Settings of any content are an answer, not a traceback."""
    assert isinstance(check_settings(data, "t.yaml"), tuple)


def test_what_can_not_be_read_is_a_problem(tmp_path: Path) -> None:
    """Missing, a directory, a FIFO that nobody writes to, a large file."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "large").write_bytes(b"#" * 300_000)
    for name in ("missing", ".", "fifo", "large"):
        assert isinstance(load_settings(str(tmp_path / name)), tuple)


def test_the_record_round_trips(tmp_path: Path) -> None:
    """The last good settings are found through the state directory, and a damaged record is none."""
    settings = good(f"state: {tmp_path}\nworkers: 2")
    assert settings == from_json(to_json(settings))
    config = str(tmp_path / "t.yaml")
    assert recall(config, [str(tmp_path)]) is None
    remember(config, settings)
    found = recall(config, ["", str(tmp_path)])
    assert found is not None
    assert settings == found.settings
    record = next(tmp_path.glob("settings-*"))
    record.write_bytes(record.read_bytes().replace(b"/run", b"/rum"))
    assert recall(config, [str(tmp_path)]) is None


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("listen: [\nstate: /s/t # here\n", "/s/t"),
        ("listen: [\nstate: '/s/t'\n", "/s/t"),
        ("listen: nowhere\nstate: /s/t\n", "/s/t"),
        ("listen: [\n", ""),
    ],
)
def test_the_state_line_of_broken_settings(text: str, state: str) -> None:
    """It is where the last good settings are."""
    assert state == state_of(text.encode(), "t.yaml")
