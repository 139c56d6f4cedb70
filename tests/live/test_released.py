"""The pass of a message that a person has let go: for one message, from one key, for an hour."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tidegate.live.released import LASTS, Pass, known_key, read_pass, release_key, written

NOW = 1_800_000_000.0
KEY = b"a key of this machine"
PASS = Pass(
    NOW + 600, ("held-by-this", "ünd-this"), "alice@example.com", "PLAIN", "192.0.2.7", "h.example", "helo.example"
)
ASKED = {
    "sender": "Alice@example.com",
    "recipients": ["b@example.net", "A@example.net"],
    "message_id": "<1@example.com>",
}


def _value(pass_: Pass = PASS, key: bytes = KEY) -> bytes:
    return written(pass_, key, "alice@example.com", ["a@example.net", "b@example.net"], " <1@example.com>").encode()


def test_it_is_read_back_as_it_was_written() -> None:
    """Folded, whatever Postfix makes of the folds; addresses without case, recipients in any order."""
    for value in (_value(), _value().replace(b"\n\t", b"\r\n "), _value().replace(b"\n\t", b" ")):
        assert read_pass(value, KEY, now=NOW, **ASKED) == PASS  # type: ignore[arg-type]
    assert all(len(line) <= 76 for line in _value().split(b"\n"))


OTHERS = {
    "another-sender": {"sender": "bob@example.com"},
    "one-recipient-more": {"recipients": ["a@example.net", "b@example.net", "c@example.net"]},
    "one-recipient-less": {"recipients": ["a@example.net"]},
    "another-message": {"message_id": "<2@example.com>"},
}


@pytest.mark.parametrize("name", OTHERS)
def test_it_is_of_no_use_for_another_message(name: str) -> None:
    """Who has seen a pass can't send anything else with it."""
    assert read_pass(_value(), KEY, now=NOW, **{**ASKED, **OTHERS[name]}) is None  # type: ignore[arg-type]


def test_it_lapses() -> None:
    """And one that claims to last longer than any is none."""
    assert read_pass(_value(), KEY, now=NOW + 600, **ASKED) is None  # type: ignore[arg-type]
    assert read_pass(_value(replace(PASS, end=NOW + LASTS + 1)), KEY, now=NOW, **ASKED) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [b"", b".", b"x.y", b"\xff\xfe", b"." * 5000, b"e30=." + b"0" * 64])
def test_anything_else_is_none(value: bytes) -> None:
    """Never raises."""
    assert read_pass(value, KEY, now=NOW, **ASKED) is None  # type: ignore[arg-type]


def test_without_a_key_no_pass_counts() -> None:
    """Also not one that was made with the empty key."""
    assert read_pass(_value(key=b""), b"", now=NOW, **ASKED) is None  # type: ignore[arg-type]
    assert read_pass(_value(), b"another key", now=NOW, **ASKED) is None  # type: ignore[arg-type]


def test_the_key_is_made_once_and_belongs_to_the_daemon(tmp_path: Path) -> None:
    """The command runs as root, the daemon does not; nobody else may read it."""
    os.chown(tmp_path, 12345, 12345)
    assert known_key(tmp_path) == b""
    key = release_key(tmp_path)
    assert (release_key(tmp_path), known_key(tmp_path)) == (key, key)
    state = (tmp_path / "release-key").stat()
    assert (state.st_uid, state.st_mode & 0o777) == (12345, 0o600)
