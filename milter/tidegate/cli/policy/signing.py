"""With whose key a revision is signed: the options of the commands that store one, and whether it will be believed.

Promises: what our own daemons would refuse is not stored; where signatures are demanded, nothing is built on a revision
that has none which counts, so that nobody signs what a stranger has put under his own change. Refuses: keeping keys or
passphrases anywhere; both come from files.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from tidegate.cli.output import UnableError
from tidegate.revisions import Revision
from tidegate.settings import Settings
from tidegate.signing import Trust, UnavailableError, UnusableKeyError, open_private

Command = TypeVar("Command", bound=Callable[..., Any])
_PASSPHRASE = 4096  # bytes


@dataclass(frozen=True, slots=True)
class KeyFile:
    """The private key that was named; "": that of the settings, if they name one."""

    path: str = ""
    passphrase: str = ""  # a file


NO_KEY = KeyFile()


def keyed(command: Command) -> Command:
    """The options that name a private key; the command gets them as `key`."""

    def wrapped(key: str, key_passphrase_file: str, **more: Any) -> Any:
        return command(key=KeyFile(key, key_passphrase_file), **more)

    wrapped.__doc__, wrapped.__name__ = command.__doc__, command.__name__
    wrapped.__click_params__ = list(getattr(command, "__click_params__", []))  # type: ignore[attr-defined]
    for option in (
        click.option(
            "--key-passphrase-file",
            type=click.Path(),
            default="",
            envvar="TIDEGATE_KEY_PASSPHRASE_FILE",
            help="A file that holds its passphrase.",
        ),
        click.option(
            "--key",
            type=click.Path(),
            default="",
            envvar="TIDEGATE_KEY",
            help="Sign with this private key; also the setting `signing_key`.",
        ),
    ):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]


def wants_key(settings: Settings, key: KeyFile) -> bool:
    """Is what is stored signed?"""
    return bool(key.path or settings.signing_key)


def must_have_key(settings: Settings, key: KeyFile) -> None:
    """Where signatures are demanded somebody has to sign. Raises UnableError."""
    if settings.trust is not None and not wants_key(settings, key):
        raise UnableError("`signatures: required` in the settings: name your private key with --key FILE")


def signed(settings: Settings, key: KeyFile, revision: Revision) -> Revision:
    """The revision with its signature, or as it is where none is asked for. Raises UnableError."""
    must_have_key(settings, key)
    if not wants_key(settings, key):
        return revision
    path = key.path or settings.signing_key
    file = key.passphrase or ("" if key.path else settings.signing_passphrase_file)
    try:
        found = open_private(path, passphrase_of(file)).sign(revision)
    except UnusableKeyError as error:
        raise UnableError(f"{error}; nothing was stored") from error
    except UnavailableError as error:
        raise UnableError(f"nothing can be signed here: {error}; nothing was stored") from error
    doubt = Trust(settings.trusted_keys).doubt(found) if settings.trusted_keys else None
    if doubt is not None:
        raise UnableError(f"our daemons would not take this revision: {doubt.why}; nothing was stored")
    return found


def passphrase_of(path: str) -> bytes:
    """The first line of a file; "": no passphrase. Raises UnableError."""
    if not path:
        return b""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC), "rb") as file:
            found = file.readline(_PASSPHRASE).rstrip(b"\r\n")
    except OSError as error:
        raise UnableError(f"{path}: {error.strerror}") from error
    if not found:
        raise UnableError(f"{path}: its first line is empty, so it holds no passphrase")
    return found


def must_be_trusted(settings: Settings, revision: Revision | None) -> None:
    """Nothing is built on what the daemons refuse. Raises UnableError."""
    doubt = settings.trust.doubt(revision) if settings.trust is not None and revision is not None else None
    if doubt is None or revision is None:
        return
    name = f"revision {revision.number} of {revision.environment}"
    if doubt.unable:
        raise UnableError(f"whether {name} is to be trusted can't be told: {doubt.why}")
    raise UnableError(
        f"{name} is not to be trusted: {doubt.why}; tidegate policy rollback to one that is, with --key FILE (0: to "
        "none at all), and see who can write to Redis"
    )
