"""`tidegate postfix reconcile`: Postfix's log beside the decision log; what went on without a decision got past us."""

from __future__ import annotations

import sys
from collections import Counter

import click

from tidegate.cli.output import UnableError, emit, safe
from tidegate.cli.reach import find_daemon
from tidegate.cli.site import CONFIG
from tidegate.cli.why import lines_of, log_of, parsed
from tidegate.postfix.maillog import Passage, passages, unjudged

_MAIL_LOG = "/var/log/mail.log"
_SHOWN = 20


@click.command()
@click.argument("log", default=_MAIL_LOG, type=click.Path(allow_dash=True))
@click.option("--config", type=click.Path(), default=CONFIG, show_default=True, help="Our settings file.")
@click.option("--decisions", type=click.Path(), default="", help="The decision log, instead of the settings'.")
@click.option("--local", is_flag=True, help="Count what sendmail(1) submitted, too.")
@click.option("--all", "everyone", is_flag=True, help="Count mail without a login, too.")
@click.option("--alert", is_flag=True, help="Tell the daemon, which raises the alert `mail-unjudged`, or clears it.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def reconcile(log: str, config: str, decisions: str, local: bool, everyone: bool, alert: bool, as_json: bool) -> None:
    """Count the messages that Postfix sent on and that we never judged.

    LOG is Postfix's log with its rotated forms; - reads standard input, e.g. from `journalctl -o short -t postfix/…`.
    Mail with a login counts. What went on before the first message that both logs know is left out.

    Exit codes: 0 none got past; 1 some did; 2 a log can't be read.
    """
    if log == "-" and decisions == "-":
        raise UnableError("only one of the logs can come from standard input")
    known = frozenset(
        str(event["queue_id"])
        for line in lines_of(decisions or log_of(config))
        if "queue_id" in line and (event := parsed(line)).get("queue_id")
    )
    gone = [one for one in passages(lines_of(log)) if _counts(one, local, everyone)]
    past = unjudged(gone, known)
    services = Counter(one.service for one in past)
    if alert:
        text = f"{len(past)} of {len(gone)} messages, by {', '.join(services)}" if past else ""
        find_daemon(config, "").ask({"do": "finding", "code": "mail-unjudged", "text": text})
    if as_json:
        emit(
            {
                "messages": len(gone),
                "judged": sum(one.queue_id in known for one in gone),
                "unjudged": len(past),
                "by_service": dict(services),
                "queue_ids": [one.queue_id for one in past],
            }
        )
    else:
        click.echo(f"{len(gone)} messages went on, {len(past)} of them unjudged")
        for service, count in services.most_common():
            click.echo(safe(f"  {count:6}  {service}"))
        for one in past[:_SHOWN]:
            click.echo(safe(f"  {one.line}", 200))
        if len(past) > _SHOWN:
            click.echo(f"  and {len(past) - _SHOWN} more; --json has all")
        if past:
            click.echo("see tidegate postfix check for the ways past us")
    sys.exit(1 if past else 0)


def _counts(one: Passage, local: bool, everyone: bool) -> bool:
    return local if one.service == "pickup" else everyone or bool(one.login)
