"""Sentinels on hosts that are gone: nobody refuses the connection, nobody answers, and one that is there will do."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.builders.redisserver import Watched, until
from tests.builders.stores import redis_at
from tidegate.store.connection import StoreError, open_store

PATIENCE = 1.5  # seconds; more than the one that is there needs, however busy the machine
FULL = 4  # connections after which a queue of none takes no more


@pytest.fixture
def gone() -> Iterator[list[str]]:
    """Two hosts that are switched off: a connection to them is never made."""
    with ExitStack() as stack:
        found = []
        for _ in range(2):
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            for _ in range(FULL):
                one = stack.enter_context(socket.socket())
                one.setblocking(False)
                one.connect_ex(listener.getsockname())
            found.append(f"127.0.0.1:{listener.getsockname()[1]}")
        yield found


def test_one_that_answers_is_found(gone: list[str]) -> None:
    """Each call has its patience and no more, so the first ones find nobody; who was silent is asked last from then on,
    also after the connection was lost."""
    with Watched() as watched:
        hosts = ",".join([*gone, f"127.0.0.1:{watched.sentinels[2].port}"])
        link = open_store(redis_at(f"redis+sentinel://{hosts}/{watched.service}"), PATIENCE, PATIENCE)

        def answers() -> bool:
            try:
                return bool(link.call("PING") == b"PONG")
            except StoreError:
                return False

        tries = []
        until(lambda: tries.append(1) or answers(), "the Sentinel that is there is asked")
        assert len(gone) + 1 >= len(tries)
        link.close()
        assert answers()
