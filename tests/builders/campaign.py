"""One live daemon under mutants of its policy, and what is wrong with what it does (P1 to P9).

    with Campaign() as campaign:
        assert [] == campaign.endure(mutant)

Promises: a complaint for everything that breaks a promise, in words; the directory is as before after each call; the
verdicts that are right come from tests/builders/golden.py. Refuses: to look into the daemon otherwise than through its
socket, its status and its log.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.builders.corpus import DOUBT, Letter, ask, corpus
from tests.builders.golden import Fresh, Golden, Vector, allowed, fresh, rank
from tests.builders.operators import Mutant
from tests.builders.otheryaml import as_read, ends, in_scope, names_in, same_rule
from tests.builders.spots import spots
from tests.e2e.harness.daemon import Daemon
from tidegate.model import EntryKey, EntryKind, Source

HERE = Path(__file__).resolve().parents[1] / "mutation"
POLICY = HERE / "policy"
LETTERS = corpus(HERE / "messages.yaml")
DEFERRED = ("deferring", "skipped")

_STANDS = ("active", "shadow", "off", "expired")  # written, and valid
_WAITING = "mail-deferred"
_BOTH_WAYS = {"list own-domains", "list logins", "list relay-networks"}  # whatever they say is in doubt
Status = dict[str, Any]


class Campaign:
    """A daemon with the policy of tests/mutation, and the golden vectors of its messages."""

    def __init__(self, share: float = 1.0) -> None:
        """`share`: of the messages that are asked after each mutant, beside those about its entry."""
        self._share = share
        self.good = {path.name: path.read_bytes() for path in sorted(POLICY.glob("*.yaml"))}
        self.golden = Golden(LETTERS, POLICY)
        found = fresh([Source(name, data) for name, data in self.good.items()], POLICY)
        assert found is not None
        self.base: Fresh = found
        self.daemon = Daemon(self.good, poll="1h", workers=1)
        shutil.copytree(POLICY / "lists", self.daemon.policies / "lists")
        self._before: Status = {}
        self._removable: dict[str, bool] = {}
        self._read = 0  # bytes of the log

    def __enter__(self) -> Self:
        self.daemon.__enter__()
        self.daemon.wait_for_generation(1)
        self._before = self.daemon.status()
        wrong = [*self._verdicts([frozenset((one,)) for one in self._sound()])]
        assert [] == [*wrong, *_alerts(self._before)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.daemon.__exit__(kind, error, trace)

    def _sound(self) -> Vector:
        return self.golden.vector(self.base.texts)

    # ── one mutant ───────────────────────────────────────────────────────────────────────────────────────────────

    def endure(self, mutant: Mutant, restart: bool = False) -> list[str]:
        """An edit of an entry that was good: put it there, look, take it back, look again; what is wrong."""
        status = self.daemon.load((mutant.file, mutant.data))
        found = [*self.look(mutant, status, self.base)]
        if restart:
            found += self._restarted(status)
        found += self.repaired()
        return [f"{mutant.name}: {complaint}" for complaint in found]

    def never_valid(self, mutant: Mutant, restart: bool = False) -> list[str]:
        """The same entry, of which the daemon has never seen another text; [] where others can't do without it."""
        without = self.without(mutant)
        if without is None or mutant.key in _BOTH_WAYS:  # those are asked unnamed, and missed with a warning
            return []
        status = self.daemon.load((mutant.file, without))
        found = [f"it was taken out, and there is {alert['message']}" for alert in _alerts(status)]
        known = _minus(self.base, mutant.key)
        status = self.daemon.load((mutant.file, mutant.data))
        found += self.look(mutant, status, known)
        if restart:
            found += self._restarted(status)
        found += self.repaired()
        return [f"never valid, {mutant.name}: {complaint}" for complaint in found]

    def at_first(self, mutant: Mutant) -> list[str]:
        """The mutant lies there when the daemon starts for the first time, with nothing known from before."""
        self.daemon.stop()
        shutil.rmtree(self.daemon.state)
        self.daemon.state.mkdir()
        self.daemon.policy(mutant.file, mutant.data)
        self.daemon.start()
        self.daemon.wait_for_generation(1)
        status = self.daemon.status()
        self._new_processes(status)
        found = [*self.look(mutant, status, Fresh(), guarded=False), *self.repaired()]
        return [f"at first, {mutant.name}: {complaint}" for complaint in found]

    def unreadable(self, name: str) -> Iterator[str]:
        """Load while this file can't be read: no verdict changes, and an alert says so."""
        status = self.daemon.load()
        yield from self._processes(status)
        if not _alerts(status):
            yield f"no alert tells that {name} can't be read"
        self.golden.which = range(len(LETTERS))
        yield from self._verdicts([frozenset((one,)) for one in self._sound()])

    def without(self, mutant: Mutant) -> bytes | None:
        """The sound file without that entry; None where nothing else would be sound then."""
        data = self.good[mutant.file]
        spot = next(one for one in spots(data) if one.key == mutant.key)
        rows = data.splitlines(keepends=True)
        left = b"".join(rows[: spot.first] + rows[spot.last :])
        if mutant.key not in self._removable:
            found = fresh(self._sources(mutant.file, left), POLICY)
            self._removable[mutant.key] = found is not None and not any(
                state in DEFERRED for state in found.states.values()
            )
        return left if self._removable[mutant.key] else None

    def _choose(self, mutant: Mutant) -> None:
        """The messages to ask: those about the entry, and a share of the others."""
        chance = random.Random(mutant.name)
        self.golden.which = [
            number
            for number, letter in enumerate(LETTERS)
            if letter.about == mutant.key or chance.random() < self._share
        ]

    def _asked(self) -> list[Letter]:
        return [LETTERS[number] for number in self.golden.which]

    def _sources(self, name: str, data: bytes, guarded: bool = True) -> list[Source]:
        lost = "it was cut" if guarded and not ends(data) else ""
        return [
            Source(one, b"" if one == name and lost else (data if one == name else good), lost if one == name else "")
            for one, good in self.good.items()
        ]

    def _restarted(self, before: Status) -> Iterator[str]:
        """End and start it: all is as it was."""
        verdicts = ask(self._asked(), self.daemon.socket)
        if status := self.daemon.stop():
            yield f"stopping gave {status}"
        self.daemon.start()
        self.daemon.wait_for_generation(1)
        after = self.daemon.status()
        if _entries(after) != _entries(before):
            yield f"after a restart the entries are other ones: {_difference(_entries(before), _entries(after))}"
        for letter, was, got in zip(self._asked(), verdicts, ask(self._asked(), self.daemon.socket), strict=True):
            if was != got:
                yield f"{letter.name}: {was} before a restart, {got} after it"
        self._new_processes(after)
        yield from self._refusals()

    def _new_processes(self, status: Status) -> None:
        self._before |= {name: status[name] for name in ("workers", "pid", "restarts")}

    def repaired(self) -> Iterator[str]:
        """The sound files are back: the generation is the one it was, and no alert is left."""
        status = self.daemon.load(*self.good.items())
        yield from self._processes(status)
        if left := _alerts(status):
            yield f"after the repair there is still {[alert['message'] for alert in left]}"
        if _entries(status) != _entries(self._before):
            yield f"after the repair: {_difference(_entries(self._before), _entries(status))}"
        if status["generation"]["digest"] != self._before["generation"]["digest"]:
            yield "after the repair another generation is in force"

    # ── what is in force ─────────────────────────────────────────────────────────────────────────────────────────

    def look(self, mutant: Mutant, status: Status, known: Fresh, *, guarded: bool = True) -> Iterator[str]:
        """Judge the daemon. `known` is what was valid before; `guarded`: then a file that was cut is not read."""
        yield from self._processes(status)
        self._choose(mutant)
        sources = self._sources(mutant.file, mutant.data, guarded)
        found = fresh(sources, POLICY)
        died = found is None
        if found is None:  # what the file holds is nowhere to be seen
            found = fresh([replace_source(one, mutant.file) for one in sources], POLICY) or Fresh()
        states = _entries(status)
        yield from _entries_complaints(mutant, known, found, states, died)
        stale = {key for key, (state, _) in states.items() if state == "stale"}
        texts = {key: text for key, text in known.texts.items() if str(key) in states and states[str(key)][0] != "off"}
        texts = {**texts, **found.texts}
        lost = any(one.error for one in sources)
        edited = {key for key in stale if key in found.states}
        doubted = edited if lost and not died else stale
        vectors = self.golden.alternatives(texts, doubted)
        loose = died or doubted != edited or any(not key.startswith("rule ") for key in doubted)
        either = bool(doubted & _BOTH_WAYS)
        rights = [allowed(values, readable=loose, either=either) for values in zip(*vectors, strict=True)]
        yield from self._verdicts(self._never_known(mutant, states, known, texts, rights))
        if ailing := {key for key, (state, _) in states.items() if state in ("stale", *DEFERRED)}:
            yield from _alerted(mutant, status, ailing)

    def _never_known(
        self,
        mutant: Mutant,
        states: Mapping[str, tuple[str, str]],
        known: Fresh,
        texts: Mapping[EntryKey, str],
        rights: Sequence[frozenset[str]],
    ) -> Sequence[frozenset[str]]:
        """What else is right where an entry is there that never was valid: it defers, or exempts nobody for sure."""
        never = {key for key, (state, _) in states.items() if state in DEFERRED and key not in known.states}
        if not never:
            return rights
        key = _key(mutant.key)
        good = self.base.texts.get(key)
        if never != {mutant.key} or good is None or key.kind is not EntryKind.RULE:
            return [right | {DOUBT} for right in rights]
        with_it = {**texts, key: good}
        rule = self.golden.rule(with_it, mutant.key)
        present, absent = self.golden.vector(with_it), self.golden.vector(texts)
        if states[mutant.key][0] == "skipped":
            exempt = rule.do.exempt if rule is not None else None
            silenced = self.golden.tagged(with_it, exempt.names if exempt is not None else ())
            return [
                right | {DOUBT} if any(one in was for one in silenced) else right
                for right, was in zip(rights, absent, strict=True)
            ]
        if same_rule(self.good[mutant.file], mutant.data, mutant.key):
            return [
                frozenset((DOUBT,)) if with_it_there != was else right
                for right, with_it_there, was in zip(rights, present, absent, strict=True)
            ]
        scope = as_read(self.good[mutant.file], mutant.key).get("scope", {})
        return [
            right | {DOUBT} if in_scope(letter.case, scope) and rank(was) < rank("5") else right
            for letter, right, was in zip(self._asked(), rights, absent, strict=True)
        ]

    def _processes(self, status: Status) -> Iterator[str]:
        for what in ("pid", "restarts"):
            if status[what] != self._before[what]:
                yield f"{what} was {self._before[what]}, it is {status[what]}"
        if (now := _pids(status)) != (was := _pids(self._before)):
            yield f"the workers were {was}, they are {now}"

    def _verdicts(self, rights: Sequence[frozenset[str]]) -> Iterator[str]:
        for letter, right, got in zip(self._asked(), rights, ask(self._asked(), self.daemon.socket), strict=True):
            shown = DOUBT if DOUBT in got else got
            if shown not in right and got not in right:
                yield f"{letter.name}: {got!r} instead of {' or '.join(map(repr, sorted(right)))}"
        yield from self._refusals()

    def _refusals(self) -> Iterator[str]:
        """Every 5xx since the last look has a rule behind it that is valid and in force."""
        with self.daemon.log.open("rb") as log:
            log.seek(self._read)
            data = b"".join(log.read().rpartition(b"\n")[:2])
        self._read += len(data)
        states = self.daemon.states()
        for row in map(json.loads, data.splitlines()):
            if str(row.get("reply", "")).startswith("5") and states.get(f"rule {row.get('rule')}") not in (
                "active",
                "stale",
            ):
                yield f"a {row['reply']!r} by the rule {row.get('rule')!r}, which is not in force"


