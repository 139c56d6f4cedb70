"""The policy revision that lies over the files, from the snapshot in the state directory: this child reads no network.

Promises: what is in force is a function of the snapshot and the clock, so that a revision that was not confirmed in
time reverts on every daemon, also where Redis is gone. A snapshot that can't be used changes nothing (P9): what lay
over the files stays as it was; where nothing was ever read, nothing may be concluded. Refuses: deciding whether a
revision may follow another (the clerk does, before it writes a snapshot).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tidegate import live, signing
from tidegate.alerts import problem
from tidegate.live import snapshot as snapshots
from tidegate.live.snapshot import Snapshot
from tidegate.model import EntryKey, EntryKind, Expect, Place, Problem, Severity, Source
from tidegate.policy.layers import NO_LAYER, Covered, Layer
from tidegate.policy.read import read_file

_SHORT = 8  # characters of a digest in a source's name


@dataclass(frozen=True, slots=True)
class Revised:
    """Which revision lies over the files, for the status. `number` 0: none. Times are POSIX seconds; 0: never.

    `held`: why a newer one is not taken, or why the one in force can't be read any more.
    """

    environment: str = ""  # "": no Redis is configured
    number: int = 0
    manifest: str = ""  # digest of what is in force
    fetched: float = 0.0
    expires: float = 0.0
    expired: bool = False
    entries: int = 0
    removed: int = 0
    held: str = ""

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def revised_from(values: Mapping[str, Any]) -> Revised:
    """The inverse of `document`. Raises KeyError, TypeError or ValueError."""
    return Revised(
        str(values["environment"]),
        int(values["number"]),
        str(values["manifest"]),
        float(values["fetched"]),
        float(values["expires"]),
        bool(values["expired"]),
        int(values["entries"]),
        int(values["removed"]),
        str(values["held"]),
    )


@dataclass(frozen=True, slots=True)
class Over:
    """What lies over the files in this load."""

    layer: Layer = NO_LAYER
    before: live.Overlay = live.NO_OVERLAY  # as it was in the load before
    revised: Revised = field(default_factory=Revised)
    row: str = ""  # the snapshot's file, for the digest of all sources
    unread: str = ""  # why nothing may be concluded: it was never read
    problems: tuple[Problem, ...] = ()
    due: float = 0.0  # when (POSIX seconds) it reverts; 0: never
    urgent: str = ""  # why what comes of it must not wait for a canary
    expects: Mapping[str, Expect] = field(default_factory=dict)  # by rule, with the edit that brought its text

    @property
    def covered(self) -> Covered:
        """What came of it in the load before, for the policy's loader."""
        return Covered(self.before.texts, self.before.removed)

    @property
    def marker(self) -> tuple[Source, ...]:
        """What it holds, as one source among the files, to tell whether all of them are what they once were."""
        if not self.layer.name:
            return ()
        return (Source(self.layer.name, self.revised.manifest.encode(), self.layer.error),)

    def held(self, why: str) -> Over:
        """The same, not believed: what lay over the files before stays."""
        revised = replace(self.revised, number=self.before.number, manifest=self.before.digest, held=why)
        return replace(self, layer=Layer(self.layer.name, error=why), revised=revised, urgent="", due=0.0, expects={})

    def overlay(self, covered: Covered) -> live.Overlay:
        """For the record of what was accepted."""
        return live.Overlay(self.revised.number, self.revised.manifest, covered.texts, covered.removed)


def over(state: str, environment: str, accepted: live.Accepted, now: float, trust: signing.Trust | None = None) -> Over:
    """What lies over the files now. `environment` "": no Redis is configured, and nothing does. `trust`: who must have
    signed it. Never raises."""
    if not environment:
        return Over(before=accepted.overlay)
    kept = snapshots.newest(state, environment)
    row = f"{kept.name} {kept.digest}" if kept.name else ""
    told = _untrusted(kept.snapshot, accepted.overlay, trust) if kept.snapshot is not None else None
    if kept.snapshot is not None and told is None:
        return replace(_over(kept.snapshot, accepted.overlay, now, trust), row=row)
    name = f"redis:{environment}"
    if not kept.name:
        why = f"{name} was never read"
        return _unusable(environment, why, problem("revision-unread", why, Place(name, 0, 0)), accepted, row)
    if told is None:
        damaged = f"the snapshot {snapshots.FOLDER}/{kept.name} can't be used: {kept.why}"
        told = problem("snapshot-damaged", damaged, Place(name, 0, 0))
    earlier = None if accepted.texts else _earlier(state, environment, accepted.overlay, trust)
    if earlier is not None:
        return replace(_over(earlier, accepted.overlay, now, trust), row=row, problems=(told,))
    return _unusable(environment, told.message, told, accepted, row)


