"""The load itself, in the confined child: read, guard, build, prove, write the image, record what was accepted.

Runs under limits and may die anywhere. What it leaves behind is the image and the report in memory files, and the
record of accepted entries in the state directory, written before the generation can go live; the supervisor moves it
to its place (live/acceptance.py).
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from tidegate import image, live
from tidegate.alerts import problem
from tidegate.live import proven
from tidegate.loader import baseline, proof, releases
from tidegate.loader import sources as directory
from tidegate.loader.confine import Confined
from tidegate.loader.hints import hints_of
from tidegate.loader.kept import KeptLists
from tidegate.loader.report import LiveList, Report, encode
from tidegate.loader.revision import Over, over
from tidegate.model import Conventions, Entry, EntryState, Loaded, OnError, Place, Problem, Severity, Source
from tidegate.policy.layers import NO_LAYER, Layer
from tidegate.policy.load import LoadedPolicy, load_policy
from tidegate.signing import Trust

_KILLER = "reading it killed the loader"
_GONE = "(entries that are gone)"


@dataclass(frozen=True, slots=True)
class Request:
    """What to load, and what earlier children of this load died of."""

    policies: str
    state: str
    conventions: Conventions
    number: int  # of the generation, if it becomes one, where no record knows a later one
    skip: frozenset[str] = frozenset()  # progress names that killed a child
    problems: tuple[Problem, ...] = ()  # one for each of those
    confirmed: bool = False  # a person said that what is missing is meant to be gone
    instead_of: str = ""  # the policy directory for which the packaged baseline, in `policies`, is to serve
    before: int = -1  # descriptor of the image in force, which lends what did not change; -1: there is none
    redis: bool = True  # lists can come from there
    urgent: str = ""  # why what comes of it must not wait for a canary
    layer: Layer | None = None  # what to lay over the files, where a command wants to see what would come of it
    environment: str = ""  # whose policy revisions lie over the files; "": no Redis is configured
    trust: Trust | None = None  # who has to have signed them; None: nobody


class _ListFiles:
    """Reads list files for the policies, and remembers which and what, for the digest."""

    def __init__(self, base: str) -> None:
        self._base = base
        self.read: dict[str, Source] = {}

    def __call__(self, name: str) -> Source:
        source = self.read.get(name)
        if source is None:
            source = self.read[name] = directory.read_file(self._base, name)
        return source


@dataclass(slots=True)
class _Basis:
    """What one load goes by: what was read, as far as it may be believed, and what is known from before."""

    found: directory.Directory
    before: live.Known
    sources: tuple[Source, ...]  # as far as they are believed
    kept: tuple[Source, ...]  # without those that kill
    above: Over
    problems: tuple[Problem, ...]
    lists: _ListFiles
    read: float  # POSIX seconds: when
    began: float  # monotonic
    home: releases.Home  # where the files are
    whole: bool  # are they a release, as it was applied? What it lacks is meant to be gone
    stands: str = ""  # digest of all of it; "": it is not whole

    @property
    def accepted(self) -> live.Accepted:
        """What was accepted before."""
        return self.before.accepted


def work(child: Confined, request: Request) -> None:
    """Do it, and leave report and image in the child's memory files. Raises whatever goes wrong."""
    home = releases.home_of(request.policies, time.time())
    request = replace(request, policies=home.path)  # one folder, whatever becomes of a link meanwhile
    known = _read(child, request, home)
    unread = _unread(request, known)
    if unread and not known.accepted.texts:
        _nothing(child, request, unread, known)
        return
    if not known.sources and not known.above.layer.sources:
        text = f"there is no policy in {request.policies}: all mail is accepted"
        known.problems += (problem("no-policy", text, Place(".", 0, 0)),)
    before = _earlier(request.before)
    policy = _settled(child, request, known)
    data = _build(child, request, policy, before)
    texts = (*known.kept, *known.above.layer.sources.values())
    proved = proof.prove(policy, data, known.accepted.texts, texts, request.policies, time.time(), child.progress)
    if proved.skip:
        known.problems += proved.problems
        policy = _load(child, request, known, proved.skip)
        data = _build(child, request, policy, before)
    loaded = replace(policy.loaded, entries=tuple(_at_home(policy.loaded.entries, known.accepted)))
    number = live.next_number(known.accepted, image.digest_of(data), request.number)
    digest = _prove(image.numbered(data, number), child)
    recorded = False
    if not request.instead_of:
        child.progress("the record of accepted entries")
        recorded, unwritten = _remember(request, known, policy, loaded, (number, digest))
        known.problems += unwritten
    report = _report(request, known, policy, loaded, (number, digest))
    _write(child.result, encode(replace(report, recorded=recorded)))


