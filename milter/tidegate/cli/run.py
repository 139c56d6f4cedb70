"""`tidegate run`: the daemon in the foreground, as systemd wants it."""

from __future__ import annotations

import sys

import click
import structlog

from tidegate.cli.site import CONFIG
from tidegate.policy.render import render


@click.command()
@click.option("--config", type=click.Path(), default=CONFIG, show_default=True, help="The settings file.")
@click.option("--takeover", is_flag=True, help="Succeed the daemon that runs on the same state directory.")
def run(config: str, takeover: bool) -> None:
    """Run the daemon.

    TERM or INT stops it, HUP reads the policies again, USR1 reopens the log, USR2 starts a successor that takes over
    without a gap. Exit codes: 0 stopped; 75 another daemon runs on the state directory, or something can't be had for
    now; 78 the settings can't be used and never were good.
    """
    from tidegate.supervisor.boot import EX_TEMPFAIL, Refusal, boot  # the daemon's rooms cost 50 ms of imports
    from tidegate.supervisor.daemon import Supervisor

    try:
        booted = boot(config, takeover)
    except OSError as error:  # no descriptor, process or memory to be had: whoever starts us tries again
        booted = Refusal(EX_TEMPFAIL, f"the daemon can't start now: {error.strerror or error}")
    if isinstance(booted, Refusal):
        for problem in booted.problems:
            click.echo(render(problem), err=True)
        click.echo(f"tidegate: {booted.text}", err=True)
        sys.exit(booted.status)
    try:
        sys.exit(Supervisor(booted).run())
    except OSError as error:
        structlog.get_logger().error("supervisor fault", exc_info=error)
        sys.exit(EX_TEMPFAIL)
