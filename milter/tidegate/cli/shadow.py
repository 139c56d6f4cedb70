"""`tidegate shadow-report`: what the rules in shadow would have done, out of the decision log.

Promises: one pass over the log in its order, memory that grows with rules and senders and not with lines. A rule that
matched nothing leaves no line, so it is named only where the daemon answers. Refuses to guess.

Senders are told apart by what the log shows of them; where it is masked, those who look alike count as one.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import click

from tidegate.cli.output import UnableError, emit, safe
from tidegate.cli.reach import find_daemon
from tidegate.cli.site import CONFIG
from tidegate.cli.statustext import moment, several
from tidegate.cli.why import lines_of, log_of, parsed
from tidegate.settings.keys import UnusableError, duration

_EXAMPLES = 3  # messages that are named of each rule and outcome
_SENDERS = 5  # that are named of each rule
_LONGEST = 366 * 86400.0


@dataclass(slots=True)
class Outcome:
    """What one rule in shadow would have made of messages, were it the only one of them in force."""

    messages: int = 0
    examples: list[str] = field(default_factory=list)  # references


@dataclass(slots=True)
class ShadowRule:
    """One rule in shadow: how many messages it matched, of whom, and what it would have changed."""

    matched: int = 0
    senders: Counter[str] = field(default_factory=Counter)
    changed: dict[str, Outcome] = field(default_factory=dict)  # "accept to reject"

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "matched": self.matched,
            "senders": len(self.senders),
            "most": [{"sender": name, "messages": count} for name, count in self.senders.most_common(_SENDERS)],
            "changes": {
                name: {"messages": one.messages, "examples": one.examples} for name, one in self.changed.items()
            },
        }


@dataclass(slots=True)
class ShadowReport:
    """All of it. `together` is what would change were all rules in shadow in force."""

    begin: float = 0.0
    end: float = 0.0
    decisions: int = 0
    rules: dict[str, ShadowRule] = field(default_factory=dict)
    together: Counter[str] = field(default_factory=Counter)

    def add(self, event: dict[str, Any], when: float) -> None:
        """One decision line."""
        self.begin, self.end = self.begin or when, when
        self.decisions += 1
        disposition = str(event.get("disposition", ""))
        if event.get("would"):
            self.together[f"{disposition} to {event['would']}"] += 1
        named = event.get("would_rules", ())
        for text in named.split(",") if isinstance(named, str) else named:
            rule, _, would = str(text).strip().partition(": ")
            found = self.rules.setdefault(rule, ShadowRule())
            found.matched += 1
            found.senders[str(event.get("login") or event.get("client") or "?")] += 1
            if would and would != disposition:
                outcome = found.changed.setdefault(f"{disposition} to {would}", Outcome())
                outcome.messages += 1
                if len(outcome.examples) < _EXAMPLES:
                    outcome.examples.append(str(event.get("ref", "")))

    @property
    def changes(self) -> bool:
        """Would any message have fared otherwise?"""
        return bool(self.together) or any(rule.changed for rule in self.rules.values())


@click.command(name="shadow-report")
@click.option("--config", type=click.Path(), default=CONFIG, show_default=True, help="The settings file.")
@click.option("--log", type=click.Path(allow_dash=True), default="", help="The log file instead; - for standard input.")
@click.option("--since", default="24h", show_default=True, help="How far back: 90m, 24h, 7d; `all`.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def shadow_report(config: str, log: str, since: str, as_json: bool) -> None:
    """Report what the rules in shadow would have done, by the decision log.

    For each of them: the messages that it matched, of how many senders, and what would have become of them were it in
    force; and what all of them together would have changed. `tidegate why REF` tells more of an example.

    Exit codes: 0 nothing would have changed; 1 something would; 2 the log can't be read.
    """
    report = collect(lines_of(log or log_of(config)), _begin(since, time.time()))
    for name in () if log else _in_shadow(config):
        report.rules.setdefault(name, ShadowRule())
    if as_json:
        emit(
            {
                "from": report.begin,
                "until": report.end,
                "decisions": report.decisions,
                "together": dict(report.together),
                "rules": {name: rule.document() for name, rule in sorted(report.rules.items())},
            }
        )
    else:
        click.echo("\n".join(safe(line) for line in text(report)))
    sys.exit(1 if report.changes else 0)


def _in_shadow(config: str) -> list[str]:
    """The rules that the daemon has in shadow; none where no daemon answers."""
    try:
        entries = find_daemon(config, "").status().get("entries", ())
    except UnableError:
        return []
    return [str(one["id"]) for one in entries if one.get("kind") == "rule" and one.get("state") == "shadow"]


def _begin(since: str, now: float) -> float:
    if since == "all":
        return 0.0
    try:
        return now - duration(1.0, _LONGEST)(since)
    except UnusableError as error:
        raise UnableError(f"--since {since}: {error}") from error


def collect(lines: Iterable[str], begin: float) -> ShadowReport:
    """Everything since `begin` (POSIX seconds)."""
    report = ShadowReport()
    for line in lines:
        if "decision" not in line:
            continue
        event = parsed(line)
        when = _time_of(event)
        if when is not None and when >= begin and event.get("event") == "decision":
            report.add(event, when)
    return report


def _time_of(event: dict[str, Any]) -> float | None:
    try:
        return datetime.fromisoformat(str(event.get("timestamp", ""))).timestamp()
    except ValueError:
        return None  # not a line of ours


def text(report: ShadowReport) -> Iterable[str]:
    """For a person: the rules that would change most come first."""
    if not report.decisions:
        yield "no decision in the log; nothing can be said"
        return
    yield f"{several(report.decisions, 'decision')} from {moment(report.begin)} to {moment(report.end)}"
    if not report.rules:
        yield "no rule in shadow matched anything"
    for name, rule in sorted(report.rules.items(), key=lambda one: (-_changed(one[1]), -one[1].matched, one[0])):
        yield ""
        if not rule.matched:
            yield f"{name}: matched nothing"
            continue
        yield f"{name}: matched {several(rule.matched, 'message')} of {several(len(rule.senders), 'sender')}"
        if not rule.changed:
            yield "    would have changed nothing"
        for change, outcome in rule.changed.items():
            yield f"    {change}: {several(outcome.messages, 'message')}, for example {', '.join(outcome.examples)}"
        most = [f"{sender} ({count})" for sender, count in rule.senders.most_common(_SENDERS)]
        yield f"    most of: {', '.join(most)}"
    if report.together:
        yield ""
        yield f"all together: {', '.join(f'{change} {count}' for change, count in report.together.most_common())}"


def _changed(rule: ShadowRule) -> int:
    return sum(outcome.messages for outcome in rule.changed.values())
