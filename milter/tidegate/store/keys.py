"""The names of our keys in Redis. All of one environment share a hash tag, so that a script may touch several of them.

`{tidegate:ENV}:head` and so on; docs/redis.md lists them all with what is in them.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass

_SLOTS = 16384


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one environment (a name without braces: settings/keys.py sees to it)."""

    environment: str

    @property
    def tag(self) -> str:
        """What a Cluster hashes."""
        return f"tidegate:{self.environment}"

    @property
    def slot(self) -> int:
        """The slot of all of them (Redis Cluster specification: CRC16, XMODEM, of the hash tag)."""
        return binascii.crc_hqx(self.tag.encode(), 0) % _SLOTS

    def key(self, name: str) -> str:
        """A key of ours, such as `list:suspended`."""
        return f"{{{self.tag}}}:{name}"

    @property
    def head(self) -> str:
        """HASH: `number` and `record` (the whole record of the revision in force)."""
        return self.key("head")

    @property
    def entries(self) -> str:
        """HASH: sha256 → text of an entry."""
        return self.key("entries")

    @property
    def manifests(self) -> str:
        """HASH: sha256 → canonical JSON of a manifest."""
        return self.key("manifests")

    @property
    def revisions(self) -> str:
        """HASH: number → record of a revision."""
        return self.key("revisions")

    @property
    def log(self) -> str:
        """STREAM: who changed the head, when and why."""
        return self.key("log")

    @property
    def unreviewed(self) -> str:
        """HASH: id → text, written by hand."""
        return self.key("unreviewed")

    @property
    def nodes(self) -> str:
        """ZSET: name of a daemon → when it spoke last (POSIX seconds)."""
        return self.key("nodes")

    def node(self, name: str) -> str:
        """STRING that expires: what the daemon of this name runs."""
        return self.key(f"node:{name}")
