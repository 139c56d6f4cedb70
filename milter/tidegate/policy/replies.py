"""Dispositions from nodes: reject, defer, hold, discard, each with what it needs to be answered safely.

A code, its enhanced code and the disposition are of one class (RFC 3463 section 2); codes that end Postfix's session
are refused, for they would hit the mail that comes after.
"""

from __future__ import annotations

import re

from tidegate.model import Disposition, Ending, ReplyTemplate, Template
from tidegate.policy import elsewhere
from tidegate.policy.findings import Findings, kind_of
from tidegate.policy.nodes import Mapping, Node, Scalar, Tag
from tidegate.policy.suggest import shown
from tidegate.policy.texts import MAX_TEXT, check_template, with_reference

_CODE = re.compile(r"([0-9]{3}) ([0-9])\.([0-9]{1,3})\.([0-9]{1,3})\Z")
_CLOSING = (421, 521)
"""Postfix ends the session after these (smtpd_milters replies 421 and 521), whoever's mail is next in it."""

DEFAULT_CODES = {Disposition.REJECT: (550, "5.7.1"), Disposition.DEFER: (451, "4.7.1")}
_DEFAULT_TEXTS = {
    Disposition.REJECT: "Message refused by policy",
    Disposition.DEFER: "Message deferred by policy, try again later",
}


def reply_ending(disposition: Disposition, node: Node, findings: Findings) -> Ending | None:
    """`reject: {code: "550 5.7.1", text: …}` and `defer`; either key may be left out."""
    name = disposition.name.lower()
    if not isinstance(node, Mapping):
        code, _ = _default(disposition)
        form = f'write {name}: {{code: "{code}", text: "…"}}'
        findings.add("wrong-type", f"`{name}` is a map of code and text, not {kind_of(node)}", node, cure=form)
        return None
    keys = findings.keys(node, f"`{name}`", ("code", "text"), (), elsewhere.REPLY_KEYS)
    number, enhanced = DEFAULT_CODES[disposition]
    before = findings.errors()
    if "code" in keys:
        number, enhanced = _code(disposition, keys["code"], findings) or (number, enhanced)
    written = _DEFAULT_TEXTS[disposition]
    if "text" in keys:
        written = template_text(keys["text"], f"the text of `{name}`", findings, ascii_only=True, reference=True) or ""
    if findings.errors() > before:
        return None
    return Ending(disposition, reply=ReplyTemplate(number, enhanced, Template(with_reference(written))))


def _default(disposition: Disposition) -> tuple[str, int]:
    number, enhanced = DEFAULT_CODES[disposition]
    return f"{number} {enhanced}", number


def _code(disposition: Disposition, node: Node, findings: Findings) -> tuple[int, str] | None:
    name = disposition.name.lower()
    example, default = _default(disposition)
    cure = f'write it as "{example}"'
    if isinstance(node, Scalar) and node.tag is Tag.INTEGER:
        findings.add("bad-reply", f"{shown(node.text)} is a number without an enhanced code", node, cure=cure)
        return None
    text = findings.text(node, f"the code of `{name}`")
    if text is None:
        return None
    wanted = default // 100
    found = _CODE.match(text.strip())
    if found is None:
        findings.add("bad-reply", f"{shown(text)} is not a reply code with its enhanced code", node, cure=cure)
        return None
    number = int(found[1])
    if number in _CLOSING:
        findings.add("bad-reply", f"{number} makes Postfix end the whole session", node, cure=cure)
        return None
    if number // 100 != wanted or found[1][1] not in "012345":
        findings.add("bad-reply", f"`{name}` answers with {wanted}xx (to {wanted}59), not {number}", node, cure=cure)
        return None
    if int(found[2]) != wanted:
        enhanced = text.strip()[4:]
        findings.add("bad-reply", f"{number} and {enhanced} are of different classes", node, cure=cure)
        return None
    return number, f"{int(found[2])}.{int(found[3])}.{int(found[4])}"


def hold_ending(node: Node, findings: Findings) -> Ending | None:
    """`hold: {reason: TEXT}`."""
    keys = _only(node, "hold", "reason", '{reason: "…"}', findings)
    if keys is None:
        return None
    reason = template_text(keys["reason"], "the reason of `hold`", findings, ascii_only=True)
    return None if reason is None else Ending(Disposition.HOLD, reason=Template(reason))


def discard_ending(node: Node, findings: Findings) -> Ending | None:
    """`discard: {confirm: true}`."""
    if isinstance(node, Mapping) and not any(key.text == "confirm" for key, _ in node.pairs):
        before = findings.errors()
        findings.keys(node, "`discard`", ("confirm",))
        if findings.errors() == before:
            findings.add("unconfirmed-discard", "`discard` is not confirmed: the mail would be lost", node)
        return None
    keys = _only(node, "discard", "confirm", "{confirm: true}", findings)
    if keys is None:
        return None
    confirmed = findings.flag(keys["confirm"], "`confirm`")
    if confirmed is False:
        findings.add("unconfirmed-discard", "`discard` is not confirmed: the mail would be lost", keys["confirm"])
    return Ending(Disposition.DISCARD) if confirmed else None


def _only(node: Node, name: str, key: str, form: str, findings: Findings) -> dict[str, Node] | None:
    """The values of a map with one key, which has to be there."""
    if not isinstance(node, Mapping):
        cure = f"write {name}: {form}"
        findings.add("wrong-type", f"`{name}` is a map with `{key}`, not {kind_of(node)}", node, cure=cure)
        return None
    before = findings.errors()
    others = dict.fromkeys(elsewhere.REPLY_KEYS, key)
    keys = findings.keys(node, f"`{name}`", (key,), (key,), others)
    return keys if findings.errors() == before else None


def template_text(
    node: Node,
    what: str,
    findings: Findings,
    *,
    ascii_only: bool,
    limit: int = MAX_TEXT,
    reference: bool = False,
) -> str | None:
    """A text with placeholders that can be made safe. `reference`: it is measured with `{ref}` in it."""
    text = findings.text(node, what)
    if text is None:
        return None
    why = check_template(with_reference(text) if reference else text, ascii_only=ascii_only, limit=limit)
    if why:
        findings.add("bad-text", f"{what}: {why}", node)
        return None
    return text
