"""`tidegate replay`: mail of the last days judged by what is in force and by a candidate, and where the two differ.

Also the function by which other commands ask the same: `compared` for two policies that they have at hand. Nothing is
judged here; replay/ does it, with the engine that judges real mail.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import click

from tidegate.cli.candidate import load_candidate, with_lists
from tidegate.cli.confined import Above, load
from tidegate.cli.lent import NO_POLICY, borrow
from tidegate.cli.output import UnableError, emit, errors, safe
from tidegate.cli.progress import Bar
from tidegate.cli.replayed import document, text
from tidegate.cli.site import POLICIES, Site, conventions, policy_options, site_if_there
from tidegate.image.replica import Replicas
from tidegate.model import Conventions, PolicySet
from tidegate.replay import Kept, Reading, UnavailableError, read_messages
from tidegate.replay.compare import Comparing, Comparison
from tidegate.replay.folder import Files, read_folder
from tidegate.replay.gate import Gate
from tidegate.settings.keys import UnusableError, duration
from tidegate.settings.values import STATE

IN_FORCE = "in-force"
_STEP = 64  # messages between two looks at the bar


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the messages come from: the store of a state directory, or (`mail`) a folder; `since` in POSIX seconds."""

    state: str = STATE
    mail: str = ""
    since: float = 0.0
    conventions: Conventions = field(default_factory=Conventions)


@dataclass(frozen=True, slots=True)
class Replayed:
    """What was found, and what of the sources could not be read."""

    found: Comparison
    read: Reading | Files


def compared(
    before: PolicySet, after: PolicySet, sources: Sources, examples: int = 3, *, limits: bool = False
) -> Replayed:
    """All messages of the sources judged by both. Raises UnableError where they can't be read at all.

    `limits`: simulate the counters of limits; otherwise none is exceeded.
    """
    read: Reading | Files
    messages: Iterator[Kept]
    if sources.mail:
        read = files = Files()
        messages = read_folder(sources.mail, sources.since, sources.conventions, files)
    else:
        read = reading = Reading()
        messages = read_messages(sources.state, sources.since, reading)
    comparing, bar = Comparing(before, after, examples, limits=limits), Bar("replaying")
    found = comparing.found
    try:
        for number, one in enumerate(messages):
            if number % _STEP == 0:
                bar.show(read.done, read.total, f"{found.messages} messages, {found.changed} change")
            comparing.take(one)
    except UnavailableError as error:
        raise UnableError(f"the replay store can't be read: {error}") from error
    except OSError as error:
        raise UnableError(f"{error.filename or sources.mail or sources.state}: {error.strerror}") from error
    finally:
        bar.clear()
    return Replayed(found, read)


def share(_context: click.Context, _parameter: click.Parameter, value: str) -> float:
    """`1%`, `0.5%`, `0` as a share from 0 to 1."""
    try:
        number = float(value.strip().removesuffix("%"))
    except ValueError:
        number = -1.0
    if not 0 <= number <= 100:
        raise click.BadParameter("write a percentage such as 1%")
    return number / 100


def ago(_context: click.Context, _parameter: click.Parameter, value: str) -> float:
    """`24h` as POSIX seconds; "" as 0."""
    if not value:
        return 0.0
    try:
        return time.time() - duration(1.0, 366 * 86400.0)(value)
    except UnusableError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.argument("candidate", metavar="[DIR|FILE]…", nargs=-1, type=click.Path(exists=True))
@click.option(
    "--against", default=IN_FORCE, show_default=True, metavar="in-force|DIR", help="What it is compared with."
)
@click.option("--mail", type=click.Path(exists=True, file_okay=False), help="A folder with .eml files.")
@click.option("--since", default="", callback=ago, metavar="24h", help="Only the mail of this time. [default: all]")
@click.option(
    "--max-change", default="1%", show_default=True, callback=share, help="Share of verdicts that may change."
)
@click.option("--min-judged", default="50%", show_default=True, callback=share, help="Share that has to be replayable.")
@click.option("--examples", type=click.IntRange(0, 100), default=3, show_default=True, help="Messages of each change.")
@click.option("--limits", is_flag=True, help="Simulate the counters of limits; else none is exceeded.")
@click.option("--unmask", is_flag=True, help="Show senders and logins as they are.")
@click.option("--state", type=click.Path(), default="", help="The state directory, instead of the settings'.")
@policy_options
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def replay(
    candidate: tuple[str, ...],
    against: str,
    mail: str | None,
    since: float,
    max_change: float,
    min_judged: float,
    examples: int,
    limits: bool,
    unmask: bool,
    state: str,
    config: str,
    default_realm: str | None,
    recipient_delimiter: str | None,
    as_json: bool,
) -> None:
    """Judge the mail of the last days once more, by what is in force and by a candidate, and show where they differ.

    The candidate is a policy directory, or files that are laid over the one of the settings; left out, that directory
    as it is now. The mail is what the daemon kept (the setting `replay`), or a folder of .eml files.

    Exit codes: 0 no more verdicts change than --max-change; 1 more do; 2 it can't be told, or there is no mail.
    """
    site = site_if_there(config)
    policies = site.settings.policies if site and site.settings else POLICIES
    known = conventions(site, default_realm, recipient_delimiter)
    home = state or (site.states[0] if site else STATE)
    above = above_of(site, home)
    before, replicas = _before(against, config, state, known, above)
    opened = load_candidate(candidate, policies, known, above)
    after, empty = with_lists(opened, replicas)
    done = compared(before, after, Sources(home, mail or "", since, known), examples, limits=limits)
    decision = Gate(max_change, min_judged).decide(done.found, done.read.lost)
    broken = errors(opened.problems)
    if as_json:
        emit(document(done.found, done.read, decision, unmask=unmask, policy_errors=broken))
    else:
        if broken:
            click.echo(f"tidegate: {broken} errors in the candidate: tidegate check names them", err=True)
        for name in empty:
            click.echo(
                safe(f"tidegate: the list {name} in Redis is taken as empty: there is no copy of it here"), err=True
            )
        click.echo("\n".join(map(safe, text(done.found, done.read, decision, unmask=unmask))))
        if not done.found.messages and not mail:
            click.echo(_why_none(site), err=True)
    sys.exit(decision.code)


def above_of(site: Site | None, state: str) -> Above | None:
    """What lies over policy files on this machine, where it has Redis."""
    if site is None or site.settings is None or not site.settings.redis:
        return None
    return Above(state, site.settings.environment, site.settings.trust)


def _before(
    against: str, config: str, state: str, known: Conventions, above: Above | None
) -> tuple[PolicySet, Replicas]:
    """What is compared with, and the copies of lists in Redis that it asks."""
    if against != IN_FORCE:
        return with_lists(load(against, known, above=above), {})[0], {}
    lent = borrow(config, state)
    if lent.generation is None:
        raise UnableError(f"nothing to compare with: {NO_POLICY}")
    return lent.generation, lent.replicas


def _why_none(site: Site | None) -> str:
    """Why the store is empty, as far as it can be told."""
    if site and site.settings and not site.settings.replay:
        return "tidegate: nothing is kept: the setting `replay` is off; write `replay: 72h`, or use --mail FOLDER"
    return "tidegate: nothing was kept yet"
