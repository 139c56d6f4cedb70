"""Edits from nodes: headers, subject, recipients, sender.

Header names are RFC 5322's; names that carry the message's structure or that Postfix owns are not taken away from it
here: what Postfix does with an edit is its manual's, what an admin may write is this page's.
"""

from __future__ import annotations

import re

from tidegate.conditions.domains import fold_domain, is_domain
from tidegate.model import (
    AddHeader,
    AddRecipient,
    Bcc,
    Edit,
    PrefixSubject,
    Redirect,
    RemoveHeader,
    RemoveRecipient,
    SetHeader,
    SetSender,
    Template,
)
from tidegate.policy.findings import Findings, kind_of
from tidegate.policy.nodes import Mapping, Node, Scalar
from tidegate.policy.replies import template_text
from tidegate.policy.suggest import shown

MAX_HEADER_TEXT = 900
"""Characters of a header value, with its name below the 998 of RFC 5322 section 2.1.1."""
MAX_HEADER_NAME = 76
"""Characters."""
MAX_ADDRESS = 320
"""Characters: a localpart of 64, the @, a domain of 255 (RFC 5321 section 4.5.3.1)."""
MATCHED = "matched"
HEADER_EDITS = (AddHeader, SetHeader, RemoveHeader, PrefixSubject)

_SPELT_OUT = ({"name", "value"}, {"name", "text"}, {"header", "value"}, {"header", "text"})
"""How other filters write an edit of a header."""
_NAME = re.compile(r"[!-9;-~]+\Z")  # RFC 5322 section 2.2: printable ASCII without blank and colon
_LOCALPART = re.compile(r'(?:"(?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])+"|[^\s"(),:;<>@\[\]\\\x00-\x1f\x7f]+)\Z')


def header_edits(name: str, node: Node, findings: Findings) -> tuple[Edit, ...]:
    """`add_header` and `set_header`: {NAME: TEXT, …}; a list of texts stands for several headers."""
    written = findings.mapping(node, f"`{name}`", f"{name}: {{X-Name: text}}")
    if written is None:
        return ()
    if {key.text.lower() for key, _ in written.pairs} in _SPELT_OUT:
        message = f"`{name}` would make headers called {' and '.join(shown(key.text) for key, _ in written.pairs)}"
        findings.add("bad-header-name", message, node, cure=f"write {name}: {{X-Name: text}}")
        return ()
    edits: list[Edit] = []
    seen: set[str] = set()
    for key, value in written.pairs:
        header = _header_name(key, f"`{name}`", findings)
        what = f"the text of {shown(key.text)}"
        pairs = findings.texts(value, what) or ()
        texts = [template_text(one, what, findings, ascii_only=False, limit=MAX_HEADER_TEXT) for _, one in pairs]
        if header is not None and header.lower() in seen:
            findings.add("bad-header-name", f"{shown(key.text)} stands twice in `{name}` (case does not count)", key)
        elif header is not None:
            seen.add(header.lower())
            templates = tuple(Template(text) for text in texts if text is not None)
            edits.append(AddHeader(header, templates) if name == "add_header" else SetHeader(header, templates))
    return tuple(edits)


def _header_name(node: Node, what: str, findings: Findings) -> str | None:
    text = findings.text(node, f"a header name in {what}")
    if text is None:
        return None
    if not _NAME.match(text) or len(text) > MAX_HEADER_NAME:
        findings.add("bad-header-name", f"{shown(text)} is not a header name", node)
        return None
    return text


def remove_header(node: Node, findings: Findings) -> tuple[Edit, ...]:
    """`remove_header: NAME`, or a list of names."""
    pairs = findings.texts(node, "`remove_header`") or ()
    names = [_header_name(one, "`remove_header`", findings) for _, one in pairs]
    return tuple(RemoveHeader(name) for name in names if name is not None)


def prefix_subject(node: Node, findings: Findings) -> tuple[Edit, ...]:
    """`prefix_subject: TEXT`."""
    text = template_text(node, "`prefix_subject`", findings, ascii_only=False, limit=MAX_HEADER_TEXT)
    return () if text is None else (PrefixSubject(Template(text)),)


def address(node: Node, what: str, findings: Findings) -> str | None:
    """One complete address, as Postfix is to see it: the localpart as written, the domain as A-labels."""
    text = findings.text(node, what)
    if text is None:
        return None
    local, at, domain = text.strip().rpartition("@")
    folded = fold_domain(domain)
    if not at or not _LOCALPART.match(local) or not is_domain(folded) or len(text) > MAX_ADDRESS:
        findings.add("bad-address", f"{what}: {shown(text)} is not an address", node)
        return None
    if not local.isascii():
        findings.add("bad-address", f"{what}: {shown(text)} needs SMTPUTF8, which not every next hop speaks", node)
        return None
    return f"{local}@{folded}"


def _addresses(node: Node, what: str, findings: Findings) -> list[str]:
    pairs = findings.texts(node, what) or ()
    found = [address(one, what, findings) for _, one in pairs]
    return [one for one in found if one is not None]


def add_recipients(node: Node, findings: Findings) -> tuple[Edit, ...]:
    """`add_rcpt: ADDRESS`, or a list."""
    return tuple(AddRecipient(one) for one in _addresses(node, "`add_rcpt`", findings))


def bcc(node: Node, findings: Findings) -> tuple[Edit, ...]:
    """`bcc: ADDRESS`, or a list."""
    return tuple(Bcc(one) for one in _addresses(node, "`bcc`", findings))


def remove_recipients(node: Node, findings: Findings) -> tuple[Edit, ...]:
    """`remove_rcpt: ADDRESS`, a list, or `matched`."""
    if _is_matched(node):
        return (RemoveRecipient(None),)
    return tuple(RemoveRecipient(one) for one in _addresses(node, "`remove_rcpt`", findings))


def _is_matched(node: Node) -> bool:
    return isinstance(node, Scalar) and node.text == MATCHED


def redirect(node: Node, findings: Findings) -> tuple[Edit, ...]:
    """`redirect: ADDRESS` for all recipients, `redirect: {matched: ADDRESS}` for those that the rule matched."""
    if not isinstance(node, Mapping):
        if not isinstance(node, Scalar):
            message = f"`redirect` is an address or {{matched: ADDRESS}}, not {kind_of(node)}"
            findings.add("wrong-type", message, node)
            return ()
        target = address(node, "`redirect`", findings)
        return () if target is None else (Redirect(target),)
    keys = findings.keys(node, "`redirect`", (MATCHED,), required=(MATCHED,))
    target = address(keys[MATCHED], "`redirect`", findings) if MATCHED in keys else None
    return () if target is None else (Redirect(target, matched=True),)


def set_sender(node: Node, findings: Findings) -> tuple[Edit, ...]:
    """`set_sender: ADDRESS`; `<>` is the null sender."""
    if isinstance(node, Scalar) and node.text == "<>":
        return (SetSender(""),)
    target = address(node, "`set_sender`", findings)
    return () if target is None else (SetSender(target),)


def asks_matched(edits: tuple[Edit, ...]) -> bool:
    """Does an edit speak of the recipients that the rule's recipient tests matched?"""
    return any(
        (isinstance(edit, RemoveRecipient) and edit.address is None) or (isinstance(edit, Redirect) and edit.matched)
        for edit in edits
    )
