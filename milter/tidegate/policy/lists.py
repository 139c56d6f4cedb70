"""Lists from nodes: type, and where the items come from (`items` written here, a `file`, or Redis).

An item written in the policy is part of the entry, so a bad one is a problem of the entry. A line of a file is data: a
bad one is skipped with a warning of its own (policy/listfiles.py). Entries in Redis are no part of the policy at all:
they come and go without a load, and each worker asks a replica of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tidegate.conditions.members import normalise, normalise_grant, own_keys
from tidegate.model import (
    Conventions,
    FieldType,
    ListItem,
    ListKind,
    LiveSource,
    MemberListData,
    Place,
    ReadFile,
)
from tidegate.policy.comparisons import check_pattern, tell_wildcard
from tidegate.policy.dates import SOON, read_moment
from tidegate.policy.findings import Findings, kind_of
from tidegate.policy.listfiles import MAX_DOUBTED, read_lines
from tidegate.policy.names import ID, RESERVED_LISTS, Names
from tidegate.policy.nodes import TEXT, Mapping, Node, Scalar, Sequence
from tidegate.policy.staleness import read_age
from tidegate.policy.suggest import shown

LIST_KEYS: dict[str, str] = {
    "type": "address, domain, login, ip, string, regex or map",
    "items": "the items, written here",
    "file": "a file below the policy directory, one item to a line",
    "redis": "a live list: its name in Redis",
    "max_stale": "of a live list: how old it may be where it lets mail pass (any age)",
    "description": "for people",
    "owner": "for people",
}
SOURCES = ("items", "file", "redis")
ITEM_KEYS: dict[str, str] = {"item": "the item", "until": "the last day or minute, inclusive"}
KINDS: dict[ListKind, str] = {
    ListKind.ADDRESS: "user@example.com, user@, @example.com, @.example.com, globs",
    ListKind.DOMAIN: "example.com is itself, .example.com everything below",
    ListKind.LOGIN: "logins, completed with the default realm",
    ListKind.IP: "addresses and networks",
    ListKind.STRING: "texts, case ignored",
    ListKind.REGEX: "patterns",
    ListKind.MAP: "key and values",
}
MAX_ITEMS = 5_000_000
"""Items of one list: the image and the loader's memory have an end."""


@dataclass(slots=True)
class _Ends:
    """The items of one list that have an end, counted instead of told one by one."""

    first: Node | None = None
    lapsed: int = 0
    soon: int = 0

    def note(self, end: float | None, node: Node, now: float) -> None:
        if end is None or end > now + SOON:
            return
        self.lapsed += end <= now
        self.soon += end > now
        self.first = self.first or node


def build_list(name: str, node: Node, names: Names, read_file: ReadFile, findings: Findings) -> MemberListData | None:
    """The list `name` as `node` says; None after its problems were named."""
    written = findings.mapping(node, "a list", "{type: domain, items: [example.com]}")
    if written is None:
        return None
    before = findings.errors()
    keys = findings.keys(written, "a list", LIST_KEYS, required=("type",))
    for key in ("description", "owner"):
        if key in keys:
            findings.text(keys[key], f"`{key}`")
    if "max_stale" in keys and "redis" not in keys:
        message = "`max_stale` is of lists in Redis; a list of the policy is as old as the policy"
        findings.add("bad-value", message, keys["max_stale"], cure="remove it")
    kind = read_kind(name, keys["type"], findings) if "type" in keys else None
    _one_source(written, findings)
    if kind is None or findings.errors() > before:
        return None
    doubted: tuple[str, ...] = ()
    if "redis" in keys:
        live = _live(name, kind, keys, names, findings)
        if live is None:
            return None
        names.live_lists[name] = live
        if live.max_stale:
            names.aging_lists.add(name)
        return MemberListData(name, kind, place=node.place, live=live)
    if "items" in keys:
        items = _items(name, kind, keys["items"], names, findings)
    else:
        items, doubted = _file(name, kind, keys["file"], names, read_file, findings)
    if findings.errors() > before:
        return None
    return MemberListData(name, kind, tuple(items), place=node.place, doubted=doubted)


