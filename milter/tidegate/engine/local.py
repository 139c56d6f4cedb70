"""The last step for what sendmail(1) submits: nothing with the null sender is refused.

A bounce that a milter refuses makes Postfix defer the original and make the bounce again, over and over; and a deferral
of local mail never ends and never tells anybody. So for local mail with the null sender reject and defer become hold,
where a person finds it.
"""

from __future__ import annotations

from dataclasses import replace

from tidegate.conditions.facts import Facts
from tidegate.engine.reply import safe_text
from tidegate.model import Disposition, Verdict

_REFUSALS = (Disposition.DEFER, Disposition.REJECT)


def hold_null_sender(verdict: Verdict, facts: Facts) -> Verdict:
    """The verdict on local mail as Postfix can carry it out; `would` likewise."""
    if facts.read("sender.null").values != (True,):
        return verdict
    would = Disposition.HOLD if verdict.would in _REFUSALS else verdict.would
    if any(mark.would in _REFUSALS for mark in verdict.trail):
        held = (replace(one, would=Disposition.HOLD) if one.would in _REFUSALS else one for one in verdict.trail)
        verdict = replace(verdict, trail=tuple(held))
    if verdict.disposition not in _REFUSALS:
        return replace(verdict, would=None if would is verdict.disposition else would)
    why = verdict.reason or (verdict.reply.text if verdict.reply is not None else verdict.rule)
    return replace(
        verdict,
        disposition=Disposition.HOLD,
        reply=None,
        reason=safe_text(f"null sender, instead of {verdict.disposition.name.lower()}: {why}"),
        would=None if would is Disposition.HOLD else would,
    )
