"""The reader: the bytes of one policy file to its entries, each with its node or with what is wrong with it.

Promises: never raises, whatever the bytes; a mistake costs the entry in which it stands. A file that YAML reads is
taken as it is; otherwise its text is cut at the entries (cut.py) and each is read alone. `complete` is False where the
file can't be trusted to hold all its entries: then what is missing is not gone (DESIGN section 5).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256

from tidegate.model import EntryKey, EntryKind, Place, Problem, Source
from tidegate.policy.codes import problem
from tidegate.policy.cut import SECTIONS, Piece, key_texts, pieces, readable_id, whole
from tidegate.policy.keys import HEADER_KEYS
from tidegate.policy.names import ID
from tidegate.policy.nodes import Mapping, Mark, Node, Origin, Scalar, Sequence, Tag, compose_text, get

MAX_FILE = 32 * 1024 * 1024  # bytes
MAX_ENTRY = 4 * 1024 * 1024  # characters; an inline list may be long
MAX_ENTRIES = 20_000
_HEADER = (*HEADER_KEYS, "do")
_MERGED = 20  # followers that a piece may need to be whole
_END_MARK = re.compile(r"\n\.\.\.[ \t]*(?:#.*)?$", re.MULTILINE)  # a line of its own; begins with a text, to be quick
_MARKS = re.compile(rb"\A(?:\xef\xbb\xbf)+")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class EntryText:
    """One entry: its key, its own text, and its node, or None with the problems that say why."""

    key: EntryKey
    node: Node | None
    text: str
    place: Place
    problems: tuple[Problem, ...] = ()
    header: Mapping | None = None  # the header keys, where the body can't be read

    @property
    def digest(self) -> str:
        """sha256 of the text, hex."""
        return _digest(self.text)


@lru_cache(maxsize=1)  # asked several times in a row while an entry is built
def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class FileText:
    """One file: its entries, and the problems that belong to none of them."""

    name: str
    entries: tuple[EntryText, ...] = ()
    problems: tuple[Problem, ...] = ()
    complete: bool = True


def read_entry(key: EntryKey, text: str, place: Place | None = None) -> EntryText:
    """One entry from its own text (EntryText.text): a last valid version, or a record from elsewhere."""
    where = place or Place("", 1, 1)
    node, found, sound = compose_text(text, where.source)
    return EntryText(key, node if sound else None, text, where, tuple(replace(one, entry=key) for one in found))


def read_file(source: Source) -> FileText:
    """All entries of one file. Never raises."""
    name = source.name
    if source.error:
        return _nothing(name, "unreadable-file", f"it can't be read: {source.error}")
    if len(source.data) > MAX_FILE:
        return _nothing(name, "too-long", f"a file of more than {MAX_FILE // 1024 // 1024} MiB")
    text, bad = _decode(source)
    if text is None:
        return _nothing(name, "not-utf8", "it is UTF-16 or UTF-32; policy files are UTF-8")
    if len(bad) > MAX_ENTRIES:
        first = next(iter(bad.values()))
        return _nothing(name, first.code, f"{first.message}, and so in {MAX_ENTRIES} lines more", first.place)
    root, found, sound = compose_text(text, name)
    end_mark = _END_MARK.search(f"\n{text}") is not None
    if sound and root is None:
        return _nothing(name, "empty-file", "there is nothing in it")
    if sound and isinstance(root, Mapping):
        file = _whole(name, text, root, found)
    elif sound and root is not None:
        return _nothing(name, "wrong-section-type", "a policy file is a map that begins with `version: 1`", root.place)
    else:
        file = _cut(name, text, found)
    if not end_mark:
        lines = text.rstrip().count("\n") + 1
        warning = problem(
            "no-end-mark",
            "it has no end mark `...`, so a cut file can't be told from a whole one",
            Place(name, lines, 1),
        )
        file = replace(file, problems=(*file.problems, warning))
    return _spoil(file, bad)


def _nothing(name: str, code: str, message: str, place: Place | None = None) -> FileText:
    return FileText(name, (), (problem(code, message, place or Place(name, 1, 1)),), complete=False)


def decoded(source: Source) -> str:
    """The text whose lines and columns the places of its entries mean."""
    return _decode(source)[0] or ""


def _decode(source: Source) -> tuple[str | None, dict[int, Problem]]:
    """The text, and the lines (from 1) that hold bytes which can't stand in YAML."""
    data = _MARKS.sub(
        b"", source.data, 1
    )  # libyaml would take one away and not count it: all places would be off by one
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return None, {}
    text = data.decode("utf-8", "surrogateescape").replace("\r\n", "\n")
    if _CONTROL.search(text) is None:
        return text, {}
    bad: dict[int, Problem] = {}
    for number, line in enumerate(text.split("\n"), 1):
        found = _CONTROL.search(line)
        if found is not None:
            surrogate = "\ud800" <= found[0] <= "\udfff"
            code, what = (
                ("not-utf8", "a byte that is not UTF-8") if surrogate else ("control-character", "a control character")
            )
            bad[number] = problem(code, what, Place(source.name, number, found.start() + 1))
            if len(bad) > MAX_ENTRIES:
                break
    return _CONTROL.sub("\ufffd", text), bad


