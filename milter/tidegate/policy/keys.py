"""The registry of a rule's keys: what the validator knows, the JSON Schema completes and the manual lists."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One key: its manual line, and whether it belongs to the header, which is readable on its own."""

    manual: str
    header: bool = False


RULE_KEYS: dict[str, KeyRow] = {
    "id": KeyRow("its name in every log line; stable", True),
    "description": KeyRow("for people"),
    "owner": KeyRow("for people: who knows about it"),
    "ticket": KeyRow("for people; `exempt: all` needs one"),
    "tags": KeyRow("names that an exempt can use", True),
    "priority": KeyRow("among equally strict rules the lower number gives the reply (100)", True),
    "mode": KeyRow("enforce, shadow (evaluated, logged, no effect) or off", True),
    "scope": KeyRow("whom a broken entry can touch: senders, logins, recipient_domains, directions", True),
    "when": KeyRow("the condition"),
    "except": KeyRow("named exceptions, each with `when`, and `until` and `ticket` if you like"),
    "do": KeyRow("what happens: a disposition, edits, an exempt"),
    "limits": KeyRow("rates and quotas: the rule acts on mail that would exceed one of them"),
    "active": KeyRow("from, until (inclusive), days, hours, tz"),
    "sample": KeyRow("a stable share of the senders: percent, by"),
    "on_invalid": KeyRow("what an entry that was never valid does: skip or defer", True),
    "on_error": KeyRow("what a doubt that will pass does: defer or skip"),
    "on_uninspected": KeyRow("what a doubt that a retry can't cure does: skip, hold, reject or defer"),
    "per_recipient": KeyRow("judged at RCPT, refuses or defers only that recipient"),
    "examples": KeyRow("cases that match and that don't; they run when the rule's text changes"),
    "expect": KeyRow("how many senders it may hit: max_logins, per; beyond that it goes into shadow"),
    "max_stale": KeyRow("how long the last good version may serve: 7d, or {after: 7d, then: defer}", True),
    "brake": KeyRow("keep: the brake leaves it alone, but where it is named itself"),
}

HEADER_KEYS = tuple(name for name, row in RULE_KEYS.items() if row.header)

EXCEPT_KEYS: dict[str, str] = {
    "name": "its name in the trail",
    "when": "whom the rule leaves alone",
    "until": "the last day or minute, inclusive",
    "ticket": "for people",
}
