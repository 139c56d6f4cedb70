"""Settings as values, and how they are written to JSON and back (for the record and between processes)."""

from __future__ import annotations

import json
import socket
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any
from urllib.parse import urlsplit

from tidegate.alerts.plan import AlertSettings, Kind, from_values
from tidegate.signing import Trust

STATE = "/var/lib/tidegate"
BASELINE = "/usr/share/tidegate/policies/baseline"


class ListenKind(str, Enum):
    """The two families of milter sockets."""

    UNIX = "unix"
    INET = "inet"
    INET6 = "inet6"


@dataclass(frozen=True, slots=True)
class Listen:
    """Where Postfix reaches us: a path, or host and port."""

    kind: ListenKind
    path: str = ""
    host: str = ""
    port: int = 0

    def for_libmilter(self) -> str:
        """libmilter's spelling: `unix:/path`, `inet:port@host`."""
        if self.kind is ListenKind.UNIX:
            return f"unix:{self.path}"
        return f"{self.kind.value}:{self.port}@{self.host}"

    def for_postfix(self) -> str:
        """What goes into smtpd_milters: `unix:/path`, `inet:host:port`."""
        if self.kind is ListenKind.UNIX:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if self.kind is ListenKind.INET6 else self.host
        return f"inet:{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Settings:
    """One settings file, complete. Durations are seconds; paths are absolute."""

    listen: Listen
    policies: str
    state: str = STATE
    workers: int = 1
    pin: bool = True  # each worker to one CPU
    deadline: float = 8.0
    log: str = "stderr"
    format: str = "json"
    mask: bool = True  # logins, addresses and header text in the log
    metrics_host: str = ""
    metrics_port: int = 0  # 0: off
    exposure: float = 30 * 86400.0  # how long the exposure ledger keeps its rows
    replay: float = 0.0  # how long judged messages are kept for replay; 0: not at all
    replay_size: int = 256 << 20  # bytes
    user: str = ""
    group: str = ""
    socket_mode: int = 0o660
    socket_group: str = ""
    default_realm: str = ""
    recipient_delimiter: str = ""
    poll: float = 2.0
    baseline: str = BASELINE  # "": none
    brake: str = "on"  # soft, off
    brake_senders: int = 3
    brake_share: int = 20  # percent
    soak: float = 600.0
    soak_messages: int = 50
    canary_share: float = 10.0  # percent; 0: no canaries
    canary_time: float = 60.0
    canary_messages: int = 50
    canary_longest: float = 600.0
    redis: str = ""  # a URL that store/address.py reads; "": off
    redis_user: str = ""
    redis_password_file: str = ""
    redis_editor_user: str = ""
    redis_editor_password_file: str = ""
    redis_ca_file: str = ""
    redis_cert_file: str = ""
    redis_key_file: str = ""
    redis_sentinel_user: str = ""
    redis_sentinel_password_file: str = ""
    redis_unreviewed: str = "refuse"  # allow
    signatures: str = "off"  # required
    trusted_keys: str = ""  # a folder
    signing_key: str = ""
    signing_passphrase_file: str = ""
    limits_local_share: float = 100.0  # percent
    redis_poll: float = 2.0
    environment: str = "prod"
    node: str = ""  # "": the host name
    alerts: AlertSettings = field(default_factory=AlertSettings)

    @property
    def trust(self) -> Trust | None:
        """Whose signature a policy revision has to have; None: none is demanded."""
        return Trust(self.trusted_keys) if self.signatures == "required" else None

    @property
    def node_name(self) -> str:
        """What the fleet calls this machine."""
        return self.node or socket.gethostname()


def to_json(settings: Settings) -> str:
    """One line of JSON."""
    return json.dumps(asdict(settings), sort_keys=True)


def to_show(settings: Settings) -> dict[str, Any]:
    """All values for a person's eyes: where a URL or a command goes, without what may be a secret in it."""
    values: dict[str, Any] = json.loads(to_json(settings))
    alerts = values["alerts"]
    alerts["heartbeat"] = _host_of(alerts["heartbeat"])
    for channel in alerts["channels"]:
        match channel["kind"]:
            case Kind.WEBHOOK | Kind.ALERTMANAGER:
                channel["target"] = [_host_of(one) for one in channel["target"]]
            case Kind.EXEC:
                channel["target"] = [channel["target"][0], *("…" for _ in channel["target"][1:2])]
    return values


def _host_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/…" if url else ""


def from_json(text: str) -> Settings:
    """The inverse of to_json. Raises ValueError for anything else (a record of another release, a damaged one)."""
    try:
        fields = json.loads(text)
        listen = fields.pop("listen")
        listen["kind"] = ListenKind(listen["kind"])
        alerts = from_values(fields.pop("alerts")) if "alerts" in fields else AlertSettings()
        return Settings(listen=Listen(**listen), alerts=alerts, **fields)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not recorded settings: {error}") from error
