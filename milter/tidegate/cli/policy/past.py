"""`tidegate policy history`, `log`, `rollback` and `confirm`: what was, and having it back."""

from __future__ import annotations

import time

import click

from tidegate.cli.output import UnableError, emit, safe
from tidegate.cli.policy.candidate import check
from tidegate.cli.policy.committing import (
    Edition,
    Why,
    commit,
    lost,
    nothing_to_do,
    refuse,
    revision_document,
)
from tidegate.cli.policy.local import go_back_here
from tidegate.cli.policy.look import Side, side_of
from tidegate.cli.policy.put import saying, to_be_signed, why_of
from tidegate.cli.policy.session import Asked, Session, Standing, asking, records_here, session, standing
from tidegate.cli.policy.signing import KeyFile, keyed, must_have_key
from tidegate.cli.policy.waiting import finish
from tidegate.cli.statustext import moment
from tidegate.revisions import Flaw, Revision
from tidegate.signing import Trust
from tidegate.store.contents import Content, fetch
from tidegate.store.revisions import Conflict

_MOST = 1000


@click.command()
@click.option("-n", "--count", type=click.IntRange(1, _MOST), default=20, show_default=True, help="The newest so many.")
@asking
def history(count: int, asked: Asked) -> None:
    """List the revisions, newest first; `*` is the one in force.

    Exit codes: 0 done; 2 it could not be done.
    """
    with session(asked) as opened:
        head = opened.revisions.head()
        newest = head.revision.number if head.revision else int(head.number) if head.number.isdigit() else 0
        numbers = list(range(max(1, newest - count + 1), newest + 1))[::-1]
        rows = opened.revisions.history(numbers) if numbers else []
    if asked.as_json:
        emit({
            "environment": opened.environment,
            "head": newest,
            "why": head.why,
            "revisions": [
                {"revision": number, "flaw": str(one)} if isinstance(one, Flaw) else revision_document(one)
                for number, one in rows
            ],
        })  # fmt: skip
        return
    if head.why:
        click.echo(safe(f"UNREVIEWED: {head.why}"))
    trust = Trust(opened.settings.trusted_keys)
    for number, one in rows:
        click.echo(safe(f"{'*' if number == newest else ' '} {_line(number, one, trust)}"))
    if not rows:
        click.echo(f"{opened.environment} has no revision yet")


def _line(number: int, one: Revision | Flaw, trust: Trust) -> str:
    if isinstance(one, Flaw):
        return f"{number:>5}  its record can't be used: {one}"
    parts = [f"{number:>5}", moment(one.at), f"{one.author:<12}", one.reason]
    if one.expires:
        parts.append(f"[reverts by itself at {moment(one.expires)}]")
    if one.urgent:
        parts.append("[at once]")
    if one.forced:
        parts.append(f"[past its gates: {', '.join(one.forced)}]")
    if one.key:
        doubt = trust.doubt(one)
        whose = trust.name_of(one.key)
        parts.append(f"[signed: {whose}]" if doubt is None else f"[signature by {whose} not verified: {doubt.why}]")
    return "  ".join(part for part in parts if part)


@click.command()
@click.option("-n", "--count", type=click.IntRange(1, _MOST), default=20, show_default=True, help="The newest so many.")
@asking
def log(count: int, asked: Asked) -> None:
    """Show the audit stream: who did what, when, where and why. Newest first.

    Exit codes: 0 done; 2 it could not be done.
    """
    with session(asked) as opened:
        lines = opened.revisions.log(count)
    if asked.as_json:
        emit({"environment": opened.environment, "log": [{"at": one.at, **one.fields} for one in lines]})
        return
    for one in lines:
        fields = one.fields
        what = f"{fields.get('event', '?'):<9} {fields.get('changes', '')}"
        why = f": {fields['reason']}" if fields.get("reason") else ""
        who = f"{fields.get('author', '?')} on {fields.get('host', '?')}"
        click.echo(safe(f"{moment(one.at)}  {fields.get('number', '?'):>5}  {who}  {what}{why}"))
    if not lines:
        click.echo("nothing happened yet")


