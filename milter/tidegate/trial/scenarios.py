"""Whole policies on trial: a case goes the way of a real message, and what comes of it is compared.

Each recipient is judged at RCPT first, those that stand are the message's, then the message is judged. What a scenario
does not expect is not compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tidegate.engine.judge import judge, judge_recipient
from tidegate.engine.metering import Meter
from tidegate.limits import Stated
from tidegate.model import Disposition, PolicySet, ReadFile, Transaction, Truth, Verdict
from tidegate.policy.scenarios import Expectation, Scenario
from tidegate.trial.cases import Overlaid, case_lists, stated, transaction_of


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a case. `refused` are the recipients refused at RCPT with their verdicts.

    Where no recipient stands, there is no message: `verdict` is the last recipient's.
    """

    verdict: Verdict
    accepted: tuple[str, ...]
    refused: tuple[tuple[str, Verdict], ...] = ()

    @property
    def recipients(self) -> tuple[str, ...]:
        """Who gets the message in the end, copies included (DESIGN section 4: algebra, not a sequence)."""
        changes = self.verdict.changes
        stay = [one for one in self.accepted if one not in changes.remove_recipients]
        return tuple(dict.fromkeys((*stay, *changes.add_recipients, *changes.bcc)))

    def rules(self, truth: Truth) -> tuple[str, ...]:
        """The ids of all rules that came out so, sorted."""
        verdicts = dict.fromkeys((*(one for _, one in self.refused), self.verdict))
        return tuple(sorted({mark.rule for one in verdicts for mark in one.trail if mark.truth is truth}))


@dataclass(frozen=True, slots=True)
class Difference:
    """One expectation that was not met."""

    what: str
    expected: str
    got: str


def run_scenario(scenario: Scenario, policies: PolicySet, now: float, read_file: ReadFile | None = None) -> Outcome:
    """Judge the scenario's case. `now` (POSIX seconds) counts where the case has none. Raises BadCaseError."""
    case = scenario.case
    moment = now if case.now is None else case.now
    lists = case_lists(case.lists, policies, policies.conventions)
    rules = tuple(policies.rule(number) for number in range(len(policies))) if lists or case.limits else ()
    meter = Meter(stated(case, rules))
    if lists:
        policies = Overlaid(policies, rules, lists)
    return judged(transaction_of(case, policies.conventions, read_file), policies, moment, meter)


def judged(whole: Transaction, policies: PolicySet, now: float, meter: Meter | None = None) -> Outcome:
    """What comes of a transaction that names all recipients, refused ones too; `now` in POSIX seconds.

    Each recipient is judged at RCPT as on the wire, and the message with those that stand. Without a `meter` nothing
    is used of any limit.
    """
    meter = meter or Meter(Stated())
    if not policies.per_recipient:
        return Outcome(
            judge(whole, policies, now, meter=meter), tuple(one.address for one in whole.envelope.recipients)
        )
    envelope = replace(whole.envelope, recipients=())
    refused: list[tuple[str, Verdict]] = []
    for recipient in whole.envelope.recipients:
        at_rcpt = replace(whole, envelope=envelope, message=None)
        verdict = judge_recipient(at_rcpt, recipient, policies, now)
        if verdict is not None and verdict.disposition in (Disposition.REJECT, Disposition.DEFER):
            refused.append((recipient.address, verdict))
        else:
            envelope = replace(envelope, recipients=(*envelope.recipients, recipient))
    if refused and not envelope.recipients:
        return Outcome(refused[-1][1], (), tuple(refused))
    verdict = judge(replace(whole, envelope=envelope), policies, now, meter=meter)
    return Outcome(verdict, tuple(one.address for one in envelope.recipients), tuple(refused))


def differences(expect: Expectation, outcome: Outcome) -> tuple[Difference, ...]:
    """Everything in which the outcome is not as expected."""
    return (*_of_verdict(expect, outcome.verdict), *_of_rules(expect, outcome), *_of_changes(expect, outcome))


def _of_verdict(expect: Expectation, verdict: Verdict) -> Iterator[Difference]:
    would = verdict.disposition if verdict.would is None else verdict.would
    for what, wanted, got in (("disposition", expect.disposition, verdict.disposition), ("would", expect.would, would)):
        if wanted is not None and wanted is not got:
            yield Difference(what, wanted.name.lower(), got.name.lower())
    reply = str(verdict.reply) if verdict.reply is not None else ""
    if expect.reply is not None and not _begins(reply, expect.reply):
        yield Difference("reply", expect.reply, reply)
    for what, text, found in (("reason", expect.reason, verdict.reason), ("rule", expect.rule, verdict.rule)):
        if text is not None and text != found:
            yield Difference(what, text, found)
    if expect.would_rules is not None:
        alone = (f"{one.rule}: {one.would.name.lower()}" for one in verdict.trail if one.would is not None)
        yield from _compare(
            "would_rules",
            tuple(sorted(f"{name}: {one.name.lower()}" for name, one in expect.would_rules)),
            tuple(sorted(alone)),
        )
    if expect.certain is not None and expect.certain is not verdict.certain:
        yield Difference("certain", str(expect.certain).lower(), str(verdict.certain).lower())


def _begins(reply: str, wanted: str) -> bool:
    """An empty text expects that there is no reply."""
    return reply.startswith(wanted) if wanted else not reply


def _of_rules(expect: Expectation, outcome: Outcome) -> Iterator[Difference]:
    for what, wanted, truth in (("matched", expect.matched, Truth.YES), ("unknown", expect.unknown, Truth.UNKNOWN)):
        if wanted is not None:
            yield from _compare(what, tuple(sorted(wanted)), outcome.rules(truth))
    if expect.refused is None:
        return
    got = {address: str(verdict.reply) for address, verdict in outcome.refused}
    wanted_replies = dict(expect.refused)
    yield from _compare("refused", tuple(sorted(wanted_replies)), tuple(sorted(got)))
    for address, text in wanted_replies.items():
        if address in got and not got[address].startswith(text):
            yield Difference(f"refused {address}", text, got[address])


def _of_changes(expect: Expectation, outcome: Outcome) -> Iterator[Difference]:
    changes = outcome.verdict.changes
    for what, wanted, got in (
        ("rcpt", expect.recipients, outcome.recipients),
        ("bcc", expect.bcc, changes.bcc),
        ("suspends", expect.suspends, tuple(one.who for one in outcome.verdict.suspensions if not one.shadow)),
    ):
        if wanted is not None:
            yield from _compare(what, tuple(sorted(wanted)), tuple(sorted(got)))
    if expect.sender is not None and expect.sender != changes.sender:
        yield Difference("sender", expect.sender, "unchanged" if changes.sender is None else changes.sender)
    made = {one.name.lower(): one.values for one in changes.headers}
    for name, values in expect.headers or ():
        found = made.get(name.lower())
        if found is None:
            yield Difference(f"header {name}", _listed(values), "unchanged")
        else:
            yield from _compare(f"header {name}", values, found)


def _compare(what: str, wanted: tuple[str, ...], got: tuple[str, ...]) -> Iterator[Difference]:
    if wanted != got:
        yield Difference(what, _listed(wanted), _listed(got))


def _listed(texts: tuple[str, ...]) -> str:
    return ", ".join(texts) or "none"
