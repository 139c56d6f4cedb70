"""What the commands of `tidegate policy` share: their options, who is asking, and the policy in Redis as it stands.

Promises: Redis's failures are one line and exit code 2; what Redis holds is fetched whole and verified before anything
is built on it. Refuses: changing anything (committing.py).
"""

from __future__ import annotations

import getpass
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import click

from tidegate.cli.output import UnableError, safe
from tidegate.cli.policy.signing import must_be_trusted
from tidegate.cli.site import CONFIG, find_site
from tidegate.cli.words import environment_option
from tidegate.live import snapshot
from tidegate.live.snapshot import Snapshot
from tidegate.model import Conventions, EntryKey, EntryKind
from tidegate.revisions import Manifest
from tidegate.settings import Settings
from tidegate.store.connection import StoreError, open_store
from tidegate.store.contents import Content, Refused, fetch
from tidegate.store.revisions import Head, Revisions

TIMEOUT = 5.0
"""Seconds that a person waits for each answer of Redis."""
Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Asked:
    """The options that all of them take."""

    config: str
    environment: str = ""
    policies: str = ""
    as_json: bool = False


def asking(command: Command) -> Command:
    """The options that say which policy of which Redis; the command gets them as `asked`."""

    def wrapped(config: str, environment: str, policies: str, as_json: bool, **more: Any) -> Any:
        return command(asked=Asked(config, environment, policies, as_json), **more)

    wrapped.__doc__, wrapped.__name__ = command.__doc__, command.__name__
    wrapped.__click_params__ = list(getattr(command, "__click_params__", []))  # type: ignore[attr-defined]
    for option in (
        click.option("--json", "as_json", is_flag=True, help="As JSON."),
        click.option("--policies", type=click.Path(), default="", help="The policy directory, not the settings' one."),
        environment_option,
        click.option("--config", type=click.Path(), default=CONFIG, show_default=True, help="The settings file."),
    ):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class Session:
    """One command's link to Redis. `conventions` are the daemon's: policies are read as it reads them."""

    settings: Settings
    revisions: Revisions
    policies: str
    conventions: Conventions

    @property
    def environment(self) -> str:
        """Whose policy it is."""
        return self.revisions.environment


@contextmanager
def session(asked: Asked) -> Iterator[Session]:
    """Open it. What Redis can't do becomes an UnableError."""
    settings = settings_of(asked)
    link = open_store(settings, TIMEOUT)
    try:
        yield Session(
            settings,
            Revisions(link),
            asked.policies or settings.policies,
            Conventions(settings.default_realm, settings.recipient_delimiter),
        )
    except StoreError as error:
        raise UnableError(error.why) from error
    finally:
        link.close()


def settings_of(asked: Asked) -> Settings:
    """The settings as the commands use them: an editor's login, and the environment that was asked for."""
    site = find_site(asked.config)
    if site.settings is None:
        raise UnableError(f"{asked.config}: {site.problems[0].message if site.problems else 'no settings'}")
    settings = site.settings
    if not settings.redis:
        raise UnableError(f"{asked.config}: `redis` is not set, so the policy is in files alone")
    return replace(
        settings,
        environment=asked.environment or settings.environment,
        redis_user=settings.redis_editor_user or settings.redis_user,
        redis_password_file=settings.redis_editor_password_file or settings.redis_password_file,
    )


@dataclass(frozen=True, slots=True)
class Standing:
    """The policy in Redis as it stands: what a change starts from."""

    head: Head
    content: Content

    @property
    def number(self) -> int:
        """Of the revision; 0: there is none yet."""
        return self.content.revision.number if self.content.revision else 0

    def manifest(self, now: float) -> Manifest:
        """What is in force at a time."""
        return self.content.in_force(now)

    def unconfirmed(self, now: float) -> bool:
        """Does the revision revert by itself, unless somebody confirms it?"""
        revision = self.content.revision
        return revision is not None and revision.expires is not None and not revision.expired(now)


def standing(opened: Session) -> Standing:
    """Fetch it. Raises UnableError where it can't be built upon, with what to do."""
    head = opened.revisions.head()
    found = fetch(opened.revisions, head, allow=allows(opened.settings))
    if isinstance(found, Refused):
        kind = "it is unreviewed: " if found.unreviewed else ""
        cure = f"tidegate policy history -e {opened.environment} names the revisions, and rollback puts one into force"
        raise UnableError(f"the policy of {opened.environment} in Redis can't be used: {kind}{found.why}; {cure}")
    must_be_trusted(opened.settings, found.revision)
    return Standing(head, found)


def allows(settings: Settings) -> bool:
    """May what was written by hand be in force?"""
    return settings.redis_unreviewed == "allow" and settings.trust is None


def kept_here(opened: Session) -> Snapshot | None:
    """What the daemon of this machine fetched last, as far as whoever asks may read it."""
    return next(records_here(opened), None)


def records_here(opened: Session) -> Iterator[Snapshot]:
    """All that it has on record and that may be believed, the newest first."""
    for one in snapshot.readable(opened.settings.state, opened.environment):
        trust = opened.settings.trust
        if trust is None or one.revision is None or trust.doubt(one.revision) is None:
            yield one


def must_not_be_behind(opened: Session, stands: Standing) -> None:
    """Nothing is built on a Redis that lost its data, or is an old dump. Raises UnableError."""
    kept = kept_here(opened)
    if kept is not None and kept.number > stands.number:
        has = f"revision {stands.number}" if stands.number else "no revision"
        raise UnableError(
            f"Redis has {has} of {opened.environment}, and this machine has fetched revision {kept.number} from it "
            f"before: tidegate policy rollback {kept.number} puts that back, from the record here"
        )


def must_be_confirmed(stands: Standing, now: float) -> None:
    """Nothing is built on what will revert by itself. Raises UnableError."""
    revision = stands.content.revision
    if revision is not None and stands.unconfirmed(now):
        until = time.strftime("%Y-%m-%d %H:%M", time.localtime(revision.expires))
        raise UnableError(
            f"revision {revision.number} reverts by itself at {until}, so nothing is put on top of it: first "
            f"tidegate policy confirm, or tidegate policy rollback {revision.parent}"
        )


def author() -> str:
    """Who is asking: the account that a person logged in with, also behind sudo."""
    name = os.environ.get("SUDO_USER", "")
    try:
        name = name or getpass.getuser()
    except KeyError:
        name = f"uid {os.getuid()}"
    return one_line(name)[:200] or "nobody"


def host() -> str:
    """Where."""
    return one_line(socket.gethostname())[:200]


def one_line(text: str) -> str:
    """A person's words as a record keeps them."""
    return "".join(one if one.isprintable() else " " for one in " ".join(text.split()))


def keys_named(names: Sequence[str], known: Sequence[EntryKey]) -> list[EntryKey]:
    """The entries that ID or KIND/ID mean among those that are known. Raises UnableError."""
    return list(dict.fromkeys(key_named(name, known) for name in names))


def key_named(name: str, known: Sequence[EntryKey]) -> EntryKey:
    """One of them."""
    kind, slash, rest = name.partition("/")
    kinds = [one for one in EntryKind if one.value == kind] if slash else list(EntryKind)
    found = [key for key in known if key.kind in kinds and key.id == (rest if slash else name)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise UnableError(f"there is no entry {safe(name, 80)}; tidegate policy list names those in Redis")
    several = ", ".join(f"{key.kind.value}/{key.id}" for key in found)
    raise UnableError(f"{safe(name, 80)} means {several}: say which")
