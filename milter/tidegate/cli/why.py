"""`tidegate why REF`: the decision line with this reference or queue id, out of the log and its rotated forms."""

from __future__ import annotations

import bz2
import glob
import gzip
import json
import lzma
import os
import re
import stat
import sys
import zlib
from collections.abc import Iterator
from typing import IO, Any, cast

import click

from tidegate.cli.output import UnableError, emit, safe
from tidegate.cli.site import CONFIG, find_site

_WORD = re.compile(r"[A-Za-z0-9]{4,40}\Z")
_LINE = 1 << 20  # bytes of a line that are read; ours are far shorter
DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError)


@click.command()
@click.argument("reference")
@click.option("--config", type=click.Path(), default=CONFIG, show_default=True, help="The settings file.")
@click.option(
    "--log",
    type=click.Path(allow_dash=True),
    default="",
    help="The log file instead of the settings'; - for standard input.",
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def why(reference: str, config: str, log: str, as_json: bool) -> None:
    """Say what happened to the message with this REFERENCE (from a reply) or queue id.

    Exit codes: 0 found; 1 no line has it; 2 the log can't be read.
    """
    if not _WORD.match(reference):
        raise UnableError(f"{reference!r} is no reference and no queue id")
    events = [
        event
        for line in lines_of(log or log_of(config, reference))
        if reference in line and "disposition" in line
        if reference in ((event := parsed(line)).get("ref"), event.get("queue_id"))
    ]
    if not events:
        click.echo(f"tidegate: no decision has the reference {reference}", err=True)
        sys.exit(1)
    if as_json:
        emit(events)
        return
    blocks = ["\n".join(f"{key:14}{_shown(value)}" for key, value in event.items() if _told(value)) for event in events]
    click.echo("\n\n".join(blocks))


def log_of(config: str, reference: str = "") -> str:
    """The log that the settings name. Raises UnableError where they name none that can be opened."""
    site = find_site(config)
    if site.settings is None:
        reasons = "; ".join(one.message for one in site.problems[:3])
        raise UnableError(f"{config} does not say where the log is ({reasons}); name it with --log")
    if site.settings.log == "stderr":
        way = f"-g {reference} | tidegate why {reference} --log -" if reference else "> FILE, and name the file"
        raise UnableError(f"the log goes to standard error, so systemd has it: journalctl -u tidegate -o cat {way}")
    return site.settings.log


def lines_of(path: str) -> Iterator[str]:
    """The log and its rotated forms, oldest first. Raises UnableError where the log itself can't be opened."""
    if path == "-":
        yield from _read(sys.stdin.buffer)
        return
    for name in rotated(path):
        try:
            with opened(name) as file:
                yield from _read(file)
        except DAMAGED as error:
            click.echo(safe(f"tidegate: {name} is passed over: {error}"), err=True)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise UnableError(f"{path}: it is not a regular file")
        with open(descriptor, "rb") as log:
            yield from _read(log)
    except OSError as error:
        raise UnableError(f"{path}: {error.strerror}") from error


def rotated(path: str) -> list[str]:
    """The rotated forms of a log, oldest first."""
    return sorted((one for one in glob.glob(f"{glob.escape(path)}[.-]*") if _changed(one)), key=_changed)


def opened(name: str) -> IO[bytes]:
    """A log file, packed or not."""
    match os.path.splitext(name)[1]:
        case ".gz":
            return cast(IO[bytes], gzip.open(name))
        case ".bz2":
            return cast(IO[bytes], bz2.open(name))
        case ".xz":
            return cast(IO[bytes], lzma.open(name))
    return open(name, "rb")


def _changed(path: str) -> float:
    """When a regular file was written last; 0 for what is none."""
    try:
        state = os.stat(path)
    except OSError:
        return 0.0
    return state.st_mtime if stat.S_ISREG(state.st_mode) else 0.0


def _read(file: IO[bytes]) -> Iterator[str]:
    while line := file.readline(_LINE):
        yield line.decode("utf-8", "replace")


def parsed(line: str) -> dict[str, Any]:
    """One line of either form, JSON or logfmt; whatever stands before it (a journal's prefix) is left out."""
    start = line.find("{")
    if start >= 0:
        try:
            event = json.loads(line[start:])
        except (ValueError, RecursionError):
            event = None
        if isinstance(event, dict):
            return event
    pairs = re.findall(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|\S*)', line)
    return {key: value.strip('"').replace('\\"', '"') for key, value in pairs}


def _told(value: Any) -> bool:
    return value not in ("", None, [], {})


def _shown(value: Any) -> str:
    return safe(", ".join(str(one) for one in value) if isinstance(value, list) else str(value))
