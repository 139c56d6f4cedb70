"""The Redis of an installation, for `tidegate doctor`: can it be reached, does it keep what it is given, is its clock
ours, and can the policy in it be used?

Promises: it asks as the daemon does, with the daemon's login, and changes nothing. Refuses: a site without Redis has
no such part.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping

from tidegate.cli.part import Grade, Part
from tidegate.revisions import Flaw
from tidegate.settings import Settings
from tidegate.signing import Trust
from tidegate.signing.keys import unavailable
from tidegate.store.connection import Fault, Link, StoreError, open_store
from tidegate.store.contents import Refused, fetch
from tidegate.store.revisions import Revisions

_TIMEOUT = 2.0
_SLOW = 0.1  # seconds of a round trip: messages wait for one
_SKEW = (2.0, 60.0)  # seconds: worth a look, and broken
_OLDEST = (6, 0)  # ACLs


def redis_parts(settings: Settings) -> Iterator[Part]:
    """All that there is to say of it."""
    if not settings.redis:
        return
    link = open_store(settings, _TIMEOUT)
    try:
        began = time.monotonic()
        link.call("PING")
        taken = time.monotonic() - began
        began = time.monotonic()
        link.call("PING")
        taken = min(taken, time.monotonic() - began)
    except StoreError as error:
        yield Part("redis", Grade.BROKEN, error.why, "see docs/redis.md; meanwhile the policy stays as it is")
        return
    try:
        yield from _server(link, taken)
        yield from _clock(link)
        yield from _policy(link, settings)
    except StoreError as error:
        yield Part("redis", Grade.BROKEN, error.why, "see docs/redis.md")
    finally:
        link.close()


def _server(link: Link, taken: float) -> Iterator[Part]:
    try:
        facts = _facts(link)
    except StoreError as error:
        if error.fault is not Fault.REFUSED:
            raise
        text = f"{link.where} answers; its user may not ask what it is (INFO)"
        yield Part("redis", Grade.LOOK, text, "use the users of /usr/share/doc/tidegate/examples/redis.acl")
        return
    version = facts.get("redis_version", "?")
    text = f"{link.where}, version {version}, {taken * 1000:.1f} ms"
    worst, cures = Grade.FINE, []
    known = tuple(int(one) for one in version.split(".")[:2] if one.isdigit())
    if known < _OLDEST:
        cures.append("Redis 7 or newer is wanted: older ones know no read-only keys in ACLs")
        worst = Grade.LOOK
    if facts.get("role") == "slave":
        cures.append("it is a replica: name the master, or the Sentinels")
        worst = Grade.BROKEN
    if facts.get("maxmemory", "0") != "0" and facts.get("maxmemory_policy", "noeviction") != "noeviction":
        cures.append(f"it may evict policy and counters ({facts['maxmemory_policy']}): maxmemory-policy noeviction")
        worst = max(worst, Grade.LOOK, key=list(Grade).index)
    if facts.get("aof_enabled") != "1":
        cures.append("what it was given last is lost when it restarts: appendonly yes")
        worst = max(worst, Grade.LOOK, key=list(Grade).index)
    if taken > _SLOW:
        cures.append("it is slow: a message waits 0.25 s at most, then each limit goes by its on_store_down")
        worst = max(worst, Grade.LOOK, key=list(Grade).index)
    yield Part("redis", worst, text, "; ".join(cures))


def _facts(link: Link) -> Mapping[str, str]:
    reply = link.call("INFO")
    lines = reply.decode("utf-8", "replace").splitlines() if isinstance(reply, bytes) else []
    return {name: value for name, colon, value in (line.partition(":") for line in lines) if colon}


def _clock(link: Link) -> Iterator[Part]:
    """Limits are counted by Redis's clock, expiry goes by ours."""
    before = time.time()
    reply = link.call("TIME")
    here = (before + time.time()) / 2
    try:
        there = int(reply[0]) + int(reply[1]) / 1e6
    except (TypeError, ValueError, IndexError) as error:
        raise StoreError(f"{link.where}: it does not know what time it is", Fault.REPLY) from error
    off = abs(there - here)
    if off < _SKEW[0]:
        return
    grade = Grade.BROKEN if off > _SKEW[1] else Grade.LOOK
    yield Part("redis", grade, f"its clock is {off:.0f} s {'ahead of' if there > here else 'behind'} ours", "set both")


def _policy(link: Link, settings: Settings) -> Iterator[Part]:
    revisions = Revisions(link)
    found = fetch(revisions, revisions.head(), allow=settings.redis_unreviewed == "allow" and settings.trust is None)
    where = f"policy of {settings.environment}"
    if isinstance(found, Refused):
        kind = "unreviewed: " if found.unreviewed else ""
        cure = "tidegate policy rollback N puts a reviewed revision into force"
        yield Part("redis", Grade.BROKEN, f"{where}: {kind}{found.why}", cure)
    elif found.doubts:
        yield Part("redis", Grade.LOOK, f"{where}: unreviewed, and allowed: {found.doubts[0]}")
    elif found.revision is None:
        yield Part("redis", Grade.FINE, f"{where}: no revision yet, the files count alone")
    else:
        text = f"{where}: revision {found.revision.number}, {len(found.manifest.entries)} entries"
        doubt = settings.trust.doubt(found.revision) if settings.trust is not None else None
        if doubt is None:
            yield Part("redis", Grade.FINE, text)
        else:
            cure = "tidegate policy rollback N --key FILE; see docs/redis.md, Signatures"
            yield Part("redis", Grade.BROKEN, f"{text}: {doubt.why}", cure)


def _others(folder: str) -> str:
    """Who but root can change what is in it; "": nobody."""
    try:
        found = os.stat(folder)
    except OSError as error:
        return error.strerror or "somebody"
    if found.st_uid:
        return f"the account {found.st_uid}"
    return "others" if found.st_mode & 0o002 else "its group" if found.st_mode & 0o020 else ""


def key_parts(settings: Settings) -> Iterator[Part]:
    """The keys that are trusted here; a site that demands no signatures and trusts nobody has no such part."""
    if settings.trust is None and not settings.trusted_keys:
        return
    found = Trust(settings.trusted_keys).trusted()
    worst = Grade.BROKEN if settings.trust is not None else Grade.LOOK
    if isinstance(found, Flaw):
        yield Part("keys", worst, found.why, "set `trusted_keys` to a folder that the daemon's account can read")
        return
    for name, why in found.flaws:
        yield Part("keys", Grade.LOOK, f"{settings.trusted_keys}/{name}: {why}", "correct it, or remove it")
    ours = [one.name for one in found.keys if settings.environment in one.environments]
    trouble = unavailable()
    if trouble:
        yield Part("keys", worst, trouble, "install python3-cryptography")
    elif not ours:
        cure = "tidegate key new; then put its public half there"
        yield Part("keys", worst, f"no key in {settings.trusted_keys} may sign for {settings.environment}", cure)
    elif whose := _others(settings.trusted_keys):
        cure = "chown root, chmod 755: the daemon must not be able to change whom it trusts"
        yield Part("keys", Grade.LOOK, f"{settings.trusted_keys} can be changed by {whose}", cure)
    else:
        demanded = "signatures are required" if settings.trust is not None else "signatures are not required"
        yield Part("keys", Grade.FINE, f"{', '.join(ours)} may sign for {settings.environment}; {demanded}")