def not_repeated(last: MemberListData, node: Node | None, names: Names, read_file: ReadFile) -> tuple[str, ...]:
    """The keys of a list's last good version that its broken text does not readably hold with the same values.

    What both say is certain, whatever is wrong with the rest.
    """
    pairs = {key.text: value for key, value in node.pairs} if isinstance(node, Mapping) else {}
    if last.live is not None:
        written = pairs.get("redis")
        return () if isinstance(written, Scalar) and written.text == last.live.name else ("",)
    silent = Findings()  # what is wrong with the text has been told
    items: list[ListItem] = []
    if "items" in pairs:
        items = _items(last.name, last.kind, pairs["items"], names, silent)
    elif "file" in pairs:
        items = _file(last.name, last.kind, pairs["file"], names, read_file, silent)[0]
    now = {item.key: item for item in items}
    same = {one.key for one in last.items if one.key in now and {*one.values} <= {*now[one.key].values}}
    missing = tuple(one.key for one in last.items if one.key not in same)
    return missing if len(missing) <= MAX_DOUBTED else ("",)


def _one_source(written: Mapping, findings: Findings) -> None:
    sources = [key for key, _ in written.pairs if key.text in SOURCES]
    if not sources:
        findings.add("missing-key", "a list needs `items`, `file` or `redis`", written)
    for key in sources[1:]:
        findings.add("bad-value", f"`{key.text}` stands beside `{sources[0].text}`; a list has one source", key)


def _live(name: str, kind: ListKind, keys: dict[str, Node], names: Names, findings: Findings) -> LiveSource | None:
    """A list whose entries are in Redis; None after its problems were named."""
    before = findings.errors()
    known = findings.text(keys["redis"], "`redis`")
    if known is not None and not ID.match(known):
        findings.add("bad-id", f"{shown(known)} can't be the name of a list in Redis", keys["redis"])
    if kind is ListKind.REGEX:
        cure = "keep patterns in `items` or a `file`: each is checked before it is in force"
        findings.add("bad-value", "patterns can't come from Redis", keys["redis"], cure=cure)
    if not names.redis:
        findings.add("no-redis", f"the list `{name}` is kept in Redis, and no Redis is configured", keys["redis"])
    age = read_age(keys["max_stale"], "`max_stale`", False, findings) if "max_stale" in keys else None
    if known is None or findings.errors() > before:
        return None
    form = name if name in RESERVED_LISTS and kind is ListKind.MAP else kind.value
    return LiveSource(known, form, age.seconds if age is not None else 0.0, name in RESERVED_LISTS)


def read_kind(name: str, node: Node, findings: Findings) -> ListKind | None:
    """The list's type, which for three names is given."""
    word = findings.choice(node, "the type of a list", [one.value for one in ListKind])
    if word is None:
        return None
    kind = ListKind(word)
    reserved = RESERVED_LISTS.get(name)
    if reserved is not None and kind is not reserved[0]:
        wanted, meaning = reserved
        message = f"`{name}` ({meaning}) is of type {wanted.value}, not {word}"
        findings.add("reserved-list", message, node, cure=f"write `type: {wanted.value}`, or choose another name")
        return None
    return kind


