"""Charges for tests of the stores."""

from __future__ import annotations

from typing import Any

from tidegate.limits import Charge


def a_charge(maximum: int = 3, cost: int = 1, **more: Any) -> Charge:
    """One message of bob against an hourly limit."""
    values = {"rule": "rate", "limit": "hour", "key": "bob", "per": 3600.0, **more}
    return Charge(maximum=maximum, cost=cost, **values)
