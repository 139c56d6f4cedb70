"""`tidegate postfix`: put us in front of Postfix's services, take us out again, and name what goes past us.

Promises: nothing is changed without being shown; a change after which a service gives no banner any more is taken back
at once; `disable` leaves the files as they were.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar

import click

from tidegate.cli.output import UnableError, emit, safe, show
from tidegate.cli.reach import Daemon, find_daemon
from tidegate.cli.reconcile import reconcile
from tidegate.cli.site import CONFIG, find_site
from tidegate.cli.testmail import Judged, mail_of, send_through
from tidegate.loader.report import problem_document
from tidegate.model import Problem, Severity
from tidegate.postfix import Instance, MalformedError, Ourselves, Service, UnreadableError, findings, instances
from tidegate.postfix import kept as record
from tidegate.postfix.change import Change, RefusedError, disabled, enabled, entry_of, put
from tidegate.postfix.checks import ours
from tidegate.postfix.endpoint import nobody, obstacle
from tidegate.postfix.instance import read_instance, run
from tidegate.postfix.lists import parse_list
from tidegate.postfix.probe import Probe, probe
from tidegate.postfix.relays import for_programs, relays
from tidegate.settings import Settings

_PATIENCE = 10.0  # seconds for a banner
_FAILURES = (UnreadableError, RefusedError, MalformedError)
Command = TypeVar("Command", bound=Callable[..., Any])


@click.group()
def postfix() -> None:
    """Put Tidegate in front of Postfix, take it out again, and name what goes past it."""


postfix.add_command(reconcile)


def _options(command: Command) -> Command:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="As JSON."),
        click.option("--postfix", "directory", type=click.Path(), default="", help="One configuration directory."),
        click.option("--config", type=click.Path(), default=CONFIG, show_default=True, help="Our settings file."),
    ):
        command = option(command)
    return command


def _change_options(command: Command) -> Command:
    return click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")(command)


def _settings(config: str) -> Settings:
    site = find_site(config)
    if site.settings is None:
        reasons = "; ".join(problem.message for problem in site.problems)
        raise UnableError(f"{config} can't be used: {reasons}")
    return site.settings


def _instances(directory: str) -> tuple[Instance, ...]:
    try:
        return instances(directory)
    except UnreadableError as error:
        raise UnableError(f"Postfix's configuration can't be read: {error}") from error


def ourselves(settings: Settings, instance: Instance) -> Ourselves:
    """What the checks have to know of us, and of the way from this Postfix to our socket."""
    path = settings.listen.path
    trouble = obstacle(path, instance.values.get("mail_owner", "postfix")) if path else ""
    return Ourselves(settings.listen, settings.deadline, trouble)


@postfix.command()
@_options
def status(config: str, directory: str, as_json: bool) -> None:
    """Every smtpd service: for whom it relays, and whether it asks us.

    Exit codes: 0 all that relay ask us; 1 one does not; 2 Postfix can't be read.
    """
    settings = _settings(config)
    rows = []
    for instance in _instances(directory):
        us = ourselves(settings, instance)
        rows += [(instance, *_row(instance, one, us)) for one in instance.services if one.command == "smtpd"]
    unjudged = any(whom and not asks for _, _, whom, asks, _ in rows)
    if as_json:
        emit(
            {
                "services": [
                    {"instance": i.directory, "service": s.key, "relays_for": whom, "asks_us": asks, "milters": text}
                    for i, s, whom, asks, text in rows
                ]
            }
        )
    else:
        for instance, service, whom, asks, text in rows:
            says = "asks us" if asks else "DOES NOT ASK US" if whom else "does not ask us"
            about = f"relays for {whom}" if whom else "takes mail in"
            click.echo(safe(f"{instance.directory}  {service.key:24} {says:16} {about}; smtpd_milters = {text}"))
    sys.exit(1 if unjudged else 0)


def _row(instance: Instance, service: Service, us: Ourselves) -> tuple[Service, str, bool, str]:
    text = instance.value(service, "smtpd_milters")
    try:
        asks = bool(ours(instance, service, parse_list(text), us))
    except MalformedError:
        asks = False
    return service, relays(instance, service), asks, text


@postfix.command()
@_options
@click.option("--no-live", is_flag=True, help="Only read the configuration; connect to nothing.")
@click.option("--send", "recipient", default="", help="Send a test message to this address, too.")
@click.option("--sender", default="", help="Its sender, instead of the same address.")
@click.option("--login", default="", help="Log in for it: submission wants that.")
@click.option("--password-file", type=click.Path(), default="", help="Whose first line is that login's password.")
def check(
    config: str,
    directory: str,
    as_json: bool,
    no_live: bool,
    recipient: str,
    sender: str,
    login: str,
    password_file: str,
) -> None:
    """Name every way by which mail goes past us, or is refused for our faults; then try each service.

    With --send a test message goes through each service that asks us, and our decision on it is looked up.

    Exit codes: 0 nothing, or notices only; 1 findings; 2 Postfix can't be read.
    """
    settings = _settings(config)
    mail = mail_of(sender, recipient, login, password_file) if recipient else None
    found: list[Problem] = []
    probes: list[Probe] = []
    tests: list[Judged] = []
    for instance in _instances(directory):
        us = ourselves(settings, instance)
        found += findings(instance, us)
        if not no_live:
            asking = [one for one in instance.services if one.kind == "inet" and _row(instance, one, us)[2]]
            probes += _try(instance, asking, config)
            tests += send_through(instance, asking, mail, config) if mail is not None else []
    if as_json:
        emit(
            {
                "findings": [problem_document(one) for one in found],
                "services": [asdict(one) for one in probes],
                "messages": [one.document() for one in tests],
            }
        )
    else:
        show(found)
        for one in probes:
            click.echo(safe(_told(one)))
        for test in tests:
            click.echo(safe(test.text))
        if not found:
            click.echo("nothing was found")
    bad = any(one.severity > Severity.NOTICE for one in found) or any(one.unjudged or one.sent.trouble for one in tests)
    sys.exit(1 if bad or any(one.trouble or one.seen is False for one in probes) else 0)


def _told(one: Probe) -> str:
    if one.trouble:
        return f"{one.service} at {one.address}: {one.trouble}"
    seen = {True: "and the daemon got its session", False: "BUT THE DAEMON GOT NO SESSION", None: "no daemon was asked"}
    return f"{one.service} at {one.address}: answers, {seen[one.seen]}"


def _try(instance: Instance, services: list[Service], config: str) -> list[Probe]:
    try:
        daemon: Daemon | None = find_daemon(config, "")
    except UnableError:
        daemon = None

    def connections() -> int | None:
        if daemon is None:
            return None
        try:
            return int(daemon.status(brief=True)["totals"]["connections"])
        except (UnableError, KeyError):
            return None

    return [probe(instance, one, _PATIENCE, connections) for one in services]


@postfix.command()
@_options
def snippet(config: str, directory: str, as_json: bool) -> None:
    """Print the lines for main.cf and master.cf, with this site's socket."""
    settings = _settings(config)
    for instance in _instances(directory):
        entry = entry_of(instance, ourselves(settings, instance))
        if as_json:
            emit(
                {
                    "instance": instance.directory,
                    "main.cf": f"tidegate = {entry}",
                    "master.cf": "-o smtpd_milters=$tidegate",
                }
            )
        else:
            click.echo(f"# {instance.directory}/main.cf\ntidegate = {entry}\n")
            click.echo(
                f"# {instance.directory}/master.cf, below each smtpd that relays out\n  -o smtpd_milters=$tidegate\n"
                "  # or, with others behind us\n  -o { smtpd_milters = $tidegate, inet:127.0.0.1:8891 }"
            )


