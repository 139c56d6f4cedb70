"""On which CPU a worker stays."""

from __future__ import annotations

import pytest

from tidegate.worker import cpu_of


@pytest.mark.parametrize(
    ("workers", "cpus", "shift", "expected"),
    [
        pytest.param(2, [0, 1], 0, [0, 1], id="one each"),
        pytest.param(4, [0, 1], 0, [0, 1, 0, 1], id="more workers than CPUs"),
        pytest.param(2, [0, 1, 2, 3], 0, [0, 2], id="spread"),
        pytest.param(1, [4, 6], 7, [6], id="another daemon, another CPU"),
        pytest.param(3, [1, 5, 9, 11], 6, [9, 11, 1], id="only CPUs that we may use"),
    ],
)
def test_cpu_of(workers: int, cpus: list[int], shift: int, expected: list[int]) -> None:
    """Workers share the CPUs evenly, and only those that the process may use."""
    assert expected == [cpu_of(place, workers, cpus, shift) for place in range(workers)]
