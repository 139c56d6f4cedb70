"""`tidegate apply DIR`: put a whole policy directory into use, known by the digest of its bytes, by one swap of a link.

The policy directory of the settings is a symbolic link to a release (loader/releases.py). Promises: what the gates have
seen is what is applied, byte for byte; each change is on record; going back needs nothing but the disk.
Refuses: a change past a gate, but with --break-glass and a reason, which is an alert as long as it is in use.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click

from tidegate.cli import gates
from tidegate.cli.applied import Outcome, document, history_text, text, wait_for
from tidegate.cli.candidate import with_lists
from tidegate.cli.confined import Above, Opened, load
from tidegate.cli.gates import Answer, Difference
from tidegate.cli.lent import NO_POLICY, borrow
from tidegate.cli.output import UnableError, emit, person, safe
from tidegate.cli.reach import NobodyError, find_daemon
from tidegate.cli.releasing import Deed, Releases, Staged
from tidegate.cli.replay import Sources, above_of, ago, share
from tidegate.cli.site import POLICIES, conventions, policy_options, site_if_there
from tidegate.loader.releases import Applied, Home, changed, home_of, read_applied
from tidegate.model import Conventions
from tidegate.replay.gate import Gate
from tidegate.settings.keys import UnusableError, duration
from tidegate.settings.values import STATE

_OPTION = click.option


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for. `max_change` None: no replay. `expires` in seconds, 0: it stays."""

    directory: str
    link: str
    config: str
    state: str
    known: Conventions
    above: Above | None = None  # what lies over the files from Redis, for the replay
    wanted: str = ""
    scenarios: tuple[str, ...] = ()
    max_change: float | None = None
    min_judged: float = 0.5
    since: float = 0.0
    mail: str = ""
    remove: bool = False
    expires: float = 0.0
    wait: bool = False
    now: bool = False
    adopt: bool = False
    dry_run: bool = False
    break_glass: bool = False
    reason: str = ""


def _lapse(_context: click.Context, _parameter: click.Parameter, value: str) -> float:
    try:
        return duration(60.0, 31 * 86400.0)(value) if value else 0.0
    except UnusableError as error:
        raise click.BadParameter(str(error)) from error


