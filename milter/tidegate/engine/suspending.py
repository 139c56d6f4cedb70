"""What rules put on live lists: a part of the verdict that others carry out, after the message has its answer.

Promises: only a rule that certainly matches, is in force and is silenced by nobody puts anybody on a list; one in
shadow says whom it would. Refuses: doing it.
"""

from __future__ import annotations

from collections.abc import Iterable

from tidegate.conditions.facts import Facts
from tidegate.engine.parts import Stand
from tidegate.model import EntryState, Suspension, Truth


def suspensions(
    acting: Iterable[Stand], capped: frozenset[str], facts: Facts, *, shadow: bool = False
) -> tuple[Suspension, ...]:
    """Whom these rules put where. `capped`: rules that an exempt in doubt names."""
    found = []
    for stand in acting:
        rule, wish = stand.rule, stand.rule.do.suspend
        if wish is None or stand.truth is not Truth.YES or rule.id in capped or rule.state is EntryState.DEFERRING:
            continue
        reading = facts.read(wish.by)
        if reading.cause is None and len(reading.values) == 1:
            who = str(reading.values[0])
            found.append(Suspension(rule.id, wish.list, wish.name, wish.form, who, wish.seconds, shadow))
    return tuple(found)
