"""Three processes of sixteen threads on the same counters: never more than the maximum in any window, all or none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders.hammer import LONG, LONGER, SHORT, counters
from tests.builders.redisserver import RedisServer
from tests.builders.stores import STORES

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = 3


@pytest.fixture(params=STORES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A store that several processes reach: its kind, and where it is."""
    if request.param == "sqlite":
        yield "sqlite", str(tmp_path)
        return
    with RedisServer() as server:
        yield "redis", server.url


def test_never_more_than_the_maximum(place: tuple[str, str]) -> None:
    """What was certainly let through within one window, wherever it lies; and each message is in all its counters."""
    command = [sys.executable, "-m", "tests.builders.hammer", *place, "2"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'milter'}:{ROOT}"}
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=ROOT) for _ in range(PROCESSES)]
    told = [json.loads(one.communicate(timeout=120)[0]) for one in running]
    short = [event for process in told for event in process[0]]
    long = [event for process in told for event in process[1]]
    assert SHORT.maximum < len(short)  # it slid
    assert certainly_at_once(short, SHORT.per) <= SHORT.maximum
    assert LONG.maximum == len(long)
    answers = counters(*place).charge((LONG, LONGER), "", False)
    assert [len(long), 3 * (len(short) + len(long))] == [one.usage.used for one in answers]


def certainly_at_once(events: list[tuple[float, float]], per: float) -> int:
    """The most whose calls began and ended within one window of that length."""
    return max(
        (sum(began >= start and ended <= start + per for began, ended in events) for start, _ in events), default=0
    )