def _read(child: Confined, request: Request, home: releases.Home) -> _Basis:
    began, read = time.monotonic(), time.time()
    child.progress("the policy directory")
    found = directory.read_directory(request.policies)
    wrong = releases.changed(home.path, found) if home.digest else ()
    whole = bool(home.digest) and not wrong
    before, problems = (live.Known(), ()) if request.instead_of else live.read_known(request.state)
    sources, lost = _believed(request, found, before.accepted, whole)
    above = _above(request, before.accepted, read)
    told = (*directory.problems(found), *releases.remarks(home, wrong))
    problems = (*problems, *lost, *above.problems, *told, *request.problems)
    kept = _without(sources, request.skip)
    lists = _ListFiles(request.policies)
    return _Basis(found, before, sources, kept, above, problems, lists, read, began, home, whole)


def _above(request: Request, accepted: live.Accepted, now: float) -> Over:
    """What lies over the files: nothing over the baseline, what a command wants to see, or the policy revision."""
    if request.instead_of or request.layer is not None:
        return Over(request.layer or NO_LAYER)
    return over(request.state, request.environment, accepted, now, request.trust)


def _unread(request: Request, known: _Basis) -> str:
    """Why nothing may be concluded from what was read, where nothing is known from before."""
    return known.found.error or _all_unread(known.sources) or known.above.unread or _doubtful(request, known)


def _settled(child: Confined, request: Request, known: _Basis) -> LoadedPolicy:
    """What it comes to, with those entries that vanished in masses as they were."""
    policy, accepted = _load(child, request, known), known.accepted
    known.stands = live.digest_of((*known.sources, *known.above.marker))
    if request.confirmed or live.returned(known.stands, accepted, time.time()):
        return policy
    gone = live.vanished(policy.loaded, accepted, known.above.overlay(policy.covered))
    revised = not accepted.overlay.texts.union(policy.covered.removed).isdisjoint(gone)
    if not gone or (known.whole and not revised):
        return policy
    known.stands = ""
    known.problems += (live.mass_vanish(gone, accepted),)
    known.kept += (Source(_GONE, error="more than half of all entries are gone at once"),)
    if revised:
        number = known.above.revised.number
        known.above = known.above.held(f"revision {number} takes away more than half of the entries at once")
    return _load(child, request, known)


def _remember(
    request: Request, known: _Basis, policy: LoadedPolicy, loaded: Loaded, generation: tuple[int, str]
) -> tuple[bool, tuple[Problem, ...]]:
    """On record before it can go live: is there a record to be moved, and what could not be written?"""
    overlay, now = known.above.overlay(policy.covered), time.time()
    fresh = live.accept(loaded, known.sources, known.accepted, known.stands, now, generation, policy.broken, overlay)
    return _record(request.state, policy, known.lists, fresh, known.accepted)


