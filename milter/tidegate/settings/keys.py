"""The registry of settings: for each key how its text is read, what it means, and what it is if left out.

Promises: a reader raises UnusableError, whose text says what to write instead, and nothing else. Refuses: YAML, places,
whether a key is missing (settings/read.py).
"""

from __future__ import annotations

import grp
import os
import pwd
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tidegate.settings.values import Listen, ListenKind
from tidegate.store import address

_PATH_LIMIT = 107  # bytes of a unix socket address (struct sockaddr_un) without its NUL
_TEMPORARY = len(".4194304.new")  # what the supervisor appends while it opens the socket
_MOST = 50  # percent of the senders that may meet a new generation first: it is compared with what the others get
_UNITS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")


class UnusableError(Exception):
    """What is wrong with one value, for a person; becomes a Problem with its place."""


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One setting: its reader, its manual line, and its default in words."""

    read: Callable[[str], Any]
    manual: str
    default: str


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


def path(text: str) -> str:
    """An absolute path."""
    if not text.startswith("/"):
        raise UnusableError("it has to be an absolute path")
    if "\0" in text:
        raise UnusableError("it holds a NUL byte")
    return os.path.normpath(text)


def _path_or_off(text: str) -> str:
    return "" if text in ("off", "false", "no", "none") else path(text)


def _log(text: str) -> str:
    return text if text == "stderr" else path(text)


def one_of(*choices: str) -> Callable[[str], str]:
    """A reader of one of these words."""

    def read(text: str) -> str:
        if text not in choices:
            raise UnusableError(f"write {' or '.join(choices)}")
        return text

    return read


def switch(text: str) -> bool:
    """On or off, in YAML's words."""
    if text in ("true", "on", "yes"):
        return True
    if text in ("false", "off", "no", "none"):
        return False
    raise UnusableError("write true or false")


