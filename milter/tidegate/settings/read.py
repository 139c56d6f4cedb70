"""From the bytes of a settings file to Settings, or to every problem that it has.

The YAML goes through the policy reader's own nodes (policy/nodes.py): no second parser, and each mistake has its
line and column. settings/keys.py says what each key wants.
"""

from __future__ import annotations

import errno
import os
import re
from dataclasses import replace
from typing import Any

from tidegate.alerts import CODES, problem
from tidegate.model import Place, Problem
from tidegate.policy import nodes
from tidegate.policy.excerpts import with_excerpts
from tidegate.policy.suggest import did_you_mean
from tidegate.settings.alerting import read_alerts
from tidegate.settings.keys import KEYS, SECTIONS, UnusableError
from tidegate.settings.values import STATE, Settings

_PASSING = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # it has nothing to do with the file
SIZE_LIMIT = 256 * 1024  # bytes; a larger settings file is a mistake


def load_settings(path: str) -> Settings | tuple[Problem, ...]:
    """Read and check one file. Never raises for what the file holds or how it is protected."""
    try:
        data = _read(path)
    except OSError as error:
        code = "no-resources" if error.errno in _PASSING else "settings-unreadable"
        return (problem(code, f"it can't be read: {error.strerror}", Place(path, 0, 0)),)
    except UnusableError as error:
        return (problem("settings-unreadable", str(error), Place(path, 0, 0)),)
    return check_settings(data, path)


def _read(path: str) -> bytes:
    # Non-blocking: a FIFO in the place of the file would otherwise hold the start for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        data = file.read(SIZE_LIMIT + 1)
    if data is None:
        raise UnusableError("it is not a regular file")
    if len(data) > SIZE_LIMIT:
        raise UnusableError(f"it is larger than {SIZE_LIMIT} bytes")
    return data


def check_settings(data: bytes, path: str) -> Settings | tuple[Problem, ...]:
    """Check the bytes of a settings file; `path` names it in the problems."""
    root, problems = _compose(data, path)
    if root is None:
        return tuple(with_excerpts(problems, {path: data}))
    values, found = _values(root)
    problems += found
    for key in ("listen", "policies"):
        if not any(name.text == key for name, _ in root.pairs):
            problems.append(problem("settings-missing", f"`{key}` is missing", root.place))
    if problems:
        ordered = sorted(problems, key=lambda found: (found.place.line, found.place.column))
        return tuple(with_excerpts(ordered, {path: data}))
    host, port = values.pop("metrics", ("", 0))
    return replace(
        Settings(listen=values.pop("listen"), policies=values.pop("policies"), workers=_cores()),
        metrics_host=host,
        metrics_port=port,
        **values,
    )


def state_of(data: bytes, path: str) -> str:
    """The state directory that a (broken) settings file names, as far as that line can be read; "" : it can't."""
    root, _ = _compose(data, path)
    if root is not None:
        return str(_values(root)[0].get("state", STATE))
    line = re.search(rb"^state:[ \t]*([\"']?)(/[^\s\"'#]+)\1[ \t]*(?:#.*)?$", data, re.MULTILINE)
    return os.fsdecode(line[2]) if line else ""


def _compose(data: bytes, path: str) -> tuple[nodes.Mapping | None, list[Problem]]:
    root, found = nodes.compose(data, path)
    problems = [replace(one, code="settings-syntax", cure=one.cure or CODES["settings-syntax"][1]) for one in found]
    if root is not None and not isinstance(root, nodes.Mapping):
        problems.append(problem("settings-syntax", "the settings have to be a map of `key: value` lines", root.place))
        return None, problems
    if root is None and not problems:
        problems.append(problem("settings-syntax", "the file is empty", Place(path, 1, 1)))
    return root, problems


def _values(root: nodes.Mapping) -> tuple[dict[str, Any], list[Problem]]:
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    seen: set[str] = set()
    for name, node in root.pairs:
        row = KEYS.get(name.text)
        if row is None and name.text not in SECTIONS:
            hint = did_you_mean(name.text, (*KEYS, *SECTIONS))
            problems.append(problem("settings-unknown-key", f"there is no setting `{name.text}`{hint}", name.place))
        elif name.text in seen:
            problems.append(problem("settings-duplicate-key", f"`{name.text}` stands twice", name.place))
        elif row is None:
            values[name.text], found = read_alerts(node)
            problems += found
        elif not isinstance(node, nodes.Scalar):
            problems.append(problem("settings-value", f"`{name.text}` takes one value", node.place))
        else:
            try:
                values[name.text] = row.read(node.text)
            except UnusableError as error:
                problems.append(problem("settings-value", f"`{name.text}`: {error}", node.place))
        seen.add(name.text)
    return values, problems


def _cores() -> int:
    return max(1, len(os.sched_getaffinity(0)))
