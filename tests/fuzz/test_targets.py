"""The short form of `make fuzz`: each target for a moment, and the fuzzer itself."""

from __future__ import annotations

import pytest

from tests.fuzz.guided import fuzz
from tests.fuzz.targets import SEEDS, TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_hostile_bytes(name: str) -> None:
    """No exception, and what the target asserts."""
    found = fuzz(TARGETS[name], SEEDS[name], runs=100, seed=2021)
    assert [] == [(data, repr(error)) for data, error in found.failures]
    assert found.corpus


def test_the_fuzzer_follows_coverage() -> None:
    """It comes through a door of three locks, of which each shows only behind the one before."""

    def locked(data: bytes) -> None:
        if data[:1] != b"{":
            return
        if data[1:2] != b"@":
            return
        if data[2:3] == b"<":
            raise AssertionError("found")

    found = fuzz(locked, (b"hello",), runs=20_000, seed=1, stop_at=1, of=__file__)
    assert found.failures
    assert [b"hello"] == [data for data in found.corpus if not data.startswith(b"{")]