def whole(low: int, high: int) -> Callable[[str], int]:
    """A reader of whole numbers, both limits included."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,6}", text) or not low <= int(text) <= high:
            raise UnusableError(f"write a whole number from {low} to {high}")
        return int(text)

    return read


def duration(low: float, high: float) -> Callable[[str], float]:
    """A reader of durations in seconds, both limits included."""

    def read(text: str) -> float:
        found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,3})?) ?(ms|s|m|min|h|d|)", text)
        if not found:
            raise UnusableError("write a duration such as 8s, 500ms, 2m")
        seconds = float(found[1]) * _UNITS[found[2]]
        if not low <= seconds <= high:
            raise UnusableError(f"it has to be from {low:g}s to {high:.0f}s")
        return seconds

    return read


def size(low: int, high: int) -> Callable[[str], int]:
    """A reader of sizes in bytes, both limits included."""

    def read(text: str) -> int:
        found = re.fullmatch(r"([0-9]{1,9}) ?([KMG]?)", text)
        if not found:
            raise UnusableError("write a size such as 256M")
        number = int(found[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[found[2]]
        if not low <= number <= high:
            raise UnusableError(f"it has to be from {low >> 20}M to {high >> 30}G")
        return number

    return read


def _replay(text: str) -> float:
    return 0.0 if text in ("off", "false", "no", "none") else duration(3600.0, 31 * 86400.0)(text)


def _metrics(text: str) -> tuple[str, int]:
    if text in ("off", "false", "no", "none"):
        return "", 0
    host, colon, port = text.removeprefix("inet:").rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not _HOST.fullmatch(host):
        raise UnusableError("write off, or an address such as 127.0.0.1:9127")
    return host, _port(port)


def _share(text: str) -> float:
    if text in ("off", "none", "false", "no"):
        return 0.0
    if not re.fullmatch(r"[0-9]{1,2}(?:\.[0-9]{1,2})? ?%?", text) or float(text.rstrip("% ")) > _MOST:
        raise UnusableError(f"write a percentage from 0 to {_MOST}, such as 10%, or off")
    return float(text.rstrip("% "))


def _part(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,3}(?:\.[0-9]{1,2})? ?%?", text) or not 1 <= float(text.rstrip("% ")) <= 100:
        raise UnusableError("write a percentage from 1 to 100, such as 100% or 50%")
    return float(text.rstrip("% "))


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


def _realm(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]*", text):
        raise UnusableError("write a domain such as example.com")
    return text.lower()


def _delimiter(text: str) -> str:
    if len(text) > 1 or text in ("@", ".", " "):
        raise UnusableError("write one character such as '+'")
    return text


def _redis(text: str) -> str:
    if text in ("off", "false", "no", "none"):
        return ""
    try:
        address.parse(text)
    except ValueError as error:
        raise UnusableError(str(error)) from None
    return text


def _redis_user(text: str) -> str:
    if not re.fullmatch(r"[^\s\x00-\x1f\x7f]{1,100}", text):
        raise UnusableError("write the name of a user of Redis's ACL, such as tidegate-prod")
    return text


def _environment(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,31}", text):
        raise UnusableError("write a word of a-z, 0-9, - and _ such as prod")
    return text


def _node(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,253}", text):
        raise UnusableError("write a name such as mx1.example.com")
    return text


KEYS: dict[str, KeyRow] = {
    "listen": KeyRow(
        _listen, "`unix:/path`, `inet:host:port` (Postfix's spelling) or `inet:port@host` (libmilter's)", "required"
    ),
    "policies": KeyRow(path, "the policy directory", "required"),
    "state": KeyRow(path, "where records, lock and control socket live", "`/var/lib/tidegate`"),
    "workers": KeyRow(whole(1, 256), "processes that judge mail, 1 to 256", "one per core"),
    "pin": KeyRow(switch, "each worker stays on one CPU, which saves a quarter of the CPU time under load", "`true`"),
    "deadline": KeyRow(
        duration(0.5, 25.0),
        "the longest that one message may take, 0.5 s to 25 s; Postfix's `milter_command_timeout` is 30 s",
        "`8s`",
    ),
    "log": KeyRow(_log, "`stderr`, or a file that USR1 reopens", "`stderr`"),
    "format": KeyRow(one_of("json", "logfmt"), "of the log: `json` or `logfmt`", "`json`"),
    "mask": KeyRow(switch, "mask logins, addresses and header text in the log", "`true`"),
    "metrics": KeyRow(_metrics, "`off`, or `host:port` for Prometheus", "`off`"),
    "exposure": KeyRow(
        duration(3600.0, 366 * 86400.0),
        "how long the exposure ledger keeps what a skipped rule let pass, an hour to 366 days",
        "`30d`",
    ),
    "replay": KeyRow(
        _replay,
        "`off`, or how long what rules read of judged messages is kept, encrypted, for `tidegate replay`: an hour to "
        "31 days, such as `72h`",
        "`off`",
    ),
    "replay_size": KeyRow(
        size(1 << 20, 64 << 30), "how much of it at most, `1M` to `64G`; the oldest leaves first", "`256M`"
    ),
    "user": KeyRow(_account, "whom the daemon becomes when it is started as root", "stays who it is"),
    "group": KeyRow(_group, "its group", "the user's"),
    "socket_mode": KeyRow(_mode, "of the unix socket, three octal digits", "`0660`"),
    "socket_group": KeyRow(
        _group, "of the unix socket: a group that Postfix is in", "the daemon's, or that of a set-group-ID folder"
    ),
    "default_realm": KeyRow(_realm, "completes a login without `@`", "none"),
    "recipient_delimiter": KeyRow(
        _delimiter, "addresses are compared without the tag behind it, as Postfix's setting of that name", "none"
    ),
    "baseline": KeyRow(
        _path_or_off,
        "what serves where your policies were read, can't be loaded, and none was proven; `off`: all mail waits",
        "the packaged `/usr/share/tidegate/policies/baseline`",
    ),
    "brake": KeyRow(
        one_of("on", "soft", "off"),
        "the automatic brake: `on`; `soft` eases rules and takes no generation back; `off`",
        "`on`",
    ),
    "brake_senders": KeyRow(whole(1, 4000), "so many different senders a new rule may stop unasked", "`3`"),
    "brake_share": KeyRow(whole(1, 100), "and which share of all senders any rule may hit, in percent", "`20`"),
    "soak": KeyRow(
        duration(0.0, 604800.0),
        "how long a generation has to serve undisturbed until it is proven, up to a week",
        "`10m`",
    ),
    "soak_messages": KeyRow(whole(0, 999_999), "and how many messages it has to judge meanwhile", "`50`"),
    "poll": KeyRow(duration(0.1, 3600.0), "how often the policy directory is looked at, 0.1 s to an hour", "`2s`"),
    "canary_share": KeyRow(
        _share, "how many of the senders meet a new generation first, 0 to 50 percent; `off`: all at once", "`10%`"
    ),
    "canary_time": KeyRow(duration(1, 3600.0), "how long at least until it is for all, 1 s to an hour", "`1m`"),
    "canary_messages": KeyRow(
        whole(1, 100_000), "how many messages at least it has to judge, and as many beside it", "`50`"
    ),
    "canary_longest": KeyRow(
        duration(1, 86400.0), "after that it is for all with what it saw, marked unproven, 1 s to a day", "`10m`"
    ),
    "redis": KeyRow(
        _redis,
        "`redis://host:port/db`, `rediss://…` (TLS), `unix:///path`, `redis+sentinel://host:port,host:port/service`, "
        "`redis+cluster://host:port,host:port` (`rediss+…` with TLS), or `off`",
        "`off`",
    ),
    "redis_user": KeyRow(_redis_user, "the user of Redis's ACL", "Redis's `default`"),
    "redis_password_file": KeyRow(path, "a file that holds its password; read whenever we connect", "none"),
    "redis_editor_user": KeyRow(
        _redis_user, "as whom `tidegate policy` and the like change what is in Redis", "`redis_user`"
    ),
    "redis_editor_password_file": KeyRow(
        path, "a file that holds that user's password; the daemon need not be able to read it", "`redis_password_file`"
    ),
    "redis_ca_file": KeyRow(path, "who signed Redis's TLS certificate (PEM)", "the system's"),
    "redis_cert_file": KeyRow(path, "our TLS certificate, where Redis asks for one (PEM)", "none"),
    "redis_key_file": KeyRow(path, "its key (PEM)", "in the certificate's file"),
    "redis_sentinel_user": KeyRow(_redis_user, "the user of the Sentinels' ACL", "their `default`"),
    "redis_sentinel_password_file": KeyRow(path, "a file that holds the Sentinels' password", "none"),
    "redis_unreviewed": KeyRow(
        one_of("refuse", "allow"),
        "policy that somebody wrote into Redis by hand: `refuse`, or `allow` it to be in force",
        "`refuse`",
    ),
    "signatures": KeyRow(
        one_of("required", "off"),
        "`required`: only policy revisions that a trusted key has signed are taken from Redis, or from the snapshot on "
        "this machine",
        "`off`",
    ),
    "trusted_keys": KeyRow(
        _path_or_off,
        "the folder of the public keys that may sign policy revisions, `NAME.pub`, each with the environments that it "
        "may sign for",
        "none",
    ),
    "signing_key": KeyRow(
        path, "the private key with which `tidegate policy` signs; the daemon must not be able to read it", "`--key`"
    ),
    "signing_passphrase_file": KeyRow(path, "a file that holds that key's passphrase", "none"),
    "limits_local_share": KeyRow(
        _part,
        "while Redis is down each host counts alone: how much of a limit's maximum it lets through, 1 to 100 percent",
        "`100%`",
    ),
    "redis_poll": KeyRow(
        duration(0.1, 300.0), "how often the policy's head in Redis is looked at, with a jitter, 0.1 s to 5m", "`2s`"
    ),
    "environment": KeyRow(_environment, "which policy of the Redis is ours: `dev`, `test`, `prod`, …", "`prod`"),
    "node": KeyRow(_node, "what the fleet calls this machine", "its host name"),
}

SECTIONS: dict[str, str] = {
    "alerts": "who is told of alerts, how, and how often; see below",
}
"""Settings that are a map of their own, and what they are for."""
