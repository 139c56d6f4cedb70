"""`tidegate held`: the messages that rules hold, and what becomes of them.

Promises: a message that is released comes in anew, so that it is judged and signed, and leaves the hold queue only
after Postfix has taken it: where this command dies in between it is there twice, and never gone. Refuses to let a
message go past the other rules: the ones that held it are asked without effect, no other.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from tidegate.cli.output import UnableError, emit, safe
from tidegate.cli.postfix import ourselves
from tidegate.cli.reach import find_daemon
from tidegate.cli.site import CONFIG, find_site
from tidegate.cli.statustext import age, moment, several
from tidegate.cli.why import lines_of, log_of, parsed
from tidegate.live.released import HEADER, LASTS, Pass, release_key, written
from tidegate.postfix import UnreadableError, instances
from tidegate.postfix import held as queue
from tidegate.postfix.held import HeldEnvelope, HeldMessage
from tidegate.postfix.reinjection import Entrance, NotAcceptedError, entrance_of, send
from tidegate.settings import Settings
from tidegate.settings.keys import UnusableError, duration

_LONGEST = 366 * 86400.0
_NO_DOOR = (
    "no service of this Postfix asks us and relays for programs on this machine, so nothing could be judged and signed "
    "again; postfix/master.cf has the lines for one, or name one with --smtp HOST:PORT"
)
Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Row:
    """One held message, with our decision on it where the log still has it."""

    message: HeldMessage
    decision: Mapping[str, Any]

    @property
    def rules(self) -> tuple[str, ...]:
        """The rule that held it, and all others that matched."""
        matched = self.decision.get("rules", ())
        named = [self.decision.get("rule", ""), *(matched.split(",") if isinstance(matched, str) else matched)]
        return tuple(dict.fromkeys(str(one).strip() for one in named if one))

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "queue_id": self.message.queue_id,
            "arrived": self.message.arrived,
            "size": self.message.size,
            "sender": self.message.sender,
            "recipients": self.message.recipients,
            "rule": self.decision.get("rule", ""),
            "rules": self.rules,
            "reason": self.decision.get("reason", ""),
            "ref": self.decision.get("ref", ""),
        }


@click.group()
def held() -> None:
    """The messages that rules hold: list, show, release, drop."""


def _options(command: Command) -> Command:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="As JSON."),
        click.option("--postfix", "directory", type=click.Path(), default="", help="One configuration directory."),
        click.option("--log", type=click.Path(), default="", help="The decision log, instead of the settings'."),
        click.option("--config", type=click.Path(), default=CONFIG, show_default=True, help="Our settings file."),
    ):
        command = option(command)
    return command


@held.command(name="list")
@click.option("--rule", default="", help="Only what this rule held.")
@click.option("--max-age", default="", help="Exit with 1, and raise the alert, only where one is older, e.g. 4h.")
@_options
def list_(config: str, log: str, directory: str, as_json: bool, rule: str, max_age: str) -> None:
    """What waits in the hold queue, oldest first, and which rule holds it.

    With --max-age the daemon is told as well: it raises the alert `held-long`, and clears it when a later look finds
    nothing that old. Meant for a timer.

    Exit codes: 0 nothing is held (or nothing that old); 1 something is; 2 the queue can't be read.
    """
    limit = _seconds(max_age) if max_age else 0.0
    rows = _rows(directory, log, config, rule)
    now = time.time()
    old = [one for one in rows if now - one.message.arrived >= limit]
    if max_age:
        _tell_daemon(config, old, limit, now)
    if as_json:
        emit({"held": [one.document() for one in rows], "older": len(old)})
    else:
        for one in rows:
            click.echo(safe(_line(one, now)))
        late = f", {len(old)} for {max_age} or longer" if max_age else ""
        click.echo(f"{several(len(rows), 'message')} held{late}")
    sys.exit(1 if old else 0)


@held.command()
@click.argument("queue_id")
@_options
def show(queue_id: str, config: str, log: str, directory: str, as_json: bool) -> None:
    """The header and the envelope of one held message, and why it is held."""
    row = _one(queue_id, directory, log, config)
    try:
        found, header = queue.envelope(queue_id, directory), queue.header(queue_id, directory)
    except UnreadableError as error:
        raise UnableError(f"{queue_id}: {error}") from error
    if as_json:
        recipients = [{"address": one.address, "notify": one.notify} for one in found.recipients]
        login = found.attributes.get("sasl_username", "")
        emit({**row.document(), "recipients": recipients, "login": login, "header": header})
        return
    for key, value in row.document().items():
        if value not in ("", (), []):
            click.echo(safe(f"{key:12} {', '.join(value) if isinstance(value, tuple) else value}"))
    click.echo(f"{'login':12} {safe(found.attributes.get('sasl_username', ''))}\n")
    for line in header.splitlines():
        click.echo(safe(line))


@held.command()
@click.argument("queue_ids", nargs=-1, metavar="QUEUE_ID…")
@click.option("--rule", default="", help="All that this rule held.")
@click.option("--all", "everything", is_flag=True, help="All that our rules held.")
@click.option("--smtp", default="", help="HOST:PORT of a service that asks us, instead of the one that is found.")
@click.option("--per-minute", type=click.IntRange(1, 60_000), default=60, show_default=True, help="The pace.")
@click.option("--dry-run", is_flag=True, help="Say what would be released.")
@_options
def release(
    queue_ids: tuple[str, ...],
    rule: str,
    everything: bool,
    smtp: str,
    per_minute: int,
    dry_run: bool,
    config: str,
    log: str,
    directory: str,
    as_json: bool,
) -> None:
    """Let held messages go on: each comes in anew, is judged again and signed.

    The rules that matched when it was held have no effect on it this time; all others have. What Postfix does not take
    stays held. A bare `postsuper -H` sends a message on as it is: no milter behind us has seen it, nothing is signed.

    Exit codes: 0 all went on; 1 some are held still; 2 it could not be done.
    """
    settings = _settings(config)
    rows = _chosen(queue_ids, rule, everything, directory, log, config)
    entrance = None if dry_run else _entrance(smtp, directory, settings)
    outcomes: list[dict[str, Any]] = []
    for number, row in enumerate(rows):
        if entrance is not None and number:
            time.sleep(60.0 / per_minute)
        outcome = "would be released" if entrance is None else _release(row, entrance, settings, directory)
        outcomes.append({**row.document(), "outcome": outcome, "released": outcome.startswith("2")})
        if not as_json:
            click.echo(safe(f"{row.message.queue_id}: {outcome}"))
    if as_json:
        emit({"messages": outcomes})
    sys.exit(0 if dry_run or all(one["released"] for one in outcomes) else 1)


@held.command(name="drop")
@click.argument("queue_ids", nargs=-1, required=True, metavar="QUEUE_ID…")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_options
def drop_(queue_ids: tuple[str, ...], yes: bool, config: str, log: str, directory: str, as_json: bool) -> None:
    """Delete held messages for good; nobody is told.

    Exit codes: 0 deleted; 1 some are not there any more; 2 it could not be done.
    """
    rows = [_one(queue_id, directory, log, config) for queue_id in queue_ids]
    if not yes:
        for row in rows:
            click.echo(safe(_line(row, time.time())))
        if not sys.stdin.isatty() or not click.confirm(f"Delete {several(len(rows), 'message')} for good?"):
            raise UnableError("nothing was deleted; --yes deletes without a question")
    failed = {}
    for row in rows:
        try:
            queue.drop(row.message.queue_id, directory)
        except UnreadableError as error:
            failed[row.message.queue_id] = str(error)
    if as_json:
        emit({"deleted": [one for one in queue_ids if one not in failed], "failed": failed})
    else:
        for queue_id, why in failed.items():
            click.echo(safe(f"{queue_id}: {why}"), err=True)
        click.echo(f"{several(len(rows) - len(failed), 'message')} deleted")
    sys.exit(1 if failed else 0)


def _release(row: Row, entrance: Entrance, settings: Settings, directory: str) -> str:
    """Put one message back in, then take it out of the hold queue. Returns Postfix's reply, or why it is held still."""
    queue_id = row.message.queue_id
    try:
        found, message = queue.envelope(queue_id, directory), queue.content(queue_id, directory)
        key = release_key(settings.state)
    except (UnreadableError, OSError) as error:
        return f"still held: {error}"
    try:
        reply = send(entrance, found, _with_pass(row, found, message, key))
    except NotAcceptedError as error:
        return f"still held: {error}"
    try:
        queue.drop(queue_id, directory)
    except UnreadableError as error:
        return f"{reply}; and it is in the hold queue still, delete it there: {error}"
    return reply


