"""The registry of actions, and `do:` from its node: at most one disposition, any edits, any controls.

There is no bare accept: what lets mail through is an exception, or an exempt that names what it silences.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from tidegate.model import Actions, Disposition, Edit, Ending, Exempt, Suspend
from tidegate.policy import edits as edit
from tidegate.policy import elsewhere
from tidegate.policy.findings import Findings
from tidegate.policy.names import Names
from tidegate.policy.nodes import Mapping, Node, Scalar
from tidegate.policy.replies import discard_ending, hold_ending, reply_ending
from tidegate.policy.suggest import did_you_mean, shown
from tidegate.policy.suspend import build_suspend


class Family(Enum):
    """What an action is."""

    DISPOSITION = "disposition"
    EDIT = "edit"
    CONTROL = "control"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class ActionRow:
    """One row: its family, its manual line, its shape."""

    name: str
    family: Family
    manual: str
    shape: str


_D, _E, _C, _L = Family.DISPOSITION, Family.EDIT, Family.CONTROL, Family.LATER

ACTIONS: dict[str, ActionRow] = {
    row.name: row
    for row in (
        ActionRow("reject", _D, "refuse the message for good", '{code: "550 5.7.1", text: TEXT}'),
        ActionRow("defer", _D, "refuse it for now; the sender tries again", '{code: "451 4.7.1", text: TEXT}'),
        ActionRow("hold", _D, "put it into Postfix's hold queue", "{reason: TEXT}"),
        ActionRow("discard", _D, "say yes, and throw it away", "{confirm: true}"),
        ActionRow("add_header", _E, "append a header", "{NAME: TEXT}"),
        ActionRow("set_header", _E, "replace all headers of that name", "{NAME: TEXT}"),
        ActionRow("remove_header", _E, "remove all headers of that name", "NAME, or a list"),
        ActionRow("prefix_subject", _E, "put a text before the subject, once", "TEXT"),
        ActionRow("add_rcpt", _E, "add an envelope recipient", "ADDRESS, or a list"),
        ActionRow("remove_rcpt", _E, "remove an envelope recipient", "ADDRESS, a list, or matched"),
        ActionRow("redirect", _E, "send it there instead", "ADDRESS, or {matched: ADDRESS}"),
        ActionRow("bcc", _E, "a copy, without delivery notices", "ADDRESS, or a list"),
        ActionRow("set_sender", _E, "replace the envelope sender", "ADDRESS, or <>"),
        ActionRow("exempt", _C, "silence the rules of these ids or tags", "[IDS OR TAGS], or all"),
        ActionRow("notify", _L, "tell somebody", ""),
        ActionRow("suspend", _C, "put who sends on a live list for a while", "{list: NAME, for: 24h}"),
    )
}

KNOWN = tuple(name for name, row in ACTIONS.items() if row.family is not Family.LATER)

_EDITS: dict[str, Callable[[Node, Findings], tuple[Edit, ...]]] = {
    "add_header": lambda node, findings: edit.header_edits("add_header", node, findings),
    "set_header": lambda node, findings: edit.header_edits("set_header", node, findings),
    "remove_header": edit.remove_header,
    "prefix_subject": edit.prefix_subject,
    "add_rcpt": edit.add_recipients,
    "remove_rcpt": edit.remove_recipients,
    "redirect": edit.redirect,
    "bcc": edit.bcc,
    "set_sender": edit.set_sender,
}

_ENDINGS: dict[str, Callable[[Node, Findings], Ending | None]] = {
    "reject": lambda node, findings: reply_ending(Disposition.REJECT, node, findings),
    "defer": lambda node, findings: reply_ending(Disposition.DEFER, node, findings),
    "hold": hold_ending,
    "discard": discard_ending,
}


def build_actions(node: Node, rule: str, names: Names, findings: Findings) -> Actions | None:
    """`do:` of the rule `rule`; None after its problems were named."""
    if not isinstance(node, Mapping):
        findings.add("wrong-type", "`do` is a map of actions", node, cure="write `do: {reject: {…}}`")
        return None
    if not node.pairs:
        findings.add("empty-do", "`do` is empty", node)
        return None
    before = findings.errors()
    endings: list[tuple[Scalar, Ending | None]] = []
    changes: list[Edit] = []
    exempt: Exempt | None = None
    suspend: Suspend | None = None
    for key, value in node.pairs:
        if key.text in _ENDINGS:
            endings.append((key, _ENDINGS[key.text](value, findings)))
        elif key.text in _EDITS:
            changes += _EDITS[key.text](value, findings)
        elif key.text == "exempt":
            exempt = build_exempt(value, rule, names, findings)
        elif key.text == "suspend":
            suspend = build_suspend(value, names, findings)
        else:
            _unknown(key, findings)
    for key, _ in endings[1:]:
        findings.add("several-dispositions", f"`{key.text}` stands beside `{endings[0][0].text}`", key)
    if findings.errors() > before:
        return None
    return Actions(endings[0][1] if endings else None, tuple(changes), exempt, suspend)


def _unknown(key: Scalar, findings: Findings) -> None:
    if key.text in ACTIONS:
        findings.add("not-yet", f"this version does not know the action `{key.text}` yet", key)
    elif key.text.lower() in elsewhere.LETTING_PASS:
        cure = "write `except:` in the rule that would stop it, or `exempt: [RULE]`"
        findings.add("unknown-key", f"there is no bare {shown(key.text)}", key, cure=cure)
    else:
        near = did_you_mean(key.text, KNOWN, elsewhere.ACTIONS)
        cure = f"the actions are {', '.join(KNOWN)}"
        findings.add("unknown-key", f"{shown(key.text)} is no action{near}", key, cure=cure)


def build_exempt(node: Node, rule: str, names: Names, findings: Findings) -> Exempt | None:
    """`exempt: [ids or tags]`, or `all`. Every name has to be known, and none may exempt itself."""
    if isinstance(node, Scalar) and node.text == "all":
        return Exempt(everything=True)
    pairs = findings.texts(node, "`exempt`")
    if pairs is None:
        return None
    good = True
    for name, where in pairs:
        good &= _exemptable(name, where, rule, names, findings)
    return Exempt(tuple(dict.fromkeys(name for name, _ in pairs))) if good else None


def _exemptable(name: str, where: Node, rule: str, names: Names, findings: Findings) -> bool:
    if name == "all":
        findings.add("exempt-all", "`all` stands alone, not among names", where, cure="write `exempt: all`")
    elif name == rule:
        findings.add("exempt-of-exempt", f"`{name}` exempts itself", where)
    elif name in names.exempting:
        findings.add("exempt-of-exempt", f"the rule `{name}` exempts others, and an exempt can't be exempted", where)
    elif name not in names.rules and name not in names.tags and not names.accepting:
        near = did_you_mean(name, {*names.rules, *names.tags})
        findings.add("unknown-rule", f"there is no rule and no tag {shown(name)}{near}", where)
    else:
        return True
    return False


def touches_only_headers(actions: Actions) -> bool:
    """Nothing but headers: the one case in which a doubt that will pass is skipped unless the rule says otherwise."""
    if actions.ending is not None or actions.exempt is not None:
        return False
    return all(isinstance(one, edit.HEADER_EDITS) for one in actions.edits)
