"""`tidegate policy put FILE|-`: the entries of a policy file go into force in Redis, all of them or none."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import click

from tidegate.cli.output import UnableError, safe
from tidegate.cli.policy.candidate import Cut, check, cut, read_bytes
from tidegate.cli.policy.committing import Edition, Why, commit, lost, nothing_to_do, refuse
from tidegate.cli.policy.preview import NO_PREVIEW, Preview, keep, previewing
from tidegate.cli.policy.session import (
    Asked,
    Session,
    Standing,
    asking,
    must_be_confirmed,
    must_not_be_behind,
    session,
    standing,
)
from tidegate.cli.policy.signing import KeyFile, keyed, must_have_key, wants_key
from tidegate.cli.policy.waiting import finish
from tidegate.cli.words import Duration
from tidegate.revisions import Manifest
from tidegate.store.revisions import Conflict

Command = TypeVar("Command", bound=Callable[..., Any])
_EXPECT = re.compile(r"([1-9][0-9]{0,6}) ?(?:logins?|senders?)?(?: ?(?:per|/|in) ?([1-9][0-9]{0,3})?(m|min|h|d))?\Z")
WAIT = 30
"""Seconds for which daemons are waited for, where nobody says how long."""
_UNITS = {"m": 60, "min": 60, "h": 3600, "d": 86400}


class Expectation(click.ParamType):
    """`40 logins`, or `40 logins per 2h`; as logins and seconds."""

    name = "'N logins'"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        found = _EXPECT.match(str(value).strip())
        if found is None:
            self.fail(f"{safe(str(value), 40)}: write '40 logins' or '40 logins per 2h'", param, ctx)
        return int(found[1]), int(found[2] or 1) * _UNITS[found[3]] if found[3] else 3600


def saying(command: Command) -> Command:
    """The options with which somebody says why, how long and how sure; the command gets them as `why` without event."""

    def wrapped(
        reason: str,
        author: str,
        expect: tuple[int, int] | None,
        expires: int,
        now: bool,
        wait: int,
        key: KeyFile,
        **more: Any,
    ) -> Any:
        if now and not reason.strip():
            raise click.UsageError("--now needs --reason TEXT: it is logged, and stands in the status")
        logins, per = expect or (0, 3600)
        why = Why("", reason, author, expires, reason if now else "", logins, per, wait, key)
        return command(why=why, **more)

    wrapped.__doc__, wrapped.__name__ = command.__doc__, command.__name__
    wrapped.__click_params__ = list(getattr(command, "__click_params__", []))  # type: ignore[attr-defined]
    for option in (
        keyed,
        click.option(
            "--wait",
            type=click.IntRange(0, 3600),
            is_flag=False,
            flag_value=WAIT,
            default=0,
            metavar="[SECONDS]",
            help=f"Wait (by default {WAIT} s) until every live daemon has it; exit code 1 where one has not.",
        ),
        click.option(
            "--now", is_flag=True, help="In force at once, without a canary; needs --reason. The brake stays."
        ),
        click.option(
            "--expires", type=Duration(), default=0, help="It reverts by itself after that, unless it is confirmed."
        ),
        click.option(
            "--expect", type=Expectation(), help="So many logins may be hit by each rule of it (per 1h): no brake."
        ),
        click.option("--author", default="", help="Who changes it. Default: the account that asks."),
        click.option("--reason", default="", help="Why; stands in the history and in the audit stream."),
    ):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]


def why_of(why: Why, event: str) -> Why:
    """With what it is that is done."""
    return replace(why, event=event)


@click.command()
@click.argument("file", type=click.Path())
@saying
@previewing
@click.option("--base", type=click.IntRange(0), help="Only if this is still the revision in force.")
@asking
def put(file: str, base: int | None, preview: Preview, why: Why, asked: Asked) -> None:
    """Put the entries of FILE (`-`: standard input) into force; the others stay as they are.

    They are checked first, with their examples, beside the other entries in Redis and the policy files of this
    machine. What is wrong is told as by `tidegate check`, and nothing is stored.

    Exit codes: 0 stored, or it is there already; 1 something is wrong with it, somebody else was faster, or it changes
    more verdicts than it may; 2 it could not be done, or not be told.
    """
    name, data = read_bytes(file)
    with session(asked) as opened:
        found = cut(name, data)
        if found.broken:
            refuse(found.problems, asked.as_json, opened.environment)
        stands = standing(opened)
        if base is not None and base != stands.number:
            raise UnableError(f"revision {stands.number} of {opened.environment} is in force, not {base}")
        now = time.time()
        before = stands.manifest(now)
        after = before.edited(found.named)
        change_to(opened, stands, after, why_of(why, "put"), asked, [found], preview)


def to_be_signed(opened: Session, stands: Standing, why: Why) -> bool:
    """Is the revision that stands unsigned, and somebody there to sign it?"""
    revision = stands.content.revision
    return revision is not None and not revision.signature and wants_key(opened.settings, why.key)


def change_to(
    opened: Session,
    stands: Standing,
    after: Manifest,
    why: Why,
    asked: Asked,
    cuts: list[Cut],
    preview: Preview = NO_PREVIEW,
) -> None:
    """Check `after`, have it previewed where that is wanted, and commit it on top of what stands, or tell why not."""
    now = time.time()
    before = stands.manifest(now)
    revision = stands.content.revision
    settled = not stands.unconfirmed(now) and not (revision and revision.expired(now))
    if before == after and settled and not to_be_signed(opened, stands, why):
        nothing_to_do(stands, opened.environment, asked.as_json)
        return
    must_have_key(opened.settings, why.key)
    must_not_be_behind(opened, stands)
    must_be_confirmed(stands, now)
    fresh = {sha: text for one in cuts for sha, text in one.texts.items()}
    checked = check(opened, before, after, {**stands.content.texts, **fresh}, cuts)
    if checked.broken:
        refuse(checked, asked.as_json, opened.environment)
    keep(preview, opened, stands, before, checked, asked)
    if stands.content.doubts:  # what somebody wrote by hand is stored under its true digests
        fresh = {**stands.content.texts, **fresh}
    edition = Edition(why, stands.head, before, after, fresh, revision.expect if revision else ())
    found = commit(opened, edition, time.time())
    if isinstance(found, Conflict):
        lost(found, edition, opened.environment, asked.as_json)
    else:
        finish(opened, found, edition, checked, asked.as_json)
