"""One Postfix instance as postconf(1) tells it: effective values, services, and what each overrides.

Promises: nothing but postconf reads the files; what it can't read is told in its own words. Values are expanded as the
service sees them (`postconf -P -x`), and the texts as written are kept beside.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_PATIENCE = 30.0  # seconds for one call


class UnreadableError(Exception):
    """postconf is not there, or can't read this configuration; the text says what it said."""


@dataclass(frozen=True, slots=True)
class Service:
    """One line of master.cf."""

    name: str
    kind: str  # inet, unix, pass, fifo
    command: str
    chroot: bool
    overrides: Mapping[str, str] = field(default_factory=dict)  # -o, expanded
    written: Mapping[str, str] = field(default_factory=dict)  # -o, as written

    @property
    def key(self) -> str:
        """`submission/inet`."""
        return f"{self.name}/{self.kind}"


@dataclass(frozen=True, slots=True)
class Instance:
    """One configuration directory."""

    directory: str
    values: Mapping[str, str]  # of main.cf and Postfix's defaults, expanded
    written: Mapping[str, str]  # of main.cf, as written
    services: tuple[Service, ...] = ()
    complaints: tuple[str, ...] = ()  # what postconf warned about

    def value(self, service: Service | None, name: str) -> str:
        """What a service works with; `service` None: what stands in main.cf."""
        if service is not None and name in service.overrides:
            return service.overrides[name]
        return self.values.get(name, "")

    def text(self, service: Service, name: str) -> str:
        """The same as it is written, with its references."""
        return service.written.get(name, self.written.get(name, ""))

    def find(self, key: str) -> Service | None:
        """The service `submission/inet`, or by its name alone where that is clear."""
        named = [one for one in self.services if key in (one.key, one.name)]
        return named[0] if len(named) == 1 else None


def instances(directory: str = "") -> tuple[Instance, ...]:
    """The instance of `directory`, or the default one and those of `multi_instance_directories`.

    Raises UnreadableError.
    """
    first = read_instance(directory)
    more = first.values.get("multi_instance_directories", "").replace(",", " ").split() if not directory else []
    return (first, *(read_instance(one) for one in more))


def read_instance(directory: str = "") -> Instance:
    """Ask postconf for everything. Raises UnreadableError."""
    values, complaints = _table(directory, "-x")
    written, _ = _table(directory, "-n")
    for text in complaints:  # `-n` leaves out what nothing refers to
        name, equals, value = text.partition("unused parameter: ")[2].partition("=")
        if equals:
            written[name] = value
    fields, _ = _table(directory, "-F")
    overrides, more = _table(directory, "-P", "-x")
    as_written, _ = _table(directory, "-P")
    commands = {
        key.rpartition("/")[0]: value.split(None, 1)[0] for key, value in fields.items() if key.endswith("/command")
    }
    services = tuple(
        Service(
            name=key.rpartition("/")[0],
            kind=key.rpartition("/")[2],
            command=command,
            chroot=fields.get(f"{key}/chroot", "-") == "y",
            overrides=_of(overrides, key),
            written=_of(as_written, key),
        )
        for key, command in commands.items()
    )
    said = tuple(dict.fromkeys((*complaints, *more)))
    return Instance(values.get("config_directory", directory), values, written, services, said)


def _of(table: Mapping[str, str], key: str) -> dict[str, str]:
    begin = f"{key}/"
    return {name.removeprefix(begin): value for name, value in table.items() if name.startswith(begin)}


def _table(directory: str, *options: str) -> tuple[dict[str, str], list[str]]:
    output, said = postconf(directory, *options)
    rows = (line.partition("=") for line in output.splitlines() if "=" in line)
    return {name.strip(): value.strip() for name, _, value in rows}, said


def postconf(directory: str, *arguments: str) -> tuple[str, list[str]]:
    """Call it; returns what it printed, and what it warned about. Raises UnreadableError."""
    where = ["-c", directory] if directory else []
    done = run(["postconf", *where, *arguments])
    said = [line.partition(": ")[2] or line for line in done.stderr.splitlines()]
    if done.returncode:
        raise UnreadableError("; ".join(said) or f"postconf ended with {done.returncode}")
    return done.stdout, [line.removeprefix("warning: ") for line in said]


def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """One of Postfix's programs and what it printed, as text. Raises UnreadableError."""
    done = run_for_bytes(command)
    said = (one.decode("utf-8", "backslashreplace") for one in (done.stdout, done.stderr))
    return subprocess.CompletedProcess(done.args, done.returncode, *said)


def run_for_bytes(command: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    """The same with its bytes, wherever an administrator's PATH does not look. Raises UnreadableError."""
    for folder in ("", "/usr/sbin/", "/usr/local/sbin/"):
        if folder and not Path(folder + command[0]).exists():
            continue
        try:
            return subprocess.run(
                [folder + command[0], *command[1:]],
                capture_output=True,
                timeout=_PATIENCE,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except FileNotFoundError:
            continue
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UnreadableError(f"{command[0]}: {error}") from error
    raise UnreadableError(f"{command[0]} is not installed here: this command is for the machine that Postfix runs on")
