"""What every message of the corpus has to get under a damaged policy, by three vectors of verdicts: with the entry as
it last was, without it, and with what it let through stopped.

The judgement is not the daemon's: which entries of the damaged text are valid is what a load says that knows of no
earlier version (so nothing in it is STALE), in a child that may die; what was valid before is put in the place of
what is not, and the engine judges that as if nobody had ever damaged it. So the rules for doubt (policy/doubt.py, the
stale parts of engine/match.py, the bracket) are measured against whole policies that hold none.
"""

from __future__ import annotations

import os
import pickle
import resource
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

from tests.builders.corpus import CONVENTIONS, DOUBT, Letter, judged
from tidegate import image
from tidegate.loader.proof import prove
from tidegate.model import (
    AllOf,
    AnyOf,
    Condition,
    EntryKey,
    EntryKind,
    Loaded,
    Not,
    OnError,
    PolicySet,
    Quantifier,
    Recipients,
    Rule,
    Source,
)
from tidegate.policy.load import load_policy

Texts = Mapping[EntryKey, str]
Vector = tuple[str, ...]

_MEMORY = 2 << 30
_CPU = 30
_MANY = 3  # entries in doubt of which all combinations are tried
_NEVER = "          {all: [{sender.null: true}, {sender.null: false}]}"


@dataclass(frozen=True, slots=True)
class Fresh:
    """What a load came to that knows of nothing earlier: each entry's state, and the text of those in force."""

    states: Mapping[str, str] = field(default_factory=dict)
    texts: Texts = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)


