"""One Redis server for each file of these tests; a test that writes to it begins with a flush."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.builders.redisserver import RedisServer


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server
