"""The replicas that a process holds: mapped memory by name and form, each replaced as a whole.

Promises: what is held stays readable as long as somebody asks it (the maps end with their last reader); a base that is
held already is not mapped again. What is no replica raises MalformedError, OSError or ValueError, and changes nothing.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass

from tidegate.channel import content
from tidegate.image.replica import Base, Replica, read_changes


@dataclass(frozen=True, slots=True)
class Copy:
    """A live list on its way: descriptors of its base and its changes, which stay their owner's."""

    name: str
    form: str
    base: int
    changes: int
    overdue: bool


class Holding:
    """By name in Redis, and form."""

    def __init__(self) -> None:
        self.replicas: dict[tuple[str, str], Replica] = {}
        self._nodes: dict[tuple[str, str], int] = {}  # inodes of the bases' memory files: no two that live share one

    def take(self, copy: Copy) -> None:
        """Hold this one."""
        key, node = (copy.name, copy.form), os.fstat(copy.base).st_ino
        known = self.replicas.get(key)
        opened = known.base if known is not None and self._nodes[key] == node else _opened(copy.base)
        if (opened.header.name, opened.header.form) != key:
            raise ValueError(f"the memory holds the list {opened.header.name}, not {copy.name}")
        self.replicas[key] = Replica(opened, read_changes(content(copy.changes)), copy.overdue)
        self._nodes[key] = node


def _opened(descriptor: int) -> Base:
    # Private, and not populated: before Linux 6.7 a shared map of a write-sealed memfd is refused; few pages are read.
    return Base(mmap.mmap(descriptor, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ))
