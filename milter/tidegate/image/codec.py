"""The model's frozen dataclasses as JSON and back.

Promises: what is read back equals what was written; anything else raises `MalformedError`. Each class is one row of the
table at the end, and a test compares the table with the model, so that a new field can't be forgotten. A dataclass is
the list of its fields in order, an enum its value, a union a list that begins with a tag.

Reading is the hot half (a rule is read when it is first touched), so each row makes its reader once.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import Enum
from operator import attrgetter
from typing import Any, Final

from tidegate.model import (
    Actions,
    AddHeader,
    AddRecipient,
    AllOf,
    Always,
    AnyOf,
    Bcc,
    Cause,
    Conventions,
    Counting,
    Disposition,
    Doubt,
    Ending,
    EntryState,
    ExceptClause,
    Exempt,
    Expect,
    Fresh,
    Limit,
    ListKind,
    LiveSource,
    Mode,
    Never,
    Not,
    OnError,
    OnInvalid,
    OnStoreDown,
    OnUninspected,
    Operator,
    Place,
    Plan,
    PrefixSubject,
    Quantifier,
    Recipients,
    Redirect,
    RemoveHeader,
    RemoveRecipient,
    ReplyTemplate,
    Rule,
    Sample,
    Schedule,
    SetHeader,
    SetSender,
    Suspend,
    Template,
    Test,
    Unknowable,
)


class MalformedError(Exception):
    """JSON that no writer of this page made."""


@dataclass(frozen=True, slots=True)
class Codec:
    """How one type is written as JSON-able data, and read."""

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
_decode = json.JSONDecoder().decode


def compact(value: Any) -> bytes:
    """What a codec has written, as JSON of ASCII bytes."""
    return _ENCODER.encode(value).encode("ascii")


def dump(codec: Codec, value: Any) -> bytes:
    """`value` as JSON of ASCII bytes."""
    return compact(codec.write(value))


def load(codec: Codec, data: bytes | memoryview) -> Any:
    """The value of these bytes. Raises MalformedError."""
    try:
        return codec.read(_decode(str(data, "ascii")))
    except (ValueError, RecursionError) as error:
        raise MalformedError(str(error)) from error


def _same(value: Any) -> Any:
    return value


def plain(*types: type) -> Codec:
    """A value that JSON has itself, of exactly one of these types."""
    if len(types) == 1:
        (wanted,) = types

        def read(value: Any) -> Any:
            if type(value) is not wanted:
                raise MalformedError(f"{wanted.__name__} expected")
            return value
    else:

        def read(value: Any) -> Any:
            if type(value) not in types:
                raise MalformedError("another type expected")
            return value

    return Codec(_same, read)


def optional(codec: Codec) -> Codec:
    """The same, or None."""
    write, read = codec.write, codec.read
    return Codec(
        _same if write is _same else lambda value: None if value is None else write(value),
        lambda value: None if value is None else read(value),
    )


def many(codec: Codec) -> Codec:
    """A tuple of them."""
    write, read = codec.write, codec.read

    def read_all(values: Any) -> Any:
        if type(values) is not list:
            raise MalformedError("list expected")
        return tuple([read(value) for value in values])

    return Codec(list if write is _same else lambda values: [write(value) for value in values], read_all)


def choice(enum: type[Enum]) -> Codec:
    """A member of an enumeration, by its value."""
    members: dict[Any, Enum] = {member.value: member for member in enum}

    def read(value: Any) -> Any:
        member = members.get(value) if type(value) in (str, int) else None
        if member is None:
            raise MalformedError(f"not a {enum.__name__}")
        return member

    return Codec(attrgetter("_value_"), read)  # `value` is a property written in Python, and asked 80,000 times


def record(kind: type, *codecs: Codec) -> Codec:
    """A dataclass with one codec for each field, in order."""
    names = [field.name for field in fields(kind)]
    if len(names) != len(codecs):
        raise TypeError(f"{kind.__name__} has {len(names)} fields, not {len(codecs)}")
    changes = [(at, codec.write) for at, codec in enumerate(codecs) if codec.write is not _same]
    readers = [codec.read for codec in codecs]
    count = len(names)
    get = attrgetter(*names) if count > 1 else lambda value: [getattr(value, name) for name in names]

    def write(value: Any) -> Any:
        found = list(get(value))
        for at, change in changes:
            found[at] = change(found[at])
        return found

    def read(values: Any) -> Any:
        if type(values) is not list or len(values) != count:
            raise MalformedError(f"not a {kind.__name__}")
        return kind(*[read_field(value) for read_field, value in zip(readers, values, strict=True)])

    return Codec(write, read)


def union(**rows: tuple[type, Codec]) -> Codec:
    """One of several dataclasses; the keyword is the tag in front of its fields."""
    writers = {kind: (tag, codec.write) for tag, (kind, codec) in rows.items()}
    readers = {tag: codec.read for tag, (_, codec) in rows.items()}

    def write(value: Any) -> Any:
        tag, write_fields = writers[type(value)]
        return [tag, *write_fields(value)]

    def read(values: Any) -> Any:
        tag = values.pop(0) if type(values) is list and values else None
        read_fields = readers.get(tag) if type(tag) is str else None
        if read_fields is None:
            raise MalformedError("unknown tag")
        return read_fields(values)

    return Codec(write, read)


def _write_condition(value: Any) -> Any:
    return CONDITION.write(value)


def _read_condition(value: Any) -> Any:
    return CONDITION.read(value)


TEXT: Final = plain(str)
WHOLE: Final = plain(int)
TRUTH: Final = plain(bool)
NUMBER: Final = plain(int, float)
TEXTS: Final = many(TEXT)
WHOLES: Final = many(WHOLE)

PLACE = record(Place, TEXT, WHOLE, WHOLE, WHOLE)
CAUSE = record(Cause, choice(Doubt), TEXT)
CONVENTIONS = record(Conventions, TEXT, TEXT)
LIVE_SOURCE = record(LiveSource, TEXT, TEXT, NUMBER, TRUTH)

_INNER = Codec(_write_condition, _read_condition)  # conditions hold conditions: the table refers to itself
_TEST = record(Test, TEXT, choice(Operator), many(plain(str, int, bool)), optional(TEXT), optional(choice(ListKind)))
CONDITION: Final = union(
    always=(Always, record(Always)),
    never=(Never, record(Never)),
    all=(AllOf, record(AllOf, many(_INNER))),
    any=(AnyOf, record(AnyOf, many(_INNER))),
    no=(Not, record(Not, _INNER)),
    test=(Test, _TEST),
    rcpt=(Recipients, record(Recipients, choice(Quantifier), _INNER)),
    unknown=(Unknowable, record(Unknowable, CAUSE)),
    fresh=(Fresh, record(Fresh, TEXT)),
)
_TEMPLATE = record(Template, TEXT)
_REPLY = record(ReplyTemplate, WHOLE, TEXT, _TEMPLATE)
_ENDING = record(Ending, choice(Disposition), optional(_REPLY), optional(_TEMPLATE))
_EDIT = union(
    add_header=(AddHeader, record(AddHeader, TEXT, many(_TEMPLATE))),
    set_header=(SetHeader, record(SetHeader, TEXT, many(_TEMPLATE))),
    remove_header=(RemoveHeader, record(RemoveHeader, TEXT)),
    prefix_subject=(PrefixSubject, record(PrefixSubject, _TEMPLATE)),
    add_rcpt=(AddRecipient, record(AddRecipient, TEXT)),
    remove_rcpt=(RemoveRecipient, record(RemoveRecipient, optional(TEXT))),
    redirect=(Redirect, record(Redirect, TEXT, TRUTH)),
    bcc=(Bcc, record(Bcc, TEXT)),
    set_sender=(SetSender, record(SetSender, TEXT)),
)
_ACTIONS = record(
    Actions,
    optional(_ENDING),
    many(_EDIT),
    optional(record(Exempt, TEXTS, TRUTH)),
    optional(record(Suspend, TEXT, TEXT, TEXT, TEXT, NUMBER)),
)


def _pair(codec: Codec) -> Codec:
    both = many(codec)

    def read(values: Any) -> Any:
        found = both.read(values)
        if len(found) != 2:
            raise MalformedError("pair expected")
        return found

    return Codec(both.write, read)


_SCHEDULE = record(Schedule, optional(NUMBER), optional(NUMBER), WHOLES, many(_pair(WHOLE)), TEXT)
_EXCEPT = record(ExceptClause, TEXT, CONDITION, optional(NUMBER), TEXT)
_LIMIT = record(
    Limit,
    TEXT,  # name
    TEXTS,  # by
    choice(Counting),
    WHOLE,  # maximum
    NUMBER,  # per
    TEXT,  # through
    CONDITION,  # who
    TEXT,  # of
    optional(record(Plan, TEXT, TEXT)),
    WHOLE,  # warn
    choice(OnStoreDown),
)

RULE: Final = record(
    Rule,
    TEXT,  # id
    CONDITION,  # when
    _ACTIONS,  # do
    WHOLE,  # priority
    choice(Mode),
    choice(EntryState),
    TEXTS,  # tags
    many(_EXCEPT),
    optional(_SCHEDULE),
    optional(record(Sample, NUMBER, TEXT)),
    choice(OnInvalid),
    choice(OnError),
    choice(OnUninspected),
    TRUTH,  # per_recipient
    TRUTH,  # inbound
    TEXT,  # description
    TEXT,  # owner
    PLACE,
    TEXT,  # digest
    TRUTH,  # stale_exempt
    TRUTH,  # kept
    optional(record(Expect, WHOLE, NUMBER)),
    many(_LIMIT),
    TRUTH,  # by_share
)
