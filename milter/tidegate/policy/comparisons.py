"""One test from its node: a field, an operator, an operand that fits both.

A value alone is `equals`, a list is `one of`, a map with one key is an operator. Values are normalised here exactly as
the readings they will be compared with (conditions/members.py, conditions/text.py).
"""

from __future__ import annotations

import re

from tidegate.conditions.domains import fold_domain
from tidegate.conditions.fields import FIELDS
from tidegate.conditions.members import normalise
from tidegate.conditions.operators import FITTING_KINDS, NATURAL_KIND, OPERATORS, Operand, OperatorRow
from tidegate.conditions.text import fold
from tidegate.model import Direction, Field, FieldType, ListKind, Operator, Scalar, Test
from tidegate.policy import elsewhere
from tidegate.policy.findings import Findings
from tidegate.policy.names import FAMILIES, Names
from tidegate.policy.nodes import Mapping, Node, Sequence, Tag
from tidegate.policy.nodes import Scalar as ScalarNode
from tidegate.policy.suggest import did_you_mean, shown

WRITTEN_OPERATORS: dict[str, OperatorRow] = {
    row.operator.value: row for row in OPERATORS.values() if row.operator is not Operator.ONE_OF
}
"""The operators that are written as a key; `ONE_OF` is a value alone."""

DIRECTIONS = tuple(one.value for one in Direction)
_DIRECTION_OPERATORS = ("in", "exists")
_SLASHED = re.compile(r"/.*/[a-zA-Z]*\Z", re.DOTALL)


def build_test(row: Field, node: Node, names: Names, findings: Findings) -> Test | None:
    """The test on the field `row` that `node` says, or None after the problems were named."""
    if not isinstance(node, Mapping):
        return _one_of(row, Operator.ONE_OF, node, names, findings)
    if len(node.pairs) != 1:
        _not_one_operator(row, node, findings)
        return None
    key, operand = node.pairs[0]
    written = WRITTEN_OPERATORS.get(key.text)
    if written is None:
        _unknown_operator(row, key, findings)
        return None
    if row.type not in written.types or (row.name == "direction" and key.text not in _DIRECTION_OPERATORS):
        fitting = ", ".join(operators_of(row))
        findings.add(
            "operator-mismatch",
            f"`{key.text}` does not fit `{row.name}`, which holds {FAMILIES[row.type]}",
            key,
            cure=f"write a value, or one of {fitting}",
        )
        return None
    return _operand(row, written, operand, names, findings)


def _unknown_operator(row: Field, key: ScalarNode, findings: Findings) -> None:
    near = did_you_mean(key.text, WRITTEN_OPERATORS, elsewhere.OPERATORS)
    several, cure = ", ".join(WRITTEN_OPERATORS), ""
    if key.text.lower() in elsewhere.NEGATIONS:
        near, cure = "", f"write `not: {{{row.name}: …}}` around the test"
    elif key.text.lower() in elsewhere.EQUALS:
        near, cure = "", f"write the value alone: `{row.name}: …`"
    findings.add("unknown-operator", f"{shown(key.text)} is no operator (there are {several}){near}", key, cure=cure)


def operators_of(row: Field) -> tuple[str, ...]:
    """The operators that can be written behind a field."""
    if row.name == "direction":
        return _DIRECTION_OPERATORS
    return tuple(name for name, one in WRITTEN_OPERATORS.items() if row.type in one.types)


def _not_one_operator(row: Field, node: Mapping, findings: Findings) -> None:
    if not node.pairs:
        findings.add("empty-condition", f"the test on `{row.name}` asks nothing", node)
        return
    several = ", ".join(key.text for key, _ in node.pairs[:5])
    findings.add("several-operators", f"the test on `{row.name}` has {len(node.pairs)} operators: {several}", node)


def _operand(row: Field, written: OperatorRow, node: Node, names: Names, findings: Findings) -> Test | None:
    operator, what = written.operator, f"`{written.operator.value}` on `{row.name}`"
    if written.operand is Operand.LIST:
        if isinstance(node, ScalarNode):
            return _in_list(row, node, names, findings)
        listed = Operator.ONE_OF if row.name == "direction" else Operator.IN
        return _one_of(row, listed, node, names, findings)
    if written.operand is Operand.NUMBER:
        number = _number(row, node, what, findings)
        return None if number is None else Test(row.name, operator, (number,))
    if written.operand is Operand.BOOLEAN:
        flag = findings.flag(node, what)
        return None if flag is None else Test(row.name, operator, (flag,))
    if written.operand is Operand.PATTERN:
        return _patterns(row, node, what, names, findings)
    return _folded(row, operator, node, what, findings)