def _items(name: str, kind: ListKind, node: Node, names: Names, findings: Findings) -> list[ListItem]:
    if kind is ListKind.MAP:
        return _map_items(name, node, names, findings)
    if not isinstance(node, Sequence):
        findings.add("wrong-type", f"`items` is a list, not {kind_of(node)}", node, cure="write items: [ONE, TWO]")
        return []
    if len(node.items) > MAX_ITEMS:
        findings.add("too-large", f"`items` has more than {MAX_ITEMS} items", node, cure="use several lists")
        return []
    found: dict[str, ListItem] = {}
    ends = _Ends()
    own = own_keys(kind, names.conventions)
    for one in node.items:
        if own is not None and type(one) is Scalar and one.tag is TEXT and own.match(one.text):
            known = found.get(one.text)
            if known is None or known.end is not None:
                found[one.text] = ListItem(one.text)
            continue
        written, end = _item(one, findings)
        if written is None:
            continue
        text, where = written
        key = _key(kind, text, where, names, findings)
        if key is None:
            continue
        ends.note(end, where, names.now)
        known = found.get(key)
        if known is None:
            found[key] = ListItem(key, (), end)
        elif known.end is not None and (end is None or end > known.end):
            found[key] = replace(known, end=end)
    _tell_ends(ends, findings)
    return list(found.values())


def _item(node: Node, findings: Findings) -> tuple[tuple[str, Node] | None, float | None]:
    """A text, or `{item: TEXT, until: DATE}`: what is written, its node, its end."""
    if not isinstance(node, Mapping):
        text = findings.text(node, "an item")
        return (None if text is None else (text, node)), None
    before = findings.errors()
    keys = findings.keys(node, "an item", ITEM_KEYS, required=("item",))
    text = findings.text(keys["item"], "an item") if "item" in keys else None
    until = read_moment(keys["until"], "`until`", findings) if "until" in keys else None
    if text is None or findings.errors() > before:
        return None, None
    return (text, keys["item"]), until.over if until else None


def _key(kind: ListKind, text: str, where: Node, names: Names, findings: Findings) -> str | None:
    if kind is ListKind.REGEX:
        return text if _pattern(text, where, names, findings) else None
    member = normalise(kind, text, names.conventions)
    if isinstance(member, str):
        findings.add("bad-item", member, where)
        return None
    if kind in (ListKind.STRING, ListKind.LOGIN):
        tell_wildcard(FieldType.TEXT, text, where, findings)
    return member.key


def _pattern(text: str, where: Node, names: Names, findings: Findings) -> bool:
    engine = names.pattern_engine()
    if engine:
        findings.add("no-pattern-engine", f"the list's patterns can't be run here: {engine}", where)
        return False
    return check_pattern(text, where, "an item", names, findings)


def _tell_ends(ends: _Ends, findings: Findings) -> None:
    if ends.first is None:
        return
    if ends.soon:
        findings.add("ends-soon", f"{ends.soon} item(s) of the list end within 7 days", ends.first)
    if ends.lapsed:
        findings.add("lapsed", f"{ends.lapsed} item(s) of the list have ended", ends.first)


def _map_items(name: str, node: Node, names: Names, findings: Findings) -> list[ListItem]:
    if not isinstance(node, Mapping):
        cure = "write items: {alice: [alice@example.com]}"
        findings.add("wrong-type", f"`items` of a map is a map, not {kind_of(node)}", node, cure=cure)
        return []
    found: dict[str, ListItem] = {}
    for key, value in node.pairs:
        text = findings.text(key, "a key of the map")
        pairs = findings.texts(value, "the values of a key")
        if text is None or pairs is None:
            continue
        member, why = map_key(name, text, names.conventions)
        if why:
            findings.add("bad-item", why, key)
            continue
        values = [_map_value(name, one, where, names, findings) for one, where in pairs]
        if member in found:
            findings.add("bad-item", f"{shown(text)} stands twice in the map (case does not count)", key)
        found[member] = ListItem(member, tuple(dict.fromkeys(one for one in values if one is not None)))
    return list(found.values())


def _map_value(name: str, text: str, where: Node, names: Names, findings: Findings) -> str | None:
    value, why = map_value(name, text, names.conventions)
    if why:
        findings.add("bad-item", why, where)
    return None if why else value


