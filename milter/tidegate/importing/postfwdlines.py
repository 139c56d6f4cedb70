"""postfwd's files as rules: lines that go on, macros, items, files of items. Source: postfwd(8), MACROS, FILES.

Promises: what postfwd would pass over in silence (a line that is no rule, a file that can't be read) is told here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tidegate.importing.words import Untranslated

_ITEM = re.compile(r"\s*([A-Za-z0-9_]+)\s*(==|=~|=<|=>|<=|>=|!=|!~|!<|!>|=|<|>)\s*(.*?)\s*", re.DOTALL)
_SWAPPED = {"<=": "=<", ">=": "=>"}
_MACRO = re.compile(r"&&([A-Za-z0-9_-]+)\s*\{\s*(.*?)\s*\}\s*;?\s*", re.DOTALL)
_USE = re.compile(r"&&([A-Za-z0-9_-]+)")
_NEGATED = re.compile(r"!!\s*(?:\((.*)\)|(.*))", re.DOTALL)
_FILE = re.compile(r"(l?)(file|table):(\S+)")
_LISTED = frozenset({"client_address", "rbl", "rhsbl", "rhsbl_client", "rhsbl_sender", "rhsbl_reverse_client"})
_DEEP = 16  # macros in macros, files in files
_MOST = 100_000  # characters of one rule, macros put in
ReadFile = Callable[[str], "str | None"]


@dataclass(frozen=True, slots=True)
class Item:
    """`client_address=10.0.0.0/8`; `negated`: written with `!!`."""

    name: str
    operator: str
    value: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: what it asks for, and its action."""

    line: int
    id: str
    items: tuple[Item, ...]
    action: str
    text: str


def read_rules(text: str, read_file: ReadFile) -> tuple[list[Rule], list[Untranslated]]:
    """The rules in their order, and what is none."""
    wrong: list[Untranslated] = []
    macros: dict[str, str] = {}
    rules: list[Rule] = []
    ids: set[str] = set()
    for line, written in _logical(text):
        macro = _MACRO.fullmatch(written)
        if macro is not None:
            macros[macro[1]] = macro[2]
            continue
        try:
            rule = _rule(line, _expanded(written, macros), len(rules), read_file)
        except ValueError as error:
            wrong.append(Untranslated(line, written, str(error)))
            continue
        if rule.id in ids:
            wrong.append(Untranslated(line, written, f"the id {rule.id} is used twice"))
            continue
        ids.add(rule.id)
        rules.append(rule)
    return rules, wrong


def _logical(text: str) -> Iterator[tuple[int, str]]:
    """A line goes on where it ends in `\\` or `{`, and where the next one begins with a blank or `}`."""
    start, whole, goes_on = 0, "", False
    for number, physical in enumerate(text.splitlines(), 1):
        line = re.sub(r'"|#.*', "", physical)
        if not line.strip():
            continue
        if whole and (goes_on or line[0] in " \t}"):
            joint = "" if goes_on or whole.rstrip().endswith((";", "{")) or line[0] == "}" else ";"
            whole = f"{whole}{joint} {line.strip()}"
        else:
            if whole:
                yield start, whole
            start, whole = number, line.strip()
        goes_on = whole.endswith(("\\", "{"))
        whole = whole.rstrip("\\").rstrip()
    if whole:
        yield start, whole


def _expanded(text: str, macros: dict[str, str]) -> str:
    """With macros put in. Raises ValueError."""
    for _ in range(_DEEP):
        missing = next((one for one in _USE.findall(text) if one not in macros), "")
        if missing:
            raise ValueError(f"there is no macro &&{missing}")
        if not _USE.search(text):
            return text
        text = _USE.sub(lambda found: macros[found[1]], text)
        if len(text) > _MOST:
            break
    raise ValueError("its macros name each other without an end")


def _rule(line: int, text: str, number: int, read_file: ReadFile) -> Rule:
    """Raises ValueError."""
    items: list[Item] = []
    single: dict[str, str] = {}
    for part in _parts(text):
        found = _ITEM.fullmatch(part)
        if found is None:
            raise ValueError(f"{part.strip()!r} is no ITEM=VALUE")
        name, operator, value = found[1].lower(), _SWAPPED.get(found[2], found[2]), found[3]
        if name in ("id", "action"):
            single[name] = value
        else:
            items += _items(name, operator, value, read_file, 0)
    if "action" not in single:
        raise ValueError("it has no action, so postfwd leaves it out")
    name = re.sub(r"[^A-Za-z0-9._-]", "-", single.get("id", f"R-{number}"))
    return Rule(line, name, tuple(items), single["action"], text)


def _parts(text: str) -> Iterator[str]:
    yield from (part for part in text.split(";") if part.strip())


def _items(name: str, operator: str, value: str, read_file: ReadFile, depth: int) -> Iterator[Item]:
    negated = _NEGATED.fullmatch(value)
    if negated is not None:
        value = (negated[1] if negated[1] is not None else negated[2]).strip()
    words = [one for one in re.split(r"[\s,]+", value) if one] if name in _LISTED and negated is None else [value]
    for word in words:
        file = _FILE.fullmatch(word)
        if file is None:
            yield Item(name, operator, word, negated is not None)
            continue
        if negated is not None:
            raise ValueError("a file of items can't be negated as a whole here")
        text = read_file(file[3])
        if text is None or depth > _DEEP:
            raise ValueError(f"{file[3]} can't be read; postfwd would go on without it")
        for physical in text.splitlines():
            one = re.sub(r"#.*", "", physical).strip()
            if one:
                key = re.sub(r"\s+\S+\Z", "", one) if file[2] == "table" else one
                yield from _items(name, operator, key, read_file, depth + 1)