def _one_of(row: Field, operator: Operator, node: Node, names: Names, findings: Findings) -> Test | None:
    """Equals, or is one of; for `in` with items written here as well."""
    what = f"`{row.name}`"
    if operator is Operator.IN and not isinstance(node, Sequence):
        findings.add("wrong-type", f"`in` on {what} is a list's name, or a list of items", node)
        return None
    if row.type is FieldType.BOOLEAN:
        flag = findings.flag(node, what)
        return None if flag is None else Test(row.name, operator, (flag,))
    if row.type is FieldType.NUMBER:
        numbers = _numbers(row, node, what, findings)
        return None if numbers is None else Test(row.name, operator, numbers)
    if row.type is FieldType.ADDRESS and isinstance(node, ScalarNode) and node.tag is Tag.TEXT and not node.text:
        _item(row, NATURAL_KIND[row.type], "<>", node, names, findings)
        return None
    written = findings.texts(node, what)
    if written is None:
        return None
    kind = NATURAL_KIND[row.type]
    values: dict[Scalar, None] = {}
    good = True
    for text, where in written:
        value = _item(row, kind, text, where, names, findings)
        if value is None:
            good = False
        else:
            values[value] = None
            tell_wildcard(row.type, text, where, findings)
            if text in names.lists:
                _tell_list_name(row, text, where, findings)
    if good and row.name in _MAILBOX_HEADERS:
        _tell_whole_header(row, node, findings)
    return Test(row.name, operator, tuple(values), kind=kind) if good else None


_MAILBOX_HEADERS = ("header.from", "header.sender", "header.reply-to", "header.to", "header.cc")


def _tell_whole_header(row: Field, node: Node, findings: Findings) -> None:
    """`header.from: boss@example.com` holds for a bare address only, and not for one with a name before it."""
    message = f"`{row.name}` is the whole header, e.g. `Jane Doe <jane@example.com>`"
    part = f"{row.name}.address"
    cure = f"ask `{part}`" if part in FIELDS else "ask `any_rcpt`, who gets the message"
    findings.add("hardly-equal", message, node, cure=f"{cure}, or write {{contains: …}} for a part of it")


def _tell_list_name(row: Field, name: str, where: Node, findings: Findings) -> None:
    message = f"`{name}` is the name of a list, and stands here for itself"
    cure = f"write `{row.name}: {{in: {name}}}`; for several lists one such test each, under `any:`"
    findings.add("hardly-equal", message, where, cure=cure)


def tell_wildcard(kind: FieldType, text: str, where: Node, findings: Findings) -> None:
    """`*` at an end is meant as a wildcard, and is none in a text or a login (`***` is a text like any other)."""
    ends = (text[:1] == "*" and text[:2] != "**") or (text[-1:] == "*" and text[-2:] != "**")
    if ends and kind in (FieldType.TEXT, FieldType.LOGIN):
        findings.add("hardly-equal", f"`*` is no wildcard in {shown(text)}, which is compared as written", where)


def _numbers(row: Field, node: Node, what: str, findings: Findings) -> tuple[Scalar, ...] | None:
    if not isinstance(node, Sequence):
        number = _number(row, node, what, findings)
        return None if number is None else (number,)
    items = findings.sequence(node, what)
    if items is None:
        return None
    found = [_number(row, item, f"an item of {what}", findings) for item in items.items]
    numbers = tuple(number for number in found if number is not None)
    return numbers if len(numbers) == len(found) else None


_SHARE = re.compile(r"([0-9]{1,4})%\Z")
_FRACTION = re.compile(r"[0-9]{1,2}\.[0-9]{1,2}\Z")


