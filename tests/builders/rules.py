"""Random rules and lists (hypothesis), of everything that the model can say."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable
from enum import Enum
from typing import Any

from hypothesis import strategies as st

import tidegate.model as model
from tidegate.model import ListItem, ListKind, MemberListData, Rule, Test

TEXTS = st.text(max_size=8)
_PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXTS,
    int: st.integers(-(2**40), 2**40),
    bool: st.booleans(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    type(None): st.none(),
}
_WORDS = {name: getattr(model, name) for name in model.__all__}
"""The model's annotations are texts; these are what they name."""


def of_type(wanted: Any, depth: int = 3) -> st.SearchStrategy[Any]:
    """Any value of a type as the model's annotations write it."""
    if isinstance(wanted, str):
        wanted = eval(wanted, {**_WORDS, "tuple": tuple})  # the model's own annotations
        return of_type(wanted, depth)
    if wanted in _PLAIN:
        return _PLAIN[wanted]
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        return st.sampled_from(list(wanted))
    origin, args = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is tuple:
        if args[-1] is Ellipsis:
            return st.lists(of_type(args[0], depth), max_size=3).map(tuple)
        return st.tuples(*[of_type(one, depth) for one in args])
    if isinstance(wanted, types.UnionType):
        return st.one_of([of_type(one, depth) for one in args])
    return st.deferred(_made(wanted, depth))


def _made(kind: type, depth: int) -> Callable[[], st.SearchStrategy[Any]]:
    def strategy() -> st.SearchStrategy[Any]:
        nested = "Condition" in "".join(str(field.type) for field in dataclasses.fields(kind))
        if nested and kind is not Rule and depth <= 0:
            return of_type("Test", 0)
        return st.builds(
            kind, **{field.name: of_type(field.type, depth - nested) for field in dataclasses.fields(kind)}
        )

    return strategy


def rules() -> st.SearchStrategy[Rule]:
    """Rules with any fields at all, also such as no builder makes."""
    return of_type(Rule)


def a_list(name: str, kind: ListKind, *items: str | ListItem) -> MemberListData:
    """A list of keys, or of items with values or an end."""
    return MemberListData(name, kind, tuple(ListItem(one) if isinstance(one, str) else one for one in items))


def a_rule(name: str, when: model.Condition, **changes: Any) -> Rule:
    """A rule that rejects."""
    reply = model.ReplyTemplate(550, "5.7.1", model.Template("no"))
    return Rule(name, when, model.Actions(model.Ending(model.Disposition.REJECT, reply)), **changes)


def contains(field: str, *texts: str) -> Test:
    """A `contains` test."""
    return Test(field, model.Operator.CONTAINS, texts)


def matching(field: str, *sources: str) -> Test:
    """A `matches` test."""
    return Test(field, model.Operator.MATCHES, sources)