def _spoil(file: FileText, bad: dict[int, Problem]) -> FileText:
    """Bad bytes break the entry in which they stand; elsewhere they are the file's problem."""
    if not bad:
        return file
    rest = dict(bad)
    entries = []
    for entry in file.entries:
        first, last = entry.place.line, entry.place.line + entry.text.count("\n")
        mine = [rest.pop(line) for line in range(first, last + 1) if line in rest]
        told = tuple(replace(one, entry=entry.key) for one in mine)
        entries.append(replace(entry, node=None, problems=(*entry.problems, *told)) if mine else entry)
    return replace(file, entries=tuple(entries), problems=(*file.problems, *rest.values()))


def _version(node: Node | None, place: Place) -> Problem | None:
    if node is None:
        return problem("no-version", "a policy file begins with `version: 1`", place)
    if isinstance(node, Scalar) and node.tag is Tag.INTEGER and node.text == "1":
        return None
    return problem("unknown-version", "this version of Tidegate reads `version: 1` only", node.place)


def _whole(name: str, text: str, root: Mapping, found: list[Problem]) -> FileText:
    """A file that YAML reads: its nodes are the entries; problems go to the entry in whose lines they stand."""
    wrong = _version(get(root, "version"), root.place)
    if wrong is not None:
        return FileText(name, (), (wrong,), complete=False)
    problems: list[Problem] = []
    entries: list[EntryText] = []
    complete = True
    for key, section in root.pairs:
        kind = SECTIONS.get(key.text)
        if kind is not None:
            whole = _section(name, text, kind, section, entries, problems)
            complete = complete and whole
        elif key.text != "version":
            problems.append(
                problem(
                    "unknown-section", f"`{key.text[:60]}` is no section; there are lists, conditions, rules", key.place
                )
            )
    return _attribute(FileText(name, tuple(entries), tuple(problems), complete), found)


def _attribute(file: FileText, found: list[Problem]) -> FileText:
    if not found:
        return file
    rest = list(found)
    entries = []
    for entry in file.entries:
        first, last = entry.place.line, entry.place.line + entry.text.count("\n")
        mine = [one for one in rest if first <= one.place.line <= last]
        rest = [one for one in rest if one not in mine] if mine else rest
        told = (*entry.problems, *(replace(one, entry=entry.key) for one in mine))
        entries.append(replace(entry, problems=told) if mine else entry)
    return replace(file, entries=tuple(entries), problems=(*file.problems, *rest))


def _section(
    name: str, text: str, kind: EntryKind, section: Node, entries: list[EntryText], problems: list[Problem]
) -> bool:
    """The entries of one section, appended; False where one of them has no readable id."""
    if isinstance(section, Scalar) and section.tag is Tag.NULL:
        return True
    if kind is EntryKind.RULE:
        if not isinstance(section, Sequence):
            problems.append(problem("wrong-section-type", "`rules` is a list: each begins with `- id:`", section.place))
            return False
        named = [(_rule_id(item), item, item.place) for item in section.items]
    else:
        if not isinstance(section, Mapping):
            problems.append(problem("wrong-section-type", f"`{kind.value}s` is a map of names", section.place))
            return False
        named = [(key, value, key.place) for key, value in section.pairs]
    complete = True
    for key, node, place in named:
        if len(entries) >= MAX_ENTRIES:
            problems.append(_too_many(place))
            return False
        if key is None or not ID.match(key.text):
            code, what = (
                ("no-id", "an entry without an id") if key is None else ("bad-id", f"`{key.text[:60]}` can't be an id")
            )
            problems.append(problem(code, what, place if key is None else key.place))
            complete = False
            continue
        entries.append(_entry(EntryKey(kind, key.text), text, node, Place(name, place.line, place.column)))
    return complete


def _too_many(place: Place) -> Problem:
    return problem("too-many-entries", f"more than {MAX_ENTRIES} entries in one file", place)


def _column(piece: Piece) -> int:
    """Where its first line begins, from 1."""
    return len(piece.lines[0]) - len(piece.lines[0].lstrip()) + 1


def _rule_id(item: Node) -> Scalar | None:
    found = get(item, "id") if isinstance(item, Mapping) else None
    return found if isinstance(found, Scalar) and found.text else None


def _entry(key: EntryKey, text: str, node: Node, place: Place) -> EntryText:
    """The node with its own text, indented as in the file, so that it can be read again alone."""
    own = " " * node.first.column + text[node.first.index : node.last.index]
    own = own.rstrip()
    if "#" in own:  # comments behind the entry are not its own
        lines = own.split("\n")
        while len(lines) > 1 and (not lines[-1].strip() or lines[-1].lstrip().startswith("#")):
            lines.pop()
        own = "\n".join(lines)
    if len(own) > MAX_ENTRY:
        too_long = problem("too-long", f"an entry of more than {MAX_ENTRY} characters", place, entry=key)
        return EntryText(key, None, own, place, (too_long,))
    return EntryText(key, node, own, place)