def _report(
    request: Request, known: _Basis, policy: LoadedPolicy, loaded: Loaded, generation: tuple[int, str]
) -> Report:
    above, lists = known.above, known.lists
    hints = hints_of(loaded, known.before if known.accepted.texts or request.before >= 0 else None)
    number, digest = generation
    report = Report(
        sources_digest=directory.whole_digest(known.found, lists.read, above.row),
        digest=digest,
        number=number,
        image=True,
        entries=loaded.entries,
        problems=(*_placed(known.problems, loaded.entries), *_unsaid(loaded.problems, known.found, known.sources)),
        rules=tuple(rule.id for rule in loaded.rules),
        lenient=tuple(rule.id for rule in loaded.rules if rule.on_error is OnError.SKIP and rule.do.exempt is None),
        lists=tuple(lists.read),
        counts=_counts(loaded, known.sources) | {"revision": above.revised.number},
        due=min((due for due in (policy.due, above.due) if due), default=0.0),
        milliseconds=(time.monotonic() - known.began) * 1000,
        hints=replace(hints, expects={**hints.expects, **above.expects}),
        read=known.read,
        sources=directory.described(known.found, known.sources, lists.read),
        urgent=above.urgent,
        revised=above.revised,
        release=known.home.digest,
    )
    return _with_faces(report, loaded, above)


def _live(loaded: Loaded) -> tuple[LiveList, ...]:
    return tuple(
        LiveList(data.name, data.live.name, data.live.form, data.live.max_stale, data.live.allows)
        for data in loaded.lists
        if data.live is not None and data.unavailable is None
    )


def _with_faces(report: Report, loaded: Loaded, above: Over) -> Report:
    """What can be told without the image: which of the rules another policy has, too, and which lists are live."""
    faces = image.faces(loaded)
    expected = tuple(rule.id for rule in loaded.rules if rule.expect is not None or rule.id in above.expects)
    return replace(report, form=faces.form, faces=faces.rules, expected=expected, live=_live(loaded))


def _build(child: Confined, request: Request, policy: LoadedPolicy, before: image.Earlier) -> bytes:
    child.progress("the image")
    return image.build(policy.loaded, request.number, before)


def _believed(
    request: Request, found: directory.Directory, accepted: live.Accepted, whole: bool
) -> tuple[tuple[Source, ...], tuple[Problem, ...]]:
    """The sources as far as they may be believed, and what was lost."""
    # A directory, say, in the place of a file that held entries: the file is unreadable, not gone.
    replaced = tuple(Source(name, error=why) for name, why in found.ignored if name in accepted.files)
    return live.guard((*found.sources, *replaced), found.error, accepted, request.confirmed or whole)


def _earlier(descriptor: int) -> image.Earlier:
    """What the image in force lends. Without it, or with one that can't be read, everything is made anew."""
    if descriptor < 0:
        return image.Earlier()
    try:
        return image.earlier(mmap.mmap(descriptor, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ))
    except (image.BadImage, OSError, ValueError):
        return image.Earlier()


def _at_home(entries: tuple[Entry, ...], accepted: live.Accepted) -> Iterator[Entry]:
    """An entry that stands nowhere now is looked for where it last stood."""
    for entry in entries:
        home = "" if entry.place.source else accepted.homes.get(entry.key, "")
        yield replace(entry, place=Place(home, 1, 1)) if home else entry


def _placed(problems: tuple[Problem, ...], entries: tuple[Entry, ...]) -> Iterator[Problem]:
    """What is known by its entry only (it killed the loader) is told with the entry's place."""
    places = {entry.key: entry.place for entry in entries}
    for one in problems:
        known = places.get(one.entry) if one.entry is not None and not one.place.line else None
        yield replace(one, place=known) if known is not None else one


def _unsaid(
    problems: tuple[Problem, ...], found: directory.Directory, sources: tuple[Source, ...]
) -> Iterator[Problem]:
    """The reader's problems, without those of files whose absence has been told by the guard."""
    told = {_GONE} | {source.name for source in sources if source.error and source not in found.sources}
    return (one for one in problems if one.entry is not None or one.place.source not in told)


def _nothing(child: Confined, request: Request, why: str, known: _Basis) -> None:
    """Nothing can be read and nothing is known from before: no generation, so mail is deferred."""
    unread = problem("nothing-readable", f"{why}; nothing is known from before", Place(".", 0, 0))
    found = directory.read_directory(request.policies)
    report = Report(
        sources_digest=directory.whole_digest(found, {}, known.above.row),
        problems=(*known.problems, unread),
        milliseconds=(time.monotonic() - known.began) * 1000,
        read=time.time(),
        sources=directory.described(found, (), {}),
        revised=known.above.revised,
    )
    _write(child.result, encode(report))


