"""Conditions as data: a tree that says what is asked, and what was answered.

A condition holds no state and compiles nothing; conditions/ evaluates it. Every class here can be
written to an image and read back (image/codec.py), so fields are plain values, enums or nested conditions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from tidegate.model.words import Doubt, FieldType, ListKind, Operator, Quantifier, Stage, Truth

Scalar: TypeAlias = "str | int | bool"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why something can't be known: `text` for people, `doubt` for the rule that must decide."""

    doubt: Doubt
    text: str


@dataclass(frozen=True, slots=True)
class Always:
    """`when: always`."""


@dataclass(frozen=True, slots=True)
class Never:
    """A condition that is never YES (a schedule in the past, an empty scope)."""


@dataclass(frozen=True, slots=True)
class AllOf:
    """YES if every child is; an empty one does not occur."""

    children: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """YES if one child is; an empty one does not occur."""

    children: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The child, negated; UNKNOWN stays UNKNOWN."""

    child: Condition


@dataclass(frozen=True, slots=True)
class Test:
    """One field, one operator, its operand.

    `values` are normalised for the field's type (conditions/members.py and conditions/text.py); several are OR.
    For `IN` with a named list `values` is empty and `list_name` is set; with an inline list the items are
    `values`. For `MATCHES` the values are pattern sources. For numbers and booleans they are int and bool.
    `kind` is the list type by which `ONE_OF` and `IN` look up (ADDRESS, DOMAIN, LOGIN, IP, STRING), else None.
    """

    field: str
    operator: Operator
    values: tuple[Scalar, ...] = ()
    list_name: str | None = None
    kind: ListKind | None = None


@dataclass(frozen=True, slots=True)
class Recipients:
    """A condition on one recipient's fields (address, domain, localpart, external), counted over all."""

    quantifier: Quantifier
    child: Condition


@dataclass(frozen=True, slots=True)
class Unknowable:
    """Stands where a part could not be built: UNKNOWN with its cause."""

    cause: Cause


@dataclass(frozen=True, slots=True)
class Fresh:
    """YES while the list `list_name` is as its source has it; UNKNOWN where it is only known as it was a while ago."""

    list_name: str


Condition: TypeAlias = "Always | Never | AllOf | AnyOf | Not | Test | Recipients | Unknowable | Fresh"


@dataclass(frozen=True, slots=True)
class Field:
    """One row of the field registry (conditions/fields.py)."""

    name: str
    type: FieldType
    stage: Stage
    manual: str
    recipient: bool = False  # stands inside any_rcpt, all_rcpt, no_rcpt (or a per_recipient rule) only


class Reading(NamedTuple):
    """What a field holds in one transaction.

    No values and no cause: absent. A cause: (also) something unreadable, so a test that no readable value
    passes is UNKNOWN. A tuple, and no dataclass: a message makes a dozen, and each in a third of the time.
    """

    values: tuple[Scalar, ...] = ()
    cause: Cause | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """One test's answer, for `explain` and the trail: what was asked of what, and what hit."""

    test: Condition
    reading: Reading
    truth: Truth
    hit: str | None = None  # the list entry, literal or pattern that hit
    children: tuple[Evidence, ...] = ()
