"""Fixtures of more than one room."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tidegate.patterns import budget, engine


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without the pattern engine's library."""
    monkeypatch.setattr(engine, "LIBRARY", "libhs-that-is-not-there.so")
    _forget()
    yield
    monkeypatch.undo()
    _forget()


def _forget() -> None:
    engine._load.cache_clear()
    budget.forget()
