"""Rules with one effect each, for the tests of what becomes of a verdict."""

from __future__ import annotations

from dataclasses import replace

from tidegate.model import (
    Actions,
    AddHeader,
    Always,
    Condition,
    Disposition,
    Ending,
    ReplyTemplate,
    Rule,
    Template,
)
from tidegate.model import Operator as Op
from tidegate.model import Test as FieldTest


def rejecting(name: str = "stop", text: str = "no", when: Condition | None = None) -> Rule:
    """`reject: {code: "550 5.7.1"}`."""
    return _rule(name, Ending(Disposition.REJECT, ReplyTemplate(550, "5.7.1", Template(text))), when)


def deferring(name: str = "later", text: str = "later") -> Rule:
    """`defer: {code: "450 4.7.1"}`."""
    return _rule(name, Ending(Disposition.DEFER, ReplyTemplate(450, "4.7.1", Template(text))))


def holding(name: str = "hold", reason: str = "look at it") -> Rule:
    """`hold: {reason: …}`."""
    return _rule(name, Ending(Disposition.HOLD, reason=Template(reason)))


def discarding(name: str = "drop") -> Rule:
    """`discard: {confirm: true}`."""
    return _rule(name, Ending(Disposition.DISCARD))


def labelling(name: str = "label") -> Rule:
    """`add_header: {X-Seen: once}`."""
    return Rule(name, Always(), Actions(edits=(AddHeader("X-Seen", (Template("once"),)),)))


def on_subject(text: str, rule: Rule) -> Rule:
    """`rule` for messages whose subject contains `text`."""
    return replace(rule, when=FieldTest("subject", Op.CONTAINS, (text,)))


def closed_recipient(address: str = "carol@example.net") -> Rule:
    """A per_recipient rule that refuses one address."""
    when = FieldTest("rcpt.address", Op.ONE_OF, (address,))
    ending = Ending(Disposition.REJECT, ReplyTemplate(550, "5.7.1", Template("closed")))
    return Rule("closed", when, Actions(ending), per_recipient=True)


def _rule(name: str, ending: Ending, when: Condition | None = None) -> Rule:
    return Rule(name, Always() if when is None else when, Actions(ending))
