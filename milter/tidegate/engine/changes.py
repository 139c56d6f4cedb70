"""Edits settled between rules: algebra, not a sequence (DESIGN section 4).

Recipients are ((accepted - removed) or redirected) | added | copied, without duplicates; that nobody is left is said,
never done. Of two rules that replace one header (`set_header`, `remove_header`), two redirects of one recipient or two
`set_sender`, the first by rank wins. What rules add to a header comes after that, of all of them, in order of rank.
Prefixes stand before whatever the subject then is, each once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import TypeVar

from tidegate.conditions.facts import Facts
from tidegate.conditions.headers import header_text as decoded
from tidegate.conditions.text import fold
from tidegate.engine.parts import Accepted, HeaderPart, Parts, Stand, parts, same_address
from tidegate.engine.reply import encoded, header_text, header_value
from tidegate.model import (
    AddHeader,
    AddRecipient,
    Bcc,
    Changes,
    Edit,
    HeaderChange,
    PrefixSubject,
    Redirect,
    RemoveHeader,
    RemoveRecipient,
    Rule,
    SetHeader,
    SetSender,
)

E = TypeVar("E")
H = TypeVar("H", AddHeader, RemoveHeader)

MakeValues = Callable[[Rule], Mapping[str, str]]
"""The placeholder values of a rule for this message."""


@dataclass(frozen=True, slots=True)
class Settled:
    """The changes, and the rules that lost one of their edits to another: {loser: winner}.

    `emptied_by` is the rule that would leave nobody: the recipients then stay as they are, and the message is held.
    `missed_by` takes recipients away while there are some that can't be read: no edit is made, and it is held.
    """

    changes: Changes
    lost: Mapping[str, str]
    emptied_by: str = ""
    missed_by: str = ""


def settle_edits(acting: Sequence[Stand], accepted: Accepted, facts: Facts, values: MakeValues) -> Settled:
    """The edits of `acting` (in order of rank) as one set of changes."""
    rules = {stand.rule.id: stand.rule for stand in acting}
    missed_by = next(_removers(acting), "") if facts.missing_recipients() is not None else ""
    if missed_by:
        return Settled(Changes(), {}, missed_by=missed_by)
    known = parts(acting, accepted)
    removed, added, copied = _recipients(known, rules, accepted)
    emptied_by = ""
    if accepted.recipients and len(removed) == len(accepted.recipients) and not added and not copied:
        removed, emptied_by = (), next(_removers(acting, RemoveRecipient), "")
    changes = [
        _header(name, part, rules, facts, values) for name, part in sorted(known.headers, key=lambda one: one[0])
    ]
    headers = tuple(change for change in changes if change is not None)
    sender = _first(rules[known.sender], SetSender).address if known.sender else None
    lost = _lost(acting, known)
    by = tuple(one for one in _removers(acting) if one not in lost) if removed else ()
    return Settled(Changes(removed, added, copied, headers, sender, by), lost, emptied_by)


def _recipients(
    known: Parts, rules: Mapping[str, Rule], accepted: Accepted
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """(to remove as accepted, to add, to copy to), in the order of the message and of the rules."""
    targets = {one: _first(rules[rule], Redirect).address for one, rule in known.redirected}
    left: dict[str, str] = {}  # by same_address: whom the message goes to
    for one in accepted.recipients:
        key = same_address(one.address)
        if key not in known.removed:
            address = targets.get(key, one.address)
            left.setdefault(same_address(address), address)
    for address in (
        edit.address for rule in rules.values() for edit in rule.do.edits if isinstance(edit, AddRecipient)
    ):
        left.setdefault(same_address(address), address)
    copies: dict[str, str] = {}
    for address in (edit.address for rule in rules.values() for edit in rule.do.edits if isinstance(edit, Bcc)):
        if same_address(address) not in left:
            copies.setdefault(same_address(address), address)
    had = {same_address(one.address) for one in accepted.recipients}
    gone = tuple(
        one.address
        for one in accepted.recipients
        if same_address(one.address) not in left and same_address(one.address) not in copies
    )
    new = tuple(address for key, address in left.items() if key not in had)
    return gone, new, tuple(address for key, address in copies.items() if key not in had)


def _removers(acting: Sequence[Stand], kinds: type[Edit] | UnionType = RemoveRecipient | Redirect) -> Iterator[str]:
    """The rules with such an edit."""
    return (stand.rule.id for stand in acting if any(isinstance(edit, kinds) for edit in stand.rule.do.edits))


def _header(
    name: str, part: HeaderPart, rules: Mapping[str, Rule], facts: Facts, values: MakeValues
) -> HeaderChange | None:
    """All that happens to one header; None where its prefixes stand there already."""
    written = name
    texts: list[str] = []
    if part.replaced_by:
        rule = rules[part.replaced_by]
        edit = _set(rule, name)
        if edit is not None:
            texts += [header_value(text, values(rule)) for text in edit.texts]
        written = edit.name if edit is not None else _first_named(rule, RemoveHeader, name).name
    replaces = bool(part.replaced_by)
    if part.prefixed_by:
        old = texts if replaces else _raw(facts, name)
        prefixes = [
            header_text(_first(rules[rule], PrefixSubject).text, values(rules[rule])) for rule in part.prefixed_by
        ]
        texts = [_prefixed(prefixes, text) for text in old or [""]]
        if texts == old and not replaces and not part.added_by:
            return None
        written, replaces = "Subject" if not part.replaced_by else written, True
    for rule_id in part.added_by:
        adding = _first_named(rules[rule_id], AddHeader, name)
        texts += [header_value(text, values(rules[rule_id])) for text in adding.texts]
        written = adding.name if written == name else written
    first = part.replaced_by or next(iter((*part.prefixed_by, *part.added_by)))
    return HeaderChange(written, tuple(texts), replaces, first)


def _raw(facts: Facts, name: str) -> list[str]:
    """The header's values as they stand; what isn't ASCII is decoded and written anew (RFC 2047)."""
    found = []
    for raw in facts.headers(name):
        # A bare CR would stay in what Postfix folds.
        found.append(raw.decode("ascii").replace("\r", "") if raw.isascii() else encoded(decoded(raw)[0]))
    return found


def _prefixed(prefixes: Sequence[str], raw: str) -> str:
    """`raw` with those of the prefixes that don't stand before it already, in their order.

    The rest of the value keeps its bytes where it can: an encoded word has to be set off by white space (RFC 2047
    section 5), so before one of those everything is written anew.
    """
    text = decoded(raw.encode("ascii"))[0]
    missing = "".join(_missing(prefixes, text))
    if not missing:
        return raw
    rest = raw.lstrip(" \t")
    if missing.isascii() and (missing[-1] in " \t" or not rest.startswith("=?")):
        return f"{missing}{rest}"
    return encoded(f"{missing}{text}")


def _missing(prefixes: Sequence[str], text: str) -> list[str]:
    """The prefixes that are not among those with which the text begins, compared without case and outer blanks."""
    left = dict.fromkeys(prefixes)
    rest = fold(text)
    found = True
    while found:
        found = False
        for prefix in left:
            bare = fold(prefix).strip()
            if not bare or rest.startswith(bare):
                rest = rest[len(bare) :].lstrip()
                del left[prefix]
                found = True
                break
    return list(left)


def _lost(acting: Sequence[Stand], known: Parts) -> dict[str, str]:
    """Who lost an edit to whom: a header to another's replacement, a redirect, a sender."""
    headers = dict(known.headers)
    redirectors = sorted({rule for _, rule in known.redirected})
    lost: dict[str, str] = {}
    for stand in acting:
        rule = stand.rule
        for edit in rule.do.edits:
            winner = ""
            match edit:
                case SetHeader(name) | RemoveHeader(name):
                    winner = headers[name.lower()].replaced_by
                case SetSender():
                    winner = known.sender
                case Redirect() if redirectors and rule.id not in redirectors:
                    winner = redirectors[0]
            if winner and winner != rule.id:
                lost.setdefault(rule.id, winner)
    return lost


def _set(rule: Rule, name: str) -> SetHeader | None:
    return next((one for one in rule.do.edits if isinstance(one, SetHeader) and one.name.lower() == name), None)


def _first(rule: Rule, kind: type[E]) -> E:
    return next(one for one in rule.do.edits if isinstance(one, kind))


def _first_named(rule: Rule, kind: type[H], name: str) -> H:
    return next(one for one in rule.do.edits if isinstance(one, kind) and one.name.lower() == name)
