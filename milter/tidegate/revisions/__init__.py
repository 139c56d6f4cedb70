"""Revisions of a policy that is kept in Redis: their words, their bytes, and how those are read.

Promises: pure. One value has one text (canonical JSON), so that a digest names it and a signature covers it; what comes
from a store is read strictly: a Flaw that says why, never an exception. Refuses: stores, clocks, keys, and knowing what
an entry says.
"""

from tidegate.revisions.canonical import Flaw, canonical, digest_of
from tidegate.revisions.changes import Change, Changes, compare
from tidegate.revisions.manifest import EMPTY, Manifest, Named, read_manifest
from tidegate.revisions.node import Node, read_node
from tidegate.revisions.revision import Expected, Revision, read_revision, signed_bytes

__all__ = [
    "EMPTY",
    "Change",
    "Changes",
    "Expected",
    "Flaw",
    "Manifest",
    "Named",
    "Node",
    "Revision",
    "canonical",
    "compare",
    "digest_of",
    "read_manifest",
    "read_node",
    "read_revision",
    "signed_bytes",
]
