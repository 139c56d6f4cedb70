"""`suspend:` from its node: whom a rule puts on which live list, and for how long.

`{list: suspended, for: 24h}` puts the login there; `by:` takes another field that says who sends. The list has to be
live (`redis:`), since nothing else can be written while mail flows, and of the type that the field has.
"""

from __future__ import annotations

from tidegate.conditions.fields import FIELDS
from tidegate.conditions.operators import NATURAL_KIND
from tidegate.model import ListKind, Suspend
from tidegate.policy.findings import Findings
from tidegate.policy.names import Names
from tidegate.policy.nodes import Node
from tidegate.policy.staleness import read_age
from tidegate.policy.suggest import did_you_mean, shown

SUSPEND_KEYS: dict[str, str] = {
    "list": "a live list (`redis:`)",
    "for": "how long: 30m, 24h, 7d",
    "by": "who is put there: login (by default), sender.address, client.ip or client.net",
}
WHO = ("login", "sender.address", "client.ip", "client.net")


def build_suspend(node: Node, names: Names, findings: Findings) -> Suspend | None:
    """What the node says; None after its problems were named."""
    written = findings.mapping(node, "`suspend`", "{list: suspended, for: 24h}")
    if written is None:
        return None
    before = findings.errors()
    keys = findings.keys(written, "`suspend`", SUSPEND_KEYS, required=("list", "for"))
    by = findings.choice(keys["by"], "`by`", WHO) if "by" in keys else WHO[0]
    age = read_age(keys["for"], "`for`", False, findings) if "for" in keys else None
    name = findings.text(keys["list"], "`list`") if "list" in keys else None
    if name is None or by is None or age is None or findings.errors() > before:
        return None
    source = names.live_lists.get(name)
    if source is None:
        _not_live(name, keys["list"], names, findings)
        return None
    wanted = NATURAL_KIND.get(FIELDS[by].type)
    if source.form != (wanted.value if wanted is not None else ""):
        message = f"the list `{name}` is of type {source.form}, and `{by}` is a {(wanted or ListKind.STRING).value}"
        findings.add("list-mismatch", message, keys["list"])
        return None
    return Suspend(name, source.name, source.form, by, age.seconds)


def _not_live(name: str, node: Node, names: Names, findings: Findings) -> None:
    if name in names.lists or (names.accepting and names.revive(name)):
        findings.add("not-live", f"nothing can be put on the list `{name}`: its items are in the policy", node)
    else:
        near = did_you_mean(name, names.live_lists)
        findings.add("unknown-list", f"there is no list {shown(name)}{near}", node)
