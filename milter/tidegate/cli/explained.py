"""An explanation for people and for programs: each rule, each test with its value and its answer, and the verdict."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tidegate.cli.output import safe
from tidegate.engine.explain import Explanation, RuleEvidence
from tidegate.engine.placeholders import in_words
from tidegate.model import (
    AllOf,
    Always,
    AnyOf,
    Condition,
    Counting,
    EntryState,
    Evidence,
    Fresh,
    LimitUse,
    Never,
    Not,
    Recipients,
    Test,
    Truth,
    Unknowable,
    Verdict,
)

_SHOWN = 80
"""Characters of a value that are shown."""
_DESCRIBED = 200
"""Of a rule's description."""
AtRcpt = tuple[tuple[str, Verdict], ...]
"""The verdicts on single recipients."""


def lines(found: Explanation, at_rcpt: AtRcpt) -> Iterator[str]:
    """The whole for a person."""
    for rule in found.rules:
        note = f"  ({rule.why_not})" if rule.why_not else ""
        state = "" if rule.rule.state is EntryState.ACTIVE else f"  {rule.rule.state.name}"
        yield f"{rule.truth.name:<8}{rule.rule.id}{state}{note}"
        if rule.truth is not Truth.NO and (rule.rule.description or rule.rule.owner):
            owner = f"owner: {_shown(rule.rule.owner)}" if rule.rule.owner else ""
            yield "        " + "  ".join(filter(None, (safe(rule.rule.description, _DESCRIBED), owner)))
        for depth, evidence in _flat(rule.evidence, 0):
            yield f"  {'  ' * depth}{evidence.truth.name:<8}{_asked(evidence.test)}{_answer(evidence)}"
        for one in rule.exceptions:
            yield f"    except {one.name}{'' if one.in_force else ' (lapsed)'}:"
            for depth, evidence in _flat(one.evidence, 2):
                yield f"  {'  ' * depth}{evidence.truth.name:<8}{_asked(evidence.test)}{_answer(evidence)}"
        for use in rule.limits:
            yield f"    limit {use.limit}: {_asked_for(rule, use)}"
        yield ""
    for address, verdict in at_rcpt:
        yield f"at RCPT  {_shown(address)}: {_verdict(verdict)}"
    yield f"verdict  {_verdict(found.verdict)}"
    yield from _changes(found.verdict)


def _flat(evidence: Evidence, depth: int) -> Iterator[tuple[int, Evidence]]:
    yield depth, evidence
    for child in evidence.children:
        yield from _flat(child, depth + 1)


def _asked(test: Condition) -> str:
    """What is asked, in a few words."""
    match test:
        case Test():
            if test.list_name is not None:
                return f"{test.field} {test.operator.value} {test.list_name}"
            values = ", ".join(_shown(str(one)) for one in test.values[:5]) + (", …" if len(test.values) > 5 else "")
            return f"{test.field} {test.operator.value} {values}".rstrip()
        case AllOf():
            return "all of"
        case AnyOf():
            return "any of"
        case Not():
            return "not"
        case Recipients():
            return f"{test.quantifier.value}"
        case Always():
            return "always"
        case Never():
            return "never"
        case Fresh():
            return f"list {test.list_name} is fresh"
        case Unknowable():
            return f"can't be known: {test.cause.text}"


def _answer(evidence: Evidence) -> str:
    """What the field held, what hit, and why it could not be read."""
    if not isinstance(evidence.test, Test):
        return ""
    if evidence.children:
        return ", for each recipient:"
    reading = evidence.reading
    values = ", ".join(_shown(str(one)) for one in reading.values[:5]) + (", …" if len(reading.values) > 5 else "")
    parts = [f" = {values}" if values else " = (absent)" if reading.cause is None else ""]
    if evidence.hit:
        parts.append(f"  hit: {_shown(evidence.hit)}")
    if reading.cause is not None:
        parts.append(f"  {reading.cause.doubt.value} doubt: {_shown(reading.cause.text)}")
    return "".join(parts)


