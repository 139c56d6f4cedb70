"""From what was loaded to the image: the loader's last step.

Promises: the same policy gives the same digest, whatever the generation's number. Slow parts are the pattern databases;
those of single patterns were made when each was checked. Refuses: patterns that were not checked (PatternError).
"""

from __future__ import annotations

import re
from array import array

from tidegate.engine.index import build_index
from tidegate.image.codec import CONVENTIONS, RULE, dump
from tidegate.image.databases import Literal, Shelf
from tidegate.image.earlier import Earlier
from tidegate.image.layout import Contents, Sections, Span, assemble
from tidegate.image.lists import FEW_GLOBS, write_list
from tidegate.image.traits import (
    TRAITS,
    TREES,
    FieldTrees,
    ListTree,
    Trees,
    asked_patterns,
    traits_of,
    write_pieces,
    write_singles,
)
from tidegate.model import Index, ListKind, Loaded

NOTHING = Earlier()
_WILD = re.compile(r"[*?]")


def build(loaded: Loaded, number: int, before: Earlier = NOTHING) -> bytes:
    """The image of generation `number`. Raises tidegate.patterns.PatternError for a pattern that was not checked.

    `before`: what did not change since then is taken from there.
    """
    policy = Sections()
    conventions = policy.add(dump(CONVENTIONS, loaded.conventions))
    rules, rule_ends = _packed(policy, [dump(RULE, rule) for rule in loaded.rules])
    shelf = Shelf(before.groups)
    lists: list[Span] = []
    list_trees: list[ListTree] = []
    for data in loaded.lists:
        span, special = write_list(data, policy, before.lists)
        lists.append(span)
        tree = _list_tree(data.name, data.kind, special, shelf)
        if tree is not None:
            list_trees.append(tree)
    for source in asked_patterns(loaded.rules):
        shelf.single(source)
    by_name = {data.name: data for data in loaded.lists}
    index, at_rcpt = build_index(loaded.rules, by_name), build_index(loaded.rules, by_name, at_rcpt=True)
    derived = Sections(policy.end)
    traits = derived.add(dump(TRAITS, traits_of(loaded.rules, index, at_rcpt)))
    pieces = tuple(derived.add(piece) for piece in (*write_pieces(index, False), *write_pieces(at_rcpt, True)))
    trees = derived.add(dump(TREES, Trees(_field_trees(index, shelf), tuple(list_trees))))
    singles = tuple(derived.add(piece) for piece in write_singles(shelf.singles, shelf.spent))
    databases, database_ends = _packed(derived, shelf.parts)
    keys = derived.add(b"".join(shelf.keys))
    contents = Contents(
        conventions, rules, rule_ends, tuple(lists), traits, pieces, trees, singles, databases, database_ends, keys
    )
    return assemble(number, contents, policy.data(), derived.data())


def _packed(sections: Sections, parts: list[bytes]) -> tuple[Span, Span]:
    """Parts one behind the other, and where each ends."""
    ends, end = array("Q", [0]), 0
    for part in parts:
        end += len(part)
        ends.append(end)
    return sections.add(b"".join(parts)), sections.add(ends.tobytes())


def _list_tree(name: str, kind: ListKind, special: tuple[str, ...], shelf: Shelf) -> ListTree | None:
    if kind is ListKind.REGEX:
        return ListTree(name, shelf.patterns(special))
    if len(special) > FEW_GLOBS:
        return ListTree(name, shelf.literals([max(_WILD.split(glob), key=len) for glob in special]))
    return None


def _field_trees(index: Index, shelf: Shelf) -> tuple[FieldTrees, ...]:
    fields = sorted({*index.literals, *index.expressions})
    return tuple(
        FieldTrees(
            field,
            shelf.literals([Literal.parse(text).needle for text, _ in index.literals.get(field, ())]),
            shelf.patterns([source for source, _ in index.expressions.get(field, ())]),
        )
        for field in fields
    )