@postfix.command()
@_options
@_change_options
@click.option("--service", "names", multiple=True, help="This one, e.g. submission/inet; may be repeated.")
@click.option("--local", is_flag=True, help="What sendmail(1) submits as well.")
def enable(config: str, directory: str, as_json: bool, dry_run: bool, names: tuple[str, ...], local: bool) -> None:
    """Put us first in the milter list of every service that relays out.

    Those are the services with logins, or that relay for other networks. The change is shown; Postfix is reloaded; a
    service that gives no banner afterwards brings the old files back.

    Exit codes: 0 done, or there was nothing to do; 2 it was not done.
    """
    settings = _settings(config)
    for instance in _instances(directory):
        us = ourselves(settings, instance)
        chosen = _chosen(instance, names)
        try:
            change = enabled(instance, us, chosen, local=local)
        except (*_FAILURES, OSError) as error:
            raise UnableError(f"{instance.directory}: {error}; nothing was changed") from error
        _say(change, as_json, dry_run)
        if dry_run or change.empty:
            continue
        trouble = us.obstacle or nobody(us.listen)
        if trouble:
            raise UnableError(f"{trouble}: with that, Postfix would defer all mail; nothing was changed")
        try:
            record.keep(settings.state, change, record.recall(settings.state, instance.directory))
        except OSError as error:
            raise UnableError(f"{error.filename or settings.state}: {error.strerror}; nothing was changed") from error
        _carry_out(change, list(chosen), config)


