"""`scope:` from its node, and as a condition: whom an entry can touch that can't be read otherwise."""

from __future__ import annotations

from tidegate.conditions.members import normalise
from tidegate.model import (
    AllOf,
    Condition,
    Conventions,
    Direction,
    ListKind,
    Operator,
    Quantifier,
    Recipients,
    Scope,
    Test,
)
from tidegate.policy.findings import Findings
from tidegate.policy.nodes import Node

SCOPE_KEYS: dict[str, str] = {
    "senders": "envelope senders, as in a list of type address",
    "logins": "logins",
    "recipient_domains": "domains of which one recipient at least is",
    "directions": "outbound, internal, inbound, local",
}
_KINDS = {"senders": ListKind.ADDRESS, "logins": ListKind.LOGIN, "recipient_domains": ListKind.DOMAIN}


def build_scope(node: Node, conventions: Conventions, findings: Findings) -> Scope | None:
    """`scope: {senders, logins, recipient_domains, directions}`; None after its problems were named."""
    written = findings.mapping(node, "`scope`", "scope: {senders: [@example.com]}")
    if written is None:
        return None
    before = findings.errors()
    keys = findings.keys(written, "`scope`", SCOPE_KEYS)
    values: dict[str, tuple[str, ...]] = {}
    for name, value in keys.items():
        if name == "directions":
            values[name] = _directions(value, findings)
        else:
            values[name] = _members(value, name, conventions, findings)
    return None if findings.errors() > before else Scope(**values)


def _directions(node: Node, findings: Findings) -> tuple[str, ...]:
    pairs = findings.texts(node, "`directions`") or ()
    words = [one.value for one in Direction]
    found = [findings.choice(where, "an item of `directions`", words) for _, where in pairs]
    return tuple(dict.fromkeys(one for one in found if one is not None))


def _members(node: Node, name: str, conventions: Conventions, findings: Findings) -> tuple[str, ...]:
    found: list[str] = []
    for text, where in findings.texts(node, f"`{name}`") or ():
        member = normalise(_KINDS[name], text, conventions)
        if isinstance(member, str):
            findings.add("bad-item", f"`{name}`: {member}", where)
        else:
            found.append(member.key)
    return tuple(dict.fromkeys(found))


def scope_condition(scope: Scope, per_recipient: bool = False) -> Condition | None:
    """The mail that the scope covers; None where it narrows nothing."""
    tests: list[Condition] = []
    if scope.senders:
        tests.append(Test("sender.address", Operator.ONE_OF, scope.senders, kind=ListKind.ADDRESS))
    if scope.logins:
        tests.append(Test("login", Operator.ONE_OF, scope.logins, kind=ListKind.LOGIN))
    if scope.recipient_domains:
        domains = Test("rcpt.domain", Operator.ONE_OF, scope.recipient_domains, kind=ListKind.DOMAIN)
        tests.append(domains if per_recipient else Recipients(Quantifier.ANY, domains))
    if scope.directions:
        tests.append(Test("direction", Operator.ONE_OF, scope.directions, kind=ListKind.STRING))
    if not tests:
        return None
    return tests[0] if len(tests) == 1 else AllOf(tuple(tests))
