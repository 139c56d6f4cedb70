"""`max_stale`: how long the last valid version of a broken rule may serve, and what comes then.

`max_stale: 7d` raises an alert of its own; `{after: 7d, then: defer}` makes the rule DEFERRING as well: it is in doubt
for every message that its last version, or a narrower or wider one of its `not` and `except`, could concern. The age
counts from the first load that found the rule broken or missing, across restarts (live/accepted.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from tidegate.conditions.stale import as_stale
from tidegate.model import AllOf, Cause, Doubt, EntryState, OnError, OnInvalid, Rule, Unknowable
from tidegate.policy.findings import Findings
from tidegate.policy.nodes import Mapping, Node
from tidegate.policy.suggest import shown

MAX_STALE_KEYS: dict[str, str] = {
    "after": "how long: 12h, 7d",
    "then": "alert, or defer the mail that it may concern (alert)",
}
THEN = ("alert", "defer")
_DURATION = re.compile(r"([1-9][0-9]{0,5})(s|m|h|d)\Z")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST = 366 * 86400.0


@dataclass(frozen=True, slots=True)
class MaxStale:
    """How long (seconds), whether the rule defers then, and the time as it is written."""

    seconds: float
    defers: bool
    text: str


def build_max_stale(node: Node, findings: Findings) -> MaxStale | None:
    """`7d`, or `{after: 7d, then: defer}`."""
    if not isinstance(node, Mapping):
        return read_age(node, "`max_stale`", False, findings)
    written = findings.mapping(node, "`max_stale`")
    if written is None:
        return None
    keys = findings.keys(written, "`max_stale`", MAX_STALE_KEYS, required=("after",))
    then = findings.choice(keys["then"], "`then`", THEN) if "then" in keys else THEN[0]
    return read_age(keys["after"], "`after`", then == "defer", findings) if "after" in keys else None


def read_age(node: Node, what: str, defers: bool, findings: Findings, examples: str = "12h or 7d") -> MaxStale | None:
    """`12h` or `7d`; None after its problem was named, with `examples` of what to write."""
    text = findings.text(node, what)
    if text is None:
        return None
    found = _DURATION.match(text)
    seconds = int(found[1]) * _UNITS[found[2]] if found else 0.0
    if not found or seconds > _LONGEST:
        message = f"{what}: {shown(text)} is {'more than a year' if found else 'no duration'}"
        findings.add("bad-value", message, node, cure=f"write {examples}, a year at most")
        return None
    return MaxStale(seconds, defers, text)


def aged(rule: Rule, limit: MaxStale) -> Rule:
    """The last valid version after its time: no verdict is certain by it any more."""
    why = Cause(Doubt.PASSING, f"rule {rule.id} has been broken for longer than {limit.text} (max_stale)")
    return replace(
        rule,
        when=AllOf((as_stale(rule.when), Unknowable(why))),
        exceptions=(),  # the edit may have taken them away
        state=EntryState.DEFERRING,
        on_invalid=OnInvalid.DEFER,
        on_error=OnError.DEFER,
    )