def _asked_for(rule: RuleEvidence, use: LimitUse) -> str:
    """What a limit would be asked, and what it says where nothing is used: `3 recipients for alice, 300 in 1h`."""
    limit = next(one for one in rule.rule.limits if one.name == use.limit)
    what = limit.count.value.removesuffix("s") if use.cost == 1 else limit.count.value
    if limit.count is Counting.DISTINCT:
        what = f"different {limit.of}"
    found = "exceeded by this message alone" if use.exceeded else "it fits where nothing is used"
    room = f"{use.maximum} in {in_words(limit.per)}"
    return f"{use.cost} {what} for {_shown(use.key)}, {room}: {found}; nothing is asked or charged here"


def _shown(text: str) -> str:
    return safe(text, _SHOWN)


def _verdict(verdict: Verdict) -> str:
    parts = [verdict.disposition.name]
    if verdict.rule:
        parts.append(f"by {verdict.rule}")
    if verdict.reply is not None:
        parts.append(f"reply {verdict.reply}")
    if verdict.reason:
        parts.append(f"reason {_shown(verdict.reason)}")
    if not verdict.certain:
        parts.append("(in doubt)")
    if verdict.would is not None:
        parts.append(f"(with the rules in shadow: {verdict.would.name})")
    return "  ".join(parts)


def _changes(verdict: Verdict) -> Iterator[str]:
    changes = verdict.changes
    for what, addresses in (
        ("remove recipient", changes.remove_recipients),
        ("add recipient", changes.add_recipients),
        ("copy to", changes.bcc),
    ):
        for address in addresses:
            yield f"         {what} {_shown(address)}"
    for header in changes.headers:
        if header.replace:
            yield f"         remove header {header.name}  by {header.rule}"
        for value in header.values:
            yield f"         add header {header.name}: {_shown(value)}  by {header.rule}"
    if changes.sender is not None:
        yield f"         sender becomes <{_shown(changes.sender)}>"


def document(found: Explanation, at_rcpt: AtRcpt) -> dict[str, Any]:
    """The whole for `--json`."""
    return {
        "rules": [_rule_document(one) for one in found.rules],
        "at_rcpt": [{"recipient": address, **_verdict_document(verdict)} for address, verdict in at_rcpt],
        "verdict": _verdict_document(found.verdict),
    }


def _rule_document(rule: RuleEvidence) -> dict[str, Any]:
    return {
        "rule": rule.rule.id,
        "description": rule.rule.description,
        "owner": rule.rule.owner,
        "state": rule.rule.state.value,
        "truth": rule.truth.name.lower(),
        "why_not": rule.why_not,
        "when": _evidence_document(rule.evidence),
        "limits": [
            {"limit": use.limit, "key": use.key, "cost": use.cost, "max": use.maximum, "exceeded": use.exceeded}
            for use in rule.limits
        ],
        "except": [
            {"name": one.name, "in_force": one.in_force, "when": _evidence_document(one.evidence)}
            for one in rule.exceptions
        ],
    }


def _evidence_document(evidence: Evidence) -> dict[str, Any]:
    cause = evidence.reading.cause
    return {
        "asked": _asked(evidence.test),
        "truth": evidence.truth.name.lower(),
        "values": list(evidence.reading.values),
        "hit": evidence.hit or "",
        "doubt": "" if cause is None else cause.text,
        "children": [_evidence_document(one) for one in evidence.children],
    }


def _verdict_document(verdict: Verdict) -> dict[str, Any]:
    changes = verdict.changes
    return {
        "disposition": verdict.disposition.name.lower(),
        "rule": verdict.rule,
        "reply": "" if verdict.reply is None else str(verdict.reply),
        "reason": verdict.reason,
        "certain": verdict.certain,
        "would": None if verdict.would is None else verdict.would.name.lower(),
        "remove_recipients": list(changes.remove_recipients),
        "add_recipients": list(changes.add_recipients),
        "bcc": list(changes.bcc),
        "headers": [
            {"name": one.name, "values": list(one.values), "replace": one.replace, "rule": one.rule}
            for one in changes.headers
        ],
        "sender": changes.sender,
    }
