"""Who is told of alerts, and what mail waits for us: the lines that `status` and `alerts` share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tidegate.alerts.debt import span


def told_lines(told: Mapping[str, Any], now: float) -> Iterator[str]:
    """Of the part `notifications` of the status document: deferrals, the channels."""
    debt = told.get("deferred", {})
    if debt.get("messages"):
        plural = "" if debt["messages"] == 1 else "s"
        first = span(now - debt["since"])
        yield f"deferred    {debt['messages']} deferral{plural} by our own doing, the first {first} ago"
    for one in told.get("channels", ()):
        state = f"{one['delivered']} delivered, {one['waiting']} waiting"
        if one["dropped"]:
            state += f", {one['dropped']} given up"
        if one["error"]:
            state += f"; fails: {one['error']}"
        yield f"channel     {one['name']} ({one['kind']}): {state}"
