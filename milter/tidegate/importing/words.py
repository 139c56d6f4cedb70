"""What an import comes to. `Value` is what YAML would make of a text: maps, lists, texts, numbers, true and false."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Value: TypeAlias = str | int | float | bool | Sequence["Value"] | Mapping[str, "Value"]


@dataclass(frozen=True, slots=True)
class Untranslated:
    """What our language can't say, where it stands, and why."""

    line: int
    text: str
    why: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.why}: {self.text}"


@dataclass(frozen=True, slots=True)
class NewList:
    """One list to be written; `items` are texts, or for a map keys with one value."""

    name: str
    kind: str
    items: tuple[str, ...] | Mapping[str, Value]
    comments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NewException:
    """One clause of `except`."""

    name: str
    when: Value


@dataclass(frozen=True, slots=True)
class NewRule:
    """One rule to be written; `comments` say where its meaning differs from what it was.

    `logged_in`: it is about mail with a login alone. All others name every direction, since a rule that does not name
    inbound mail never judges it, and the filters that we import from know no directions.
    """

    id: str
    when: Value
    do: Mapping[str, Value]
    description: str = ""
    exceptions: tuple[NewException, ...] = ()
    limits: tuple[Value, ...] = ()
    per_recipient: bool = False
    shadow: bool = False  # it only logged
    priority: int = 100
    comments: tuple[str, ...] = ()
    active: Mapping[str, Value] | None = None
    logged_in: bool = False


@dataclass(frozen=True, slots=True)
class Imported:
    """All of it. `remarks` are about the whole, `untranslated` is an error each."""

    rules: tuple[NewRule, ...] = ()
    lists: tuple[NewList, ...] = ()
    remarks: tuple[str, ...] = ()
    untranslated: tuple[Untranslated, ...] = ()