def _some(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    return None if value is None else share(context, parameter, value)


@click.command()
@click.argument("directory", metavar="[DIR]", required=False, type=click.Path())
@_OPTION(
    "--from", "wanted", default="", metavar="DIGEST", help="Only if DIR has this digest: the one that ran on test."
)
@_OPTION("--to", "link", type=click.Path(), help="The link, instead of the settings' policy directory.")
@_OPTION("--scenarios", multiple=True, type=click.Path(exists=True), help="Scenario files that have to pass.")
@_OPTION("--max-change", callback=_some, metavar="1%", help="Replay the last days' mail; no more verdicts may differ.")
@_OPTION("--min-judged", default="50%", show_default=True, callback=share, help="Share that has to be replayable.")
@_OPTION("--since", default="", callback=ago, metavar="24h", help="Replay only the mail of this time.")
@_OPTION(
    "--mail", type=click.Path(exists=True, file_okay=False), default=None, help="Replay .eml files of this folder."
)
@_OPTION("--remove", is_flag=True, help="More than half of the entries are meant to be gone.")
@_OPTION("--expires", default="", callback=_lapse, metavar="2h", help="Go back by itself then, unless --confirm came.")
@_OPTION("--confirm", is_flag=True, help="What is in use stays.")
@_OPTION("--rollback", is_flag=True, help="Go back to the release before, or to the one whose digest is given for DIR.")
@_OPTION("--history", is_flag=True, help="Who applied what, when and why.")
@_OPTION("--wait", is_flag=True, help="Until it is in force for all, after its canary.")
@_OPTION("--now", is_flag=True, help="Without a canary; needs --reason.")
@_OPTION("--adopt", is_flag=True, help="The policy directory is no link yet: make it one.")
@_OPTION("--dry-run", is_flag=True, help="Ask the gates, show the digest, change nothing.")
@_OPTION("--break-glass", is_flag=True, help="Past gates that say no; needs --reason, and is an alert.")
@_OPTION("--reason", default="", metavar="TEXT", help="For the record.")
@_OPTION("--state", type=click.Path(), default="", help="The daemon's state directory, instead of the settings'.")
@policy_options
@_OPTION("--json", "as_json", is_flag=True, help="As JSON.")
def apply(config: str, default_realm: str | None, recipient_delimiter: str | None, as_json: bool, **given: Any) -> None:
    """Put a whole policy directory into use, as one release that is known by the digest of its bytes.

    DIR is copied, the gates look at the copy (check, examples, what is gone; scenarios and replay where they are
    asked for), then the policy directory, which is a symbolic link, points to it, and the daemon loads it.

    Exit codes: 0 done; 1 a gate said no, or it did not come into force; 2 it could not be done.
    """
    site = site_if_there(config)
    link = given.pop("link") or (site.settings.policies if site and site.settings else POLICIES)
    modes = [name for name in ("confirm", "rollback", "history") if given.pop(name)]
    _usage(modes, given)
    given |= {"directory": given["directory"] or "", "mail": given["mail"] or ""}
    given["state"] = given["state"] or (site.states[0] if site else STATE)
    known = conventions(site, default_realm, recipient_delimiter)
    above = above_of(site, given["state"])
    order = Order(link=os.path.normpath(link), config=config, known=known, above=above, **given)
    try:
        code = _MODES["".join(modes)](order, as_json)
    except OSError as error:
        raise UnableError(f"{error.filename or order.link}: {error.strerror}") from error
    sys.exit(code)


def _usage(modes: list[str], given: dict[str, Any]) -> None:
    if len(modes) > 1:
        raise click.UsageError(f"one of --{' and --'.join(modes)}")
    if not modes and not given["directory"]:
        raise click.UsageError("which directory?")
    if (given["break_glass"] or given["now"]) and not given["reason"].strip():
        raise click.UsageError("--break-glass and --now need --reason TEXT: it goes on record")


def _apply(order: Order, as_json: bool) -> int:
    if not os.path.isdir(order.directory):
        raise UnableError(f"{order.directory} is no directory")
    releases, now = Releases(order.link), time.time()
    home = _home(order, now)
    with _held(releases, order) as folder:
        home = _home(order, now)  # once more: until now somebody else could change it
        staged = releases.stage(order.directory, folder)
        try:
            outcome = _through(order, releases, staged, home, now)
        finally:
            releases.drop(staged)
        if outcome.applied:
            releases.prune(now)
    code = 0 if outcome.applied or all(one.passed for one in outcome.answers) else 1
    if outcome.applied:
        code, said = _tell(order, outcome.digest)
        outcome = replace(outcome, daemon=said)
    _show(outcome, as_json)
    return code


def _show(outcome: Outcome, as_json: bool) -> None:
    if as_json:
        emit(document(outcome))
    else:
        click.echo("\n".join(map(safe, text(outcome))))


def _home(order: Order, now: float) -> Home:
    """What is in use. Raises UnableError where it can't be replaced by a link."""
    link = order.link
    if os.path.islink(link) or not os.path.lexists(link):
        home = home_of(link, now) if os.path.islink(link) else Home("")
    elif not os.path.isdir(link):
        raise UnableError(f"{link} is no directory")
    elif order.adopt or order.dry_run:
        home = Home(link)
    else:
        raise UnableError(f"{link} is a directory and no link to a release; --adopt makes its content the first one")
    if order.expires and not home.digest and not order.adopt:
        raise UnableError("--expires needs a release to go back to, and none is in use")
    return home


@contextmanager
def _held(releases: Releases, order: Order) -> Iterator[Path]:
    """Where to stage: among the releases, alone; elsewhere where nothing is changed."""
    if order.dry_run:
        with tempfile.TemporaryDirectory(prefix="tidegate-") as aside:
            yield Path(aside)
    else:
        with releases.held():
            yield releases.folder


def _through(order: Order, releases: Releases, staged: Staged, home: Home, now: float) -> Outcome:
    """Ask the gates, and apply what they let through."""
    answers, difference = _ask(order, staged, home)
    refused = tuple(one.gate for one in answers if not one.passed)
    outcome = Outcome(order.link, staged.digest, home.digest, staged.files, tuple(answers), difference, applied=False)
    if order.dry_run or (refused and not order.break_glass):
        return outcome
    previous = _adopted(order, releases) if home.path == order.link else _left(order, staged.digest, home)
    until = now + order.expires if order.expires else 0.0
    if previous == staged.digest:
        previous = ""  # the directory that was adopted held the same
    if until and not previous:
        raise UnableError(f"--expires needs a release to go back to, and {staged.digest[:12]} is the only one so far")
    releases.settle(staged)
    deed = Deed(now, person(), "apply", staged.digest, previous, order.reason, until, refused)
    _use(order, releases, deed, adopt=home.path == order.link)
    return replace(outcome, previous=previous, applied=True, until=until, forced=refused)


def _left(order: Order, digest: str, home: Home) -> str:
    """The release that is left for this one; where it is in use already, the one before it stays the way back."""
    if digest != home.digest:
        return home.digest
    again = _record(order, digest)
    return again.previous if again else ""


def _record(order: Order, digest: str) -> Applied | None:
    """What was written when a release was applied; None where nothing was, or it can't be read any more."""
    try:
        return read_applied(order.link, digest)
    except ValueError:
        return None


def _ask(order: Order, staged: Staged, home: Home) -> tuple[list[Answer], Difference]:
    answers = [gates.same_digest(staged.digest, order.wanted)] if order.wanted else []
    try:
        opened = load(staged.path, order.known)
    except UnableError as error:
        return [*answers, Answer("check", False, error.message)], Difference()
    answers += gates.checked(opened)
    difference = Difference()
    if home.path and os.path.isdir(home.path):
        try:
            difference = gates.difference(home.path, opened, order.known)
        except UnableError as error:
            answers.append(Answer("removals", False, f"what is in use can't be read: {error.message}"))
        else:
            answers.append(gates.removals(difference, order.remove))
    if order.scenarios:
        answers.append(gates.scenarios(order.scenarios, staged.path, order.known))
    if order.max_change is not None:
        try:
            answers.append(_replayed(order, staged, opened, order.max_change))
        except UnableError as error:
            answers.append(Answer("replay", False, error.message))
    return answers, difference


def _replayed(order: Order, staged: Staged, opened: Opened, max_change: float) -> Answer:
    """The gate of replay: against what is in force, with what lies over the files from Redis. Raises UnableError."""
    lent = borrow(order.config, order.state)
    if lent.generation is None:
        raise UnableError(NO_POLICY)
    if order.above is not None:
        opened = load(staged.path, order.known, above=order.above)
    after = with_lists(opened, lent.replicas)[0]
    sources = Sources(order.state, order.mail, order.since, order.known)
    return gates.replayed(lent.generation, after, sources, Gate(max_change, order.min_judged))


def _adopted(order: Order, releases: Releases) -> str:
    """The content of a directory that is no link yet, as a release; its digest."""
    staged = releases.stage(order.link, releases.folder, ".first")
    try:
        releases.settle(staged)
    finally:
        releases.drop(staged)
    return staged.digest


def _use(order: Order, releases: Releases, deed: Deed, *, adopt: bool) -> None:
    aside = f"{order.link}.before-apply"
    if adopt:
        os.rename(order.link, aside)
    try:
        releases.use(deed)
    except OSError:
        if adopt:
            os.rename(aside, order.link)
        raise


def _tell(order: Order, digest: str) -> tuple[int, str]:
    """Have the daemon load it: exit code, and what to say."""
    try:
        daemon = find_daemon(order.config, order.state)
        loads = int(daemon.status(brief=True)["load"]["count"])
        daemon.ask({"do": "reload", "now": order.now, "reason": order.reason if order.now else ""})
        return 0, wait_for(daemon, digest, loads) if order.wait else "the daemon loads it"
    except NobodyError as error:
        if order.wait:
            return 2, f"nobody has it in force: {error.message}"
        return 0, "no daemon answers; it reads this when it starts"
    except UnableError as error:
        return 1 if order.wait else 0, error.message


def _confirm(order: Order, as_json: bool) -> int:
    releases, now = Releases(order.link), time.time()
    with releases.held():
        home = home_of(order.link, now)
        if home.lapsed is not None:
            raise UnableError(f"release {home.lapsed.digest[:12]} has lapsed already: apply it again")
        applied = home.applied
        if applied is None:
            raise UnableError(f"{order.link} is no release that was applied")
        if applied.until:
            deed = Deed(now, person(), "confirm", applied.digest, applied.previous, order.reason)
            releases.confirm(replace(applied, until=0.0), deed)
    said = f"release {applied.digest[:12]} stays" + ("" if applied.until else ", as it did")
    if as_json:
        emit({"digest": applied.digest, "confirmed": bool(applied.until)})
    else:
        click.echo(said)
    return 0


def _rollback(order: Order, as_json: bool) -> int:
    releases, now = Releases(order.link), time.time()
    with releases.held():
        home = home_of(order.link, now)
        digest = releases.named(order.directory) if order.directory else _before(home)
        wrong = changed(str(releases.folder / digest))
        if wrong and not order.break_glass:
            raise UnableError(f"release {digest[:12]} is not as it was applied: {', '.join(wrong[:3])}")
        earlier = _record(order, digest)
        forced = (*(earlier.forced if earlier else ()), *(("intact",) if wrong else ()))
        previous = home.lapsed.digest if home.lapsed else home.digest
        releases.use(Deed(now, person(), "rollback", digest, previous, order.reason, 0.0, forced))
    code, said = _tell(order, digest)
    _show(Outcome(order.link, digest, previous, 0, (), Difference(), True, 0.0, forced, said), as_json)
    return code


def _before(home: Home) -> str:
    if home.lapsed is not None:
        return home.digest  # it serves already; the link follows
    if home.applied is None or not home.applied.previous:
        raise UnableError("there is no release before this one: give a digest of tidegate apply --history")
    return home.applied.previous


def _history(order: Order, as_json: bool) -> int:
    deeds = Releases(order.link).history()
    if as_json:
        emit({"history": [asdict(one) for one in deeds]})
    else:
        click.echo("\n".join(map(safe, history_text(deeds, time.time()))))
    return 0


_MODES = {"": _apply, "confirm": _confirm, "rollback": _rollback, "history": _history}
