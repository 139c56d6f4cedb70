"""`tidegate suspend LOGIN` and `tidegate release LOGIN`: a list of logins by a short name."""

from __future__ import annotations

import time

import click

from tidegate.cli.lists.change import finish, for_option, removable, until_option, wait_option
from tidegate.cli.lists.session import ending, list_options, session, write
from tidegate.cli.output import UnableError
from tidegate.cli.policy.session import author, one_line
from tidegate.store.lists import Entry, Removal

list_option = click.option("--list", "name", default="suspended", show_default=True, help="The list.")
_FORMS = ("login", "")


@click.command()
@click.argument("logins", metavar="LOGIN…", nargs=-1, required=True)
@for_option
@until_option
@click.option("--reason", required=True, metavar="TEXT", help="Why: it is kept with the entry.")
@wait_option
@list_option
@list_options
def suspend(
    logins: tuple[str, ...],
    seconds: float | None,
    until: float | None,
    reason: str,
    waits: bool,
    name: str,
    config: str,
    environment: str,
    as_json: bool,
) -> None:
    """Put a login on the list `suspended`, for good or for a while. What that does is the policy's to say.

    Exit codes: 0 done; 1 done, but the daemon of this host does not ask that list or does not take what Redis holds, or
    with --wait it is not in force in time; 2 nothing was changed.
    """
    if not reason.strip():
        raise click.UsageError("--reason is empty")
    now = time.time()
    end = ending(seconds, until, now)
    with session(config, environment) as opened:
        target = opened.target(name)
        _of_logins(target.reader.form if target.reader is not None else "", name)
        made = [Entry(key, end, author(), one_line(reason)[:500], round(now)) for key in target.keys(logins)]
        done = write(opened, target, made, reason)
        words = f"suspended ({target.called}): {', '.join(one.key for one in made)}"
        unheard = opened.daemon is not None and not target.asked
        finish(opened, target, done, waits=waits, as_json=as_json, told=[], words=words, bad=int(unheard))


@click.command()
@click.argument("logins", metavar="LOGIN…", nargs=-1, required=True)
@click.option("--reason", default="", metavar="TEXT", help="Why: it stands in the audit stream.")
@wait_option
@list_option
@list_options
def release(
    logins: tuple[str, ...],
    reason: str,
    waits: bool,
    name: str,
    config: str,
    environment: str,
    as_json: bool,
) -> None:
    """Take a login off the list `suspended`.

    Exit codes: 0 done; 1 it was not on the list, or with --wait it is not in force in time; 2 nothing was changed.
    """
    with session(config, environment) as opened:
        target = opened.target(name)
        _of_logins(target.reader.form if target.reader is not None else "", name)
        done = write(opened, target, [Removal(key) for key in removable(target, logins)], reason)
        words = f"released ({target.called})" if done.removed else f"nobody of them was on {target.called}"
        finish(opened, target, done, waits=waits, as_json=as_json, told=[], words=words, bad=int(not done.removed))


def _of_logins(form: str, name: str) -> None:
    if form not in _FORMS:
        raise UnableError(f"the list {name} is of type {form}, not login")