def _with_pass(row: Row, found: HeldEnvelope, message: bytes, key: bytes) -> bytes:
    """The message with the pass on top."""
    named = found.attributes
    pass_ = Pass(
        end=time.time() + LASTS - 60.0,  # clocks of one machine, and the time until it is judged
        rules=row.rules,
        login=named.get("sasl_username", ""),
        auth_type=named.get("sasl_method", ""),
        client_ip=named.get("client_address", ""),
        client_name="" if named.get("client_name") == "unknown" else named.get("client_name", ""),
        helo=named.get("helo_name", ""),
    )
    message_id = _message_id(message)
    text = written(pass_, key, found.sender, (one.address for one in found.recipients), message_id)
    return f"{HEADER}: {text}\n".encode("ascii") + message


def _message_id(message: bytes) -> str:
    """The first Message-ID, unfolded; "" where there is none."""
    head = message.replace(b"\r\n", b"\n").partition(b"\n\n")[0].decode("utf-8", "surrogateescape")
    lines = head.replace("\n ", " ").replace("\n\t", " ").split("\n")
    return next((line.partition(":")[2].strip() for line in lines if line.lower().startswith("message-id:")), "")


def _entrance(smtp: str, directory: str, settings: Settings) -> Entrance:
    """Raises UnableError."""
    if smtp:
        host, _, port = smtp.rpartition(":")
        if not host or not port.isdigit():
            raise UnableError(f"--smtp {smtp}: write HOST:PORT")
        return Entrance(smtp, host.strip("[]"), int(port))
    try:
        known = instances(directory)
    except UnreadableError as error:
        raise UnableError(f"Postfix's configuration can't be read: {error}") from error
    found = next((one for each in known if (one := entrance_of([each], ourselves(settings, each)))), None)
    if found is None:
        raise UnableError(_NO_DOOR)
    return found


