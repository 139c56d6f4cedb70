"""The operator registry: what each test does, which fields it fits, and what it takes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from tidegate.model import FieldType, ListKind, Operator

_T = FieldType
TEXTS = frozenset({_T.TEXT, _T.ADDRESS, _T.DOMAIN, _T.LOGIN})
_ALL = frozenset(FieldType)


class Operand(Enum):
    """What stands behind an operator."""

    VALUE = "value"
    LIST = "list"
    TEXT = "text"
    PATTERN = "pattern"
    NUMBER = "number"
    BOOLEAN = "boolean"


@dataclass(frozen=True, slots=True)
class OperatorRow:
    """One row: its manual line, the field types it fits, and its operand."""

    operator: Operator
    manual: str
    types: frozenset[FieldType]
    operand: Operand


OPERATORS: dict[Operator, OperatorRow] = {
    row.operator: row
    for row in (
        OperatorRow(Operator.ONE_OF, "a value alone: equals; a list of values: one of", _ALL, Operand.VALUE),
        OperatorRow(Operator.IN, "covered by a named list, or by one written here", TEXTS | {_T.IP}, Operand.LIST),
        OperatorRow(Operator.CONTAINS, "contains the text", TEXTS, Operand.TEXT),
        OperatorRow(Operator.PREFIX, "begins with the text", TEXTS, Operand.TEXT),
        OperatorRow(Operator.SUFFIX, "ends with the text", TEXTS, Operand.TEXT),
        OperatorRow(Operator.GLOB, "fits the glob: * any run, ? any one character", TEXTS, Operand.TEXT),
        OperatorRow(Operator.MATCHES, "matches the regular expression, in linear time", TEXTS, Operand.PATTERN),
        OperatorRow(Operator.GT, "greater than", frozenset({_T.NUMBER}), Operand.NUMBER),
        OperatorRow(Operator.GE, "greater than or equal", frozenset({_T.NUMBER}), Operand.NUMBER),
        OperatorRow(Operator.LT, "less than", frozenset({_T.NUMBER}), Operand.NUMBER),
        OperatorRow(Operator.LE, "less than or equal", frozenset({_T.NUMBER}), Operand.NUMBER),
        OperatorRow(Operator.EXISTS, "is there; false: is not", _ALL, Operand.BOOLEAN),
    )
}

NATURAL_KIND: dict[FieldType, ListKind] = {
    _T.TEXT: ListKind.STRING,
    _T.ADDRESS: ListKind.ADDRESS,
    _T.DOMAIN: ListKind.DOMAIN,
    _T.LOGIN: ListKind.LOGIN,
    _T.IP: ListKind.IP,
}
"""The list type that values standing alone belong to; numbers and booleans have none."""

FITTING_KINDS: dict[FieldType, frozenset[ListKind]] = {
    _T.TEXT: frozenset({ListKind.STRING, ListKind.REGEX}),
    _T.ADDRESS: frozenset({ListKind.ADDRESS, ListKind.STRING, ListKind.REGEX, ListKind.MAP}),
    _T.DOMAIN: frozenset({ListKind.DOMAIN, ListKind.STRING, ListKind.REGEX}),
    _T.LOGIN: frozenset({ListKind.LOGIN, ListKind.MAP, ListKind.STRING, ListKind.REGEX}),
    _T.IP: frozenset({ListKind.IP}),
}
"""Which named lists a field can be looked up in."""
