"""`tidegate explain MESSAGE`: what every rule makes of one message, test by test, and what comes of it.

Asks the engine that judges real mail (engine/explain.py); nothing is judged here, and no daemon is asked.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import click

from tidegate import trial
from tidegate.cli.output import emit
from tidegate.cli.policies import NoPoliciesError, open_policies
from tidegate.engine.explain import Explanation, RuleEvidence
from tidegate.engine.judge import explain as explain_message
from tidegate.engine.judge import judge_recipient
from tidegate.model import (
    AllOf,
    Always,
    AnyOf,
    Condition,
    Connection,
    Conventions,
    Disposition,
    Envelope,
    Evidence,
    Never,
    Not,
    PolicySet,
    Recipient,
    Recipients,
    Test,
    Transaction,
    Unknowable,
    Verdict,
)

_SHOWN = 80
"""Characters of a value that are shown."""
_OPTION = click.option


@click.command()
@click.argument("message", type=click.File("rb"))
@_OPTION("--policies", default="/etc/tidegate/policies", show_default=True, help="The policy directory, or one file.")
@_OPTION("--sender", default="", help="The envelope sender; the null sender, if left out.")
@_OPTION("--rcpt", "recipients", multiple=True, required=True, help="A recipient; may be repeated.")
@_OPTION("--login", default="", help="The SASL login.")
@_OPTION("--client", default="", help="The client's address.")
@_OPTION("--client-name", default="", help="The client's host name.")
@_OPTION("--helo", default="", help="The name given in HELO.")
@_OPTION("--local", is_flag=True, help="Submitted by sendmail(1).")
@_OPTION("--default-realm", default="", help="Completes logins without @, as in the settings.")
@_OPTION("--recipient-delimiter", default="", help="As in the settings.")
@_OPTION("--json", "as_json", is_flag=True, help="As JSON.")
def explain(
    message: Any,
    policies: str,
    sender: str,
    recipients: tuple[str, ...],
    login: str,
    client: str,
    client_name: str,
    helo: str,
    local: bool,
    default_realm: str,
    recipient_delimiter: str,
    as_json: bool,
) -> None:
    """Explain what becomes of MESSAGE (a file with headers and body, or - for standard input).

    Exit codes: 0 it was judged, whatever the verdict; 2 it can't be.
    """
    try:
        _, generation, _ = open_policies(policies, Conventions(default_realm, recipient_delimiter))
    except NoPoliciesError as error:
        click.echo(f"tidegate: {error}", err=True)
        sys.exit(2)
    transaction = Transaction(
        Connection(client_ip=client, client_name=client_name, helo=helo, local=local),
        Envelope(sender.strip("<>"), tuple(Recipient(one, f"<{one}>") for one in recipients), login),
        trial.read_message(message.read()),
        reference="explain",
    )
    now = time.time()
    at_rcpt = _at_rcpt(transaction, generation, now)
    found = _explain(transaction, generation, now, at_rcpt)
    if as_json:
        emit(document(found, at_rcpt))
    else:
        click.echo("\n".join(lines(found, at_rcpt)))


AtRcpt = tuple[tuple[str, Verdict], ...]


def _at_rcpt(transaction: Transaction, policies: PolicySet, now: float) -> AtRcpt:
    """The verdicts on single recipients, where there are any."""
    early = Transaction(transaction.connection, transaction.envelope, None, reference=transaction.reference)
    pairs = [(one.address, judge_recipient(early, one, policies, now)) for one in transaction.envelope.recipients]
    return tuple((address, verdict) for address, verdict in pairs if verdict is not None)


def _refused(at_rcpt: AtRcpt) -> set[str]:
    return {address for address, verdict in at_rcpt if verdict.disposition >= Disposition.DEFER}


def _explain(transaction: Transaction, policies: PolicySet, now: float, at_rcpt: AtRcpt) -> Explanation:
    """Recipients that are refused at RCPT count only for the rules that refuse them."""
    gone = _refused(at_rcpt)
    whole = explain_message(transaction, policies, now)
    stay = tuple(one for one in transaction.envelope.recipients if one.address not in gone)
    if not gone or not stay:
        return whole
    left = explain_message(replace(transaction, envelope=replace(transaction.envelope, recipients=stay)), policies, now)
    pairs = zip(whole.rules, left.rules, strict=True)
    return Explanation(left.verdict, tuple(old if old.rule.per_recipient else new for old, new in pairs))


def lines(found: Explanation, at_rcpt: AtRcpt) -> Iterator[str]:
    """The whole for a person."""
    for rule in found.rules:
        note = f"  ({rule.why_not})" if rule.why_not else ""
        yield f"{rule.truth.name:<8}{rule.rule.id}{note}"
        for depth, evidence in _flat(rule.evidence, 0):
            yield f"  {'  ' * depth}{evidence.truth.name:<8}{_asked(evidence.test)}{_answer(evidence)}"
        for one in rule.exceptions:
            yield f"    except {one.name}{'' if one.in_force else ' (lapsed)'}:"
            for depth, evidence in _flat(one.evidence, 2):
                yield f"  {'  ' * depth}{evidence.truth.name:<8}{_asked(evidence.test)}{_answer(evidence)}"
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


def _shown(text: str) -> str:
    """Whatever the message holds, made fit for a terminal."""
    safe = "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text[:_SHOWN])
    return f"{safe}…" if len(text) > _SHOWN else safe


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
        "truth": rule.truth.name.lower(),
        "why_not": rule.why_not,
        "when": _evidence_document(rule.evidence),
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
