"""What the commands on lists share: the settings' Redis, which list is meant, how its entries are written, who asks.

A list is known by the running daemon, or else by the policies on disk; one that neither knows is written as it comes,
which the daemons check again. Promises: Redis's failures are one line and exit code 2. Refuses: changing anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import click

from tidegate.cli.confined import load
from tidegate.cli.output import UnableError, safe
from tidegate.cli.policy.session import author, host, one_line
from tidegate.cli.reach import Daemon
from tidegate.cli.site import CONFIG, find_site
from tidegate.cli.words import environment_option
from tidegate.control import UnreachableError
from tidegate.control import ask as ask_daemon
from tidegate.model import Conventions
from tidegate.policy.names import ID
from tidegate.replicas.entries import FORMS, EntryReader
from tidegate.settings import Settings
from tidegate.store.connection import Link, StoreError, open_store
from tidegate.store.lists import MAX_OPERATIONS, ListStore, Operation, Version

TIMEOUT = 5.0
"""Seconds that a person waits for each answer of Redis."""
Command = TypeVar("Command", bound=Callable[..., Any])
_SHOWN = 80


class Moment(click.ParamType):
    """A date or time, inclusive as in a policy: 2027-06-30, 2027-06-30T18:00, 2027-06-30T18:00+02:00; else in UTC."""

    name = "DATE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            when = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{safe(str(value), 40)} is no date, such as 2027-06-30 or 2027-06-30T18:00", param, ctx)
        step = timedelta(minutes=1) if "T" in str(value) or " " in str(value) else timedelta(days=1)
        return ((when if when.tzinfo else when.replace(tzinfo=UTC)) + step).timestamp()


def list_options(command: Command) -> Command:
    """The options that all of them take."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="As JSON."),
        environment_option,
        click.option("--config", type=click.Path(), default=CONFIG, show_default=True, help="The settings file."),
    ):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Known:
    """A live list of the policy: its name there, its name in Redis, its form.

    `guarded`: why the daemon of this host does not take what Redis holds; "": it does.
    """

    policy: str
    name: str
    form: str
    guarded: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """One command's link to the lists of Redis. `daemon` None: none answers on this host."""

    settings: Settings
    link: Link
    store: ListStore
    daemon: Daemon | None
    known: tuple[Known, ...]
    conventions: Conventions

    def target(self, text: str, form: str = "") -> Target:
        """The list that a person means. Raises UnableError for what can't be the name of a list."""
        if not ID.match(text):
            raise UnableError(f"{safe(text, _SHOWN)} can't be the name of a list")
        found = next((one for one in self.known if one.policy == text), None) or next(
            (one for one in self.known if one.name == text), None
        )
        if found is not None and form and form not in (found.form, "map" if found.form == "logins" else found.form):
            raise UnableError(f"the list {text} is of type {found.form}, not {form}")
        name = found.name if found is not None else text
        form = found.form if found is not None else form
        reader = EntryReader(form, self.conventions) if form else None
        return Target(text, name, reader, found is not None, found.guarded if found is not None else "")


@dataclass(frozen=True, slots=True)
class Target:
    """One list: as it was called, its name in Redis, and what may stand on it; None where nobody knows its type.

    `asked`: does a policy of this host ask it of Redis? `guarded` as in Known.
    """

    called: str
    name: str
    reader: EntryReader | None
    asked: bool = True
    guarded: str = ""

    def keys(self, texts: Sequence[str]) -> list[str]:
        """Entries as they are kept. Raises UnableError that names the first which can't be."""
        return list(dict.fromkeys(self.key(text) for text in texts))

    def key(self, text: str) -> str:
        """One of them."""
        if self.reader is None:
            if not text.strip() or not text.isprintable():
                raise UnableError(f"{safe(text, _SHOWN)!r} can't be an entry")
            return text.strip()
        key, why = self.reader.key(text)
        if why:
            raise UnableError(safe(why, 200))
        return key


@contextmanager
def session(config: str, environment: str) -> Iterator[Session]:
    """Open it. What Redis can't do becomes an UnableError."""
    site = find_site(config)
    if site.settings is None:
        raise UnableError(f"{config}: {site.problems[0].message if site.problems else 'no settings'}")
    settings = site.settings
    settings = replace(
        settings,
        environment=environment or settings.environment,
        redis_user=settings.redis_editor_user or settings.redis_user,
        redis_password_file=settings.redis_editor_password_file or settings.redis_password_file,
    )
    if not settings.redis:
        raise UnableError(f"{config}: `redis` is not set, so lists are in the policy files alone")
    link = open_store(settings, TIMEOUT)
    conventions = Conventions(settings.default_realm, settings.recipient_delimiter)
    try:
        daemon, known = _known(settings, site.states, conventions)
        if settings.environment != site.settings.environment:
            known = tuple(replace(one, guarded="") for one in known)  # it follows another one's lists
        yield Session(settings, link, ListStore(link), daemon, known, conventions)
    except StoreError as error:
        raise UnableError(error.why) from error
    finally:
        link.close()


def _known(
    settings: Settings, states: Sequence[str], conventions: Conventions
) -> tuple[Daemon | None, tuple[Known, ...]]:
    """The live lists of the policy in force on this host; without a daemon, of the policies on disk."""
    for state in states:
        try:
            document = ask_daemon(state, {"do": "status", "brief": True})
        except UnreachableError:
            continue
        rows = document.get("lists", {}).get("live", ())
        return Daemon(state), tuple(
            Known(str(one["list"]), str(one["name"]), str(one["form"]), _guarded(one)) for one in rows
        )
    try:
        report = load(settings.policies, conventions).report
    except UnableError:
        return None, ()
    return None, tuple(Known(one.list, one.name, one.form) for one in report.live if one.form in FORMS)


def _guarded(row: Mapping[str, object]) -> str:
    return str(row.get("why", "")) if row.get("trouble") == "list-guarded" else ""


def ending(seconds: float | None, until: float | None, now: float) -> float | None:
    """When an entry ends; None: it stays. Raises UsageError."""
    if seconds is not None and until is not None:
        raise click.UsageError("--for and --until say the same twice")
    if until is not None and until <= now:
        raise click.UsageError("--until lies in the past")
    return now + seconds if seconds is not None else until


@dataclass(frozen=True, slots=True)
class Done:
    """What a command's changes came to."""

    version: Version
    added: int
    removed: int


def write(
    opened: Session,
    target: Target,
    operations: Sequence[Operation],
    why: str,
    *,
    repair: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Done:
    """All of them, part by part; each part is whole or not at all. Raises StoreError."""
    added = removed = 0
    parts = [operations[at : at + MAX_OPERATIONS] for at in range(0, len(operations), MAX_OPERATIONS)] or [()]
    for number, part in enumerate(parts):
        written = opened.store.write(
            target.name, part, time.time(), author(), one_line(why)[:500], host=host(), repair=repair
        )
        repair = False
        added, removed = added + written.added, removed + written.removed
        progress(min((number + 1) * MAX_OPERATIONS, len(operations)), len(operations))
    return Done(written.version, added, removed)
