"""Packets between the supervisor and a child."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from tidegate.channel import Channel, ClosedError, content, memory


@pytest.fixture
def pair() -> Iterator[tuple[Channel, Channel]]:
    """Both ends, closed afterwards."""
    ours, theirs = Channel.pair()
    with closing(ours), closing(theirs):
        yield ours, theirs


def test_a_packet_with_a_descriptor(pair: tuple[Channel, Channel]) -> None:
    """Values and memory arrive; the memory can't be changed or cut."""
    ours, theirs = pair
    descriptor = memory("test", b"data" * 1000)
    assert ours.send_with((descriptor,), "generation", number=3)
    packet = theirs.receive()
    assert packet is not None
    assert ("generation", {"number": 3}) == (packet.word, packet.values)
    assert b"data" * 1000 == content(packet.descriptors[0])
    for change in (lambda: os.ftruncate(descriptor, 1), lambda: os.pwrite(descriptor, b"x", 0)):
        with pytest.raises(PermissionError):
            change()


def test_a_peer_that_does_not_read_blocks_nobody(pair: tuple[Channel, Channel]) -> None:
    """send says False instead of waiting."""
    ours, _theirs = pair
    assert not all(ours.send("ping", pad="x" * 1000) for _ in range(10_000))


def test_the_end_is_told(pair: tuple[Channel, Channel]) -> None:
    """None while there is nothing, ClosedError when nothing can come any more."""
    ours, theirs = pair
    assert ours.receive() is None
    theirs.close()
    with pytest.raises(ClosedError):
        ours.receive()


@pytest.mark.parametrize("data", [b"{", b"[]", b"{}", b"\xff", b'{"word": 1'])
def test_nonsense_is_a_word_of_its_own(data: bytes) -> None:
    """A child that went mad does not stop its reader."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with near, far:
        far.send(data)
        packet = Channel(near).receive()
    assert packet is not None
    assert "nonsense" == packet.word


def test_memory_can_not_be_cut() -> None:
    """Nobody can shrink or write what a worker has mapped."""
    descriptor = memory("test", b"data")
    with pytest.raises(PermissionError):
        os.ftruncate(descriptor, 1)
    with pytest.raises(PermissionError):
        os.pwrite(descriptor, b"x", 0)
    assert b"data" == content(descriptor)
    os.close(descriptor)
