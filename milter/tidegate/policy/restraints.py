"""`expect:` and `brake:` from nodes: how many senders a rule may hit, and whether the brake may ease it."""

from __future__ import annotations

import re

from tidegate.model import Expect
from tidegate.policy.findings import Findings
from tidegate.policy.nodes import Node
from tidegate.policy.suggest import shown

EXPECT_KEYS: dict[str, str] = {
    "max_logins": "how many different senders the rule may hit, 1 to 5000: logins, else client networks",
    "per": "in what time, 10m to 1d; counted in steps of ten minutes",
}
BRAKE_WORDS = ("keep",)
STEP = 600.0  # seconds
MAX_LOGINS = 5000  # more can't be told apart in the kilobyte that a rule has for counting
_LONGEST = 86400.0
_PER = re.compile(r"([1-9][0-9]{0,4})([smhd])\Z")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def build_expect(node: Node, findings: Findings) -> Expect | None:
    """`expect: {max_logins: 50, per: 1h}`."""
    written = findings.mapping(node, "`expect`", "expect: {max_logins: 50, per: 1h}")
    if written is None:
        return None
    keys = findings.keys(written, "`expect`", EXPECT_KEYS, required=EXPECT_KEYS)
    logins = findings.whole(keys["max_logins"], "`max_logins`", 1, MAX_LOGINS) if "max_logins" in keys else None
    text = findings.text(keys["per"], "`per`") if "per" in keys else None
    if logins is None or text is None:
        return None
    found = _PER.match(text)
    seconds = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if not STEP <= seconds <= _LONGEST:
        findings.add("bad-value", f"`per`: {shown(text)} is not from 10m to 1d", keys["per"], cure="write 1h")
        return None
    return Expect(logins, seconds)


def build_brake(node: Node, findings: Findings) -> bool:
    """`brake: keep`: does the rule stay where everything is eased?"""
    return findings.choice(node, "`brake`", BRAKE_WORDS) is not None
