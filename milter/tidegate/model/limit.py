"""Limits as a rule has them, and what one of them came to for a message.

A counter is (rule, limit name, key): `maximum`, `per` and the rest can be edited without losing what was counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from tidegate.model.condition import Always, Cause, Condition
from tidegate.model.words import OnStoreDown


class Counting(str, Enum):
    """What a limit counts."""

    MESSAGES = "messages"
    RECIPIENTS = "recipients"
    BYTES = "bytes"
    DISTINCT = "distinct"


@dataclass(frozen=True, slots=True)
class Plan:
    """`max: {map: plans, by: login, default: 300}`: the map list in which the value of field `by` is looked up."""

    list_name: str
    by: str


@dataclass(frozen=True, slots=True)
class Limit:
    """One item of `limits:`."""

    name: str
    by: tuple[str, ...]  # the fields that make the key; empty: one key for all
    count: Counting
    maximum: int  # where there is a plan: for whom it says nothing
    per: float  # seconds
    through: str = ""  # a map list: the key is what it has for the field's value
    who: Condition = field(default_factory=Always)  # RECIPIENTS: those who count
    of: str = ""  # DISTINCT: the field whose values are counted
    plan: Plan | None = None
    warn: int = 80  # percent of the maximum
    on_store_down: OnStoreDown = OnStoreDown.LOCAL


@dataclass(frozen=True, slots=True)
class LimitUse:
    """What one limit of one rule came to for one message.

    `used` is without this message, `cost` what it adds. `share` is in percent, this message included, rounded down;
    above 100 where it does not fit. `retry`: seconds until it does; math.inf where it never does.
    """

    rule: str
    limit: str
    key: str
    cost: int
    used: int
    maximum: int
    retry: float
    share: int
    exceeded: bool = False
    warned: bool = False  # the warning share is reached
    shadow: bool = False
    local: bool = False  # told by the local count while the store is down
    cause: Cause | None = None  # it can't be known
