"""A checked change becomes a revision: its record, the commit, and what is said of it.

Promises: nothing is stored that was not checked; a put of what is already there is no revision; who lost a race is told
who was faster, when and why, and nothing of his is stored. Refuses: checking (candidate.py).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from tidegate.cli.nodes import too_old
from tidegate.cli.output import UnableError, emit, safe, show
from tidegate.cli.policy.candidate import Checked
from tidegate.cli.policy.session import Session, Standing, author, host, one_line
from tidegate.cli.policy.signing import NO_KEY, KeyFile, signed
from tidegate.cli.statustext import age, moment
from tidegate.loader.report import problem_document
from tidegate.model import EntryKind
from tidegate.revisions import Change, Changes, Expected, Manifest, Revision, compare
from tidegate.revisions.revision import NAME_LIMIT, REASON_LIMIT, expected_of
from tidegate.store.nodes import heard
from tidegate.store.revisions import Conflict, Head

_NAMED = 40  # changed entries that the audit stream names
_SHOWN = 100  # and that are shown


@dataclass(frozen=True, slots=True)
class Why:
    """What whoever changes something says with it. `expires` in seconds from now; 0: it stays."""

    event: str
    reason: str = ""
    author: str = ""
    expires: int = 0
    urgent: str = ""
    logins: int = 0  # what the changed rules may hit in `per` seconds; 0: nothing is said
    per: int = 3600
    wait: int = 0  # seconds for which every live daemon is waited for
    key: KeyFile = NO_KEY  # who signs it
    forced: tuple[str, ...] = ()  # gates that said no
    more: Mapping[str, str] = field(default_factory=dict)  # for the audit stream


@dataclass(frozen=True, slots=True)
class Edition:
    """One change on its way."""

    why: Why
    onto: Head
    before: Manifest
    after: Manifest
    texts: Mapping[str, str] = field(default_factory=dict)  # those that Redis may not have
    expect: Sequence[Expected] = ()  # what was expected of entries before
    lost: Sequence[Revision] = ()  # what this machine has fetched, where Redis does not have it any more
    above: int = 0  # its number is greater than this


def commit(opened: Session, change: Edition, now: float) -> Revision | Conflict:
    """Store it, and move the head. Raises StoreError, and UnableError where a daemon is too old to read it, or it can't
    be signed."""
    old = too_old(heard(opened.revisions.link), change.texts)
    if old:
        raise UnableError(f"{old}; nothing was stored")
    revision = signed(opened.settings, change.why.key, record(opened, change, now))
    manifests = [change.after, *([change.before] if revision.fallback else [])]
    changes = compare(change.before, change.after)
    what = {"event": change.why.event, "changes": _summary(changes), **change.why.more}
    found = opened.revisions.commit(revision, manifests, change.texts, change.onto, what, change.lost)
    return found if isinstance(found, Conflict) else found.revision


def record(opened: Session, change: Edition, now: float) -> Revision:
    """The revision's record. Raises UnableError for words that are too long."""
    why, onto = change.why, change.onto
    parent = onto.revision.number if onto.revision else _number(onto)
    for text, limit, what in (
        (why.reason, REASON_LIMIT, "reason"),
        (why.urgent, REASON_LIMIT, "reason"),
        (why.author, NAME_LIMIT, "author"),
    ):
        if len(text) > limit:
            raise UnableError(f"the {what} is longer than {limit} characters")
    return Revision(
        number=max(parent, change.above, *(one.number for one in change.lost)) + 1,
        parent=parent,
        manifest=change.after.digest(),
        environment=opened.environment,
        author=one_line(why.author) or author(),
        reason=one_line(why.reason),
        at=int(now),
        host=host(),
        expires=int(now) + why.expires if why.expires else None,
        fallback=change.before.digest() if why.expires else "",
        urgent=one_line(why.urgent),
        expect=_expectations(change),
        forced=why.forced,
    )


def _number(onto: Head) -> int:
    """Of a head that somebody wrote by hand: numbers go on from it."""
    return int(onto.number) if onto.number.isdigit() and len(onto.number) < 12 else 0


def _expectations(change: Edition) -> tuple[Expected, ...]:
    """What was expected goes on as long as the entry has that text; of the changed rules what is expected now."""
    kept = [
        one
        for named in change.after.entries
        if (one := expected_of(named.key, named.sha, tuple(change.expect))) is not None
    ]
    if not change.why.logins:
        return tuple(kept)
    changed = {one.key: one.after for one in compare(change.before, change.after) if one.after}
    rules = {key.id: sha for key, sha in changed.items() if key.kind is EntryKind.RULE}
    fresh = [Expected(rule, sha, change.why.logins, change.why.per) for rule, sha in rules.items()]
    return (*(one for one in kept if one.rule not in rules), *fresh)


