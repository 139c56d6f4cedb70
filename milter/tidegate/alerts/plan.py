"""What the settings say about alerts: whom to tell, by which channel, how often.

Values only; settings/alerting.py reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from tidegate.alerts.book import ESCALATE
from tidegate.model import Severity


class Kind(str, Enum):
    """The sorts of channels."""

    WEBHOOK = "webhook"
    ALERTMANAGER = "alertmanager"
    EXEC = "exec"
    SENDMAIL = "sendmail"


@dataclass(frozen=True, slots=True)
class ChannelPlan:
    """One channel. Durations are seconds."""

    name: str
    kind: Kind
    target: tuple[str, ...]  # the URL, the command with its arguments, or the recipients
    timeout: float = 10.0
    severity: Severity = Severity.WARNING  # the least that it is told
    token_file: str = ""  # whose content is the bearer token
    sender: str = ""  # of a mail, in its From


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """The section `alerts`. Durations are seconds."""

    channels: tuple[ChannelPlan, ...] = ()
    repeat: tuple[float, ...] = (3600.0, 14400.0, 86400.0)
    escalate: tuple[float, ...] = ESCALATE
    storm: int = 10  # notifications in a window; more become one summary
    window: float = 300.0
    heartbeat: str = ""  # URL; "": none
    every: float = 60.0  # between two heartbeats
    syslog: bool = True
    host: str = ""  # what notifications call this machine; "": its name

    @property
    def telling(self) -> bool:
        """Is there anything to send at all?"""
        return bool(self.channels or self.heartbeat or self.syslog)


def from_values(values: Mapping[str, Any]) -> AlertSettings:
    """What `dataclasses.asdict` and JSON made of it. Raises KeyError, TypeError or ValueError."""
    fields = dict(values)
    channels = tuple(
        ChannelPlan(
            **{
                **one,
                "kind": Kind(one["kind"]),
                "target": tuple(map(str, one["target"])),
                "severity": Severity(one["severity"]),
            }
        )
        for one in fields.pop("channels")
    )
    repeat, escalate = (tuple(map(float, fields.pop(name))) for name in ("repeat", "escalate"))
    return AlertSettings(channels=channels, repeat=repeat, escalate=escalate, **fields)