def _cut(name: str, text: str, found: list[Problem]) -> FileText:
    """A file that YAML can't read as a whole: piece by piece."""
    lines = text.split("\n")
    first = next((n for n, line in enumerate(lines) if re.match(r"version[ \t]*:[ \t]*1[ \t]*(?:#.*)?$", line)), None)
    if first is None:
        return FileText(name, (), tuple(found) or (problem("no-version", "no `version: 1`", Place(name, 1, 1)),), False)
    entries: list[EntryText] = []
    problems: list[Problem] = []
    complete = True
    cut = list(pieces(lines))
    if len(cut) > MAX_ENTRIES:
        problems.append(_too_many(Place(name, cut[MAX_ENTRIES].line + 1, _column(cut[MAX_ENTRIES]))))
        complete = False
    for piece in _joined(name, cut[:MAX_ENTRIES]):
        entry = _piece(name, piece)
        if isinstance(entry, EntryText):
            entries.append(entry)
        else:
            problems += entry
            complete = False
    broken = any(entry.node is None for entry in entries) or not complete
    if not broken:  # the mistake stands outside all entries
        problems += found
        complete = False
    return FileText(name, tuple(entries), tuple(problems), complete)


def _joined(name: str, cut: list[Piece]) -> Iterator[Piece]:
    """Pieces as they are whole: with their followers where only together they are valid (a long quoted text)."""
    at = 0
    while at < len(cut):
        used = 1
        if not _sound(name, cut[at]):
            used = _sound_together(name, cut, at) or whole(cut, at, _MERGED)
        yield cut[at] if used == 1 else _merged(cut[at : at + used])
        at += used


def _sound_together(name: str, cut: list[Piece], at: int) -> int:
    """How many pieces are one valid entry; 0: no number is."""
    for count in range(2, min(_MERGED, len(cut) - at) + 1):
        more = cut[at : at + count]
        if more[-1].kind is not more[0].kind or more[-1].line != more[-2].line + len(more[-2].lines):
            break
        root, _, sound = compose_text(_merged(more).text, name)
        if sound and isinstance(root, Sequence | Mapping) and _count(root) == 1:
            return count
    return 0


def _merged(more: list[Piece]) -> Piece:
    return replace(more[0], lines=tuple(line for one in more for line in one.lines))


def _count(root: Sequence | Mapping) -> int:
    return len(root.items) if isinstance(root, Sequence) else len(root.pairs)


def _sound(name: str, piece: Piece) -> bool:
    return compose_text(piece.text, name)[2]


def _piece(name: str, piece: Piece) -> EntryText | list[Problem]:
    """One piece as an entry, or, where not even its id can be read, as problems."""
    root, found, sound = compose_text(piece.text, name, piece.line)
    place = Place(name, piece.line + 1, _column(piece))
    written = "\n".join(piece.lines).rstrip()
    node = _only(root) if sound else None
    known = _rule_id(node) if piece.kind is EntryKind.RULE and node is not None else None
    id = known.text if known is not None else readable_id(piece)
    if not ID.match(id):
        return [*found, problem("no-id", "an entry whose id can't be read", place)]
    key = EntryKey(piece.kind, id)
    told = tuple(replace(one, entry=key) for one in found)
    if node is not None:
        shifted = _entry(key, piece.text, node, place)
        return replace(shifted, problems=(*shifted.problems, *told))
    return EntryText(key, None, written, place, told or (_vague(place, key),), _header(name, piece))


def _vague(place: Place, key: EntryKey) -> Problem:
    return problem("yaml-syntax", "this entry can't be read", place, entry=key)


def _only(root: Node | None) -> Node | None:
    if isinstance(root, Sequence) and len(root.items) == 1:
        return root.items[0]
    if isinstance(root, Mapping) and len(root.pairs) == 1:
        return root.pairs[0][1]
    return None


def _header(name: str, piece: Piece) -> Mapping | None:
    """The header keys of a broken rule, each read alone: they stay readable when the body is not."""
    pairs: list[tuple[Scalar, Node]] = []
    written = key_texts(piece)
    keys = [one.key for one in written]
    mixed = len(set(keys)) < len(keys)  # with the entry behind it, whose mode is none of its business
    for one in written:
        if one.key in _HEADER and not (one.key == "mode" and (mixed or not one.certain)):
            root, found, sound = compose_text(one.text, name, one.line)
            if sound and not found and isinstance(root, Mapping):
                pairs += root.pairs
    if not pairs:
        return None
    top = Mark(0, 0, 0)
    return Mapping(tuple(pairs), Origin(name, piece.line), top, top)
