"""Reading the settings in a confined child: a hostile file may kill the YAML parser, and must not kill a daemon.

The supervisor does it at its start and on HUP, the commands whenever they look for a daemon.
"""

from __future__ import annotations

import json
import os
import time

from tidegate.alerts import problem
from tidegate.channel import content
from tidegate.loader.confine import Confined
from tidegate.loader.report import problem_from, problem_json
from tidegate.model import Place, Problem
from tidegate.settings import Settings, from_json, load_settings, state_of, to_json

READING = 10.0  # seconds that it may take


def read_settings(config: str) -> tuple[Settings | tuple[Problem, ...], str]:
    """Read the settings in a confined child: settings or problems, and the state directory they name."""
    try:
        child = Confined("settings")
        child.start(lambda own: read_in_child(own, config), lambda: None, READING)
    except OSError as error:
        return (unread(config, error.strerror or str(error)),), ""
    result = settings_result(child, _wait(child), config)
    child.close()
    return result


def unread(config: str, why: str) -> Problem:
    """No process, or no descriptor, is to be had for the reader."""
    text = f"the settings can't be read now, no process is to be had for it: {why}"
    return problem("no-resources", text, Place(config, 0, 0))


def settings_result(child: Confined, status: int, config: str) -> tuple[Settings | tuple[Problem, ...], str]:
    """What a child left behind that ran read_in_child and ended with this wait status."""
    death = child.ended(status)
    if death:
        died = problem("settings-died", f"reading the settings failed: {death.text}", Place(config, 0, 0))
        return (died,), ""
    values = json.loads(content(child.result))
    if values["settings"]:
        return from_json(values["settings"]), str(values["state"])
    return tuple(problem_from(one) for one in values["problems"]), str(values["state"])


def read_in_child(child: Confined, config: str) -> None:
    """In the confined child: read and check, and leave the answer as JSON."""
    result = load_settings(config)
    settings = result if isinstance(result, Settings) else None
    state = settings.state if settings else ""
    if settings is None:
        try:
            with open(os.open(config, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
                state = state_of(file.read(1 << 18) or b"", config)
        except OSError:
            state = ""  # `result` already says that the file can't be read
    values = {
        "settings": to_json(settings) if settings else "",
        "state": state,
        "problems": [] if isinstance(result, Settings) else [problem_json(one) for one in result],
    }
    os.pwrite(child.result, json.dumps(values).encode(), 0)


def _wait(child: Confined) -> int:
    while True:
        pid, status = os.waitpid(child.pid, os.WNOHANG)
        if pid:
            return status
        child.overdue(time.monotonic())
        time.sleep(0.005)
