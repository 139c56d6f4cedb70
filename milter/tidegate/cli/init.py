"""`tidegate init`: a site's first policy, from what Postfix says and from a few answers; every rule in shadow.

Promises: writes only files that are not there yet, all of them or none, and none that the daemon's own reader finds
fault with. Refuses to guess whose domains are ours where Postfix does not say it and nobody does.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import click

from tidegate.cli.confined import load
from tidegate.cli.output import UnableError, emit, errors, safe, show
from tidegate.cli.site import CONFIG, POLICIES, site_if_there
from tidegate.model import Conventions
from tidegate.postfix import UnreadableError, read_instance
from tidegate.postfix.site import PostfixSite, site_of
from tidegate.postfix.tables import pairs_in
from tidegate.starting import Answers, Defects, Turned, answers_from, files_of, turned

_COUNT = click.IntRange(1, 10**6)
_NEXT = """\
Every rule is in shadow: nothing changes for anybody yet.
  tidegate check             names what is wrong
  tidegate shadow-report     says, after a day, what the rules would have done
  tidegate postfix enable    puts Tidegate in front of Postfix, if it is not there yet"""


@click.command(name="init")
@click.option("--own-domain", "domains", multiple=True, help="A domain of ours; may be given several times.")
@click.option("--relay-network", "networks", multiple=True, help="A network that may send without a login.")
@click.option(
    "--logins",
    default="postfix",
    show_default=True,
    help="Who may use which address: `postfix` (its smtpd_sender_login_maps), a file of that form, or `off`.",
)
@click.option(
    "--per-hour", type=click.IntRange(1, 10**6), default=300, show_default=True, help="Recipients of a login."
)
@click.option(
    "--per-day", type=click.IntRange(1, 10**6), default=2000, show_default=True, help="Recipients of a login."
)
@click.option("--visible", type=_COUNT, default=50, show_default=True, help="Outside addresses in To and Cc.")
@click.option("--postfix", "directory", type=click.Path(), default="", help="One configuration directory of Postfix.")
@click.option("--policies", type=click.Path(), default="", help="Where to write, instead of the settings' directory.")
@click.option(
    "--config", type=click.Path(), default=CONFIG, show_default=True, help="The settings file, if there is one."
)
@click.option("--dry-run", is_flag=True, help="Show the files, and write none.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def init(
    domains: tuple[str, ...],
    networks: tuple[str, ...],
    logins: str,
    per_hour: int,
    per_day: int,
    visible: int,
    directory: str,
    policies: str,
    config: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Write a starting policy: who we are, accounts, limits, visible recipients. Every rule is in shadow.

    What Postfix says of the site is proposed; on a terminal it is asked about, elsewhere it is taken. Files that are
    there already are never written over.

    Exit codes: 0 written; 2 it could not be done.
    """
    known, remarks = _postfix(directory)
    asks = sys.stdin.isatty() and not domains and not as_json
    domains = domains or (_asked("Your domains", known.domains) if asks else known.domains)
    networks = networks or (_asked("Networks that send without a login", known.networks) if asks else known.networks)
    grants = _grants(logins, known, domains)
    if grants.wider:
        remarks += (
            f"{grants.wider} addresses belong to one login in Postfix's map, and to the domain of another: here both "
            "may use them",
        )
    answers = answers_from(domains, networks, grants.grants, per_hour, per_day, visible)
    if isinstance(answers, Defects):
        raise UnableError("; ".join(answers.texts) + ". Try --own-domain example.com")
    target = _target(policies, config)
    files = files_of(answers)
    _prove(files)
    if not dry_run:
        _write(target, files)
    _tell(target, files, answers, remarks, dry_run, as_json)


def _postfix(directory: str) -> tuple[PostfixSite, tuple[str, ...]]:
    """What Postfix says, and what it can't say: it may run on another machine."""
    try:
        found = site_of(read_instance(directory))
    except UnreadableError as error:
        if directory:
            raise UnableError(f"Postfix's configuration can't be read: {error}") from error
        return PostfixSite(), (f"Postfix was not asked: {error}",)
    return found, found.unread


def _asked(question: str, proposal: tuple[str, ...]) -> tuple[str, ...]:
    shown = ", ".join(proposal)
    answer = click.prompt(f"{question} (separated by commas, - for none)", default=shown or "-", err=True)
    return () if answer.strip() == "-" else tuple(one.strip() for one in answer.split(",") if one.strip())


def _grants(source: str, known: PostfixSite, domains: tuple[str, ...]) -> Turned:
    if source == "off":
        return Turned()
    if source == "postfix":
        return turned(known.owners, domains)
    try:
        text = Path(source).read_text("utf-8", "surrogateescape")
    except (OSError, ValueError) as error:
        raise UnableError(f"--logins {source}: {error}") from error
    found = turned(pairs_in(text), domains)
    if not found.grants:
        raise UnableError(f"--logins {source}: it holds no address with its login, `sales@example.com alice`")
    return found


def _target(policies: str, config: str) -> str:
    if policies:
        return policies
    site = site_if_there(config)
    return site.settings.policies if site and site.settings else POLICIES


def _prove(files: Mapping[str, str]) -> None:
    """The daemon's own reader has to find no fault with them; an answer that breaks them is told with its place."""
    with tempfile.TemporaryDirectory(prefix="tidegate-") as aside:
        _put(Path(aside), files)
        opened = load(aside, Conventions())
    if errors(opened.problems):
        show(opened.problems)
        raise UnableError("the answers can't be written as a policy; nothing was written")


def _write(target: str, files: Mapping[str, str]) -> None:
    folder = Path(target)
    there = [name for name in files if os.path.lexists(folder / name)]
    if there:
        raise UnableError(f"{', '.join(str(folder / one) for one in there)}: there already, and never written over")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".tidegate-init-", dir=folder))
        try:
            _put(aside, files)
            # Lists first: a policy file that names one that is not there yet would be a problem for a moment.
            for name in sorted(files, key=lambda one: not one.startswith("lists/")):
                (folder / name).parent.mkdir(exist_ok=True)
                os.link(aside / name, folder / name)  # fails where somebody else has put one there meanwhile
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise UnableError(f"{target}: {error.strerror or error}") from error


def _put(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8", "surrogateescape")


def _tell(
    target: str, files: Mapping[str, str], answers: Answers, remarks: tuple[str, ...], dry_run: bool, as_json: bool
) -> None:
    if as_json:
        emit(
            {
                "policies": target,
                "written": not dry_run,
                "files": dict(files),
                "own_domains": answers.own_domains,
                "relay_networks": answers.relay_networks,
                "logins": len(answers.grants),
                "remarks": remarks,
            }
        )
        return
    for one in remarks:
        click.echo(f"tidegate: {safe(one)}", err=True)
    if dry_run:
        for name, text in files.items():
            click.echo(f"# {os.path.join(target, name)}\n{text}")
        return
    for name in files:
        click.echo(f"written {os.path.join(target, name)}")
    click.echo(_NEXT)
