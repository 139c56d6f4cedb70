"""`tidegate explain MESSAGE`: what every rule makes of one message, test by test, and what comes of it.

Asks the engine that judges real mail (engine/explain.py); nothing is judged here, and no daemon is asked.
"""

from __future__ import annotations

import time
from dataclasses import replace
from ipaddress import ip_address
from typing import IO, Any

import click

from tidegate import trial
from tidegate.cli.completion import rule_ids
from tidegate.cli.confined import Opened, load
from tidegate.cli.explained import AtRcpt, document, lines
from tidegate.cli.output import UnableError, emit, errors
from tidegate.cli.site import POLICIES, conventions, policy_options, site_if_there
from tidegate.engine.explain import Explanation
from tidegate.engine.judge import explain as explain_message
from tidegate.engine.judge import judge_recipient
from tidegate.model import Disposition, PolicySet, Source, Transaction
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


@click.command()
@click.argument("message", type=click.File("rb"))
@_OPTION("--policies", type=click.Path(), help="The policy directory, or one file, instead of the settings'.")
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
    policies: str | None,
    only: tuple[str, ...],
    sender: str | None,
    config: str,
    default_realm: str | None,
    recipient_delimiter: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Explain what becomes of MESSAGE (a file with headers and body, or - for standard input).

    What is left out is filled in as in examples and scenario files.

    Exit codes: 0 it was judged, whatever the verdict; 2 it can't be.
    """
    site = site_if_there(config)
    place = policies if policies is not None else (site.settings.policies if site and site.settings else POLICIES)
    known = conventions(site, default_realm, recipient_delimiter)
    opened = load(place, known)
    _known_rules(only, opened)
    data = _content(message)
    case = Case(sender=None if sender is None else sender.strip("<>"), message="message", **given)
    transaction = trial.transaction_of(case, known, lambda name: Source(name, data))
    now = time.time()
    at_rcpt = _at_rcpt(transaction, opened.generation, now)
    whole = _explain(transaction, opened.generation, now, at_rcpt)
    found = Explanation(whole.verdict, tuple(one for one in whole.rules if not only or one.rule.id in only))
    broken = errors(opened.problems)
    if broken and not as_json:
        click.echo(f"tidegate: {broken} errors in these policies: tidegate check {place}", err=True)
    if as_json:
        emit({**document(found, at_rcpt), "policy_errors": broken})
    else:
        click.echo("\n".join(lines(found, at_rcpt)))


def _content(message: IO[bytes]) -> bytes:
    data = message.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise UnableError(f"the message is larger than {_LARGEST} bytes")
    return data


def _known_rules(only: tuple[str, ...], opened: Opened) -> None:
    known = opened.report.rules
    for name in only:
        if name not in known:
            raise UnableError(f"there is no rule {name}{did_you_mean(name, known)}")


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
