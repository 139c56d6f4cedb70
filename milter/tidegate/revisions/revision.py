"""The record of a revision: which manifest is in force, from whom, why and for how long.

Theory of operation. Revisions of an environment are numbered from 1; `parent` is the number before (0: none). A
revision with `expires` reverts by itself: from that moment the manifest `fallback` is in force, on every daemon, also
where Redis is gone, since the record says both. It is confirmed by a later revision with the same manifest and no
`expires`. So the manifest in force is a function of the record and the clock alone (`Revision.in_force`).

Promises: one text for one revision, and a strict reader of it. `signed_bytes` are what a signature covers: all of the
record but the signature itself. Refuses: verifying signatures (a later room), and clocks: times are POSIX seconds.
"""

from __future__ import annotations

import json
import re
from dataclasses import astuple, dataclass, replace
from typing import Any

from tidegate.model import EntryKey, EntryKind
from tidegate.revisions.canonical import SHA, Fields, Flaw, canonical, parse

FORMAT = 1
REASON_LIMIT = 500
"""Characters of a reason."""
NAME_LIMIT = 200
"""Characters of an author or a host."""
_SIGNED = b"tidegate-revision-v1\0"
_ENVIRONMENT = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_KEY = re.compile(r"[A-Za-z0-9._-]{1,100}")
_SIGNATURE = re.compile(r"[A-Za-z0-9+/]{1,512}={0,2}")
_EXPECTED = 10_000  # rules with an expectation
_GATE = re.compile(r"[a-z][a-z-]{0,31}")
_GATES = 20


@dataclass(frozen=True, slots=True)
class Expected:
    """How many logins a rule may hit in `per` seconds before the brake acts, as whoever wrote this entry expects.

    It goes with the entry's text: a later revision carries it on as long as the rule has this `sha`.
    """

    rule: str
    sha: str
    logins: int
    per: int = 3600


@dataclass(frozen=True, slots=True)
class Revision:
    """One record. `urgent`: the reason of `--now`; "": it goes the way of a canary."""

    number: int
    parent: int
    manifest: str
    environment: str
    author: str
    reason: str
    at: int
    host: str
    expires: int | None = None
    fallback: str = ""  # the manifest from `expires` on
    urgent: str = ""
    expect: tuple[Expected, ...] = ()
    forced: tuple[str, ...] = ()  # gates of a promotion that said no, and were passed
    key: str = ""  # which key signed it: its fingerprint
    signature: str = ""  # base64

    def __post_init__(self) -> None:
        object.__setattr__(self, "expect", tuple(sorted(self.expect, key=astuple)))

    def in_force(self, now: float) -> str:
        """The digest of the manifest that is in force at a time."""
        return self.fallback if self.expired(now) else self.manifest

    def expired(self, now: float) -> bool:
        """Whether it has reverted by itself."""
        return self.expires is not None and now >= self.expires

    def canonical(self) -> bytes:
        """The record's one text."""
        return canonical(self._document())

    def _document(self) -> dict[str, Any]:
        forced = {"forced": list(self.forced)} if self.forced else {}
        return {
            **forced,
            "format": FORMAT,
            "number": self.number,
            "parent": self.parent,
            "manifest": self.manifest,
            "environment": self.environment,
            "author": self.author,
            "reason": self.reason,
            "at": self.at,
            "host": self.host,
            "expires": self.expires or 0,
            "fallback": self.fallback,
            "urgent": self.urgent,
            "expect": [list(astuple(one)) for one in self.expect],
            "key": self.key,
            "signature": self.signature,
        }


def signed_bytes(revision: Revision) -> bytes:
    """What a signature covers. The name of the key is part of it: it can't be taken for another's."""
    return _SIGNED + replace(revision, signature="").canonical()


def read_revision(data: bytes, environment: str, *, strict: bool = True) -> Revision | Flaw:
    """The revision of a record, and only of this environment. `strict`: only of the text that `canonical` writes;
    otherwise of any JSON that names at least a number and a manifest (one that a person wrote by hand)."""
    value = parse(data)
    if isinstance(value, Flaw):
        return value
    if not strict and isinstance(value, dict):
        value = {**json.loads(_BY_HAND.canonical()), "environment": environment, **value}
    fields = Fields(value, "the record")
    if fields.number("format") != FORMAT:
        return Flaw(fields.flaw or f"its format is not {FORMAT}: this release can't read it")
    expires = fields.number("expires")
    revision = Revision(
        number=fields.number("number", 1),
        parent=fields.number("parent"),
        manifest=fields.text("manifest", 64, SHA.fullmatch),
        environment=fields.text("environment", 32, _ENVIRONMENT.fullmatch),
        author=fields.text("author", NAME_LIMIT, str.isprintable),
        reason=fields.text("reason", REASON_LIMIT, str.isprintable),
        at=fields.number("at"),
        host=fields.text("host", NAME_LIMIT, str.isprintable),
        expires=expires or None,
        fallback=fields.text("fallback", 64, SHA.fullmatch),
        urgent=fields.text("urgent", REASON_LIMIT, str.isprintable),
        expect=_expectations(fields),
        forced=_forced(fields),
        key=fields.text("key", 100, _KEY.fullmatch),
        signature=fields.text("signature", 514, _SIGNATURE.fullmatch),
    )
    flaw = fields.end() or _unfit(revision, environment)
    if strict and not flaw and revision.canonical() != data:
        flaw = "it is not as `tidegate policy` writes it"
    return Flaw(flaw) if flaw else revision


_BY_HAND = Revision(1, 0, "", "", "somebody with redis-cli", "", 0, "")
"""What a record says that leaves it out."""


def _unfit(revision: Revision, environment: str) -> str:
    if revision.environment != environment:
        return f"it is of the environment `{revision.environment}`, not of `{environment}`"
    if not revision.manifest:
        return "`manifest` is empty"
    if not revision.author:
        return "`author` is empty"
    if revision.parent >= revision.number:
        return "`parent` is not before it"
    if (revision.expires is None) != (not revision.fallback):
        return "`expires` and `fallback` belong together"
    if bool(revision.key) != bool(revision.signature):
        return "`key` and `signature` belong together"
    return ""


def _expectations(fields: Fields) -> tuple[Expected, ...]:
    rows = fields.many("expect")
    sound = len(rows) <= _EXPECTED and all(_is_expectation(row) for row in rows)
    if not sound:
        fields.flaw = fields.flaw or "`expect` has to be a list of [rule, sha256, logins, seconds]"
        return ()
    return tuple(Expected(*row) for row in rows)


def _forced(fields: Fields) -> tuple[str, ...]:
    names = fields.optional("forced")
    if len(names) > _GATES or not all(isinstance(one, str) and _GATE.fullmatch(one) for one in names):
        fields.flaw = fields.flaw or "`forced` has to be a list of gates"
        return ()
    return tuple(names)


def _is_expectation(row: Any) -> bool:
    if not isinstance(row, list) or len(row) != 4:
        return False
    rule, sha, logins, per = row
    return (
        isinstance(rule, str)
        and isinstance(sha, str)
        and bool(SHA.fullmatch(sha))
        and all(isinstance(one, int) and not isinstance(one, bool) and one > 0 for one in (logins, per))
    )


def expected_of(key: EntryKey, sha: str, expectations: tuple[Expected, ...]) -> Expected | None:
    """What is expected of an entry with this text; None: nothing, or it is no rule."""
    if key.kind is not EntryKind.RULE:
        return None
    return next((one for one in expectations if (one.rule, one.sha) == (key.id, sha)), None)
