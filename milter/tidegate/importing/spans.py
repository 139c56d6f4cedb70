"""Seconds as a policy writes them."""

from __future__ import annotations

_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def span(seconds: float) -> str:
    """`1h` for 3600: the largest unit that has no remainder; at least a second."""
    whole = max(1, round(seconds))
    return next(f"{whole // size}{unit}" for size, unit in _UNITS if not whole % size)
