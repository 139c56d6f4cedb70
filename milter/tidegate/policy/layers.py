"""Two layers of sources: an entry of the upper one replaces the lower one's of the same kind and id.

The upper layer holds one source for each entry, and tombstones, which remove what the lower one holds. Promises: an id
that stands in both layers is no duplicate; what the upper layer covers is named in the books (`Entry.overrides`); a
broken text in the upper layer does not uncover the lower one's: what the upper layer last held serves on (STALE), and
only where it never held anything valid the lower one's serves, STALE as well, because somebody wanted it otherwise. An
upper layer that can't be read covers and removes what it did (P9). Refuses: reading the layer's store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tidegate.model import Entry, EntryKey, EntryKind, EntryState, Place, Severity, Source
from tidegate.policy.codes import problem
from tidegate.policy.desk import Desk
from tidegate.policy.read import EntryText, read_file
from tidegate.policy.remembered import remember

_OF_A_FILE = frozenset({"no-end-mark", "unknown-section"})
"""What matters in a file that people edit and copy, and not in a text that has a digest."""


@dataclass(frozen=True, slots=True)
class Layer:
    """The upper layer: a policy text for each entry. `error`: why it can't be read, where it can't."""

    name: str = ""  # for people, as in `redis:prod`
    sources: Mapping[EntryKey, Source] = field(default_factory=dict)
    removed: frozenset[EntryKey] = frozenset()  # by a tombstone
    error: str = ""


@dataclass(frozen=True, slots=True)
class Covered:
    """What came of the upper layer, for the next load: which texts in force are its own, what it removes."""

    texts: frozenset[EntryKey] = frozenset()
    removed: frozenset[EntryKey] = frozenset()


NO_LAYER = Layer()
NOTHING_COVERED = Covered()

_Texts = dict[EntryKind, dict[str, list[EntryText]]]


def lay_over(
    found: _Texts, layer: Layer, before: Covered, desk: Desk, broken: Mapping[EntryKey, Sequence[str]]
) -> frozenset[EntryKey]:
    """Put the upper layer over what the lower one holds; returns what is removed.

    `broken`: what stood there of entries that were not valid, for a layer that can't be read.
    """
    desk.upper_before = before.texts
    if layer.error:
        return _as_it_was(found, layer, before, desk, broken)
    for key, source in layer.sources.items():
        desk.progress(source.name)
        _cover(found, key, desk)
        why = desk.skip.get(source.name, "")
        found[key.kind][key.id] = [read_upper(key, replace(source, data=b"", error=why) if why else source)]
        desk.upper.add(key)
    for key in layer.removed:
        _remove(found, key, layer, desk)
    return layer.removed


def read_upper(key: EntryKey, source: Source) -> EntryText:
    """The one entry of a source of the upper layer. Never raises; what is wrong is the entry's."""
    file = read_file(source)
    own = tuple(
        replace(one, entry=key)
        for one in file.problems
        if one.code not in _OF_A_FILE and one.severity is Severity.ERROR
    )
    where = Place(source.name, 1, 1)
    if [one.key for one in file.entries] != [key]:
        held = ", ".join(str(one.key) for one in file.entries[:3]) or "nothing"
        wrong = problem("bad-id", f"it is stored as `{key}`, and its text holds {held}", where, entry=key)
        text = source.data.decode("utf-8", "replace")
        return EntryText(key, None, text, where, own or (wrong,))
    entry = file.entries[0]
    if not own:
        return entry
    return replace(entry, node=None, problems=(*entry.problems, *own))


def tell_removed(desk: Desk, removed: frozenset[EntryKey], layer: Layer) -> None:
    """Tombstones, into the books: they are entries that are off."""
    for key in removed:
        below = desk.covered.get(key)
        what = "a tombstone removes it" if below else "a tombstone of something that stands in no file"
        place = Place(layer.name, 0, 0)
        desk.entries[key] = Entry(key, EntryState.OFF, place, reason=what, overrides=str(below) if below else "")


def _as_it_was(
    found: _Texts, layer: Layer, before: Covered, desk: Desk, broken: Mapping[EntryKey, Sequence[str]]
) -> frozenset[EntryKey]:
    """The layer can't be read: what it held covers on, by its last valid texts, and what it removed stays removed."""
    for key in before.texts:
        _cover(found, key, desk)
        found[key.kind][key.id] = remember(key, broken.get(key, ()))
        desk.held[key] = f"{layer.name} can't be read: {layer.error}"
        if key in broken:
            desk.remembered.add(key)
    for key in before.removed:
        _remove(found, key, layer, desk)
    return before.removed


def _cover(found: _Texts, key: EntryKey, desk: Desk) -> None:
    below = found[key.kind].pop(key.id, [])
    if below:
        desk.below[key] = below
        desk.covered[key] = below[0].place


def _remove(found: _Texts, key: EntryKey, layer: Layer, desk: Desk) -> None:
    below = found[key.kind].pop(key.id, [])
    if below:
        desk.covered[key] = below[0].place