def _doubtful(request: Request, known: _Basis) -> str:
    """Why an empty directory is not believed: the record of what it held is lost, and something was proven once.

    Of the baseline: why it may not serve.
    """
    if request.instead_of:
        missing = baseline.unread(request.instead_of, request.state, request.environment, request.trust)
        return missing or ("" if known.sources else f"{request.policies} holds no baseline")
    empty = not known.sources and not known.above.layer.sources
    lost = (
        empty
        and not known.accepted.number
        and not (request.confirmed or known.whole)
        and bool(proven.known(request.state))
    )
    return "the policy directory is empty, and the record of what it held is lost" if lost else ""


def _all_unread(sources: tuple[Source, ...]) -> str:
    """Why not one of the files can be read; "" where one can, or where there are none."""
    if not sources or not all(source.error for source in sources):
        return ""
    return f"no policy file can be read ({sources[0].name}: {sources[0].error})"


def _load(
    child: Confined, request: Request, known: _Basis, failed: Mapping[str, str] = MappingProxyType({})
) -> LoadedPolicy:
    accepted = known.accepted
    return load_policy(
        known.kept,
        known.lists,
        request.conventions,
        time.time(),
        accepted=accepted.texts,
        progress=child.progress,
        skip={**dict.fromkeys(request.skip, _KILLER), **failed},
        last_file=KeptLists(request.state),
        confirmed=request.confirmed or known.whole,
        stale=accepted.stale,
        broken=accepted.broken,
        layer=known.above.layer,
        covered=known.above.covered,
        redis=request.redis,
    )


def _without(sources: tuple[Source, ...], skip: frozenset[str]) -> tuple[Source, ...]:
    """A whole file that killed the loader is unreadable: what it held before stays in force."""
    return tuple(replace(source, data=b"", error=_KILLER) if source.name in skip else source for source in sources)


def _prove(data: bytes, child: Confined) -> str:
    """Write the image and open it again as a worker will. Raises image.BadImage; returns the digest."""
    _write(child.extra, data)
    with mmap.mmap(child.extra, 0, prot=mmap.PROT_READ) as mapped:
        generation = image.Generation(mapped)
        digest = generation.digest
        del generation
    return digest


def _write(descriptor: int, data: bytes) -> None:
    os.ftruncate(descriptor, 0)
    done = 0
    while done < len(data):
        done += os.pwrite(descriptor, memoryview(data)[done:], done)


def _record(
    state: str, policy: LoadedPolicy, lists: _ListFiles, fresh: live.Accepted, known: live.Accepted
) -> tuple[bool, tuple[Problem, ...]]:
    """Is there a record of accepted entries to be moved? And what could not be written."""
    try:
        recorded = live.record_next(state, fresh, known)
    except OSError as error:
        text = f"the record of accepted entries can't be written: {error.strerror}"
        unwritten = problem("record-unwritable", text, Place(state, 0, 0))
        return False, (unwritten, *_keep(state, policy, lists, unchanged=False))
    return recorded, _keep(state, policy, lists, unchanged=not recorded)


def _keep(state: str, policy: LoadedPolicy, lists: _ListFiles, unchanged: bool) -> tuple[Problem, ...]:
    """What no list asks any more is forgotten where nothing else changed: else what is for all may ask it yet."""
    good = {name: lists.read[name].data for name in policy.good_files}
    try:
        KeptLists(state).keep(good, policy.stale_files, forget=unchanged)
    except OSError as error:
        text = f"the list files can't be kept: {error.strerror}"
        return (problem("record-unwritable", text, Place(state, 0, 0)),)
    return ()


def _counts(loaded: Loaded, sources: tuple[Source, ...]) -> dict[str, int]:
    rules = sum(rule.state is not EntryState.SKIPPED for rule in loaded.rules)
    counts = {"files": len(sources), "rules": rules, "lists": len(loaded.lists)}
    counts |= {state.value: sum(entry.state is state for entry in loaded.entries) for state in EntryState}
    counts["errors"] = sum(problem.severity is Severity.ERROR for problem in loaded.problems)
    return counts
