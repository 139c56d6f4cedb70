"""Who is hit by what: counted for each message after its verdict, and the brake that need not wait for anybody.

A rule that is new, or that hits far more senders than is usual for it, is softened here, in the worker, from the
message on that is one too many. The supervisor's own look comes up to a second later (supervisor/automatic.py), and
says it to all workers, to the log and to the record. Promises: mail that no rule concerned costs a hash and one byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from tidegate.front.session import Session
from tidegate.model import Disposition, Easing, Restraint, Truth, Verdict
from tidegate.observe.senders import sender_name

_FINAL = (Disposition.REJECT, Disposition.DISCARD)


class Counted(Protocol):
    """What is asked of observe/crowds.py."""

    def saw(self, who: int, outcome: Disposition, generation: int, now: float) -> None: ...
    def hit(self, rule: str, who: int, generation: int, now: float) -> None: ...
    def over(self, rule: str, generation: int, now: float) -> bool: ...
    def expects(self, rule: str) -> bool: ...


def who(session: Session) -> int:
    """The sender as the brake counts: the login, or the client's network."""
    return hash(sender_name(session.login, session.client_ip))


def braked(
    verdict: Verdict,
    session: Session,
    crowds: Counted,
    now: float,
    restraint: Restraint,
    again: Callable[[Restraint], Verdict],
) -> Verdict:
    """The verdict that may be given; `again` judges under another restraint.

    Own faults and doubts are nobody's doing, and don't count. All that matched and is beyond its limit is softened at
    once: a thousand rules that refuse everything must not cost a thousand judgements.
    """
    while verdict.rule and verdict.certain and not verdict.faults:
        sender, rule = who(session), verdict.rule
        if verdict.disposition is not Disposition.ACCEPT:
            crowds.hit(rule, sender, verdict.generation, now)
        if verdict.disposition not in _FINAL or not crowds.over(rule, verdict.generation, now):
            break
        others = [
            one
            for one in _acting(verdict)
            if one != rule and one not in restraint.rules and crowds.over(one, verdict.generation, now)
        ]
        for one in others:
            crowds.hit(one, sender, verdict.generation, now)
        restraint = restraint.plus((rule, *others), Easing.SOFT)
        verdict = again(restraint)
    return verdict


def _acting(verdict: Verdict) -> Iterator[str]:
    """The rules that matched and are in force."""
    for mark in verdict.trail:
        if mark.truth is Truth.YES and not mark.shadow and not mark.exempted_by:
            yield mark.rule


def harm(verdict: Verdict) -> tuple[Disposition, tuple[str, ...]]:
    """The verdict as it is compared and counted, and the rules behind it.

    Mail that goes on, but not to all whom it was for, is as good as held; so is the last mail of somebody who is put on
    a list by it: what a rule means by that is to stop all that comes next.
    """
    behind = (*verdict.changes.removed_by, *_suspending(verdict))
    if verdict.disposition is Disposition.ACCEPT and behind:
        return Disposition.HOLD, behind
    return verdict.disposition, (verdict.rule,)


def _suspending(verdict: Verdict) -> tuple[str, ...]:
    """The rules that put the sender on a list, and did not stop the message as well."""
    return tuple([one.rule for one in verdict.suspensions if not one.shadow and one.rule != verdict.rule])


def counted(verdict: Verdict, session: Session, crowds: Counted, now: float) -> None:
    """Count the verdict that is given."""
    if verdict.faults or not verdict.certain:
        return
    sender = who(session)
    for rule in (*verdict.changes.removed_by, *_suspending(verdict)):
        crowds.hit(rule, sender, verdict.generation, now)
    crowds.saw(sender, harm(verdict)[0], verdict.generation, now)
    for rule in _acting(verdict):
        if rule != verdict.rule and crowds.expects(rule):
            crowds.hit(rule, sender, verdict.generation, now)
