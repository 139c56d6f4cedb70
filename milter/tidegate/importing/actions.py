"""The actions of access(5), which postfwd and policy servers give as well, as what a rule of ours does.

Promises: an action that we have no equal for is told, never replaced by a milder one. Source: access(5), Postfix 3.10.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tidegate.importing.words import Value
from tidegate.model import Disposition

_CODED = re.compile(r"([45][0-9][0-9])(?:[ \t]+|\Z)(.*)", re.DOTALL)
_ENHANCED = re.compile(r"([45])\.([0-9]{1,3})\.([0-9]{1,3})(?:[ \t]+|\Z)(.*)", re.DOTALL)
_HEADER = re.compile(r"([!-9;-~]+):[ \t]*(.*)", re.DOTALL)
_REFUSALS = {
    "REJECT": (554, ""),
    "DEFER": (450, ""),
    "DEFER_IF_PERMIT": (450, "a refusal by another rule outranks it, as defer_if_permit means it"),
}
_NONE = {
    "FILTER": "a milter can't choose a content filter",
    "DEFER_IF_REJECT": "whether later checks refuse is not known to a rule",
    "IF": "`if` and `endif` are not translated: write the patterns out",
    "ENDIF": "`if` and `endif` are not translated: write the patterns out",
}
_LONGEST = 350  # characters of a reply, with room for what placeholders expand to


@dataclass(frozen=True, slots=True)
class Effect:
    """What an action does here. `permits`: nothing, and nothing later either. `logs`: it only says so."""

    do: Mapping[str, Value]
    disposition: Disposition = Disposition.ACCEPT
    permits: bool = False
    logs: bool = False
    remark: str = ""

    @property
    def edits(self) -> bool:
        """Does it change the message, and let it go on?"""
        return bool(self.do) and self.disposition is Disposition.ACCEPT


def effect_of(action: str) -> Effect | str:
    """The effect of one action as it is written, or why there is none."""
    text = action.strip()
    word, _, rest = text.partition(" ")
    rest = rest.strip()
    coded = _CODED.match(text)
    if coded is not None:
        return _refusal(int(coded[1]), coded[2], "")
    if word.isdigit() or word.upper() in ("OK", "RELAY", "PERMIT", "DUNNO"):
        return Effect({}, permits=True)
    if word.upper() in _REFUSALS:
        code, remark = _REFUSALS[word.upper()]
        return _refusal(code, rest, remark)
    if word.upper() in _NONE:
        return _NONE[word.upper()]
    found = _change(word.upper(), rest)
    return found or f"{word} is a restriction of Postfix, or a class of them, and no action that a milter has"


def _change(word: str, rest: str) -> Effect | str | None:
    """The actions that let the message go on, change it, or take it away; None: it is none of them."""
    match word:
        case "HOLD":
            return Effect({"hold": {"reason": _shown(rest or "held by an imported rule")}}, Disposition.HOLD)
        case "DISCARD":
            return Effect({"discard": {"confirm": True}}, Disposition.DISCARD)
        case "REDIRECT":
            return Effect({"redirect": rest}) if "@" in rest else "REDIRECT needs an address"
        case "BCC":
            return Effect({"bcc": rest}) if "@" in rest else "BCC needs an address"
        case "PREPEND":
            return _header(rest)
        case "WARN" | "INFO":
            return Effect({"hold": {"reason": _shown(rest or "it only warned")}}, logs=True, permits=True)
    return None


def _refusal(code: int, text: str, remark: str) -> Effect | str:
    found = _ENHANCED.match(text)
    enhanced = f"{found[1]}.{found[2]}.{found[3]}" if found else f"{code // 100}.7.1"
    text = found[4] if found else text
    if int(enhanced[0]) != code // 100:
        return f"the code {code} and the enhanced code {enhanced} are of two classes"
    if code == 421 or code == 521:
        remark = f"{code} also ended the session; a rule refuses the message alone"
    disposition = Disposition.REJECT if code >= 500 else Disposition.DEFER
    name = "reject" if code >= 500 else "defer"
    reply = {"code": f"{code} {enhanced}", "text": _shown(text) or "Access denied ({ref})"}
    return Effect({name: reply}, disposition, remark=remark)


def _header(text: str) -> Effect | str:
    found = _HEADER.fullmatch(text)
    if found is None:
        return "PREPEND needs a header, `NAME: TEXT`"
    return Effect({"add_header": {found[1]: _shown(found[2])}}, remark="the header is added at the end, not at the top")


def _shown(text: str) -> str:
    """A text without what our replies refuse: braces are placeholders, and one line of ASCII is all that SMTP takes."""
    plain = text.encode("ascii", "replace").decode("ascii").replace("{", "(").replace("}", ")")
    return " ".join(plain.split())[:_LONGEST]
