"""The log: one write per line, and never a reason to stop mail."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import structlog

from tidegate.observe.logs import Writer, configure


@pytest.mark.parametrize("form", ["json", "logfmt"])
def test_one_event_is_one_line(tmp_path: Path, form: str) -> None:
    """Line ends in a value can't forge a line; non-ASCII stays readable."""
    path = tmp_path / "log"
    configure(str(path), form)
    structlog.get_logger().error("it broke", reason="a\nb", name="Jörg", count=3, fine=True)
    lines = path.read_text().splitlines()
    assert 1 == len(lines)
    assert "Jörg" in lines[0]
    if form == "json":
        assert ["timestamp", "level", "event"] == list(json.loads(lines[0]))[:3]
    else:
        assert 'event="it broke"' in lines[0]
        assert "fine=true" in lines[0]


def test_a_rotated_file_is_left(tmp_path: Path) -> None:
    """reopen() makes a new file under the old name."""
    path = tmp_path / "log"
    writer = Writer(str(path))
    writer.write("one\n")
    path.rename(tmp_path / "log.1")
    writer.reopen()
    writer.write("two\n")
    assert "two\n" == path.read_text()


def test_a_log_that_can_not_be_opened_is_said_and_survived(tmp_path: Path) -> None:
    """It goes to standard error, and `error` says why."""
    writer = Writer(str(tmp_path / "nowhere" / "log"))
    writer.write("line\n")
    assert "No such file" in writer.error


def test_a_full_disk_is_counted() -> None:
    """/dev/full refuses every write; nothing is raised."""
    writer = Writer("/dev/full")
    writer.write("line\n")
    assert 1 == writer.lost
    assert "No space left" in writer.error


def test_a_reopened_log_keeps_its_descriptor(tmp_path: Path) -> None:
    """Another thread may be about to write to it: a number that is closed is soon some session's socket."""
    path = tmp_path / "log"
    writer = Writer(str(path))
    before = _descriptors(path)
    path.rename(tmp_path / "log.1")
    writer.reopen()
    assert before == _descriptors(path)
    assert [] == _descriptors(tmp_path / "log.1")
    assert not os.get_inheritable(before[0])


def _descriptors(path: Path) -> list[int]:
    """Those of this process that lead to `path`."""
    return [int(one.name) for one in Path("/proc/self/fd").iterdir() if os.path.realpath(one) == str(path)]
