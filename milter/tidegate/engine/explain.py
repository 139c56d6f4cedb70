"""Every rule with its evidence, for `tidegate explain` and for whoever asks why a rule did not act.

Says of each rule what judge.py made of it, and why it took no part where it took none. Not for the mail path: nothing
is short-circuited, and every field that a rule names is read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tidegate.conditions.evaluate import explain as evidence_of
from tidegate.conditions.facts import Facts
from tidegate.engine.inquiry import place_of
from tidegate.engine.match import answer, applies, outward
from tidegate.engine.schedule import in_force, sampled
from tidegate.model import (
    Cause,
    Doubt,
    Easing,
    EntryState,
    Evidence,
    LimitUse,
    Mark,
    Mode,
    Reading,
    Rule,
    Schedule,
    Truth,
    Verdict,
)


@dataclass(frozen=True, slots=True)
class ExceptionEvidence:
    """One item of `except:`; `in_force` False: it has lapsed and is as if it were not written."""

    name: str
    in_force: bool
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class RuleEvidence:
    """One rule and this message.

    `truth` counts everything that narrows the rule; `evidence` is about `when` alone (for a per_recipient rule its
    children are the recipients in order). `why_not` says in words why a rule that is NO, or counts for nothing, does;
    "" where it acts. `mark` is its place in the trail; None: it has none.
    """

    rule: Rule
    truth: Truth
    evidence: Evidence
    exceptions: tuple[ExceptionEvidence, ...] = ()
    cause: Cause | None = None
    why_not: str = ""
    mark: Mark | None = None
    limits: tuple[LimitUse, ...] = ()  # that were asked


@dataclass(frozen=True, slots=True)
class Explanation:
    """The verdict and all rules, in the order of the policy set."""

    verdict: Verdict
    rules: tuple[RuleEvidence, ...]


def explain_rule(rule: Rule, facts: Facts, mark: Mark | None, limits: tuple[LimitUse, ...] = ()) -> RuleEvidence:
    """One rule with its evidence; `mark` as it stands in the verdict's trail, `limits` those of it that were asked. One
    that fails is in doubt, alone."""
    try:
        if rule.by_share and limits:
            known = [one.share for one in limits if one.cause is None]
            doubts = [one.cause for one in limits if one.cause is not None]
            facts = facts.holding("limit.share", Reading(tuple(known and [max(known)]), next(iter(doubts), None)))
        found = _explained(rule, facts, mark)
        return _limited(found, limits) if rule.limits else found
    except Exception as error:  # noqa: BLE001 - a rule fails alone, here as in engine/inquiry.py
        cause = Cause(Doubt.PASSING, f"the evaluation failed: {type(error).__name__} at {place_of(error)}")
        return _unasked(rule, mark, cause)


def _limited(found: RuleEvidence, limits: tuple[LimitUse, ...]) -> RuleEvidence:
    """A rule with limits: they decide, and the verdict's trail says how."""
    mark = found.mark
    if mark is not None:
        return replace(found, truth=mark.truth, cause=mark.cause, limits=limits)
    if found.truth is Truth.NO:
        return replace(found, limits=limits)
    why = "its limits are not exceeded" if limits else "none of its limits has a say in this message"
    return replace(found, truth=Truth.NO, cause=None, why_not=found.why_not or why, limits=limits)


def not_asked(rule: Rule, mark: Mark | None) -> RuleEvidence:
    """One rule that must not be asked, because it may kill who does."""
    return _unasked(rule, mark, Cause(Doubt.PASSING, "the rule is tripped, and not asked"))


def _unasked(rule: Rule, mark: Mark | None, cause: Cause) -> RuleEvidence:
    evidence = Evidence(rule.when, Reading((), cause), Truth.UNKNOWN)
    eased = _EASED[mark.eased] if mark is not None and mark.eased is not None else ""
    return RuleEvidence(rule, Truth.UNKNOWN, evidence, (), cause, eased or f"in doubt: {cause.text}", mark)


def _explained(rule: Rule, facts: Facts, mark: Mark | None) -> RuleEvidence:
    if rule.per_recipient:
        recipients = facts.transaction.envelope.recipients
        answers = [answer(rule, facts, one) for one in recipients]
        truth, why = max(answers, key=lambda one: one[0], default=(Truth.NO, None))
        each = tuple(evidence_of(rule.when, facts, one) for one in recipients)
        whole = max((one.truth for one in each), default=Truth.NO)
        evidence = Evidence(rule.when, Reading(), whole, None, each)
    else:
        truth, why = answer(rule, facts)
        evidence = evidence_of(rule.when, facts)
    exceptions = tuple(
        ExceptionEvidence(clause.name, applies(clause, facts.now), evidence_of(clause.when, facts))
        for clause in rule.exceptions
    )
    if mark is not None and mark.eased is not None:
        why_not = _EASED[mark.eased]
    else:
        why_not = _why_not(rule, facts, evidence, exceptions, mark)
    return RuleEvidence(rule, truth, evidence, exceptions, why, why_not, mark)


def _why_not(
    rule: Rule, facts: Facts, evidence: Evidence, exceptions: tuple[ExceptionEvidence, ...], mark: Mark | None
) -> str:
    """The first reason, in the order in which an admin would look."""
    still = _still(rule, facts.now)
    if still:
        return still
    if evidence.truth is Truth.NO:
        return "its condition is not met"
    if not rule.inbound and outward(facts)[0] is Truth.NO:
        return "the message is inbound, and the rule does not name inbound mail"
    excepted = next((one for one in exceptions if one.in_force and one.evidence.truth is Truth.YES), None)
    if excepted is not None:
        return f"exception {excepted.name}"
    if rule.sample is not None and sampled(rule.sample, facts)[0] is Truth.NO:
        return f"not in its sample of {rule.sample.percent:g} %"
    if rule.per_recipient and not facts.transaction.connection.local:
        return "judged at RCPT, for each recipient alone"
    if mark is None:
        return ""
    if rule.state is EntryState.SKIPPED:
        return "the entry is broken: what it exempts answers at most 4xx where it might match"
    if mark.exempted_by:
        return f"exempted by {mark.exempted_by}"
    if mark.lost_to:
        return f"lost to {mark.lost_to}"
    if mark.shadow:
        alone = f"; alone it would {mark.would.name.lower()}" if mark.would is not None else ""
        return f"in shadow: evaluated, without effect{alone}"
    return f"in doubt: {mark.cause.text}" if mark.truth is Truth.UNKNOWN and mark.cause is not None else ""


_EASED = {
    Easing.SOFT: "eased: it refuses nothing for good, and defers instead",
    Easing.SHADOW: "eased: evaluated, without effect",
    Easing.SKIP: "eased: it is not asked, and does not count",
    Easing.DEFER: "eased: it is not asked, and the mail that it may concern waits",
}


def _still(rule: Rule, now: float) -> str:
    """Why the rule takes no part in any message now."""
    if rule.mode is Mode.OFF or rule.state is EntryState.OFF:
        return "its mode is off"
    if rule.state is EntryState.TRIPPED:
        return "its breaker has opened"
    if rule.state is EntryState.SKIPPED and rule.do.exempt is None:
        return "the entry is broken and was never valid: it is skipped"
    if rule.state is EntryState.EXPIRED or (rule.schedule is not None and _over(rule.schedule, now)):
        return "it has expired"
    if rule.schedule is not None and not in_force(rule.schedule, now):
        return "not in its schedule now"
    return ""


def _over(schedule: Schedule, now: float) -> bool:
    return schedule.end is not None and now >= schedule.end