def _earlier(state: str, environment: str, before: live.Overlay, trust: signing.Trust | None) -> Snapshot | None:
    """The newest one that can be used."""
    found = snapshots.readable(state, environment)
    return next((one for one in found if _untrusted(one, before, trust) is None), None)


def _untrusted(one: Snapshot, before: live.Overlay, trust: signing.Trust | None) -> Problem | None:
    """Why a snapshot is not believed, where signatures are demanded; None: it is."""
    if trust is None:
        return None
    name, what = f"redis:{one.environment}", f"revision {one.number} of {one.environment}, as kept on this machine"
    doubt = trust.doubt(one.revision) if one.revision is not None else None
    if doubt is not None:
        code = "signatures-unavailable" if doubt.unable else "revision-untrusted"
        return problem(code, f"{what}, is not taken: {doubt.why}", Place(name, 0, 0))
    if one.number < before.number and one.given_up < before.number:
        text = f"{what}, is not taken: it is older than revision {before.number}, which was in force"
        return problem("revision-untrusted", text, Place(name, 0, 0))
    return None


def _unusable(environment: str, why: str, told: Problem, accepted: live.Accepted, row: str) -> Over:
    before = accepted.overlay
    revised = Revised(environment, before.number, before.digest, held=why)
    return Over(Layer(f"redis:{environment}", error=why), before, revised, row, why, (told,))


def _over(one: Snapshot, before: live.Overlay, now: float, trust: signing.Trust | None = None) -> Over:
    one = replace(one, loose={}) if trust is not None else one  # nobody has signed those
    manifest, revision, name = one.in_force(now), one.revision, f"redis:{one.environment}"
    sources = {
        named.key: Source(
            f"{name}/{named.key.id}@{named.sha[:_SHORT]}", one.texts[named.sha].encode("utf-8", "replace")
        )
        for named in manifest.entries
    }
    told: tuple[Problem, ...] = ()
    for given, text in one.loose.items():
        source = Source(f"{name}/unreviewed/{given}", text.encode("utf-8", "replace"))
        held = [entry.key for entry in read_file(source).entries]
        if len(held) == 1:
            sources[held[0]] = source
        else:
            wrong = f"`{given}` has to hold one entry, and holds {len(held)}; it is not in force"
            told += (problem("revision-unreviewed", wrong, Place(source.name, 1, 1)),)
    layer = Layer(name, sources, frozenset(manifest.removed) - sources.keys())
    revised = Revised(
        environment=one.environment,
        number=one.number,
        manifest=manifest.digest(),
        fetched=one.at,
        entries=len(sources),
        removed=len(manifest.removed),
    )
    if revision is None:
        return Over(layer, before, revised, problems=told)
    expired, expires = revision.expired(now), float(revision.expires or 0)
    urgent = revision.urgent if one.number != before.number else ""
    if one.local:  # it was in force here before
        urgent = f"this host goes back to revision {one.number}" if one.number != before.number else ""
    if revision.forced and not expired:
        gates = ", ".join(revision.forced)
        text = f"revision {one.number} was promoted past its gates ({gates}) by {revision.author}: {revision.reason}"
        told += (problem("revision-forced", text, Place(name, 0, 0), Severity.WARNING),)
    if expired:
        text = f"revision {one.number} was not confirmed in time: what was in force before it is again"
        told += (problem("revision-expired", text, Place(name, 0, 0), Severity.WARNING),)
        urgent = text if (before.number, before.digest) == (one.number, revision.manifest) else ""
    shas = manifest.shas
    expects = {
        one.rule: Expect(one.logins, float(one.per))
        for one in revision.expect
        if shas.get(EntryKey(EntryKind.RULE, one.rule)) == one.sha
    }
    revised = replace(revised, expires=expires, expired=expired)
    return Over(layer, before, revised, "", "", told, 0.0 if expired else expires, urgent, expects)
