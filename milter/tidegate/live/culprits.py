"""Who killed the workers: a message, a sender or a rule. Told from what was in flight when each of them died.

Promises: pure; three deaths within a day make a culprit. Deaths that one message explains are that message's, those
that one sender explains with several messages are that sender's; only what is left, of several senders, is the rule's.
So no single sender can switch a rule off for the others. Refuses: clocks, processes, names of people.

A death may leave several judgements in flight, of which one is guilty. All are suspected; what is explained by one
culprit clears the others that were in flight with it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace

DEATHS = 3
"""So many deaths make a culprit."""
WINDOW = 86400.0
"""Seconds for which a death is remembered, and so the longest that a message or a sender pays for it."""
DOUBT = 900.0
"""Seconds for which a death in the look-up of the rules makes it suspect."""
_KEPT = 500  # suspects that are remembered, the latest


@dataclass(frozen=True, slots=True)
class Suspect:
    """One judgement in flight when a worker died. `rule` "" is the look-up of the rules, by which none is named.

    `who` and `shape` tell whether two messages are one sender's or one, as long as the daemon lives; `sender` and
    `print` for ever, where they are not 0.
    """

    death: int  # the same for all that one death left
    at: float  # POSIX seconds
    rule: str
    who: int
    shape: int
    sender: int = 0
    print: int = 0
    text: str = ""  # digest of the rule's text, where it is known


@dataclass(frozen=True, slots=True)
class Blame:
    """What the deaths come to.

    `messages` by print: True where even its envelope killed, so that it must not be judged at all. `senders`: the rules
    that must not be asked for their mail; "" among them: their mail must not be judged at all. `rules` are to be
    tripped. `walks`: the look-up of the rules is not to be trusted.
    """

    messages: Mapping[int, bool] = field(default_factory=dict)
    senders: Mapping[int, frozenset[str]] = field(default_factory=dict)
    rules: tuple[str, ...] = ()
    walks: bool = False


NOBODY = Blame()


def recent(suspects: Iterable[Suspect], now: float) -> tuple[Suspect, ...]:
    """Those that still count; a clock that was set back makes none of them older."""
    return tuple(one for one in suspects if now - one.at < WINDOW)[-_KEPT:]


def told_apart(suspects: Iterable[Suspect]) -> tuple[Suspect, ...]:
    """With the senders and prints that others of them give away; to be done while the daemon lives that saw them."""
    found = tuple(suspects)
    names = _Names(found)
    return tuple(
        replace(one, sender=_known(names.sender(one)), print=_known(names.message(one))) if one.who else one
        for one in found
    )


def _known(name: Hashable) -> int:
    return name if isinstance(name, int) else 0


def blame(suspects: Iterable[Suspect], now: float) -> Blame:
    """Who is to blame for these deaths."""
    suspects = recent(suspects, now)
    left = list(suspects)
    if not left:
        return NOBODY
    names = _Names(left)
    messages: dict[int, bool] = {}
    explained: dict[int, set[Hashable]] = {}  # death: the senders of the messages that explain it
    for print_, deaths in _deaths(left, names.message).items():
        if isinstance(print_, int) and len(deaths) >= DEATHS:
            messages[print_] = len(deaths) > DEATHS
            own = {names.sender(one) for one in left if names.message(one) == print_}
            for death in deaths:
                explained.setdefault(death, set()).update(own)
    senders = _senders(left, names, explained)
    rules: list[str] = []
    while True:
        left = [one for one in left if one.death not in explained]
        rule = _worst_rule(left, names)
        if rule is None:
            return Blame(messages, senders, tuple(rules), _walks(suspects, now))
        rules.append(rule)
        explained.update((one.death, set()) for one in left if one.rule == rule)


class _Names:
    """Who is the same as whom: a print where one is known, also for what only has a shape; None where nobody knows."""

    def __init__(self, suspects: Iterable[Suspect]) -> None:
        self._senders: dict[int, int] = {}
        self._prints: dict[tuple[int, int], int] = {}
        for one in suspects:
            if one.sender and one.who:
                self._senders[one.who] = one.sender
            if one.print and one.who:
                self._prints[one.who, one.shape] = one.print

    def sender(self, one: Suspect) -> Hashable:
        return one.sender or self._senders.get(one.who) or (("who", one.who) if one.who else None)

    def message(self, one: Suspect) -> Hashable:
        known = one.print or self._prints.get((one.who, one.shape))
        return known or (("shape", one.who, one.shape) if one.who else None)


def _deaths(suspects: Iterable[Suspect], name: Callable[[Suspect], Hashable]) -> dict[Hashable, set[int]]:
    """The deaths by whoever may have brought them about."""
    found: dict[Hashable, set[int]] = {}
    for one in suspects:
        found.setdefault(name(one), set()).add(one.death)
    found.pop(None, None)
    return found


def _walks(suspects: Iterable[Suspect], now: float) -> bool:
    """It may be chance, since the look-up takes most of the time, and asking every rule is dear: for a while only."""
    return any(not one.rule and now - one.at < DOUBT for one in suspects)


def _senders(suspects: list[Suspect], names: _Names, explained: dict[int, set[Hashable]]) -> dict[int, frozenset[str]]:
    """The senders whose several messages killed, the worst first; adds to what is explained.

    What a poison message explains counts for its own sender: many such messages are a sender's doing.
    """
    guilty: dict[int, frozenset[str]] = {}
    for sender, all_deaths in sorted(_deaths(suspects, names.sender).items(), key=lambda row: -len(row[1])):
        deaths = {one for one in all_deaths if sender in explained.get(one, {sender})}
        own = [one for one in suspects if names.sender(one) == sender and one.death in deaths]
        if isinstance(sender, int) and len(deaths) >= DEATHS and len({names.message(one) for one in own}) > 1:
            rules = frozenset(one.rule for one in own if one.rule)
            guilty[sender] = rules if rules and len(deaths) < 2 * DEATHS else rules | {""}
            explained.update((death, {sender}) for death in deaths)
    return guilty


def _worst_rule(suspects: list[Suspect], names: _Names) -> str | None:
    """The rule of most deaths, if those are enough and no single sender or message explains them.

    A death during the look-up counts for every rule that has killed twice by itself: it may have been the reason.
    """
    found = _deaths(suspects, lambda one: one.rule or None)
    unnamed = {one.death for one in suspects if not one.rule}
    for rule, deaths in sorted(found.items(), key=lambda row: (-len(row[1]), str(row[0]))):
        own = [one for one in suspects if one.rule in (rule, "")]
        if (
            len(deaths) < DEATHS - 1
            or len(deaths | unnamed) < DEATHS
            or _alone(own, names.sender)
            or _alone(own, names.message)
        ):
            continue
        return str(rule)
    return None


def _alone(suspects: list[Suspect], name: Callable[[Suspect], Hashable]) -> bool:
    """Was one and the same there at every death? Whoever can't be told apart may have been."""
    by_death: dict[int, set[Hashable]] = {}
    for one in suspects:
        by_death.setdefault(one.death, set()).add(name(one))
    known = [names for names in by_death.values() if None not in names]
    return not known or bool(set.intersection(*known))