def _number(row: Field, node: Node, what: str, findings: Findings) -> int | None:
    """A whole number; a share is `80%` or `0.8`, because 1 could mean either."""
    if row.name != "limit.share":
        return findings.whole(node, what)
    text = node.text if isinstance(node, ScalarNode) else ""
    if (percent := _SHARE.match(text)) is not None:
        return int(percent[1])
    if _FRACTION.match(text):
        return round(float(text) * 100)
    written = shown(text) if text else "what stands there"
    findings.add("bad-number", f"{what} is a share, not {written}", node, cure="write 80% or 0.8")
    return None


def _item(row: Field, kind: ListKind, text: str, where: Node, names: Names, findings: Findings) -> str | None:
    if row.name == "direction":
        return findings.choice(where, "`direction`", DIRECTIONS)
    if row.type is FieldType.ADDRESS and text.strip() == "<>":
        message = f"`{row.name}` is absent where the address is <>"
        findings.add("bad-item", message, where, cure="write `sender.null: true` for the null sender")
        return None
    member = normalise(kind, text, names.conventions)
    if not isinstance(member, str):
        return member.key
    findings.add("bad-item", f"`{row.name}`: {member}", where)
    return None


def _in_list(row: Field, node: ScalarNode, names: Names, findings: Findings) -> Test | None:
    """`in: NAME`."""
    name = findings.text(node, f"`in` on `{row.name}`")
    if name is None:
        return None
    if name not in names.lists and not (names.accepting and names.revive(name)):
        near = did_you_mean(name, names.lists)
        cure = f"write `in: [{name[:60]}]` for items written here" if any(one in name for one in "@./:*") else ""
        findings.add("unknown-list", f"there is no list {shown(name)}{near}", node, cure=cure)
        return None
    kind = names.lists[name]
    fitting = FITTING_KINDS.get(row.type, frozenset())
    if kind is not None and kind not in fitting:
        several = ", ".join(sorted(one.value for one in fitting))
        domain = f"{row.name.removesuffix('.address')}.domain"
        cure = f"ask `{domain}`" if kind is ListKind.DOMAIN and domain in FIELDS else ""
        findings.add(
            "list-mismatch",
            f"`{row.name}` is looked up in lists of type {several}; `{name}` is of type {kind.value}",
            node,
            cure=cure,
        )
        return None
    if kind is ListKind.STRING and row.name in _MAILBOX_HEADERS:
        _tell_whole_header(row, node, findings)
    plain = None if kind in (ListKind.MAP, ListKind.REGEX) else kind
    return Test(row.name, Operator.IN, (), list_name=name, kind=plain)


def _patterns(row: Field, node: Node, what: str, names: Names, findings: Findings) -> Test | None:
    written = findings.texts(node, what)
    if written is None:
        return None
    engine = names.pattern_engine()
    if engine:
        findings.add("no-pattern-engine", f"{what} can't be run here: {engine}", node)
        return None
    good = True
    for text, where in written:
        good &= check_pattern(text, where, what, names, findings)
    sources: dict[Scalar, None] = dict.fromkeys(text for text, _ in written)
    return Test(row.name, Operator.MATCHES, tuple(sources)) if good else None


def check_pattern(text: str, where: Node, what: str, names: Names, findings: Findings) -> bool:
    """Can the engine run it? A problem if not."""
    if _SLASHED.match(text):
        why = "patterns are written without slashes around them (case is ignored); write [/] for one that is meant"
    else:
        why = names.pattern(text)
    if why:
        findings.add("bad-pattern", f"{what}: {shown(text)} can't be run: {why}", where)
    return not why


def _folded(row: Field, operator: Operator, node: Node, what: str, findings: Findings) -> Test | None:
    """contains, prefix, suffix, glob: texts without case; a domain's as A-labels, which is what it is compared with."""
    written = findings.texts(node, what)
    if written is None:
        return None
    good = True
    values: dict[Scalar, None] = {}
    for text, where in written:
        value = fold(text) if text.isascii() or row.type is not FieldType.DOMAIN else fold_domain(text)
        if row.type is FieldType.DOMAIN and not value.isascii():
            good = False
            findings.add(
                "bad-value",
                f"{what}: domains are compared as A-labels (xn--…), which {shown(text)} is never part of",
                where,
            )
        values[value] = None
        if operator is not Operator.GLOB:
            tell_wildcard(FieldType.TEXT, text, where, findings)
    return Test(row.name, operator, tuple(values)) if good else None
