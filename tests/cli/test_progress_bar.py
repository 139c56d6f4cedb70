"""The bar of long commands: on a terminal alone, after a second, and gone without a trace."""

from __future__ import annotations

import io

import pytest

from tidegate.cli import progress
from tidegate.cli.progress import Bar


class Screen(io.StringIO):
    """Standard error, which is a terminal or not."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Its monotonic time."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_it_shows_after_a_second(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """How much is done, drawn anew from time to time, and cleared at the end."""
    screen = Screen(terminal=True)
    monkeypatch.setattr("sys.stderr", screen)
    bar = Bar("replaying")
    bar.show(1, 4)
    assert "" == screen.getvalue()
    clock[0] += 1.1
    bar.show(1, 4, "10 messages")
    assert "replaying [########......................]  25% 10 messages" in screen.getvalue()
    before = screen.getvalue()
    bar.show(2, 4)
    assert before == screen.getvalue()
    clock[0] += 0.3
    bar.show(9, 4)
    assert "100%" in screen.getvalue()
    bar.clear()
    assert screen.getvalue().endswith("\r\x1b[K")


def test_elsewhere_nothing_is_written(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Into a file or a pipe, and where it was over within a second."""
    for terminal, wait in ((False, 5.0), (True, 0.5)):
        screen = Screen(terminal)
        monkeypatch.setattr("sys.stderr", screen)
        bar = Bar("replaying")
        clock[0] += wait
        bar.show(1, 0)
        bar.clear()
        assert "" == screen.getvalue()
