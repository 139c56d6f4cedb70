"""A rule's `examples:` against that rule alone: its `when` and its `except`, with the lists that it asks.

An example says on which mail the rule acts, so what only decides whether it may act today is left aside: mode and
sample always, the schedule unless the case names a `now`, and the direction, which a case without a login leaves open.
Of a rule with limits nothing is used but what the example says, so `match` needs `limits: {NAME: NUMBER}`.
Promises: one Problem for each example that fails, at the example's place; a doubt (UNKNOWN) is no match and no
mismatch, so it fails either way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace

from tidegate.conditions.facts import Facts
from tidegate.engine.explain import RuleEvidence, explain_rule
from tidegate.engine.judge import explain
from tidegate.engine.metering import Meter
from tidegate.model import EntryKey, EntryKind, EntryState, Mode, PolicySet, Problem, ReadFile, Rule, Truth
from tidegate.policy.codes import problem
from tidegate.policy.examples import Example
from tidegate.policy.load import LoadedPolicy
from tidegate.trial.cases import BadCaseError, Overlaid, case_lists, stated, transaction_of

_WORDS = {Truth.YES: "it matches", Truth.NO: "it does not match", Truth.UNKNOWN: "it can't be known"}


def _no_progress(_name: str) -> None:
    return None


def prove(
    policy: LoadedPolicy,
    policies: PolicySet,
    now: float,
    only: Collection[str] | None = None,
    read_file: ReadFile | None = None,
    *,
    doubts: bool = True,
    progress: Callable[[str], None] = _no_progress,
) -> tuple[Problem, ...]:
    """The examples that fail, in the order of the rules.

    `policies` is the generation made of `policy`; `now` is POSIX seconds, for cases without a time of their own; `only`
    are the ids of the rules to prove, all by default; `read_file` reads the messages that
    cases name. `doubts` False: an UNKNOWN answer is no failure. `progress` is called with the entry's progress name
    (policy/load.py) before its examples.
    """
    failures: list[Problem] = []
    for rule in policy.loaded.rules:
        examples = policy.examples.get(rule.id, ()) if only is None or rule.id in only else ()
        if examples:
            progress(progress_name(rule))
        for example in examples:
            failures += _fails(rule, example, policies, now, read_file, doubts)
    return tuple(failures)


def progress_name(rule: Rule) -> str:
    """How the rule is named in `progress` and `skip` of policy/load.py."""
    return f"{rule.place.source}: {EntryKey(EntryKind.RULE, rule.id)}"


def _fails(
    rule: Rule, example: Example, policies: PolicySet, now: float, read_file: ReadFile | None, doubts: bool
) -> Iterator[Problem]:
    expected = Truth.YES if example.expect_match else Truth.NO
    key = EntryKey(EntryKind.RULE, rule.id)
    try:
        found = _ask(rule, example, policies, now, read_file)
    except BadCaseError as error:
        yield problem("example-failed", str(error), example.place, entry=key)
        return
    if found.truth is expected or (found.truth is Truth.UNKNOWN and not doubts):
        return
    why = found.cause.text if found.cause is not None else found.why_not
    got = _WORDS[found.truth] + (f" ({why})" if why else "")
    yield problem("example-failed", f"expected: {_WORDS[expected]}; got: {got}", example.place, entry=key)


def _ask(rule: Rule, example: Example, policies: PolicySet, now: float, read_file: ReadFile | None) -> RuleEvidence:
    case = example.case
    alone = replace(
        rule,
        mode=Mode.ENFORCE,
        state=EntryState.ACTIVE,
        sample=None,
        inbound=True,
        schedule=rule.schedule if case.now is not None else None,
    )
    conventions = policies.conventions
    overlaid = Overlaid(policies, (alone,), case_lists(case.lists, policies, conventions))
    moment = now if case.now is None else case.now
    meter = Meter(stated(case, (alone,)))
    transaction = transaction_of(case, conventions, read_file)
    if alone.limits:  # it acts where one of them is exceeded
        return explain(transaction, overlaid, moment, meter=meter).rules[0]
    return explain_rule(alone, Facts(transaction, overlaid, moment), None)