# ── helpers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def replace_source(source: Source, name: str) -> Source:
    """The file of this name can't be read."""
    return Source(name, error="it killed its reader") if source.name == name else source


def _entries_complaints(
    mutant: Mutant, known: Fresh, found: Fresh, states: Mapping[str, tuple[str, str]], died: bool
) -> Iterator[str]:
    """Is each entry in the state that its text deserves?"""
    for key, digest in known.digests.items():
        state = states.get(key, ("gone", ""))[0]
        text = found.states.get(key, "gone")
        if text in _STANDS:
            if state != text or (text != "off" and states[key][1] != found.digests[key]):
                yield f"{key} is {text} as it is written, the daemon has it {state}"
        elif state == "gone":
            names = names_in(mutant.data)
            if names is None or key.partition(" ")[2] in names:
                yield f"{key} is gone, and the file does not say so"
        elif state != "stale" and (state, states[key][1]) != (known.states[key], digest) and text != state:
            yield f"{key} was {known.states[key]}, its text is {text}, and it is {state}"
    for key, state in found.states.items():
        if key not in known.states and states.get(key, ("gone", ""))[0] != state and not died:
            yield f"{key} is new and {state}, the daemon has it {states.get(key, ('gone', ''))[0]}"


def _alerted(mutant: Mutant, status: Status, ailing: set[str]) -> Iterator[str]:
    """Is there an alert where the damage is, or, where that took the entry away, at those that need it?"""
    if mutant.key not in ailing and ailing & {str(alert["subject"]) for alert in status["alerts"]}:
        return
    places = [str(alert["place"]) for alert in status["alerts"]]
    for place in places:
        name, _, rest = place.partition(":")
        line = rest.partition(":")[0]
        if name == mutant.file and line.isdigit() and (mutant.first <= int(line) <= mutant.last or int(line) == 1):
            return
    yield f"no alert names {mutant.file}, lines {mutant.first} to {mutant.last}: {places}"


def _key(text: str) -> EntryKey:
    kind, _, name = text.partition(" ")
    return EntryKey(EntryKind(kind), name)


def _minus(known: Fresh, key: str) -> Fresh:
    return Fresh(
        {one: state for one, state in known.states.items() if one != key},
        {one: text for one, text in known.texts.items() if str(one) != key},
        {one: digest for one, digest in known.digests.items() if one != key},
    )


def _alerts(status: Status) -> list[Status]:
    """The alerts about policies: that mail was deferred stays an alert for as long as the mail may wait."""
    return [alert for alert in status["alerts"] if alert["code"] != _WAITING]


def _entries(status: Status) -> dict[str, tuple[str, str]]:
    return {str(entry["key"]): (str(entry["state"]), str(entry["digest"])) for entry in status["entries"]}


def _pids(status: Status) -> list[int]:
    return sorted(int(worker["pid"]) for worker in status["workers"])


def _difference(was: Mapping[str, object], now: Mapping[str, object]) -> str:
    keys = sorted(key for key in was.keys() | now.keys() if was.get(key) != now.get(key))
    return ", ".join(f"{key}: {was.get(key)} became {now.get(key)}" for key in keys[:5])
