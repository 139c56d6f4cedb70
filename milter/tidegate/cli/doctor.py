"""`tidegate doctor`: the whole installation, part by part: fine, worth a look, or broken, each with its cure.

Promises: every part is looked at, whatever the parts before came to; nothing is changed. Refuses: what other commands
tell better; it names them (check, status, postfix check).
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version

import click

from tidegate import patterns
from tidegate.cli.output import UnableError, emit, safe
from tidegate.cli.part import Grade, Part
from tidegate.cli.postfix import ourselves
from tidegate.cli.reach import find_daemon
from tidegate.cli.redispart import key_parts, redis_parts
from tidegate.cli.site import CONFIG, Site, find_site
from tidegate.model import Severity
from tidegate.postfix import UnreadableError, findings, instances
from tidegate.postfix.endpoint import barrier, nobody
from tidegate.settings import Settings

_LIBRARIES = ("pymilter", "PyYAML", "redis", "structlog", "click")
_SCARCE, _FULL = 200 << 20, 20 << 20  # bytes free where we write
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised


@click.command()
@click.option("--config", type=click.Path(), default=CONFIG, show_default=True, help="The settings file.")
@click.option("--postfix", "directory", type=click.Path(), default="", help="Postfix's configuration directory.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def doctor(config: str, directory: str, as_json: bool) -> None:
    """Look at the whole installation.

    Exit codes: 0 nothing is broken; 1 something is.
    """
    parts = examine(find_site(config), config, directory)
    if as_json:
        emit({"parts": [asdict(one) for one in parts]})
    else:
        colours = {Grade.FINE: "green", Grade.LOOK: "yellow", Grade.BROKEN: "red"}
        for part in parts:
            grade = click.style(f"{part.grade.value:7}", colours[part.grade])
            click.echo(f"{grade} {safe(f'{part.name:10} {part.text}')}")
            if part.cure:
                click.echo(f"        {'':10} = {safe(part.cure)}")
    sys.exit(1 if any(one.grade is Grade.BROKEN for one in parts) else 0)


def examine(site: Site, config: str, directory: str) -> list[Part]:
    """All parts, in the order in which they stand on one another."""
    parts = [*_settings(site), _patterns(), _libraries(), _clock(site)]
    if site.settings is not None:
        settings = site.settings
        account = settings.user or _owner_of(os.geteuid())
        looks: tuple[Callable[[], Iterator[Part]], ...] = (
            lambda: _folders(settings, account),
            lambda: _daemon(config),
            lambda: _socket(settings),
            lambda: _postfix(settings, directory),
            lambda: redis_parts(settings),
            lambda: key_parts(settings),
        )
        for look in looks:
            parts += look()
    return parts


def _settings(site: Site) -> Iterator[Part]:
    wrong = [one for one in site.problems if one.severity is Severity.ERROR]
    if not wrong:
        yield Part("settings", Grade.FINE, f"{site.config} can be used")
    elif site.settings is not None:
        yield Part(
            "settings", Grade.LOOK, f"{wrong[0].place}: {wrong[0].message}; the last good ones run", wrong[0].cure
        )
    else:
        yield Part("settings", Grade.BROKEN, f"{wrong[0].place}: {wrong[0].message}", wrong[0].cure)


def _patterns() -> Part:
    trouble = patterns.available()
    if trouble:
        return Part("patterns", Grade.BROKEN, "rules with `matches` can't run", trouble)
    return Part("patterns", Grade.FINE, f"Hyperscan or Vectorscan {patterns.version()}")


def _libraries() -> Part:
    found, missing = [f"Python {sys.version.split()[0]}"], []
    for name in _LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    text = ", ".join(found)
    if missing:
        return Part(
            "libraries", Grade.BROKEN, f"{text}; missing: {', '.join(missing)}", "install the packages python3-*"
        )
    return Part("libraries", Grade.FINE, text)


def _clock(site: Site) -> Part:
    """Synchronised, as the kernel knows it; and not behind what our own records say."""
    ahead = 0.0
    for state in site.states:
        try:
            ahead = max([ahead, *(one.stat().st_mtime - time.time() for one in os.scandir(state))])
        except OSError:
            continue  # told with the folders
    if ahead > 60:
        return Part(
            "clock", Grade.BROKEN, f"it is {ahead:.0f} s behind what was written here", "set it; see timedatectl"
        )
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.adjtimex(ctypes.create_string_buffer(512)) == _TIME_ERROR:  # all zero: only ask
        return Part(
            "clock", Grade.LOOK, "the kernel says that it is not synchronised", "run chrony or systemd-timesyncd"
        )
    return Part("clock", Grade.FINE, "synchronised")


def _folders(settings: Settings, account: str) -> Iterator[Part]:
    folders = [("state", settings.state, 7, "write in"), ("policies", settings.policies, 5, "read")]
    if settings.log.startswith("/"):
        folders.append(("log", os.path.dirname(settings.log), 1, "reach"))
    for name, path, wanted, what in folders:
        trouble = barrier(path, account, wanted, what)
        if trouble:
            yield Part(name, Grade.BROKEN, trouble, f"give {account} the permission; see docs/settings.md")
            continue
        free = shutil.disk_usage(path).free if name != "policies" else _SCARCE
        if free < _SCARCE:
            grade = Grade.BROKEN if free < _FULL else Grade.LOOK
            yield Part(name, grade, f"{path}: {free >> 20} MB are free", "free space there")
        else:
            yield Part(name, Grade.FINE, path)


def _daemon(config: str) -> Iterator[Part]:
    try:
        document = find_daemon(config, "").status()
    except UnableError as error:
        yield Part("daemon", Grade.BROKEN, error.message, "systemctl start tidegate; see journalctl -u tidegate")
        return
    generation, alerts = document["generation"], document.get("alerts", [])
    text = f"{document['stage']}, generation {generation['number']}, {len(document['workers'])} workers"
    if not generation["number"] or not document["workers"]:
        yield Part("daemon", Grade.BROKEN, f"{text}: mail is deferred", "see tidegate status")
    elif alerts:
        some = ", ".join(dict.fromkeys(str(one["code"]) for one in alerts))
        yield Part("daemon", Grade.LOOK, f"{text}, {len(alerts)} alerts ({some})", "see tidegate status")
    else:
        yield Part("daemon", Grade.FINE, text)


def _socket(settings: Settings) -> Iterator[Part]:
    trouble = nobody(settings.listen)
    if trouble:
        yield Part("socket", Grade.BROKEN, trouble)
    else:
        yield Part("socket", Grade.FINE, f"{settings.listen.for_postfix()} accepts")


def _postfix(settings: Settings, directory: str) -> Iterator[Part]:
    try:
        known = instances(directory)
    except UnreadableError as error:
        yield Part("postfix", Grade.LOOK, str(error))
        return
    for instance in known:
        us = ourselves(settings, instance)
        found = [one for one in findings(instance, us) if one.severity > Severity.NOTICE]
        where = f"{instance.directory}, Postfix {instance.values.get('mail_version', '')}"
        if not found:
            yield Part("postfix", Grade.FINE, where)
            continue
        worst = Grade.BROKEN if found[0].severity is Severity.ERROR else Grade.LOOK
        codes = ", ".join(dict.fromkeys(one.code for one in found))
        yield Part("postfix", worst, f"{where}: {len(found)} findings ({codes})", "see tidegate postfix check")


def _owner_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
