"""From the bytes of all policy files to rules, lists and problems: the one way, for files and for every other source.

Promises: one broken entry costs that entry and what can't be built without it; everything wrong is found at once, with
its place; nothing that a source can hold raises. An entry that is broken now and was valid before serves as it last was
(STALE); one that is nowhere while a source can't be trusted is not gone. Refuses: reading files (they come as bytes),
clocks (`now` is an argument), deciding what goes live.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from tidegate.model import (
    Conventions,
    EntryKey,
    EntryKind,
    EntryState,
    Loaded,
    MemberListData,
    Mode,
    Place,
    ReadFile,
    Rule,
    Source,
)
from tidegate.policy import doubt
from tidegate.policy.book import ConditionBook
from tidegate.policy.codes import problem
from tidegate.policy.desk import Desk, Settled
from tidegate.policy.examples import Example
from tidegate.policy.excerpts import with_excerpts
from tidegate.policy.findings import Findings
from tidegate.policy.layers import NO_LAYER, NOTHING_COVERED, Covered, Layer, lay_over, tell_removed
from tidegate.policy.listbook import ListBook, ListFiles, no_last_file
from tidegate.policy.names import Names
from tidegate.policy.nodes import Mapping as MappingNode
from tidegate.policy.read import EntryText, FileText
from tidegate.policy.read import read_file as read_policy
from tidegate.policy.remembered import remember
from tidegate.policy.rules import RuleParts, build_rule
from tidegate.policy.staleness import MaxStale, aged

Texts = dict[str, list[EntryText]]
_KILLER = "reading it killed the loader"
_NOTHING_STALE: Mapping[EntryKey, float] = MappingProxyType({})
_NOTHING_BROKEN: Mapping[EntryKey, Sequence[str]] = MappingProxyType({})
_NAMED = 5
"""Dependants that a message names."""


@dataclass(frozen=True, slots=True)
class LoadedPolicy:
    """A load, and the examples of each rule that is in force as written."""

    loaded: Loaded
    examples: Mapping[str, tuple[Example, ...]] = field(default_factory=dict)
    good_files: frozenset[str] = frozenset()  # list files of lists that are in force as written
    stale_files: frozenset[str] = frozenset()  # list files of lists that serve as they last were
    broken: Mapping[EntryKey, tuple[str, ...]] = field(default_factory=dict)  # what stands there of entries not valid
    due: float = 0.0  # when (POSIX seconds) a load will come to something else: a `max_stale` ends; 0: never
    covered: Covered = NOTHING_COVERED  # by the upper layer


def _no_progress(_name: str) -> None:
    return None


def load(
    sources: Sequence[Source],
    read_file: ReadFile,
    conventions: Conventions,
    now: float,
    accepted: Mapping[EntryKey, str] | None = None,
    progress: Callable[[str], None] = _no_progress,
    skip: Collection[str] = frozenset(),
) -> Loaded:
    """Load policies. The arguments are those of `load_policy`."""
    return load_policy(sources, read_file, conventions, now, accepted, progress, skip).loaded


def load_policy(
    sources: Sequence[Source],
    read_file: ReadFile,
    conventions: Conventions,
    now: float,
    accepted: Mapping[EntryKey, str] | None = None,
    progress: Callable[[str], None] = _no_progress,
    skip: Collection[str] = frozenset(),
    last_file: ReadFile = no_last_file,
    confirmed: bool = False,
    stale: Mapping[EntryKey, float] = _NOTHING_STALE,
    broken: Mapping[EntryKey, Sequence[str]] = _NOTHING_BROKEN,
    redis: bool = True,
    layer: Layer = NO_LAYER,
    covered: Covered = NOTHING_COVERED,
) -> LoadedPolicy:
    """Load policies, with their examples.

    `read_file` reads a list file by the path that the policy names; `now` is POSIX seconds. `accepted` holds the last
    valid text of each entry. `progress` is called with `FILE` before each file and with `FILE: KIND ID` before each
    entry, so that a death of this process names its culprit; what is named in `skip` is not read again; a
    mapping says why, otherwise it killed the loader. `last_file` reads a list file as it last was good; `confirmed`: a
    person said that what is missing is meant to be gone. `stale`: since when entries are STALE (POSIX seconds),
    `broken`: what last stood there of those that are not valid. `redis`: lists can come from there. `layer` lies over
    the sources (layers.py); `covered` is what came of it in the load before.
    """
    reasons = skip if isinstance(skip, Mapping) else dict.fromkeys(skip, _KILLER)
    desk = Desk(Names(conventions, now, redis=redis), accepted or {}, progress, reasons, stale=stale)
    files = ListFiles(read_file, last_file, confirmed)
    texts = _read(sources, desk)
    removed = lay_over(texts, layer, covered, desk, broken)
    _keep_absent(texts, desk, broken, removed)
    lists = ListBook(desk, texts[EntryKind.LIST], files)
    lists.build_all()
    book = ConditionBook(desk, texts[EntryKind.CONDITION])
    desk.names.conditions = texts[EntryKind.CONDITION]
    desk.names.use = book.use
    book.build_all()
    rules = _Rules(desk, texts[EntryKind.RULE])
    rules.build_all()
    rules.tell_late_exempts()
    lists.tell_dependants(rules.asks)
    tell_removed(desk, removed, layer)
    shown = (*sources, *layer.sources.values(), *files.read.values())
    found = with_excerpts(desk.problems, {one.name: one.data for one in shown})
    loaded = Loaded(
        rules=tuple(sorted(rules.rules, key=lambda rule: (rule.priority, rule.id))),
        lists=tuple(_allowing(data, rules.allowing) for data in lists.lists.values()),
        entries=tuple(sorted(desk.entries.values(), key=lambda one: (_order(one.place), str(one.key)))),
        problems=tuple(sorted(found, key=lambda one: _order(one.place))),
        texts=desk.texts,
        conventions=conventions,
    )
    good, stale_lists = frozenset(lists.good - lists.stale), frozenset(lists.stale)
    over = Covered(frozenset(desk.upper_texts), removed)
    return LoadedPolicy(loaded, rules.examples, good, stale_lists, desk.broken, rules.due, over)


def _allowing(data: MemberListData, allowing: Collection[str]) -> MemberListData:
    """A live list says whether something lets mail pass by it."""
    if data.live is None or data.name not in allowing:
        return data
    return replace(data, live=replace(data.live, allows=True))


def _order(place: Place) -> tuple[str, int, int]:
    return (place.source, place.line, place.column)


def _read(sources: Sequence[Source], desk: Desk) -> dict[EntryKind, Texts]:
    """All files, cut into entries by kind and id."""
    found: dict[EntryKind, Texts] = {EntryKind.LIST: {}, EntryKind.CONDITION: {}, EntryKind.RULE: {}}
    for source in sources:
        desk.progress(source.name)
        file = read_policy(source)
        desk.problems += file.problems
        if not file.complete or _may_hide_entries(file):
            desk.why_absent = desk.why_absent or (
                f"{file.name} can't be read completely, and the entry stands nowhere else"
            )
            desk.damaged |= not source.error
        for text in file.entries:
            if text.key.kind in found:
                found[text.key.kind].setdefault(text.key.id, []).append(text)
    return found


def _keep_absent(
    found: dict[EntryKind, Texts],
    desk: Desk,
    broken: Mapping[EntryKey, Sequence[str]],
    removed: Collection[EntryKey],
) -> None:
    """Those entries that are missing for no good reason, and that nobody removed, as they were."""
    if not desk.why_absent:
        return
    for key in (*broken, *desk.accepted):
        if key.kind in found and key.id not in found[key.kind] and key not in removed:
            found[key.kind][key.id] = remember(key, broken.get(key, ()))
            if key in broken:
                desk.remembered.add(key)


_HIDING = frozenset(
    {"yaml-syntax", "after-end-mark", "duplicate-key", "unknown-section", "not-utf8", "control-character"}
)


def _may_hide_entries(file: FileText) -> bool:
    """Could entries stand in it that nobody sees? In a misspelt section, behind a mark that ends the document early, or
    behind a damaged first line: two rules run into one by a syntax error, or by a key that then stands twice; or the
    disk has damaged it, as a byte shows that no editor writes. What is missing then is not gone.
    """
    own = (one.code for one in file.problems)
    return any(code in _HIDING for code in own) or any(
        one.code in _HIDING for text in file.entries for one in text.problems
    )


class _Rules:
    """The rules of one load; `asks` are the rules by the lists that they name."""

    def __init__(self, desk: Desk, texts: Texts) -> None:
        self._desk = desk
        self._texts = texts
        self.rules: list[Rule] = []
        self.asks: dict[str, list[str]] = {}
        self.allowing: set[str] = set()  # lists by which a rule lets mail pass
        self.examples: dict[str, tuple[Example, ...]] = {}
        self.due = 0.0  # when (POSIX seconds) the first `max_stale` ends; 0: never
        self._late: dict[str, str] = {}  # exempting rules, and what they ask that is not known at RCPT

    def build_all(self) -> None:
        """All of them, and into the books."""
        self._gather_names()
        for name in self._texts:
            self._settle(name)

    def tell_late_exempts(self) -> None:
        """Exempts that can't be known when a rule that they name is judged: it answers 4xx, whoever is meant."""
        at_rcpt = [rule for rule in self.rules if rule.per_recipient and rule.state is not EntryState.SKIPPED]
        for rule in self.rules:
            late, exempt = self._late.get(rule.id), rule.do.exempt
            if late is None or exempt is None:
                continue
            named = [one.id for one in at_rcpt if exempt.everything or {one.id, *one.tags} & {*exempt.names}]
            if named:
                several = ", ".join(f"`{one}`" for one in named[:_NAMED]) + (", …" if len(named) > _NAMED else "")
                message = (
                    f"it asks about {late}, not known at RCPT: what it exempts there ({several}) can only answer 4xx"
                )
                key = EntryKey(EntryKind.RULE, rule.id)
                self._desk.problems.append(problem("exempt-at-rcpt", message, rule.place, entry=key))

    def _gather_names(self) -> None:
        """Ids, tags, and who exempts, from everything that can be read: an exempt names rules that come later too."""
        names, tags, exempting = self._desk.names, set[str](), set[str]()
        for name, texts in self._texts.items():
            readable = [text for text in texts if text.node is not None or text.header is not None]
            if not all(isinstance(text.node, MappingNode) for text in texts) or not texts:
                last = self._desk.last_text(EntryKey(EntryKind.RULE, name))
                readable += [last] if last is not None else []
            for text in readable:
                tags.update(doubt.tags_of(text))
                if doubt.exempt_node(text) is not None:
                    exempting.add(name)
        names.rules, names.tags, names.exempting = self._texts, tags, exempting

    def _settle(self, name: str) -> None:
        desk, key = self._desk, EntryKey(EntryKind.RULE, name)
        texts = self._texts[name]
        tried: list[RuleParts] = []

        def build(text: EntryText, findings: Findings) -> RuleParts | None:
            assert text.node is not None
            tried.append(build_rule(name, text.node, desk.names, findings, text.digest))
            return tried[-1] if tried[-1].rule is not None else None

        settled = desk.settle(key, texts, build)
        if settled.value is None or settled.value.rule is None:
            self._never_valid(settled, texts, tried[0] if tried else None)
            return
        parts, rule = settled.value, settled.value.rule
        state = settled.state
        if settled.missing:
            rule = replace(rule, place=settled.place)
        elif state is EntryState.STALE:
            rule = doubt.stale_rule(replace(rule, place=settled.place), texts, desk.names)
        elif parts.examples:
            self.examples[name] = parts.examples
        if state is EntryState.STALE:
            rule = self._of_age(settled, doubt.max_stale_of(parts, texts, desk.names), rule)
        self._in_force(settled, parts, rule)

    def _of_age(self, settled: Settled[RuleParts], limit: MaxStale | None, rule: Rule) -> Rule:
        """The last valid version, or what becomes of it after its `max_stale`."""
        if limit is None or rule.mode is Mode.OFF:
            return rule
        end = self._desk.since(settled) + limit.seconds
        if self._desk.names.now < end:
            self.due = min(self.due or end, end)
            return rule
        then = "the mail that it may concern is deferred" if limit.defers else "it still serves as it last was"
        message = f"`{rule.id}` has been broken for longer than its `max_stale`, {limit.text}; {then}: {settled.reason}"
        self._desk.problems.append(problem("stale-too-long", message, settled.place, entry=settled.key))
        return aged(rule, limit) if limit.defers else rule

    def _in_force(self, settled: Settled[RuleParts], parts: RuleParts, rule: Rule) -> None:
        desk, state, reason = self._desk, settled.state, settled.reason
        old = rule.state is EntryState.DEFERRING
        state = rule.state if old else state
        if rule.mode is Mode.OFF:
            state = EntryState.OFF
        elif rule.schedule is not None and rule.schedule.end is not None and rule.schedule.end <= desk.names.now:
            state = EntryState.EXPIRED
        elif rule.mode is Mode.SHADOW and state is EntryState.ACTIVE:
            state = EntryState.SHADOW
        if state not in (EntryState.OFF, EntryState.EXPIRED):
            judged = state
            if settled.missing and not old:
                judged = EntryState.SHADOW if rule.mode is Mode.SHADOW else EntryState.ACTIVE
            self.rules.append(rule if rule.state is judged else replace(rule, state=judged))
            if parts.late:
                self._late[rule.id] = parts.late
            self.allowing |= parts.allowing
            for one in parts.lists:
                self.asks.setdefault(one, []).append(rule.id)
            if parts.aligned and "logins" not in desk.names.lists:
                message = "it asks whether the sender is aligned, and there is no map `logins`: the answer is UNKNOWN"
                settled.findings.add("no-login-map", message, settled.place)
        desk.record(settled, state, reason)

    def _never_valid(self, settled: Settled[RuleParts], texts: Sequence[EntryText], built: RuleParts | None) -> None:
        desk, parts = self._desk, built or RuleParts()
        for text in texts:
            rule = doubt.deferring_rule(text, parts, desk.names, settled.reason, settled.findings)
            if rule is not None:
                self.rules.append(rule)
                for one in parts.lists:
                    self.asks.setdefault(one, []).append(rule.id)
                desk.record(settled, EntryState.DEFERRING)
                return
            if len(texts) == 1 and doubt.header_of(text, desk.names).mode is Mode.OFF:
                desk.record(settled, EntryState.OFF)
                return
        left = doubt.skipped_exempt(texts, parts, desk.names) if texts else None
        if left is None and texts:
            readable = [parts] if built else [self._readable(text) for text in texts]
            left = doubt.skipped_rule(texts, readable, desk.names)
        if left is not None:
            self.rules.append(left)
        desk.record(settled, EntryState.SKIPPED)

    def _readable(self, text: EntryText) -> RuleParts:
        """What can be read of an entry that was not built: one of several of that id, or one whose examples fail."""
        killed = self._desk.skip.get(f"{text.place.source}: {text.key}") == _KILLER
        if text.node is None or killed:
            return RuleParts()
        return build_rule(text.key.id, text.node, self._desk.names, Findings())