def map_key(name: str, text: str, conventions: Conventions) -> tuple[str, str]:
    """One key of a map, and what is wrong with it."""
    if name == "logins" and text.startswith("@"):
        return "", f"{shown(text)} is no login; `logins` says LOGIN, then the addresses that it may use"
    member = normalise(ListKind.MAP, text, conventions)
    return ("", member) if isinstance(member, str) else (member.key, "")


def map_value(name: str, text: str, conventions: Conventions) -> tuple[str, str]:
    """One value of a map, and what is wrong with it: `logins` holds what a login may use, others texts."""
    if name != "logins":
        return text.strip(), ""
    if "@" not in text and "." not in text.strip("."):
        return "", f"{shown(text)} is no address and no domain; `logins` says LOGIN, then the addresses that it may use"
    member = normalise_grant(text, conventions)
    return ("", member) if isinstance(member, str) else (member.key, "")


def _file(
    name: str, kind: ListKind, node: Node, names: Names, read_file: ReadFile, findings: Findings
) -> tuple[list[ListItem], tuple[str, ...]]:
    """The items of a list file, and the keys of the lines that could not be used."""
    path = findings.text(node, "`file`")
    if path is None:
        return [], ()
    if path.startswith("/") or ".." in path.split("/") or "\0" in path:
        findings.add("list-path", f"{shown(path)} does not lie below the policy directory", node)
        return [], ()
    source = read_file(path)
    if source.error:
        findings.add("list-file", f"the list file {shown(path)} can't be read: {source.error}", node)
        return [], ()
    if kind is ListKind.REGEX and (engine := names.pattern_engine()):
        findings.add("no-pattern-engine", f"the list's patterns can't be run here: {engine}", node)
        return [], ()
    lines = read_lines(kind, source.data, _LineChecker(name, kind, names))
    for bad in lines.told:
        findings.add(bad.code, bad.message, Place(path, bad.line, bad.column, bad.end_column))
    if lines.count > MAX_ITEMS:
        findings.add("too-large", f"{shown(path)} has more than {MAX_ITEMS} items", node, cure="use several lists")
    if lines.bad == lines.count > 0 or (lines.bad > 1 and lines.bad * 10 > lines.count):
        message = f"{lines.bad} of {lines.count} lines of {shown(path)} can't be used"
        findings.add("too-many-bad-lines", message, node)
    return lines.items, tuple(lines.doubted)


class _LineChecker:
    """Normalises what a line of the file holds."""

    def __init__(self, name: str, kind: ListKind, names: Names) -> None:
        self._name, self._kind, self._names = name, kind, names
        self.own = own_keys(kind, names.conventions)
        self._grant = own_keys(ListKind.ADDRESS, names.conventions) if name == "logins" else None

    def key(self, text: str) -> tuple[str, str]:
        """The item's key, and what is wrong with it."""
        if self.own is not None and self.own.match(text):
            return text, ""
        if self._kind is ListKind.REGEX:
            why = self._names.pattern(text)
            return text, f"{shown(text)} can't be run: {why}" if why else ""
        if self._kind is ListKind.MAP:
            return map_key(self._name, text, self._names.conventions)
        member = normalise(self._kind, text, self._names.conventions)
        return ("", member) if isinstance(member, str) else (member.key, "")

    def value(self, text: str) -> tuple[str, str]:
        """A map's value, and what is wrong with it."""
        if self._grant is not None and self._grant.match(text):
            return text, ""
        return map_value(self._name, text, self._names.conventions)


def guess_kind(name: str, node: Node | None) -> ListKind | None:
    """The type of a list that can't be built, as far as it can be read."""
    if name in RESERVED_LISTS:
        return RESERVED_LISTS[name][0]
    written = (
        next((value for key, value in node.pairs if key.text == "type"), None) if isinstance(node, Mapping) else None
    )
    if isinstance(written, Scalar) and written.text in {one.value for one in ListKind}:
        return ListKind(written.text)
    return None
