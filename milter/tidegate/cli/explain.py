"""`tidegate explain MESSAGE`: what every rule makes of one message, test by test, and what comes of it.

Asks the engine that judges real mail (engine/explain.py); nothing is judged here. By the files as they are now, or with
`--live` by what the running daemon has in force.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import IO, Any

import click

from tidegate import trial
from tidegate.cli.completion import rule_ids
from tidegate.cli.confined import load
from tidegate.cli.explained import AtRcpt, document, lines
from tidegate.cli.lent import Lent, borrow, without_policy
from tidegate.cli.output import UnableError, emit, errors
from tidegate.cli.site import POLICIES, conventions, policy_options, site_if_there
from tidegate.engine.explain import Explanation
from tidegate.engine.judge import explain as explain_message
from tidegate.engine.judge import judge_recipient
from tidegate.engine.metering import Meter
from tidegate.limits import Stated
from tidegate.model import NO_RESTRAINT, Conventions, Disposition, PolicySet, Restraint, Source, Transaction
from tidegate.policy.examples import DEFAULT_CLIENT, Case
from tidegate.policy.suggest import did_you_mean

_LARGEST = 256 << 20
"""Bytes of a message; Postfix's message_size_limit is far below."""
_OPTION = click.option


def _address(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    try:
        return str(ip_address(value)) if value else ""
    except ValueError as error:
        raise click.BadParameter("write an IP address") from error


@dataclass(frozen=True, slots=True)
class _Judge:
    """By what the message is judged. `policies` None: the daemon has none yet."""

    policies: PolicySet | None
    conventions: Conventions
    remark: str = ""
    errors: int = 0  # of the files
    lent: Lent | None = None


@click.command()
@click.argument("message", type=click.File("rb"))
@_OPTION("--policies", type=click.Path(), help="The policy directory, or one file, instead of the settings'.")
@_OPTION("--live", is_flag=True, help="By what the running daemon has in force, not by the files.")
@_OPTION("--state", type=click.Path(), default="", help="With --live: the daemon's state directory.")
@_OPTION("--rule", "only", multiple=True, shell_complete=rule_ids, help="Show only this rule; may be repeated.")
@_OPTION(
    "--sender", help="The envelope sender, <> for the null one; left out, it is the login where that is an address."
)
@_OPTION("--rcpt", "recipients", multiple=True, required=True, help="A recipient; may be repeated.")
@_OPTION("--login", default="", help="The SASL login.")
@_OPTION("--auth-type", default="", help="The SASL mechanism, e.g. PLAIN.")
@_OPTION("--client", default=DEFAULT_CLIENT, show_default=True, callback=_address, help="The client's address.")
@_OPTION("--client-name", default="", help="The client's host name.")
@_OPTION("--helo", default="", help="The name given in HELO.")
@_OPTION("--daemon", default="", help="milter_macro_daemon_name of the service, e.g. ORIGINATING.")
@_OPTION("--tls", default="", help="The TLS version, e.g. TLSv1.3.")
@_OPTION("--tls-cipher", default="", help="The cipher suite.")
@_OPTION("--local", is_flag=True, help="Submitted by sendmail(1).")
@policy_options
@_OPTION("--json", "as_json", is_flag=True, help="As JSON.")
def explain(
    message: IO[bytes],
    live: bool,
    state: str,
    only: tuple[str, ...],
    sender: str | None,
    as_json: bool,
    policies: str | None,
    config: str,
    default_realm: str | None,
    recipient_delimiter: str | None,
    **given: Any,
) -> None:
    """Explain what becomes of MESSAGE (a file with headers and body, or - for standard input).

    What is left out is filled in as in examples and scenario files. With --live it is the answer that the daemon would
    give now: with entries that are STALE or skipped as they are, whatever the files say by now. Limits are not asked
    and nothing is charged: they count as unused.

    Exit codes: 0 it was judged, whatever the verdict; 2 it can't be.
    """
    if live:
        if policies is not None or default_realm is not None or recipient_delimiter is not None:
            raise click.UsageError("--live goes by what the daemon has: no --policies, --default-realm, …")
        judge = _by_daemon(config, state)
    else:
        judge = _by_files(config, policies, default_realm, recipient_delimiter)
    data = _content(message)
    case = Case(sender=None if sender is None else sender.strip("<>"), message="message", **given)
    transaction = trial.transaction_of(case, judge.conventions, lambda name: Source(name, data))
    judge = _for_sender(judge, transaction)
    _known_rules(only, judge.policies)
    at_rcpt, whole = _judged(transaction, judge.policies, judge.lent.restraint if judge.lent else NO_RESTRAINT)
    found = Explanation(whole.verdict, tuple(one for one in whole.rules if not only or one.rule.id in only))
    if as_json:
        generation = {"generation": judge.lent.number, "digest": judge.lent.digest} if judge.lent else {}
        emit({**document(found, at_rcpt), "policy_errors": judge.errors, **generation})
        return
    if judge.remark:
        click.echo(f"tidegate: {judge.remark}", err=True)
    click.echo("\n".join(lines(found, at_rcpt)))


def _by_files(config: str, policies: str | None, default_realm: str | None, recipient_delimiter: str | None) -> _Judge:
    site = site_if_there(config)
    place = policies if policies is not None else (site.settings.policies if site and site.settings else POLICIES)
    known = conventions(site, default_realm, recipient_delimiter)
    opened = load(place, known)
    broken = errors(opened.problems)
    remark = f"{broken} errors in these policies: tidegate check {place}" if broken else ""
    return _Judge(opened.generation, known, remark, broken)


def _by_daemon(config: str, state: str) -> _Judge:
    lent = borrow(config, state)
    if lent.generation is None:
        return _Judge(None, Conventions(), "the daemon has no policy yet: all mail is deferred", lent=lent)
    return _Judge(lent.generation, lent.generation.conventions, lent=lent)


def _for_sender(judge: _Judge, transaction: Transaction) -> _Judge:
    """What is on trial is for some senders only."""
    if judge.lent is None or judge.lent.generation is None:
        return judge
    lent = judge.lent.of(transaction)
    remark = f"generation {lent.number} ({lent.digest[:16]})"
    if lent is not judge.lent:
        remark += ", on trial for this sender"
    elif not lent.current:
        remark += "; some workers are about to get it"
    if lent.suspects:
        remark += "; mail that killed workers is judged by less than this: tidegate status"
    return replace(judge, policies=lent.generation, remark=remark, lent=lent)


def _judged(transaction: Transaction, policies: PolicySet | None, restraint: Restraint) -> tuple[AtRcpt, Explanation]:
    """The verdicts on single recipients, and on the whole. Recipients that are refused at RCPT count only for the rules
    that refuse them."""
    if policies is None:
        return (), Explanation(without_policy(transaction.reference), ())
    now = time.time()
    at_rcpt = _at_rcpt(transaction, policies, now, restraint)
    gone = {address for address, verdict in at_rcpt if verdict.disposition >= Disposition.DEFER}
    whole = explain_message(transaction, policies, now, restraint, Meter(Stated()))
    stay = tuple(one for one in transaction.envelope.recipients if one.address not in gone)
    if not gone or not stay:
        return at_rcpt, whole
    fewer = replace(transaction, envelope=replace(transaction.envelope, recipients=stay))
    left = explain_message(fewer, policies, now, restraint, Meter(Stated()))
    pairs = zip(whole.rules, left.rules, strict=True)
    return at_rcpt, Explanation(left.verdict, tuple(old if old.rule.per_recipient else new for old, new in pairs))


def _content(message: IO[bytes]) -> bytes:
    data = message.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise UnableError(f"the message is larger than {_LARGEST} bytes")
    return data


def _known_rules(only: tuple[str, ...], policies: PolicySet | None) -> None:
    known = [policies.rule(number).id for number in range(len(policies))] if only and policies is not None else []
    for name in only:
        if name not in known:
            raise UnableError(f"there is no rule {name}{did_you_mean(name, known)}")


def _at_rcpt(transaction: Transaction, policies: PolicySet, now: float, restraint: Restraint) -> AtRcpt:
    """The verdicts on single recipients, where there are any."""
    early = Transaction(transaction.connection, transaction.envelope, None, reference=transaction.reference)
    pairs = [
        (one.address, judge_recipient(early, one, policies, now, restraint=restraint))
        for one in transaction.envelope.recipients
    ]
    return tuple((address, verdict) for address, verdict in pairs if verdict is not None)
