"""`tidegate key new` and `tidegate key list`: keys that sign policy revisions, and who is trusted here.

Promises: a private key is written to the file that was named and nowhere else, never over another, for its owner alone;
a passphrase comes from a file. Refuses: trusting anybody: whoever is root on a machine puts the public key there.
"""

from __future__ import annotations

import os
import sys

import click

from tidegate.cli.output import UnableError, emit, safe
from tidegate.cli.policy.signing import passphrase_of
from tidegate.cli.site import CONFIG, find_site
from tidegate.revisions import Flaw
from tidegate.settings.keys import KEYS, UnusableError
from tidegate.signing import PublicKey, Trust, UnavailableError, create, public_text
from tidegate.signing.keys import NAME


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def key() -> None:
    """Keys that sign policy revisions.

    Where the settings say `signatures: required`, a daemon takes a policy revision only if a key of its folder
    `trusted_keys` has signed it, one that may sign for its environment.
    """


def _name(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if not NAME.fullmatch(value):
        raise click.BadParameter("write a name of letters, digits and . _ - such as anna")
    return value


def _environments(_context: click.Context, _parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(str(KEYS["environment"].read(one)) for one in value)
    except UnusableError as error:
        raise click.BadParameter(str(error)) from error


@key.command()
@click.argument("name", callback=_name)
@click.option("--file", "path", type=click.Path(), required=True, help="Where the private key goes; a new file.")
@click.option(
    "-e", "--environment", multiple=True, required=True, callback=_environments, help="It may sign for it; repeatable."
)
@click.option("--passphrase-file", type=click.Path(), default="", help="Encrypt it with the first line of this file.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def new(name: str, path: str, environment: tuple[str, ...], passphrase_file: str, as_json: bool) -> None:
    """Make a key pair for NAME: the private key in a file, the public one beside it as FILE.pub.

    Keep the private key where you sign, which is no mail server. The public one goes into the folder `trusted_keys` of
    each daemon, as NAME.pub, writable by root alone.

    Exit codes: 0 done; 2 it could not be done.
    """
    public = f"{path}.pub"
    there = next(filter(os.path.lexists, (path, public)), "")
    if there:
        raise UnableError(f"{there} is there already, and no key is ever written over: name a new --file")
    try:
        made = create(path, passphrase_of(passphrase_file)).public(name, environment)
        with open(public, "x", encoding="ascii") as file:
            file.write(public_text(made))
    except UnavailableError as error:
        raise UnableError(f"no key can be made: {error}") from error
    except OSError as error:
        raise UnableError(f"{error.filename or path}: {error.strerror}") from error
    if as_json:
        emit({**_document(made), "private": path, "public": public})
        return
    click.echo(safe(f"{path} is the private key of {name}, with fingerprint {made.fingerprint}"))
    click.echo(safe(f"{public} goes to each daemon as {name}.pub, into its folder `trusted_keys`"))


@key.command(name="list")
@click.option("--config", type=click.Path(), default=CONFIG, show_default=True, help="The settings file.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_keys(config: str, as_json: bool) -> None:
    """Name the keys that are trusted here, their fingerprints, and what each may sign for.

    Exit codes: 0 done; 1 a file there is no key; 2 the folder can't be read, or there is none.
    """
    settings = find_site(config).settings
    if settings is None:
        raise UnableError(f"{config}: no settings can be read")
    found = Trust(settings.trusted_keys).trusted()
    if isinstance(found, Flaw):
        raise UnableError(f"no key is trusted here: {found.why}")
    if as_json:
        flaws = [{"file": name, "why": why} for name, why in found.flaws]
        keys = [_document(one) for one in found.keys]
        emit({"folder": settings.trusted_keys, "signatures": settings.signatures, "keys": keys, "unusable": flaws})
    else:
        for one in found.keys:
            click.echo(safe(f"{one.name:<20} {one.fingerprint}  {', '.join(one.environments)}"))
        for name, why in found.flaws:
            click.echo(safe(f"{name:<20} UNUSABLE: {why}"))
        if not found.keys and not found.flaws:
            click.echo(safe(f"there is no key in {settings.trusted_keys}"))
    sys.exit(1 if found.flaws else 0)


def _document(one: PublicKey) -> dict[str, object]:
    return {"name": one.name, "fingerprint": one.fingerprint, "environments": list(one.environments)}