def _summary(changes: Sequence[Changes]) -> str:
    words = [f"{one.change.value} {one.key}" for one in changes[:_NAMED]]
    more = len(changes) - _NAMED
    return ", ".join(words) + (f", and {more} more" if more > 0 else "")


# What is said.


def refuse(problems: Checked | Sequence[Any], as_json: bool, environment: str) -> None:
    """Tell what is wrong with a change, as `tidegate check` does, and leave with 1."""
    found = problems.problems if isinstance(problems, Checked) else tuple(problems)
    if as_json:
        emit({"environment": environment, "stored": False, "problems": [problem_document(one) for one in found]})
    else:
        show(found)
        click.echo("nothing was stored")
    sys.exit(1)


def lost(conflict: Conflict, change: Edition, environment: str, as_json: bool) -> None:
    """Tell who was faster, and leave with 1."""
    head = conflict.head
    mine = change.onto.revision.number if change.onto.revision else 0
    if head.revision is None:
        text = f"somebody changed the head of {environment} by hand meanwhile"
        winner: dict[str, Any] = {}
    else:
        other = head.revision
        ago = age(time.time() - other.at)
        why = f": {other.reason}" if other.reason else ""
        text = f"revision {other.number} of {environment} came in between, by {other.author} on {other.host}"
        text += f" {ago} ago{why}"
        winner = {"number": other.number, "author": other.author, "host": other.host, "at": other.at}
        winner["reason"] = other.reason
    cure = (
        f"look at it with tidegate policy diff {mine} {winner['number']} and do yours again"
        if winner
        else "see tidegate policy list"
    )
    if as_json:
        emit({"environment": environment, "stored": False, "conflict": winner, "base": mine})
    else:
        click.echo(safe(f"conflict: {text}; nothing of yours was stored; {cure}"), err=True)
    sys.exit(1)


def nothing_to_do(stands: Standing, environment: str, as_json: bool) -> None:
    """It is there already."""
    if as_json:
        emit({"environment": environment, "stored": False, "revision": stands.number, "changes": [], "problems": []})
    else:
        click.echo(f"nothing to do: revision {stands.number} of {environment} says the same")


def done(revision: Revision, change: Edition, checked: Checked | None, as_json: bool) -> None:
    """Tell what was stored, and what it overrides."""
    changes = compare(change.before, change.after)
    if as_json:
        emit(document(revision, changes, checked))
        return
    if checked is not None:
        show(checked.problems)
    for one in changes[:_SHOWN]:
        where = checked.overrides(one.key) if checked else ""
        click.echo(safe(f"  {one.change.value:<9} {one.key}{f', over {where}' if where else ''}"))
    if len(changes) > _SHOWN:
        click.echo(f"  … and {len(changes) - _SHOWN} more")
    click.echo(safe(_headline(revision, changes)))


def _headline(revision: Revision, changes: Sequence[Changes]) -> str:
    counts = [(change, sum(one.change is change for one in changes)) for change in Change]
    words = ", ".join(f"{count} {change.value}" for change, count in counts if count) or "nothing changed"
    line = f"revision {revision.number} of {revision.environment}: {words}"
    if revision.expires:
        line += f"; it reverts by itself at {moment(revision.expires)} unless tidegate policy confirm is said before"
    if revision.urgent:
        line += "; in force at once, without a canary"
    if revision.forced:
        line += f"; past its gates ({', '.join(revision.forced)}), which is an alert until it is confirmed"
    return line


def document(revision: Revision, changes: Sequence[Changes], checked: Checked | None) -> dict[str, Any]:
    """The same as JSON."""
    return {
        **revision_document(revision),
        "stored": True,
        "changes": [
            {
                "key": str(one.key),
                "change": one.change.value,
                "before": one.before,
                "after": one.after,
                "overrides": checked.overrides(one.key) if checked else "",
            }
            for one in changes
        ],
        "problems": [problem_document(one) for one in (checked.problems if checked else ())],
    }


def revision_document(revision: Revision) -> dict[str, Any]:
    """A record as `--json` has it, in all commands."""
    return {
        "environment": revision.environment,
        "revision": revision.number,
        "parent": revision.parent,
        "manifest": revision.manifest,
        "author": revision.author,
        "reason": revision.reason,
        "at": revision.at,
        "host": revision.host,
        "expires": revision.expires,
        "urgent": revision.urgent,
        "expect": [{"rule": one.rule, "logins": one.logins, "per": one.per} for one in revision.expect],
        "forced": list(revision.forced),
        "key": revision.key,
    }
