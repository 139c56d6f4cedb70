"""The section `alerts` of the settings: from nodes to AlertSettings, with a Problem for each mistake.

The tables of keys below are its manual; docs/reference.md is made from them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tidegate.alerts import problem
from tidegate.alerts.plan import AlertSettings, ChannelPlan, Kind
from tidegate.model import Place, Problem, Severity
from tidegate.policy import nodes
from tidegate.policy.suggest import did_you_mean
from tidegate.settings.keys import UnusableError, duration, one_of, path, switch, whole

ALERT_KEYS = {
    "channels": "a map from the name of a channel to what it is; a channel has one of `webhook`, `exec`, `sendmail`",
    "repeat": "after which times an alert that stands is told again; the last one goes on. Default `[1h, 4h, 24h]`",
    "escalate": "ages at which an alert for which mail waits gets worse, by one step each. Default `[15m, 1h]`",
    "storm": "`{max: 10, per: 5m}`: more notifications than that become one summary; critical ones never drown in it",
    "heartbeat": "`{url: …, every: 1m}`: a POST as long as all is alive, for a service that notices when it stops",
    "syslog": "`true`: alerts go to the journal, or to syslog, where `log` is a file",
    "host": "what notifications call this machine. Default: its name",
}
CHANNEL_KEYS = {
    "webhook": "a URL, to which each notification is posted as JSON; Alertmanager's, with `format: alertmanager`",
    "exec": "a command and its arguments as a list; gets each notification as JSON on standard input, no shell",
    "sendmail": "an address or a list of them, mailed through sendmail(1)",
    "format": "of a webhook: `json` (default) or `alertmanager` (its API v2; repeated every minute, as it expects)",
    "timeout": "the longest that one attempt may take, 1 s to 1 min. Default `10s`",
    "severity": "the least that is told: `warning` (default), `error`, `critical`, `emergency`",
    "token_file": "of a webhook: a file whose content is sent as bearer token",
    "from": "of a mail: the address in its From. Default: `tidegate@` and the machine's name",
}
STORM_KEYS = ("max", "per")
HEARTBEAT_KEYS = ("url", "every")

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_MAILBOX = re.compile(r"[^\s@<>,;:\"()\[\]\\\x00-\x1f\x7f]+@[A-Za-z0-9._-]+|[A-Za-z0-9._+-]+")
_MANY = 16  # channels, recipients, times
_SEVERITIES = ("warning", "error", "critical", "emergency")
_interval = duration(1.0, 30 * 86400.0)


@dataclass(slots=True)
class _Reader:
    """Collects the problems of one section."""

    problems: list[Problem]

    def tell(self, code: str, message: str, place: Place) -> None:
        self.problems.append(problem(code, message, place))

    def map(self, node: nodes.Node, what: str, keys: Any) -> dict[str, nodes.Node]:
        """Its values by key; the keys are those that may be there, None: any."""
        found: dict[str, nodes.Node] = {}
        if not isinstance(node, nodes.Mapping):
            self.tell("settings-value", f"{what} has to be a map of `key: value`", node.place)
            return found
        for name, value in node.pairs:
            if keys is not None and name.text not in keys:
                hint = did_you_mean(name.text, keys)
                self.tell("settings-unknown-key", f"{what} has no key `{name.text}`{hint}", name.place)
            elif name.text not in found:  # the second one was told by the composer
                found[name.text] = value
        return found

    def value(self, node: nodes.Node | None, what: str, read: Callable[[str], Any], default: Any) -> Any:
        """One scalar."""
        if node is None:
            return default
        if not isinstance(node, nodes.Scalar):
            self.tell("settings-value", f"{what} takes one value", node.place)
            return default
        try:
            return read(node.text)
        except UnusableError as error:
            self.tell("settings-value", f"{what}: {error}", node.place)
            return default

    def many(
        self, node: nodes.Node | None, what: str, read: Callable[[str], Any], default: tuple[Any, ...] = ()
    ) -> tuple[Any, ...]:
        """A list of scalars, or one of them."""
        if node is None:
            return default
        items = node.items if isinstance(node, nodes.Sequence) else (node,)
        if not items or len(items) > _MANY:
            self.tell("settings-value", f"{what} takes a list of 1 to {_MANY} values", node.place)
            return default
        return tuple(self.value(item, what, read, None) for item in items)


def read_alerts(node: nodes.Node) -> tuple[AlertSettings, list[Problem]]:
    """The section. What is wrong has its default, and a problem."""
    reader = _Reader([])
    found = reader.map(node, "`alerts`", ALERT_KEYS)
    base = AlertSettings()
    storm = _part(reader, found, "storm", STORM_KEYS)
    beat = _part(reader, found, "heartbeat", HEARTBEAT_KEYS)
    if beat and "url" not in beat:
        reader.tell("settings-missing", "`heartbeat` has no `url`", found["heartbeat"].place)
    channels: list[ChannelPlan] = []
    if "channels" in found:
        named = reader.map(found["channels"], "`channels`", None)
        if len(named) > _MANY:
            reader.tell("settings-value", f"more than {_MANY} channels", found["channels"].place)
        channels = [one for name, value in named.items() if (one := _channel(reader, name, value)) is not None]
    settings = AlertSettings(
        channels=tuple(channels),
        repeat=reader.many(found.get("repeat"), "`repeat`", _interval, base.repeat),
        escalate=reader.many(found.get("escalate"), "`escalate`", _interval, base.escalate),
        storm=reader.value(storm.get("max"), "`max`", whole(1, 1000), base.storm),
        window=reader.value(storm.get("per"), "`per`", duration(1.0, 86400.0), base.window),
        heartbeat=reader.value(beat.get("url"), "`url`", _url, base.heartbeat),
        every=reader.value(beat.get("every"), "`every`", duration(1.0, 86400.0), base.every),
        syslog=reader.value(found.get("syslog"), "`syslog`", switch, base.syslog),
        host=reader.value(found.get("host"), "`host`", _host, base.host),
    )
    for name in ("repeat", "escalate"):
        times = getattr(settings, name)
        if None not in times and list(times) != sorted(times):
            reader.tell("settings-value", f"`{name}` has to rise", found[name].place)
    return (base if reader.problems else settings), reader.problems


def _part(reader: _Reader, found: Mapping[str, nodes.Node], name: str, keys: tuple[str, ...]) -> dict[str, nodes.Node]:
    return reader.map(found[name], f"`{name}`", keys) if name in found else {}


def _channel(reader: _Reader, name: str, node: nodes.Node) -> ChannelPlan | None:
    what = f"channel `{name[:40]}`"
    if not _NAME.fullmatch(name):
        reader.tell("settings-value", f"{what}: a name has up to 32 of a-z, 0-9, - and _", node.place)
        return None
    found = reader.map(node, what, CHANNEL_KEYS)
    kinds = [key for key in ("webhook", "exec", "sendmail") if key in found]
    if len(kinds) != 1:
        if isinstance(node, nodes.Mapping):
            reader.tell("settings-value", f"{what} needs one of `webhook`, `exec`, `sendmail`", node.place)
        return None
    only = {"webhook": ("format", "token_file"), "sendmail": ("from",)}
    for kind, keys in only.items():
        for key in keys:
            if key in found and kinds[0] != kind:
                reader.tell("settings-value", f"{what}: `{key}` belongs to `{kind}`", found[key].place)
    kind = Kind(kinds[0])
    form = reader.value(found.get("format"), "`format`", one_of("json", "alertmanager"), "json")
    if kind is Kind.WEBHOOK:
        target: tuple[Any, ...] = (reader.value(found["webhook"], "`webhook`", _url, ""),)
        kind = Kind.ALERTMANAGER if form == "alertmanager" else kind
    else:
        target = reader.many(found[kind.value], f"`{kind.value}`", _address if kind is Kind.SENDMAIL else _argument)
        if kind is Kind.EXEC and target and target[0] and not str(target[0]).startswith("/"):
            reader.tell("settings-value", "`exec`: the command needs its absolute path", found["exec"].place)
    return ChannelPlan(
        name,
        kind,
        target,
        reader.value(found.get("timeout"), "`timeout`", duration(1.0, 60.0), 10.0),
        Severity[reader.value(found.get("severity"), "`severity`", one_of(*_SEVERITIES), "warning").upper()],
        reader.value(found.get("token_file"), "`token_file`", path, ""),
        reader.value(found.get("from"), "`from`", _address, ""),
    )


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        sound = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        sound = False
    if not sound or not text.isascii() or any(one <= " " or one == "\x7f" for one in text):
        raise UnusableError("write a URL such as https://alerts.example.com/hook")
    if parts.username is not None:
        raise UnusableError("a password does not belong into a URL: use `token_file`")
    return text


def _address(text: str) -> str:
    if not _MAILBOX.fullmatch(text) or text.startswith("-") or len(text) > 320:
        raise UnusableError("write an address such as postmaster@example.com")
    return text


def _argument(text: str) -> str:
    if "\0" in text:
        raise UnusableError("it holds a NUL byte")
    return text


def _host(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,253}", text):
        raise UnusableError("write a name such as mx1.example.com")
    return text