def _settings(config: str) -> Settings:
    site = find_site(config)
    if site.settings is None:
        raise UnableError(f"{config} can't be used: {'; '.join(one.message for one in site.problems)}")
    return site.settings


def _chosen(queue_ids: Sequence[str], rule: str, everything: bool, directory: str, log: str, config: str) -> list[Row]:
    if queue_ids:
        return [_one(one, directory, log, config) for one in queue_ids]
    if not rule and not everything:
        raise UnableError("name queue ids, or --rule ID, or --all")
    return [one for one in _rows(directory, log, config, rule) if one.decision]


def _one(queue_id: str, directory: str, log: str, config: str) -> Row:
    if not queue.QUEUE_ID.fullmatch(queue_id):
        raise UnableError(f"{queue_id!r} is no queue id")
    found = [one for one in _rows(directory, log, config) if one.message.queue_id == queue_id]
    if not found:
        raise UnableError(f"{queue_id} is not in the hold queue")
    return found[0]


def _rows(directory: str, log: str, config: str, rule: str = "") -> list[Row]:
    try:
        messages = queue.held(directory)
    except UnreadableError as error:
        raise UnableError(f"the queue can't be read: {error}") from error
    decisions = _decisions(log or log_of(config), frozenset(one.queue_id for one in messages)) if messages else {}
    rows = [Row(one, decisions.get(one.queue_id, {})) for one in messages]
    return [one for one in rows if not rule or rule in one.rules]


def _decisions(log: str, queue_ids: frozenset[str]) -> dict[str, Mapping[str, Any]]:
    """The newest decision to hold each of them. Queue ids come again, so only those of a hold count."""
    found: dict[str, Mapping[str, Any]] = {}
    for line in lines_of(log):
        if '"hold"' in line or "=hold" in line:
            event = parsed(line)
            if event.get("queue_id") in queue_ids and event.get("disposition") == "hold":
                found[str(event["queue_id"])] = event
    return found


def _line(row: Row, now: float) -> str:
    message = row.message
    to = message.recipients[0] + (f" and {len(message.recipients) - 1} more" if len(message.recipients) > 1 else "")
    why = f"{row.decision.get('rule', '')}: {row.decision.get('reason', '')}" if row.decision else "not by us"
    since = age(now - message.arrived)
    return f"{message.queue_id:12}  {moment(message.arrived)}  {since:>6}  <{message.sender}> to <{to}>  {why}"


def _seconds(text: str) -> float:
    try:
        return duration(1.0, _LONGEST)(text)
    except UnusableError as error:
        raise UnableError(f"--max-age {text}: {error}") from error


def _tell_daemon(config: str, old: Sequence[Row], limit: float, now: float) -> None:
    """The alert is the daemon's, which knows whom to tell."""
    text = ""
    if old:
        oldest = age(now - old[0].message.arrived)
        text = f"{several(len(old), 'message')} held for {age(limit)} or longer, the oldest for {oldest}"
    find_daemon(config, "").ask({"do": "finding", "code": "held-long", "text": text})
