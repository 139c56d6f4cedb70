"""Counters in shared memory, and the page that Prometheus reads."""

from __future__ import annotations

import os

import pytest

from tidegate.model import Disposition
from tidegate.observe.counters import RULES_LIMIT, Counters, ErrorKind, Event, RuleColumns
from tidegate.observe.metrics import Gauges, render


def test_what_a_dead_process_counted_stays() -> None:
    """The memory was made before the fork; a worker that is killed loses nothing."""
    counters = Counters(2)
    for slot in (0, 1):
        pid = os.fork()
        if pid == 0:
            tally = counters.tally(slot)
            tally.verdict(Disposition.REJECT)
            tally.error(ErrorKind.DEADLINE)
            tally.event(Event.MESSAGES)
            tally.seconds(0.003)
            os.kill(os.getpid(), 9)
        os.waitpid(pid, 0)
    totals = counters.totals()
    assert 2 == totals.verdicts[Disposition.REJECT]
    assert 2 == totals.errors[ErrorKind.DEADLINE]
    assert 2 == totals.events[Event.MESSAGES]
    assert pytest.approx(0.006) == totals.seconds


def test_rules_count_by_their_column() -> None:
    """Enforced and shadow apart; a rule without a column is not counted by name."""
    counters = Counters(1)
    columns = RuleColumns()
    columns.allot(["a", "b"], counters)
    tally = counters.tally(0)
    tally.name_rules(columns.columns)
    tally.rule("a")
    tally.rule("b", shadow=True)
    tally.rule("b", shadow=True)
    tally.rule("unheard-of")
    assert (1, 0) == counters.rule_totals(columns.columns["a"])
    assert (0, 2) == counters.rule_totals(columns.columns["b"])


def test_a_rule_keeps_its_column_over_generations() -> None:
    """An edit does not move counts from one rule to another."""
    counters = Counters(1)
    columns = RuleColumns()
    columns.allot(["a", "b"], counters)
    before = dict(columns.columns)
    columns.allot(["b", "c"], counters)
    assert before["b"] == columns.columns["b"]
    assert 3 == len(set(columns.columns.values()))


def test_columns_of_rules_that_are_gone_are_used_again() -> None:
    """At the limit the old ones make room, with their counts at zero; never more columns than memory."""
    counters = Counters(1)
    columns = RuleColumns()
    columns.allot([f"old-{n}" for n in range(RULES_LIMIT)], counters)
    tally = counters.tally(0)
    tally.name_rules(columns.columns)
    tally.rule("old-0")
    columns.allot([f"new-{n}" for n in range(RULES_LIMIT + 5)], counters)
    assert RULES_LIMIT == len(columns.columns)
    assert all(rule.startswith("new-") for rule in columns.columns)
    assert (0, 0) == counters.rule_totals(0)


@pytest.mark.parametrize(
    "line",
    [
        'tidegate_verdicts_total{disposition="defer"} 1',
        'tidegate_errors_total{kind="exception"} 1',
        'tidegate_rule_matches_total{rule="ru\\"le",mode="shadow"} 1',
        'tidegate_message_seconds_bucket{le="0.005"} 1',
        'tidegate_message_seconds_bucket{le="0.002"} 0',
        'tidegate_message_seconds_bucket{le="+Inf"} 2',
        "tidegate_message_seconds_count 2",
        "tidegate_message_seconds_sum 100.003",
        'tidegate_entries{state="stale"} 4',
        "tidegate_problems 3",
        "tidegate_generation 7",
        "tidegate_worker_restarts_total 2",
    ],
)
def test_the_page(line: str) -> None:
    """Names and forms that a dashboard relies on."""
    counters = Counters(1)
    columns = RuleColumns()
    columns.allot(['ru"le'], counters)
    tally = counters.tally(0)
    tally.name_rules(columns.columns)
    tally.verdict(Disposition.DEFER)
    tally.error(ErrorKind.EXCEPTION)
    tally.rule('ru"le', shadow=True)
    tally.seconds(0.003)
    tally.seconds(100.0)
    gauges = Gauges(generation=7, problems=3, entries={"stale": 4}, restarts=2, columns=columns.columns)
    assert line in render(counters, gauges).splitlines()


def test_the_page_is_what_prometheus_reads() -> None:
    """The official parser takes every line."""
    parser = pytest.importorskip("prometheus_client.parser")
    families = list(parser.text_string_to_metric_families(render(Counters(1), Gauges(version="0.1.0"))))
    assert {"tidegate_verdicts", "tidegate_message_seconds"} <= {family.name for family in families}
