"""From the bytes of a settings file to Settings, or to every problem that it has.

The YAML goes through the policy reader's own nodes (policy/nodes.py): no second parser, and each mistake has its
line and column. Every key has one small function that says what it wants.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tidegate.alerts import CODES, problem
from tidegate.model import Place, Problem
from tidegate.policy import nodes
from tidegate.policy.excerpts import with_excerpts
from tidegate.policy.suggest import did_you_mean
from tidegate.settings.values import STATE, Listen, ListenKind, Settings

SIZE_LIMIT = 256 * 1024  # bytes; a larger settings file is a mistake
_PATH_LIMIT = 107  # bytes of a unix socket address (struct sockaddr_un) without its NUL
_TEMPORARY = len(".4194304.new")  # what the supervisor appends while it opens the socket
_UNITS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")


class UnusableError(Exception):
    """What is wrong with one value, for a person; becomes a Problem with its place."""


def load_settings(path: str) -> Settings | tuple[Problem, ...]:
    """Read and check one file. Never raises for what the file holds or how it is protected."""
    try:
        data = _read(path)
    except OSError as error:
        return (problem("settings-unreadable", f"it can't be read: {error.strerror}", Place(path, 0, 0)),)
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
        reader = KEYS.get(name.text)
        if reader is None:
            hint = did_you_mean(name.text, KEYS)
            problems.append(problem("settings-unknown-key", f"there is no setting `{name.text}`{hint}", name.place))
        elif name.text in seen:
            problems.append(problem("settings-duplicate-key", f"`{name.text}` stands twice", name.place))
        elif not isinstance(node, nodes.Scalar):
            problems.append(problem("settings-value", f"`{name.text}` takes one value", node.place))
        else:
            try:
                values[name.text] = reader(node.text)
            except UnusableError as error:
                problems.append(problem("settings-value", f"`{name.text}`: {error}", node.place))
        seen.add(name.text)
    return values, problems


def _cores() -> int:
    return max(1, len(os.sched_getaffinity(0)))


def _listen(text: str) -> Listen:
    family, colon, rest = text.partition(":")
    if family in ("unix", "local") and colon:
        if not rest.startswith("/"):
            raise UnusableError(
                "the socket needs an absolute path as this machine sees it: Postfix's `unix:tidegate/x.sock` is "
                "`unix:/var/spool/postfix/tidegate/x.sock` here"
            )
        if len(os.fsencode(rest)) > _PATH_LIMIT - _TEMPORARY:
            raise UnusableError(f"the path is too long for a socket (limit {_PATH_LIMIT - _TEMPORARY} bytes)")
        return Listen(ListenKind.UNIX, path=os.path.normpath(rest))
    if family in ("inet", "inet6") and colon:
        return _inet(family, rest)
    raise UnusableError("write unix:/path/to/socket, inet:host:port (as Postfix) or inet:port@host (as libmilter)")


def _inet(family: str, rest: str) -> Listen:
    if "@" in rest:
        port, _, host = rest.partition("@")
    else:
        host, _, port = rest.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not _HOST.fullmatch(host):
        raise UnusableError("it needs a host: inet:127.0.0.1:8891 or inet:8891@127.0.0.1")
    kind = ListenKind.INET6 if family == "inet6" or ":" in host else ListenKind.INET
    return Listen(kind, host=host, port=_port(port))


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise UnusableError(f"{text!r} is no port (1 to 65535)")
    return int(text)


def _path(text: str) -> str:
    if not text.startswith("/"):
        raise UnusableError("it has to be an absolute path")
    if "\0" in text:
        raise UnusableError("it holds a NUL byte")
    return os.path.normpath(text)


def _log(text: str) -> str:
    return text if text == "stderr" else _path(text)


def _one_of(*choices: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in choices:
            raise UnusableError(f"write {' or '.join(choices)}")
        return text

    return read


def _switch(text: str) -> bool:
    if text in ("true", "on", "yes"):
        return True
    if text in ("false", "off", "no", "none"):
        return False
    raise UnusableError("write true or false")


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,6}", text) or not low <= int(text) <= high:
            raise UnusableError(f"write a whole number from {low} to {high}")
        return int(text)

    return read


def _duration(low: float, high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,3})?) ?(ms|s|m|min|h|)", text)
        if not found:
            raise UnusableError("write a duration such as 8s, 500ms, 2m")
        seconds = float(found[1]) * _UNITS[found[2]]
        if not low <= seconds <= high:
            raise UnusableError(f"it has to be from {low:g}s to {high:g}s")
        return seconds

    return read


def _metrics(text: str) -> tuple[str, int]:
    if text in ("off", "false", "no", "none"):
        return "", 0
    host, colon, port = text.removeprefix("inet:").rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not _HOST.fullmatch(host):
        raise UnusableError("write off, or an address such as 127.0.0.1:9127")
    return host, _port(port)


def _mode(text: str) -> int:
    if not re.fullmatch(r"(?:0|0o)?[0-7]{3}", text):
        raise UnusableError("write three octal digits such as 0660")
    return int(text[-3:], 8)


def _account(text: str) -> str:
    try:
        pwd.getpwnam(text)
    except (KeyError, ValueError):
        raise UnusableError(f"there is no account {text!r} on this machine") from None
    return text


def _group(text: str) -> str:
    try:
        grp.getgrnam(text)
    except (KeyError, ValueError):
        raise UnusableError(f"there is no group {text!r} on this machine") from None
    return text


def realm(text: str) -> str:
    """A default realm. Raises UnusableError."""
    if not re.fullmatch(r"[A-Za-z0-9._-]*", text):
        raise UnusableError("write a domain such as example.com")
    return text.lower()


def delimiter(text: str) -> str:
    """A recipient delimiter, or none. Raises UnusableError."""
    if len(text) > 1 or text in ("@", ".", " "):
        raise UnusableError("write one character such as '+'")
    return text


KEYS: dict[str, Callable[[str], Any]] = {
    "listen": _listen,
    "policies": _path,
    "state": _path,
    "workers": _whole(1, 256),
    "pin": _switch,
    "deadline": _duration(0.5, 25.0),  # Postfix's milter_command_timeout is 30 s
    "log": _log,
    "format": _one_of("json", "logfmt"),
    "mask": _switch,
    "metrics": _metrics,
    "user": _account,
    "group": _group,
    "socket_mode": _mode,
    "socket_group": _group,
    "default_realm": realm,
    "recipient_delimiter": delimiter,
    "poll": _duration(0.1, 3600.0),
}
