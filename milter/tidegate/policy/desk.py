"""One load's books: what each entry came to, what is wrong with it, and which text of it is in force.

`settle` is the one way of every entry: its own text if that is valid; else the text that was accepted last (STALE);
else nothing. What a rule or a list becomes then is its own page's (policy/doubt.py, policy/load.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from tidegate.model import Entry, EntryKey, EntryState, Place, Problem, Severity
from tidegate.policy.codes import problem
from tidegate.policy.findings import Findings
from tidegate.policy.names import Names
from tidegate.policy.read import EntryText, read_entry
from tidegate.policy.remembered import keep, unplaced

NOWHERE = Place("", 0, 0)
"""The place of an entry that stands in no file that can be read."""
MAX_PROBLEMS = 50
"""Problems that one entry tells: what is wrong a thousand times is one mistake."""

Value = TypeVar("Value")
Build = Callable[[EntryText, Findings], "Value | None"]


@dataclass(slots=True)
class Settled(Generic[Value]):
    """What one entry came to: `value` None is nothing. `findings` are those of its own text."""

    key: EntryKey
    value: Value | None
    state: EntryState  # ACTIVE, STALE or SKIPPED
    place: Place
    findings: Findings
    reason: str = ""
    text: str = ""  # in force
    digest: str = ""
    missing: bool = False  # STALE because its source is, while nothing says that anybody edited the entry
    below: bool = False  # STALE, and what serves is the lower layer's (layers.py)

    @property
    def doubtful(self) -> bool:
        """Is it STALE by an edit, so that what it makes milder is in doubt? Absence alone changes no verdict (P9)."""
        return self.state is EntryState.STALE and not self.missing


@dataclass(slots=True)
class Desk:
    """What all entries of one load share."""

    names: Names
    accepted: Mapping[EntryKey, str]
    progress: Callable[[str], None]
    skip: Mapping[str, str]  # progress names of what is not to be read, and why
    why_absent: str = ""  # why an entry that stands nowhere is not gone
    damaged: bool = False  # a file was read and holds what can't be: an entry that stands nowhere may have been edited
    problems: list[Problem] = field(default_factory=list)
    entries: dict[EntryKey, Entry] = field(default_factory=dict)
    texts: dict[EntryKey, str] = field(default_factory=dict)
    stale: Mapping[EntryKey, float] = field(default_factory=dict)  # POSIX seconds since when these are STALE
    broken: dict[EntryKey, tuple[str, ...]] = field(default_factory=dict)  # what stands there of what is not valid
    remembered: set[EntryKey] = field(default_factory=set)  # those that stand nowhere, by an earlier load's `broken`
    upper: set[EntryKey] = field(default_factory=set)  # entries of the upper layer (layers.py)
    upper_before: frozenset[EntryKey] = frozenset()  # whose accepted texts are the upper layer's
    upper_texts: set[EntryKey] = field(default_factory=set)  # whose texts in force are
    below: dict[EntryKey, list[EntryText]] = field(default_factory=dict)  # what the upper layer covers
    covered: dict[EntryKey, Place] = field(default_factory=dict)  # where what it covers or removes stands
    held: dict[EntryKey, str] = field(default_factory=dict)  # why what can't be read is not gone, of these

    def settle(self, key: EntryKey, texts: Sequence[EntryText], build: Build[Value]) -> Settled[Value]:
        """The entry `key`, which stands in `texts`: once, several times (a problem), or nowhere any more."""
        findings = Findings(key)
        place = texts[0].place if texts else NOWHERE
        value: Value | None = None
        reason = self.held.get(key, self.why_absent)
        if len(texts) > 1:
            _tell_duplicates(key, texts, findings)
        elif texts:
            name = f"{place.source}: {key}"
            self.progress(name)
            if name in self.skip:
                reason = self.skip[name]
            else:
                value = _try(texts[0], build, findings)
        if findings.broken:
            value, reason = None, next(one.message for one in findings.problems if one.severity is Severity.ERROR)
        if value is not None:
            text = texts[0]
            return Settled(key, value, EntryState.ACTIVE, place, findings, "", text.text, text.digest)
        if texts and (known := keep(texts)):
            self.broken[key] = known
        below = self._from_below(key, place, build)
        last = below or self._last_valid(key, place, build)
        digest = texts[0].digest if texts else ""
        if last is None:
            return Settled(key, None, EntryState.SKIPPED, place, findings, reason, "", digest)
        value, text = last
        missing = not texts and (key in self.held or (bool(self.why_absent) and not self.damaged))
        return Settled(
            key, value, EntryState.STALE, place, findings, reason, text.text, text.digest, missing, bool(below)
        )

    def last_text(self, key: EntryKey) -> EntryText | None:
        """The accepted text of an entry, read; None where there is none or it can't be read any more."""
        written = self.accepted.get(key)
        if written is None:
            return None
        text = read_entry(key, written)
        return None if text.node is None or _broken(text.problems) else text

    def _from_below(self, key: EntryKey, place: Place, build: Build[Value]) -> tuple[Value, EntryText] | None:
        """What the lower layer's text builds to, where the upper one's never was valid. Its problems are nobody's."""
        texts = self.below.get(key, [])
        if key not in self.upper or key in self.upper_before or len(texts) != 1:
            return None
        name = f"{texts[0].place.source}: {key}"
        self.progress(name)
        if name in self.skip:
            return None
        findings = Findings(key)
        value = _try(texts[0], build, findings)
        return None if value is None or findings.broken else (value, replace(texts[0], place=place))

    def _last_valid(self, key: EntryKey, place: Place, build: Build[Value]) -> tuple[Value, EntryText] | None:
        """What the accepted text builds to. Its problems are nobody's: the text in the file has been told."""
        if key not in self.accepted:
            return None
        name = f"{place.source or 'accepted'} (last valid): {key}"
        self.progress(name)
        text = None if name in self.skip else self.last_text(key)
        if text is None:
            return None
        text = replace(text, place=place)
        findings = Findings(key)
        before, self.names.accepting = self.names.accepting, True
        try:
            value = _try(text, build, findings)
        finally:
            self.names.accepting = before
        return None if value is None or findings.broken else (value, text)

    def since(self, settled: Settled[Value]) -> float:
        """Since when (POSIX seconds) a STALE entry is. A clock that was set back makes nothing younger than now."""
        return min(self.stale.get(settled.key, self.names.now), self.names.now)

    def record(self, settled: Settled[Value], state: EntryState, reason: str = "", *, keep: bool = True) -> None:
        """Into the books. `keep`: its text stays in force for the next load."""
        key = settled.key
        since = self.since(settled) if settled.state is EntryState.STALE else 0.0
        below = self.covered.get(key)
        overrides = str(below) if below is not None else ""
        self.entries[key] = Entry(key, state, settled.place, settled.digest, reason or settled.reason, since, overrides)
        if keep and settled.text:
            self.texts[key] = settled.text
            fresh = self.upper if settled.state is EntryState.ACTIVE else self.upper_before
            if key in fresh and not settled.below:
                self.upper_texts.add(key)
        found = settled.findings.problems[:MAX_PROBLEMS]
        self.problems += unplaced(found) if key in self.remembered else found
        hidden = len(settled.findings.problems) - MAX_PROBLEMS
        if hidden > 0:
            self.problems.append(
                problem("more-problems", f"{key} has {hidden} problems more", settled.place, entry=key)
            )


def _try(text: EntryText, build: Build[Value], findings: Findings) -> Value | None:
    findings.problems += [one if one.entry else replace(one, entry=text.key) for one in text.problems]
    if text.node is None:
        return None
    told = {one.place for one in findings.problems}
    value = build(text, findings)
    if told:  # what the reader refused stands in the node as nothing, which needs no second complaint
        known = len(text.problems)
        findings.problems[known:] = [one for one in findings.problems[known:] if one.place not in told]
    return value


def _broken(problems: Sequence[Problem]) -> bool:
    return any(one.severity is Severity.ERROR for one in problems)


def _tell_duplicates(key: EntryKey, texts: Sequence[EntryText], findings: Findings) -> None:
    """Each of them is a problem that names another."""
    for number, text in enumerate(texts):
        other = texts[0 if number else 1].place
        findings.add(
            "duplicate-id", f"the {key.kind.value} `{key.id}` stands at {other} too; neither counts", text.place
        )
