"""`tidegate doctor`: each part of an installation, fine and broken."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.builders.mainconf import MAIN, MASTER
from tidegate.cli import main
from tidegate.cli.doctor import Grade, examine
from tidegate.cli.site import find_site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """Settings, folders and a Postfix that asks us; no daemon runs, but something listens."""
    for name in ("policies", "state", "postfix"):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o755)
    tmp_path.chmod(0o755)
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    (tmp_path / "tidegate.yaml").write_text(
        f"listen: inet:127.0.0.1:{port}\npolicies: {tmp_path}/policies\nstate: {tmp_path}/state\nlog: stderr\n"
    )
    us = f"{{ inet:127.0.0.1:{port}, default_action=tempfail, command_timeout=20s, content_timeout=60s }}"
    asking = MASTER.replace("$mua_milters, ", "$tidegate, ").replace("  # a comment", "  -o smtpd_milters=$tidegate\n#")
    for name, text in (("main.cf", MAIN + f"tidegate = {us}\n"), ("master.cf", asking)):
        (tmp_path / "postfix" / name).write_text(text)
        os.utime(tmp_path / "postfix" / name, (1, 1))
    yield tmp_path
    listening.close()


def grades(site: Path) -> dict[str, Grade]:
    """How each part is."""
    config = str(site / "tidegate.yaml")
    return {part.name: part.grade for part in examine(find_site(config), config, str(site / "postfix"))}


def test_all_parts_are_looked_at(site: Path) -> None:
    """Without a daemon that part is broken, and no other."""
    found = grades(site)
    found.pop("clock")  # this machine's own
    fine = dict.fromkeys(("settings", "patterns", "libraries", "state", "policies", "socket", "postfix"), Grade.FINE)
    assert found == {**fine, "daemon": Grade.BROKEN}


def _late(site: Path) -> None:
    (site / "state" / "accepted").write_text("")
    os.utime(site / "state" / "accepted", (time.time() + 86400,) * 2)


def _elsewhere(site: Path) -> None:
    text = (site / "tidegate.yaml").read_text()
    (site / "tidegate.yaml").write_text(text.replace("127.0.0.1", "127.0.0.2"))


@pytest.mark.parametrize(
    ("part", "grade", "breaks"),
    [
        pytest.param("settings", Grade.BROKEN, lambda site: (site / "tidegate.yaml").write_text("{"), id="settings"),
        pytest.param("clock", Grade.BROKEN, _late, id="the clock went back"),
        pytest.param("policies", Grade.BROKEN, lambda site: (site / "policies").rmdir(), id="no policy directory"),
        pytest.param("state", Grade.BROKEN, lambda site: (site / "state").rmdir(), id="no state directory"),
        pytest.param("socket", Grade.BROKEN, _elsewhere, id="nobody listens"),
        pytest.param("postfix", Grade.BROKEN, _elsewhere, id="Postfix asks somebody else"),
        pytest.param("postfix", Grade.LOOK, lambda site: (site / "postfix/main.cf").unlink(), id="no main.cf"),
    ],
)
def test_what_is_broken(site: Path, part: str, grade: Grade, breaks: Callable[[Path], object]) -> None:
    """Each fault is told at its part."""
    breaks(site)
    assert grades(site)[part] is grade


def test_the_command(site: Path) -> None:
    """1 where something is broken; the same for a person and as JSON."""
    options = ("--config", str(site / "tidegate.yaml"), "--postfix", str(site / "postfix"))
    told = CliRunner().invoke(main, ["doctor", "--json", *options])
    shown = CliRunner().invoke(main, ["doctor", *options])
    assert (told.exit_code, shown.exit_code) == (1, 1)
    parts = json.loads(told.output)["parts"]
    assert all(set(part) == {"name", "grade", "text", "cure"} for part in parts)
    assert all(part["name"] in shown.output for part in parts)
