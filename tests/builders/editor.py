"""Somebody who edits the policy in Redis: a settings file, a policy directory, and the command `tidegate policy`."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.builders.redisserver import RedisServer
from tidegate.cli import door

RULES = """\
version: 1
rules:
  # Nobody writes there.
  - id: stop
    when: {any_rcpt: {domain: example.net}}
    do: {reject: {code: "550 5.7.1", text: "stopped by {rule}"}}
  - id: halt
    when: {any_rcpt: {domain: example.org}}
    do: {hold: {reason: x}}
...
"""
FILES = """\
version: 1
lists:
  partners: {type: domain, items: [example.com]}
rules:
  - id: stop
    when: {any_rcpt: {domain: {in: partners}}}
    do: {hold: {reason: from the file}}
  - id: keep
    when: {any_rcpt: {domain: {in: partners}}}
    do: {add_header: {X-Keep: "1"}}
...
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that ended."""

    code: int
    output: str
    errors: str

    @property
    def document(self) -> Any:
        """Its output as JSON."""
        return json.loads(self.output)


class Editor:
    """`run` runs a command in a fork of this process (everything is imported already)."""

    def __init__(self, folder: Path, server: RedisServer, **settings: str) -> None:
        self.folder = folder
        self.server = server
        self.policies = folder / "policies"
        self.policies.mkdir(exist_ok=True)
        self.config = folder / "tidegate.yaml"
        self.file = folder / "put.yaml"
        values = {
            "listen": f"unix:{folder}/milter.sock",
            "policies": str(self.policies),
            "state": str(folder / "state"),
            "redis": server.url,
            "environment": "prod",
            **settings,
        }
        self.config.write_text("".join(f"{name}: {value}\n" for name, value in values.items()), "utf-8")

    def site(self, text: str = FILES) -> None:
        """The policy file of this machine."""
        (self.policies / "10-site.yaml").write_text(text, "utf-8")

    def put(self, text: str, *options: str) -> Ended:
        """`tidegate policy put` of this text."""
        self.file.write_text(text, "utf-8")
        return self.run("put", str(self.file), *options)

    def run(self, *arguments: str, stdin: str = "", environment: dict[str, str] | None = None) -> Ended:
        """`tidegate policy …` with our settings."""
        return self.command("policy", *arguments, "--config", str(self.config), stdin=stdin, environment=environment)

    def command(self, *arguments: str, stdin: str = "", environment: dict[str, str] | None = None) -> Ended:
        """Any command."""
        files = [self.folder / name for name in ("in", "out", "err")]
        files[0].write_text(stdin, "utf-8")
        pid = os.fork()
        if pid == 0:
            status = 99
            try:
                os.environ.update(environment or {})
                tempfile.tempdir = None  # it may be another one by now
                for number, path in enumerate(files):
                    flags = os.O_RDONLY if number == 0 else os.O_RDWR | os.O_CREAT | os.O_TRUNC
                    os.dup2(os.open(path, flags), number)
                sys.stdin, sys.stdout, sys.stderr = (open(n, mode, closefd=False) for n, mode in enumerate("rww"))  # noqa: SIM115
                sys.argv = ["tidegate", *arguments]
                door()
            except SystemExit as leave:
                status = leave.code if isinstance(leave.code, int) else int(leave.code is not None)
            except BaseException:  # noqa: BLE001 - the process boundary
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        _, ended = os.waitpid(pid, 0)
        output, errors = (path.read_text("utf-8") for path in files[1:])
        assert "Traceback" not in errors, errors
        return Ended(os.waitstatus_to_exitcode(ended), output, errors)