def _chosen(instance: Instance, names: tuple[str, ...]) -> tuple[Service, ...]:
    if not names:
        chosen = tuple(one for one in instance.services if relays(instance, one))
        programs = [one.key for one in instance.services if one not in chosen and for_programs(instance, one)]
        if not chosen:
            hint = f"; programs on this machine may send through {', '.join(programs)}" if programs else ""
            raise UnableError(
                f"{instance.directory}: no service relays for logins or networks{hint}; name one by --service"
            )
        return chosen
    found = [(name, instance.find(name)) for name in names]
    missing = [name for name, one in found if one is None or one.command != "smtpd"]
    if missing:
        known = ", ".join(one.key for one in instance.services if one.command == "smtpd")
        raise UnableError(f"{instance.directory}: there is no smtpd service {', '.join(missing)}; there are {known}")
    return tuple(one for _, one in found if one is not None)


@postfix.command()
@_options
@_change_options
def disable(config: str, directory: str, as_json: bool, dry_run: bool) -> None:
    """Take us out of every milter list; the files are as they were before `enable`.

    Where somebody edited them since, only what is ours is taken out.

    Exit codes: 0 done, or there was nothing to do; 2 it was not done.
    """
    state = _settings(config).state
    for instance in _instances(directory):
        try:
            change = disabled(instance, record.recall(state, instance.directory))
        except (*_FAILURES, OSError) as error:
            raise UnableError(f"{instance.directory}: {error}; nothing was changed") from error
        _say(change, as_json, dry_run)
        if not dry_run and not change.empty:
            _carry_out(change, [], config)
        if not dry_run:
            record.forget(state, instance.directory)


def _say(change: Change, as_json: bool, dry_run: bool) -> None:
    if as_json:
        emit({"instance": change.directory, "changed": not change.empty, "made": not dry_run, "diff": change.diff()})
    elif change.empty:
        click.echo(f"{change.directory}: there is nothing to do")
    else:
        click.echo(change.diff(), nl=False)


def _carry_out(change: Change, services: list[Service], config: str) -> None:
    """Put it into place, reload Postfix, and look: a service that is worse than before brings the old files back."""
    running = _running(change.directory)
    before = _troubled(change.directory, services, config) if running else set()
    try:
        put(change.directory, change.after)
    except OSError as error:
        raise UnableError(f"{error.filename or change.directory}: {error.strerror}; nothing was changed") from error
    try:
        trouble = _reloaded(change.directory) if running else ""
        worse = _troubled(change.directory, services, config) - before if running and not trouble else set()
        trouble = trouble or "; ".join(sorted(worse))
    except UnreadableError as error:
        trouble = str(error)
    if trouble:
        put(change.directory, change.before)
        if running:
            _reloaded(change.directory)
        raise UnableError(f"{trouble}. The old files are back")


def _troubled(directory: str, services: list[Service], config: str) -> set[str]:
    """What is wrong with these services as they are now: no banner, or one that the daemon does not see.

    Raises UnreadableError.
    """
    instance = read_instance(directory)
    those = [found for one in services if (found := instance.find(one.key)) is not None and found.kind == "inet"]
    tried = _try(instance, those, config) if those else []
    return {_told(one) for one in tried if one.trouble}


def _running(directory: str) -> bool:
    return run(["postfix", "-c", directory, "status"]).returncode == 0


def _reloaded(directory: str) -> str:
    """Reload Postfix; what went wrong, or nothing. Raises UnreadableError."""
    done = run(["postfix", "-c", directory, "reload"])
    return "" if done.returncode == 0 else f"postfix reload: {'; '.join(done.stderr.splitlines()[-3:])}"
