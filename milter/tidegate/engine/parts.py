"""What a message's result is computed from, part by part.

The bracket compares its two ends by these parts and not by their results: `remove a` and `add a`, both in doubt, look
alike at both ends and lose `a` in between. Every part is a set that only grows with the rules that act, or the first of
such a set by (priority, id); so parts that are equal at both ends are equal everywhere between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tidegate.conditions.addresses import fold_address
from tidegate.model import (
    AddHeader,
    AddRecipient,
    Bcc,
    Cause,
    Conventions,
    LimitUse,
    PrefixSubject,
    Recipient,
    Redirect,
    RemoveHeader,
    RemoveRecipient,
    Rule,
    SetHeader,
    SetSender,
    Truth,
)

_AS_WRITTEN = Conventions()


@dataclass(frozen=True, slots=True)
class Stand:
    """How one rule stands to this message.

    `matched` are the recipients that its `matched` edits are about; where the truth is UNKNOWN, all they may be about.
    `use` is the limit by which it stands so.
    """

    rule: Rule
    truth: Truth
    cause: Cause | None = None
    matched: tuple[Recipient, ...] = ()
    use: LimitUse | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The recipients that RCPT accepted, and how this site compares addresses."""

    recipients: tuple[Recipient, ...] = ()
    conventions: Conventions = _AS_WRITTEN


@dataclass(frozen=True, slots=True)
class HeaderPart:
    """Who touches one header name: one rule replaces what is there, every other one may only add."""

    replaced_by: str = ""
    added_by: tuple[str, ...] = ()
    prefixed_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Parts:
    """Recipients by `same_address`; redirects as (recipient, rule); headers as (lower-case name, who touches it)."""

    removed: frozenset[str] = frozenset()
    redirected: frozenset[tuple[str, str]] = frozenset()
    added: frozenset[str] = frozenset()
    copied: frozenset[str] = frozenset()
    sender: str = ""
    headers: frozenset[tuple[str, HeaderPart]] = frozenset()


_NONE = Parts()


def rank(rule: Rule) -> tuple[int, str]:
    """The order in which rules win against their equals: the lower priority number, then the id."""
    return rule.priority, rule.id


def same_address(address: str) -> str:
    """The form in which two envelope addresses are one mailbox for delivery: a tag makes a difference here."""
    return fold_address(address, _AS_WRITTEN)


def parts(acting: Sequence[Stand], accepted: Accepted) -> Parts:
    """The parts that the edits of `acting` (in order of `rank`) come to."""
    if not any(stand.rule.do.edits for stand in acting):
        return _NONE
    everybody, covered = _mailboxes(accepted)
    removed: set[str] = set()
    redirects: dict[str, str] = {}
    added: set[str] = set()
    copied: set[str] = set()
    sender = ""
    headers: dict[str, HeaderPart] = {}
    for stand in acting:
        name = stand.rule.id
        for edit in stand.rule.do.edits:
            match edit:
                case RemoveRecipient(None):
                    removed.update(same_address(one.address) for one in stand.matched)
                case RemoveRecipient(address) if address is not None:
                    removed.update(covered.get(fold_address(address, accepted.conventions), ()))
                case Redirect(matched=only):
                    about = [same_address(one.address) for one in stand.matched] if only else everybody
                    for one in about:
                        redirects.setdefault(one, name)
                case AddRecipient(address):
                    added.add(same_address(address))
                case Bcc(address):
                    copied.add(same_address(address))
                case SetSender():
                    sender = sender or name
                case _:
                    _touch(headers, edit, name)
    return Parts(
        frozenset(removed),
        frozenset((one, rule) for one, rule in redirects.items() if one not in removed),
        frozenset(added),
        frozenset(copied),
        sender,
        frozenset(headers.items()),
    )


def _mailboxes(accepted: Accepted) -> tuple[list[str], dict[str, list[str]]]:
    """All accepted recipients, and those that each address covers as conditions compare addresses."""
    everybody = [same_address(one.address) for one in accepted.recipients]
    covered: dict[str, list[str]] = {}
    for one, mailbox in zip(accepted.recipients, everybody, strict=True):
        covered.setdefault(fold_address(one.address, accepted.conventions), []).append(mailbox)
    return everybody, covered


def _touch(headers: dict[str, HeaderPart], edit: object, rule: str) -> None:
    match edit:
        case SetHeader(name) | RemoveHeader(name):
            old = headers.get(name.lower(), HeaderPart())
            headers[name.lower()] = HeaderPart(old.replaced_by or rule, old.added_by, old.prefixed_by)
        case AddHeader(name):
            old = headers.get(name.lower(), HeaderPart())
            headers[name.lower()] = HeaderPart(old.replaced_by, _and(old.added_by, rule), old.prefixed_by)
        case PrefixSubject():
            old = headers.get("subject", HeaderPart())
            headers["subject"] = HeaderPart(old.replaced_by, old.added_by, _and(old.prefixed_by, rule))


def _and(rules: tuple[str, ...], rule: str) -> tuple[str, ...]:
    return rules if rule in rules else (*rules, rule)
