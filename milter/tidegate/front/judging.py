"""The engine, asked under observation: what is judged is on record in the journal before it is judged.

Where workers have died of late, each message is told apart by its headers, and whoever killed three of them gets less:
a message that did is judged without its content, which is then unreadable for good, so that `on_uninspected` of the
rules that would read it decides; a sender whose several messages did has the rule left out, in doubt, that they met.
Everybody else notices nothing. What kills even so is not judged at all: that is a fault of ours, answered 451.
"""

from __future__ import annotations

import time
from dataclasses import replace

from tidegate.engine.judge import judge, judge_recipient
from tidegate.engine.metering import Meter
from tidegate.front.braking import braked
from tidegate.front.desk import Desk
from tidegate.front.released import COUNTED_BEFORE, cleaned, eased_by
from tidegate.front.session import Session
from tidegate.live import Pass, Watchlist
from tidegate.model import Easing, Message, PolicySet, Recipient, Restraint, Transaction, Verdict, together
from tidegate.observe.journal import Row, print_of, sender_key

_NOBODY = Watchlist()
_KILLER = "has killed its inspector three times"
_CONTENT = ("headers", "subject", "disclosed")


class BarredError(Exception):
    """This message must not be judged."""


def judged(
    desk: Desk, session: Session, transaction: Transaction, policies: PolicySet, began: float, now: float
) -> Verdict:
    """The verdict on the message in hand; `began` in monotonic seconds, `now` in POSIX. Raises BarredError."""
    live, page = desk.live, desk.page
    if live.watchlist is not None or session.released is not None:
        return _warily(desk, live.watchlist or _NOBODY, session, transaction, policies, began, now)
    who = hash(session.login or session.client_ip)
    row = page.begin(began, began + desk.share, policies.number, who, session.header_bytes)
    try:
        restraint = live.restraint
        meter = _meter(desk, policies)
        verdict = judge(transaction, policies, now, row, restraint, meter)
        if not verdict.rule:
            return verdict
        return _braked(desk, session, verdict, now, restraint, (transaction, policies, row, meter))
    finally:
        page.end(row)


def _meter(desk: Desk, policies: PolicySet, released: Pass | None = None) -> Meter | None:
    """Who asks this message's limits, once for all of its judgements; None where no rule has any, or nobody counts.

    A message that was held was counted then.
    """
    if released is not None:
        return Meter(COUNTED_BEFORE)
    return Meter(desk.ledger) if policies.limited and desk.ledger is not None else None


def _braked(
    desk: Desk,
    session: Session,
    verdict: Verdict,
    now: float,
    restraint: Restraint,
    asked: tuple[Transaction, PolicySet, Row, Meter | None],
) -> Verdict:
    transaction, policies, row, meter = asked

    def again(other: Restraint) -> Verdict:
        return judge(transaction, policies, now, row, other, meter)

    return braked(verdict, session, desk.crowds, now, restraint, again)


def _warily(
    desk: Desk,
    watchlist: Watchlist,
    session: Session,
    transaction: Transaction,
    policies: PolicySet,
    began: float,
    now: float,
) -> Verdict:
    """The same where workers have died of late, and for a message that was held and let go."""
    print_ = print_of(_sender(session), session.headers)
    _bar(watchlist, session, print_)
    if print_ in watchlist.messages:
        transaction = without_content(transaction)
    restraint, released = _restrained(desk.live.restraint, watchlist, session), session.released
    if released is not None:
        restraint = eased_by(restraint, released)
    row = _on_watch(desk, session, watchlist, policies, began, print_)
    try:
        meter = _meter(desk, policies, released)
        verdict = judge(transaction, policies, now, row, restraint, meter)
        verdict = _braked(desk, session, verdict, now, restraint, (transaction, policies, row, meter))
        return verdict if released is None else cleaned(verdict, transaction)
    finally:
        row.walks = False
        desk.page.end(row)


def judged_recipient(
    desk: Desk, session: Session, transaction: Transaction, recipient: Recipient, policies: PolicySet
) -> Verdict | None:
    """The verdict on one recipient by the per_recipient rules. Raises BarredError."""
    began, now = time.monotonic(), time.time()
    watchlist, restraint = desk.live.watchlist, desk.live.restraint
    if watchlist is None:
        who = hash(session.login or session.client_ip)
        row = desk.page.begin(began, began + desk.share, policies.number, who, len(session.recipients))
    else:
        _bar(watchlist, session, 0)
        restraint = _restrained(restraint, watchlist, session)
        row = _on_watch(desk, session, watchlist, policies, began, 0)
    try:
        verdict = judge_recipient(transaction, recipient, policies, now, row, restraint)
        if verdict is None:
            return None

        def again(other: Restraint) -> Verdict:
            return judge_recipient(transaction, recipient, policies, now, row, other) or verdict

        return braked(verdict, session, desk.crowds, now, restraint, again)
    finally:
        row.walks = False
        desk.page.end(row)


def dangerous(desk: Desk, session: Session) -> bool:
    """Must no rule be asked of this message but on record?"""
    watchlist = desk.live.watchlist
    if watchlist is None:
        return False
    sender = _sender(session)
    return watchlist.walks or sender in watchlist.senders or print_of(sender, session.headers) in watchlist.messages


def _sender(session: Session) -> int:
    return sender_key(session.login, session.client_ip)


def _on_watch(
    desk: Desk, session: Session, watchlist: Watchlist, policies: PolicySet, began: float, print_: int
) -> Row:
    shape = session.header_bytes or len(session.recipients)
    who = hash(session.login or session.client_ip)
    row = desk.page.begin(began, began + desk.share, policies.number, who, shape, _sender(session), print_)
    row.walks = watchlist.walks
    return row


def _bar(watchlist: Watchlist, session: Session, print_: int) -> None:
    """Raises BarredError where nothing of this message may be judged."""
    if "" in watchlist.senders.get(_sender(session), ()):
        raise BarredError(f"mail of this sender {_KILLER}")
    if watchlist.messages.get(print_):
        raise BarredError(f"this message {_KILLER}, even without its content")


def _restrained(restraint: Restraint, watchlist: Watchlist, session: Session) -> Restraint:
    """With the rules that this sender's mail must not meet left out: whoever's fate depends on them waits."""
    rules = watchlist.senders.get(_sender(session))
    if not rules:
        return restraint
    left_out = {one: together((Easing.DEFER, restraint.rules.get(one, Easing.DEFER))) or Easing.DEFER for one in rules}
    return Restraint({**restraint.rules, **left_out}, restraint.everything, restraint.poison)


def without_content(transaction: Transaction) -> Transaction:
    """The transaction with all of its content unreadable, and why."""
    size = transaction.message.size if transaction.message is not None else 0
    rows = tuple((field, f"this message {_KILLER}") for field in _CONTENT)
    return replace(transaction, message=Message((), size, complete=False, unreadable=rows))
