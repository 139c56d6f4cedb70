"""The Prometheus exposition: counters from shared memory, gauges from the supervisor's picture.

Own renderer of the text format 0.0.4 (forty lines) instead of prometheus-client: its multiprocess files outlive
workers and cost 441 ms a scrape with 10,000 rules. Refuses labels that come from mail.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tidegate.observe.counters import BUCKETS, Counters, Event

RUNGS = ("candidate", "proven", "baseline", "none")
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_EVENTS = {
    Event.CONNECTIONS: "Milter connections that were opened.",
    Event.DISCONNECTIONS: "Milter connections that were closed.",
    Event.MESSAGES: "Messages begun, at MAIL.",
    Event.ABORTED: "Messages that their client gave up.",
    Event.RECIPIENTS_REFUSED: "Recipients refused or deferred at RCPT.",
    Event.UNCERTAIN: "Messages whose fate depended on a doubt.",
    Event.EDITED: "Messages that were changed.",
    Event.EXPOSURE_LOST: "Messages that the exposure ledger should have listed and could not.",
    Event.REPLAY_LOST: "Judged messages that the replay store should have kept and could not.",
    Event.LIMIT_WARNED: "Limits that a message brought to their warning share, or found there.",
    Event.LIMIT_EXCEEDED: "Limits that a message would have exceeded.",
    Event.LIMIT_LOCAL: "Limits that were told by the local count, while the store was down.",
    Event.LIMIT_UNKNOWN: "Limits of a message that could not be known.",
    Event.SUSPENSIONS_LOST: "Entries that rules would have put on live lists and could not.",
}


@dataclass(frozen=True, slots=True)
class Gauges:
    """What the supervisor knows and the counters don't; `columns` names the rule of each counter column."""

    version: str = ""
    generation: int = 0
    loaded: float = 0.0  # POSIX seconds; 0: never
    attempted: float = 0.0
    problems: int = 0
    alerts: Mapping[str, int] = field(default_factory=dict)  # by code
    severities: Mapping[str, int] = field(default_factory=dict)  # alerts by severity
    deferrals: int = 0  # messages deferred by our own doing, in the run that goes on
    deferring_since: float = 0.0
    heartbeat: float = 0.0  # when the supervisor last said all this
    channels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # of notifications: their counts
    entries: Mapping[str, int] = field(default_factory=dict)  # by state
    workers: int = 0
    workers_current: int = 0  # workers that run the newest generation
    sessions: int = 0
    restarts: int = 0
    loads: int = 0
    loads_failed: int = 0
    settings_last_good: bool = False
    eased: Mapping[str, int] = field(default_factory=dict)  # holds by whose doing they are
    unready: Sequence[str] = ()  # why no message would be judged now
    degraded: bool = False
    rung: str = "none"  # one of RUNGS: where what serves comes from
    proven: int = 0
    proven_at: float = 0.0
    quarantined: int = 0
    columns: Mapping[str, int] = field(default_factory=dict)
    canary: int = 0
    canaries: Mapping[str, int] = field(default_factory=dict)  # by their end
    revision: int = 0  # of the policy in Redis that is in force for all
    head: int = 0  # the newest revision that was seen there
    redis: bool = False  # it answered last time


def render(counters: Counters, gauges: Gauges) -> str:
    """The whole page."""
    lines: list[str] = []
    totals = counters.totals()
    _family(
        lines,
        "tidegate_verdicts_total",
        "counter",
        "Messages by what became of them.",
        [({"disposition": key.name.lower()}, count) for key, count in totals.verdicts.items()],
    )
    _family(
        lines,
        "tidegate_errors_total",
        "counter",
        "Own faults, each answered with a deferral.",
        [({"kind": key.value}, count) for key, count in totals.errors.items()],
    )
    for event, count in totals.events.items():
        _family(lines, f"tidegate_{event.value}_total", "counter", _EVENTS[event], [({}, count)])
    _histogram(lines, totals.buckets, totals.seconds)
    _rules(lines, counters, gauges.columns)
    _gauges(lines, gauges)
    return "\n".join(lines) + "\n"


def _family(
    lines: list[str], name: str, kind: str, manual: str, rows: Iterable[tuple[Mapping[str, str], float]]
) -> None:
    lines.append(f"# HELP {name} {manual}")
    lines.append(f"# TYPE {name} {kind}")
    lines.extend(f"{name}{_labels(labels)} {_number(value)}" for labels, value in rows)


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{key}="{_escape(value)}"' for key, value in labels.items()) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))


def _histogram(lines: list[str], buckets: tuple[int, ...], seconds: float) -> None:
    name = "tidegate_message_seconds"
    rows: list[tuple[Mapping[str, str], float]] = []
    count = 0
    for bound, hits in zip([*map(str, BUCKETS), "+Inf"], buckets, strict=True):
        count += hits
        rows.append(({"le": bound}, count))
    _family(lines, name, "histogram", "Our own time per message, from its end to our answer.", [])
    lines.extend(f"{name}_bucket{_labels(labels)} {_number(value)}" for labels, value in rows)
    lines.append(f"{name}_sum {_number(seconds)}")
    lines.append(f"{name}_count {count}")


