"""Fixtures of more than one room."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tidegate import patterns
from tidegate.patterns import engine


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without the pattern engine's library."""
    monkeypatch.setattr(engine, "LIBRARY", "libhs-that-is-not-there.so")
    _forget()
    yield
    monkeypatch.undo()
    _forget()


def _forget() -> None:
    for cached in (engine._load, patterns.check, patterns.compiled):
        cached.cache_clear()