@click.command()
@click.argument("number", metavar="REVISION", type=click.IntRange(0))
@click.option("--force", is_flag=True, help="Although something in it is not valid here any more.")
@click.option("--local", is_flag=True, help="This host alone, from its own records, also where Redis is gone.")
@saying
@asking
def rollback(number: int, force: bool, local: bool, why: Why, asked: Asked) -> None:
    """Put what revision REVISION held into force again, as a new revision. 0 is nothing: the policy files alone.

    What Redis has lost is taken from the records of this machine's daemon, which keeps the last three.

    With --local nothing goes to Redis: the daemon of this host serves that revision again, at once, and takes nothing
    that Redis has by then, until a newer one comes or somebody says tidegate confirm --revision.

    Exit codes: 0 stored, or it is in force; 1 it is not valid here any more, or somebody else was faster; 2 it could
    not be done.
    """
    if local:
        go_back_here(number, asked)
    with session(asked) as opened:
        head = opened.revisions.head()
        found = fetch(opened.revisions, head)
        # A head that can't be used is what somebody wants to get away from.
        sound = isinstance(found, Content) and _trusted(opened, found.revision)
        stands = Standing(head, found if sound and isinstance(found, Content) else Content())
        must_have_key(opened.settings, why.key)
        wanted = side_of(opened, str(number), stands if sound else None)
        _go_back(opened, stands, wanted, why_of(why, "rollback"), asked, force, sound)


def _trusted(opened: Session, revision: Revision | None) -> bool:
    """Does its signature count, where one is demanded?"""
    trust = opened.settings.trust
    return trust is None or revision is None or trust.doubt(revision) is None


def _go_back(
    opened: Session,
    stands: Standing,
    wanted: Side,
    why: Why,
    asked: Asked,
    force: bool,
    sound: bool,
) -> None:
    """`sound`: the head that is there can be used."""
    now, after, texts = time.time(), wanted.manifest, dict(wanted.texts)
    before = stands.manifest(now)
    revision = stands.content.revision
    settled = revision is not None and revision.expires is None
    lost_ones, above = _behind(opened, stands, sound)
    same = before == after and sound and not lost_ones and above <= stands.number
    if same and (settled or revision is None) and not to_be_signed(opened, stands, why):
        nothing_to_do(stands, opened.environment, asked.as_json)
        return
    checked = check(opened, before, after, {**stands.content.texts, **texts})
    if checked.broken and not force:
        click.echo("it is not valid here any more; --force puts it into force as far as it is", err=True)
        refuse(checked, asked.as_json, opened.environment)
    expect = revision.expect if revision else ()
    edition = Edition(why, stands.head, before, after, texts, expect, lost_ones, above)
    ended = commit(opened, edition, now)
    if isinstance(ended, Conflict):
        lost(ended, edition, opened.environment, asked.as_json)
    else:
        finish(opened, ended, edition, checked, asked.as_json)


def _behind(opened: Session, stands: Standing, sound: bool) -> tuple[tuple[Revision, ...], int]:
    """The records that this machine has where Redis lost them, went back behind them, or can't be believed; and the
    newest number that was in force here: numbers go on from there."""
    kept = list(records_here(opened))
    newest = max((max(one.number, one.given_up if one.local else 0) for one in kept), default=0)
    if sound and newest <= stands.number:
        return (), newest
    records = {one.number: one.revision for one in kept if one.revision is not None}
    return tuple(records[number] for number in sorted(records)), newest


@click.command()
@click.option("--reason", default="", help="Why; stands in the history and in the audit stream.")
@click.option("--author", default="", help="Who confirms it. Default: the account that asks.")
@keyed
@asking
def confirm(reason: str, author: str, key: KeyFile, asked: Asked) -> None:
    """Keep the revision in force: one that would revert by itself (`put --expires`), or was promoted past its gates.

    Exit codes: 0 confirmed, or there is nothing to confirm; 1 somebody else was faster; 2 it could not be done, for
    instance because it has reverted.
    """
    with session(asked) as opened:
        stands = standing(opened)
        now = time.time()
        revision = stands.content.revision
        if revision is None or (revision.expires is None and not revision.forced):
            nothing_to_do(stands, opened.environment, asked.as_json)
            return
        if revision.expires is not None and revision.expired(now):
            raise UnableError(
                f"revision {revision.number} reverted by itself at {moment(revision.expires)}; "
                f"tidegate policy rollback {revision.number} puts it into force again"
            )
        why = Why("confirm", reason or revision.reason, author, key=key)
        manifest = stands.content.manifest
        edition = Edition(why, stands.head, manifest, manifest, {}, revision.expect)
        ended = commit(opened, edition, now)
        if isinstance(ended, Conflict):
            lost(ended, edition, opened.environment, asked.as_json)
        else:
            finish(opened, ended, edition, None, asked.as_json)
