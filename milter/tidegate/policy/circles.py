"""Which names depend on which: an order in which each comes after what it needs, and who stands in a circle.

Without recursion: a chain of ten thousand names is an admin's mistake, not ours.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping


def in_order(needs: Mapping[str, Collection[str]]) -> list[tuple[str, ...]]:
    """The strongly connected groups of names, each after the groups that it needs (Tarjan's algorithm).

    A group of one is a plain name unless it needs itself; a larger group is a circle. Names that are needed and not in
    `needs` are left out.
    """
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    open_names: list[str] = []
    waiting: set[str] = set()
    groups: list[tuple[str, ...]] = []
    for root in needs:
        if root in number:
            continue
        work: list[tuple[str, Iterator[str]]] = []
        _enter(root, needs, number, low, open_names, waiting, work)
        while work:
            name, rest = work[-1]
            following = next((one for one in rest if one in needs and (one not in number or one in waiting)), None)
            if following is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[name])
                if low[name] == number[name]:
                    at = open_names.index(name) if open_names[-1] != name else len(open_names) - 1
                    groups.append(tuple(open_names[at:]))
                    waiting.difference_update(open_names[at:])
                    del open_names[at:]
            elif following in number:
                low[name] = min(low[name], number[following])
            else:
                _enter(following, needs, number, low, open_names, waiting, work)
    return groups


def _enter(
    name: str,
    needs: Mapping[str, Collection[str]],
    number: dict[str, int],
    low: dict[str, int],
    open_names: list[str],
    waiting: set[str],
    work: list[tuple[str, Iterator[str]]],
) -> None:
    number[name] = low[name] = len(number)
    open_names.append(name)
    waiting.add(name)
    work.append((name, iter(needs[name])))