def fresh(sources: Sequence[Source], base: Path) -> Fresh | None:
    """Load these in a child; None where that died."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.close(reading)
            resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
            resource.setrlimit(resource.RLIMIT_CPU, (_CPU, _CPU))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            with open(writing, "wb") as stream:
                pickle.dump(_fresh(sources, base), stream)
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as stream:
        data = stream.read()
    os.waitpid(pid, 0)
    try:
        found = pickle.loads(data)
    except (EOFError, pickle.UnpicklingError):
        return None
    assert isinstance(found, Fresh)
    return found


def _fresh(sources: Sequence[Source], base: Path) -> Fresh:
    loaded = _proven(sources, base)
    entries = {str(entry.key): entry for entry in loaded.entries}
    return Fresh(
        {key: entry.state.value for key, entry in entries.items()},
        dict(loaded.texts),
        {key: entry.digest for key, entry in entries.items()},
    )


def _proven(sources: Sequence[Source], base: Path) -> Loaded:
    """As they are written, without the rules whose examples fail."""

    def read_file(name: str) -> Source:
        return Source(name, (base / name).read_bytes())

    policy, now = load_policy(sources, read_file, CONVENTIONS, time.time()), time.time()
    failed = prove(policy, image.build(policy.loaded, 1), {}, tuple(sources), str(base), now, lambda _name: None)
    return load_policy(sources, read_file, CONVENTIONS, now, skip=failed.skip).loaded if failed.skip else policy.loaded


def _in_force(texts: Texts, base: Path) -> Loaded:
    """These entries as if nobody had ever damaged them: what was accepted, from a source that is gone."""

    def read_file(name: str) -> Source:
        return Source(name, (base / name).read_bytes())

    gone = Source("gone.yaml", error="it is gone")
    return load_policy([gone], read_file, CONVENTIONS, time.time(), texts, last_file=read_file).loaded


class _Lazy:
    """What each message gets under one generation, judged when it is first asked for."""

    def __init__(self, letters: Sequence[Letter], policies: PolicySet) -> None:
        self._letters = letters
        self._policies = policies
        self._known: dict[int, str] = {}

    def of(self, which: Sequence[int]) -> Vector:
        """Those of these numbers."""
        fresh = [number for number in which if number not in self._known]
        shown = judged([self._letters[number] for number in fresh], self._policies)
        self._known |= zip(fresh, shown, strict=True)
        return tuple(self._known[number] for number in which)


class Golden:
    """The vectors of one corpus. They are remembered: most damage leaves the same policy."""

    def __init__(self, letters: Sequence[Letter], base: Path) -> None:
        self.letters = letters
        self.which: Sequence[int] = range(len(letters))  # the numbers of the messages that vectors are about
        self._base = base
        self._loaded: dict[tuple[tuple[EntryKey, str], ...], Loaded] = {}
        self._vectors: dict[tuple[object, ...], _Lazy] = {}
        self._earlier = image.Earlier()

    def _of(self, texts: Texts) -> tuple[tuple[tuple[EntryKey, str], ...], Loaded]:
        key = tuple(sorted(texts.items(), key=lambda one: str(one[0])))
        if key not in self._loaded:
            self._loaded[key] = _in_force(texts, self._base)
        return key, self._loaded[key]

    def vector(self, texts: Texts, variants: Mapping[str, str] | None = None) -> Vector:
        """What each message gets under these entries. `variants` says of some what they are instead: `without`,
        `unexempting`, `open` (what it lets through is stopped)."""
        chosen = dict(variants or {})
        never = {key for key in texts if key.kind is EntryKind.CONDITION and str(key) in chosen}
        base, loaded = self._of({**texts, **dict.fromkeys(never, _NEVER)} if never else texts)
        name = (base, tuple(sorted(chosen.items())))
        if name not in self._vectors:
            lists = tuple(replace(one, items=()) if f"list {one.name}" in chosen else one for one in loaded.lists)
            rules = tuple(made for rule in loaded.rules if (made := _variant(rule, chosen.get(f"rule {rule.id}", ""))))
            data = image.build(replace(loaded, lists=lists, rules=rules), 1, self._earlier)
            if not self._earlier.groups:
                self._earlier = image.earlier(data)
            self._vectors[name] = _Lazy(self.letters, image.Generation(data))
        return self._vectors[name].of(self.which)

    def rule(self, texts: Texts, key: str) -> Rule | None:
        """The rule of this key, where it is one."""
        return next((one for one in self._of(texts)[1].rules if f"rule {one.id}" == key), None)

    def tagged(self, texts: Texts, names: Sequence[str]) -> set[str]:
        """The ids of the rules that an exempt of these names is about."""
        return {one.id for one in self._of(texts)[1].rules if {one.id, *one.tags} & {*names}}

    def choices(self, texts: Texts, key: str) -> tuple[str, ...]:
        """What an entry whose edit is broken may be instead of what it last was; "": as it was."""
        if not key.startswith("rule "):
            return ("", "without")
        rule = self.rule(texts, key)
        if rule is None:
            return ("",)
        alone = rule.do.ending is None and not rule.do.edits
        exempts = [] if rule.do.exempt is None else ["without" if alone else "unexempting"]
        opened = [] if rule.on_error is OnError.SKIP else ["open"]
        return ("", *exempts, *opened)

    def alternatives(self, texts: Texts, doubted: Iterable[str]) -> tuple[Vector, ...]:
        """All that may be, while the edits of these entries are broken; the first is as they last were."""
        keys = sorted(doubted)
        choices = {key: self.choices(texts, key) for key in keys}
        if len(keys) <= _MANY:
            combined = [dict(zip(keys, one, strict=True)) for one in product(*choices.values())]
        else:
            combined = [{}, *({key: choice} for key in keys for choice in choices[key])]
            combined.append({key: choices[key][-1] for key in keys})
        found = [{key: choice for key, choice in one.items() if choice} for one in combined]
        return tuple(self.vector(texts, one) for one in found)


def _variant(rule: Rule, choice: str) -> Rule | None:
    match choice:
        case "without":
            return None
        case "unexempting":
            return replace(rule, do=replace(rule.do, exempt=None))
        case "open":
            return replace(rule, exceptions=(), when=_opened(rule.when))
    return rule


def _opened(condition: Condition) -> Condition:
    """Nothing in it lets anything through any more: no `not`, no `no_rcpt`."""
    match condition:
        case AllOf(children):
            return AllOf(tuple(map(_opened, children)))
        case AnyOf(children):
            return AnyOf(tuple(map(_opened, children)))
        case Not() | Recipients(Quantifier.NO):
            return AllOf(())
        case Recipients(quantifier, child):
            return Recipients(quantifier, _opened(child))
    return condition


# ── what may be answered ─────────────────────────────────────────────────────────────────────────────────────────────


def allowed(values: Sequence[str], *, readable: bool, either: bool = False) -> frozenset[str]:
    """What one message may get whose alternatives are these; the first is as the entries last were.

    `readable`: the broken text may be readable enough to leave no doubt (a list's items), or nobody edited it.
    `either`: what the entry says may be in doubt also where it makes the verdict stricter.
    """
    last, others = values[0], {*values[1:]}
    if others <= {last}:
        return frozenset((last,))
    ranks = {rank(one) for one in values}
    if readable and not either and rank(last) == max(ranks) and len(ranks) > 1:
        return frozenset((last,))  # it can only be milder than it was
    if len(ranks) == 1 and rank(last) >= 3 and ";" not in last:
        return frozenset(values)  # refused for sure, by one or by the other
    return frozenset((last, DOUBT) if readable else (DOUBT,))


def rank(shown: str) -> int:
    """How strict: 4 reject, 3 defer, 2 hold, 1 discard, 0 it goes on."""
    verdict = shown.rpartition("; ")[2].rpartition("> ")[2]
    if verdict[:1] in "45":
        return int(verdict[:1]) - 1
    return 2 if "quarantine[" in verdict else int(verdict == "discard")