def _rules(lines: list[str], counters: Counters, columns: Mapping[str, int]) -> None:
    rows: list[tuple[Mapping[str, str], float]] = []
    for rule, column in columns.items():
        enforced, shadow = counters.rule_totals(column)
        if enforced:
            rows.append(({"rule": rule, "mode": "enforce"}, enforced))
        if shadow:
            rows.append(({"rule": rule, "mode": "shadow"}, shadow))
    _family(lines, "tidegate_rule_matches_total", "counter", "Messages that a rule matched.", rows)
    exposed = [({"rule": rule}, count) for rule, column in columns.items() if (count := counters.exposed_total(column))]
    manual = "Messages that a rule would have concerned while it was not in force."
    _family(lines, "tidegate_rule_exposed_total", "counter", manual, exposed)


def _gauges(lines: list[str], gauges: Gauges) -> None:
    version = [({"version": gauges.version}, 1.0)]
    _family(lines, "tidegate_info", "gauge", "The running release.", version)
    single = (
        ("tidegate_ready", "gauge", "1: a message that comes now is judged.", int(not gauges.unready)),
        ("tidegate_degraded", "gauge", "1: something is not as it should be; see `status`.", int(gauges.degraded)),
        ("tidegate_generation", "gauge", "Number of the generation in force; 0: none.", gauges.generation),
        ("tidegate_canary_generation", "gauge", "Number of the generation on trial; 0: none.", gauges.canary),
        ("tidegate_policy_revision", "gauge", "Revision from Redis that is in force; 0: none.", gauges.revision),
        ("tidegate_policy_head", "gauge", "Newest revision that was seen in Redis; 0: none.", gauges.head),
        (
            "tidegate_redis_up",
            "gauge",
            "1: Redis answered the last poll; 0: not, or none is configured.",
            int(gauges.redis),
        ),
        ("tidegate_generation_loaded_timestamp_seconds", "gauge", "When it was loaded.", gauges.loaded),
        ("tidegate_load_attempt_timestamp_seconds", "gauge", "When policies were last read.", gauges.attempted),
        ("tidegate_problems", "gauge", "Problems in the policies and settings.", gauges.problems),
        ("tidegate_workers", "gauge", "Workers that run.", gauges.workers),
        ("tidegate_workers_current", "gauge", "Workers with the newest generation.", gauges.workers_current),
        ("tidegate_sessions", "gauge", "Open milter sessions.", gauges.sessions),
        ("tidegate_settings_last_good", "gauge", "1: last good settings run.", int(gauges.settings_last_good)),
        ("tidegate_proven_generations", "gauge", "Proven generations on record.", gauges.proven),
        ("tidegate_proven_timestamp_seconds", "gauge", "When the newest was proven; 0: none.", gauges.proven_at),
        ("tidegate_quarantined_generations", "gauge", "Generations that must not go live.", gauges.quarantined),
        ("tidegate_deferrals", "gauge", "Deferrals of our own doing in the run that goes on.", gauges.deferrals),
        ("tidegate_deferring_since_timestamp_seconds", "gauge", "Its first; 0: none.", gauges.deferring_since),
        ("tidegate_heartbeat_timestamp_seconds", "gauge", "When the supervisor was last heard.", gauges.heartbeat),
        ("tidegate_worker_restarts_total", "counter", "Workers that had to be replaced.", gauges.restarts),
        ("tidegate_loads_total", "counter", "Policy loads.", gauges.loads),
        ("tidegate_loads_failed_total", "counter", "Loads that came to nothing.", gauges.loads_failed),
    )
    for name, kind, manual, value in single:
        _family(lines, name, kind, manual, [({}, value)])
    _divided(lines, gauges)
    _channels(lines, gauges.channels)


def _divided(lines: list[str], gauges: Gauges) -> None:
    """What is told by kind."""
    _family(
        lines,
        "tidegate_rung",
        "gauge",
        "1: what serves comes from here.",
        [({"rung": rung}, int(rung == gauges.rung)) for rung in RUNGS],
    )
    _family(
        lines,
        "tidegate_canaries_total",
        "counter",
        "Generations that were on trial, or skipped it, by what became of them.",
        [({"outcome": end}, count) for end, count in gauges.canaries.items()],
    )
    for name, manual, label, counts in (
        ("tidegate_entries", "Policy entries by state.", "state", gauges.entries),
        ("tidegate_eased", "Rules that are taken back, or all of them as one, by what did it.", "by", gauges.eased),
        ("tidegate_alerts", "Alerts that stand, by code.", "code", gauges.alerts),
        ("tidegate_alerts_by_severity", "Alerts that stand, by severity.", "severity", gauges.severities),
    ):
        _family(lines, name, "gauge", manual, [({label: key}, count) for key, count in counts.items()])


def _channels(lines: list[str], channels: Mapping[str, Mapping[str, int]]) -> None:
    """What became of notifications. A clerk that is replaced begins to count anew."""
    rows: list[tuple[Mapping[str, str], float]] = [
        ({"channel": name, "outcome": outcome}, counts[outcome])
        for name, counts in channels.items()
        for outcome in ("delivered", "failed", "dropped")
    ]
    _family(lines, "tidegate_notifications_total", "counter", "Attempts to notify, by outcome.", rows)
    waiting: list[tuple[Mapping[str, str], float]] = [
        ({"channel": name}, counts["waiting"]) for name, counts in channels.items()
    ]
    _family(lines, "tidegate_notifications_waiting", "gauge", "Notifications that wait.", waiting)
