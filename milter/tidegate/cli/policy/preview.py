"""What an edit would have made of the mail of the last days: shown before anything is stored, or kept as a gate.

The edit is compared with the policy in Redis as it stands, both over the files of this machine and with the mail that
its daemon kept (docs/replay.md). Promises: nothing is stored by a preview; where it can't be told, the gate says no.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from tidegate.cli.candidate import with_lists
from tidegate.cli.lent import borrow
from tidegate.cli.output import UnableError, emit, safe
from tidegate.cli.policy.candidate import Checked, look
from tidegate.cli.policy.session import Asked, Session, Standing
from tidegate.cli.replay import Sources, ago, compared, share
from tidegate.cli.replayed import document, text
from tidegate.image.replica import Replicas
from tidegate.replay.gate import PASS, Gate
from tidegate.revisions import Manifest

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Preview:
    """What was asked for. `max_change` None: no gate; `since` in POSIX seconds."""

    show: bool = False
    max_change: float | None = None
    mail: str = ""
    since: float = 0.0

    @property
    def wanted(self) -> bool:
        """Is there anything to replay?"""
        return self.show or self.max_change is not None


NO_PREVIEW = Preview()


def previewing(command: Command) -> Command:
    """The options of a preview; the command gets them as `preview`."""

    def wrapped(preview: bool, max_change: float | None, mail: str | None, since: float, **more: Any) -> Any:
        return command(preview=Preview(preview, max_change, mail or "", since), **more)

    wrapped.__doc__, wrapped.__name__ = command.__doc__, command.__name__
    wrapped.__click_params__ = list(getattr(command, "__click_params__", []))  # type: ignore[attr-defined]
    for option in (
        click.option("--since", default="", callback=ago, metavar="24h", help="Replay only the mail of this time."),
        click.option("--mail", type=click.Path(exists=True, file_okay=False), help="Replay .eml files of this folder."),
        click.option(
            "--max-change", callback=some_share, metavar="1%", help="Store it only if no more verdicts change."
        ),
        click.option("--preview", is_flag=True, help="Show what changes of the last days' mail; store nothing."),
    ):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]


def some_share(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """A percentage, for an option that may be left out."""
    return None if value is None else share(context, parameter, value)


def keep(preview: Preview, opened: Session, stands: Standing, before: Manifest, checked: Checked, asked: Asked) -> None:
    """Replay the mail, where that is wanted; leave where the edit is not to be stored."""
    if not preview.wanted:
        return
    replicas = replicas_of(opened, asked)
    now = with_lists(look(opened, before, stands.content.texts), replicas)[0]
    then = with_lists(checked.opened, replicas)[0]
    sources = Sources(opened.settings.state, preview.mail, preview.since, opened.conventions)
    done = compared(now, then, sources)
    gate = Gate() if preview.max_change is None else Gate(preview.max_change)
    decision = gate.decide(done.found, done.read.lost)
    if not preview.show and decision.code == PASS:
        return
    if asked.as_json:
        told = document(done.found, done.read, decision, unmask=False)
        emit({"environment": opened.environment, "stored": False, "preview": told})
    else:
        click.echo("\n".join(map(safe, text(done.found, done.read, decision, unmask=False))))
        click.echo("nothing was stored")
    sys.exit(decision.code)


def replicas_of(opened: Session, asked: Asked) -> Replicas:
    """Lists in Redis as the daemon of this machine has them; without one they are taken as empty."""
    try:
        return borrow(asked.config, opened.settings.state).replicas
    except UnableError:
        return {}
