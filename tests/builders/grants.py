"""Grants for tests."""

from __future__ import annotations

import time
from typing import Any

from tidegate.limits.counter import Grant


def a_grant(amount: int = 2, seconds: float = 3600.0, **more: Any) -> Grant:
    """So much more for bob, from now."""
    now = time.time()
    values = {"key": "bob", "until": now + seconds, "at": now, "who": "root", "reason": "a mailing", **more}
    return Grant(amount=amount, **values)
