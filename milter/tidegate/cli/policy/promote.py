"""`tidegate policy promote`: what runs on test goes to production, the same bytes under the same digest.

Promises: the manifest of the new revision is that of the lower environment, and each of its entries was compared with
its digest; a gate that does not say yes keeps it from being stored, but with --break-glass and a reason, which is in
the record, in the audit stream, and an alert on the target's daemons until it is confirmed. Refuses: changing anything.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import click

from tidegate.cli.gates import Answer
from tidegate.cli.output import UnableError, emit, safe
from tidegate.cli.policy.committing import Edition, Why, commit, lost, nothing_to_do
from tidegate.cli.policy.preview import Preview, some_share
from tidegate.cli.policy.promotion import Passage, ask
from tidegate.cli.policy.put import saying, to_be_signed, why_of
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
from tidegate.cli.policy.signing import must_have_key
from tidegate.cli.policy.waiting import finish
from tidegate.cli.replay import ago
from tidegate.cli.words import named_environment
from tidegate.settings.keys import UnusableError, duration
from tidegate.store.revisions import Conflict


@dataclass(frozen=True, slots=True)
class Way:
    """Past what, and how far."""

    break_glass: bool
    dry_run: bool


def _soak(_context: click.Context, _parameter: click.Parameter, value: str) -> float:
    try:
        return duration(0.0, 30 * 86400.0)(value)
    except UnusableError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.option("--from", "lower", required=True, callback=named_environment, help="The environment where it runs.")
@click.option("--to", "upper", default="", callback=named_environment, help="Where it goes; default: the settings'.")
@click.option(
    "--from-config",
    type=click.Path(),
    default="",
    help="The settings for the Redis of --from, where it is another one or has another login.",
)
@click.option(
    "--soak", default="10m", show_default=True, callback=_soak, help="So long every daemon has to have run it."
)
@click.option("--max-change", callback=some_share, metavar="1%", help="So many verdicts may change. [default: 1%]")
@click.option("--mail", type=click.Path(exists=True, file_okay=False), help="Replay .eml files of this folder.")
@click.option("--since", default="", callback=ago, metavar="24h", help="Replay only the mail of this time.")
@click.option("--dry-run", is_flag=True, help="Ask the gates, store nothing.")
@click.option("--break-glass", is_flag=True, help="Past gates that say no; needs --reason, and is an alert.")
@saying
@asking
def promote(
    lower: str,
    upper: str,
    from_config: str,
    soak: float,
    max_change: float | None,
    mail: str | None,
    since: float,
    dry_run: bool,
    break_glass: bool,
    why: Why,
    asked: Asked,
) -> None:
    """Put what is in force in one environment into force in the next: the same manifest, by its digest.

    Gates, each of which has to say yes (no data is no): it is there for good; every daemon of --from has run exactly
    this revision for the time of --soak, with no entry skipped, stale or eased; it is valid over the policy files of
    this machine, and all examples are kept; the mail that this machine's daemon kept keeps its verdicts.

    Exit codes: 0 stored, or it is there already; 1 a gate said no, or somebody else was faster; 2 it could not be done.
    """
    if break_glass and not why.reason.strip():
        raise click.UsageError("--break-glass needs --reason TEXT: it goes on record")
    asked = replace(asked, environment=upper or asked.environment)
    preview = Preview(max_change=max_change, mail=mail or "", since=since)
    source_asked = Asked(from_config or asked.config, lower, asked.policies)
    with session(asked) as target, session(source_asked) as source:
        if not from_config and target.environment == lower:
            raise click.UsageError(f"--from and --to are both {lower}")
        passage = Passage(source, _source(source), target, standing(target), soak)
        _promote(passage, preview, why, asked, Way(break_glass, dry_run))


def _source(opened: Session) -> Standing:
    """What goes. Raises UnableError where there is nothing that can."""
    found = standing(opened)
    if found.content.revision is None:
        raise UnableError(f"{opened.environment} has no revision: there is nothing to promote")
    if found.content.doubts:
        raise UnableError(f"revision {found.number} of {opened.environment} is unreviewed: {found.content.doubts[0]}")
    return found


def _promote(passage: Passage, preview: Preview, why: Why, asked: Asked, way: Way) -> None:
    source, target, opened = passage.source, passage.target, passage.upper
    now = time.time()
    before, after = target.manifest(now), source.content.manifest
    revision = target.content.revision
    settled = revision is None or revision.expires is None
    if before == after and settled and not to_be_signed(opened, target, why):
        nothing_to_do(target, opened.environment, asked.as_json)
        return
    if not way.dry_run:
        must_have_key(opened.settings, why.key)
    must_not_be_behind(opened, target)
    must_be_confirmed(target, now)
    answers, checked = ask(passage, preview, asked)
    refused = tuple(one.gate for one in answers if not one.passed)
    if way.dry_run or (refused and not way.break_glass):
        _tell(passage, answers, (), asked)
        sys.exit(1 if refused else 0)
    edition = _edition(passage, why, refused)
    ended = commit(opened, edition, time.time())
    if isinstance(ended, Conflict):
        lost(ended, edition, opened.environment, asked.as_json)
        return
    if not asked.as_json:
        _tell(passage, answers, refused, asked)
    finish(opened, ended, edition, checked, asked.as_json, {"gates": [one.document() for one in answers]})


def _edition(passage: Passage, why: Why, forced: tuple[str, ...]) -> Edition:
    """The change. What was expected of rules goes along with their text."""
    source, target = passage.source.content, passage.target.content
    assert source.revision is not None
    expect = (*(target.revision.expect if target.revision else ()), *source.revision.expect)
    reason = why.reason or source.revision.reason
    more = {"from": f"{source.revision.environment}/{source.revision.number}"}
    more |= {"forced": ", ".join(forced)} if forced else {}
    said = replace(why_of(why, "promote"), reason=reason, forced=forced, more=more)
    before = passage.target.manifest(time.time())
    texts = {**target.texts, **source.texts} if target.doubts else dict(source.texts)
    return Edition(said, passage.target.head, before, source.manifest, texts, tuple(dict.fromkeys(expect)))


def _tell(passage: Passage, answers: Sequence[Answer], forced: Sequence[str], asked: Asked) -> None:
    """What each gate says."""
    source, opened = passage.source.content, passage.upper
    assert source.revision is not None
    digest = source.revision.manifest
    if asked.as_json:
        told: dict[str, Any] = {"environment": opened.environment, "from": passage.lower.environment}
        told |= {"from_revision": source.revision.number, "manifest": digest, "stored": False}
        emit({**told, "gates": [one.document() for one in answers]})
        return
    name = f"revision {source.revision.number} of {passage.lower.environment}"
    click.echo(safe(f"{name}, manifest {digest[:12]}, to {opened.environment}"))
    for one in answers:
        word = "ok" if one.passed else "passed by" if one.gate in forced else "NO"
        click.echo(safe(f"  {word:<10}{one.gate}: {one.text}"))
    if not forced and any(not one.passed for one in answers):
        click.echo("nothing was stored")
