"""postfwd's rulesets, as rules and limits. Source: postfwd(8) and the behaviour of versions 1.35 and 2.0.

The first rule that matches and whose action is Postfix's ends the search (firstmatch.py says what that means here);
`rate`, `size` and `rcpt` go on while the limit holds. What our language has no equal for (DNS lists, scores, jumps,
variables, other policy servers) is told, and since a rule that is left out could have ended the search, so is every
later rule that would have to except it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from tidegate.importing.actions import Effect, effect_of
from tidegate.importing.firstmatch import Step, Unsplittable, refuses, strictest
from tidegate.importing.postfwdlines import Item, Rule, read_rules
from tidegate.importing.postfwdtests import LATE, UntranslatableError, asked_by
from tidegate.importing.spans import span
from tidegate.importing.words import Imported, NewRule, Untranslated, Value

_LIMIT = re.compile(
    r"(rate|size|rcpt)(5321)?\s*\(\s*\$?\$?([a-z_]+)/([0-9]+)/([0-9]+)/(.*)\)\s*", re.IGNORECASE | re.DOTALL
)
_OURS = re.compile(r"([a-z][a-z0-9_-]*)\s*\(", re.IGNORECASE)
_COUNTS = {"rate": "messages", "size": "bytes", "rcpt": "recipients"}
_KEYS = {
    "sasl_username": "login",
    "client_address": "client.ip",
    "client_name": "client.name",
    "sender": "sender.address",
    "sender_domain": "sender.domain",
    "helo_name": "client.helo",
}
_USED = "<limit.used>"  # braces are placeholders, and actions.py makes them harmless
_NOTHING = frozenset({"note", "wait"})
ReadFile = Callable[[str], "str | None"]


def imported(text: str, read_file: ReadFile) -> Imported:
    """The rules of one file; `read_file` gives the text of a file of items, None where it can't be read."""
    rules, wrong = read_rules(text, read_file)
    remarks: dict[str, None] = {}
    steps: list[Step] = []
    barrier = ""  # the first rule left out behind which nothing is certain
    for rule in rules:
        try:
            step = _step(rule, remarks)
        except UntranslatableError as error:
            wrong.append(Untranslated(rule.line, rule.text, str(error)))
            barrier = barrier or (rule.id if _ends(rule) else "")
            continue
        if step is None:
            continue
        if barrier and step.rule is not None:
            why = f"rule {barrier} stands before it and is not translated, so for whom it would act is not known"
            wrong.append(Untranslated(rule.line, rule.text, why))
            continue
        steps.append(step)
    lines = {rule.id: rule.line for rule in rules}
    found: list[NewRule] = []
    for one in strictest(steps):
        if isinstance(one, Unsplittable):
            why = f"it would have to except {one.because}, and only one of the two is about single recipients"
            wrong.append(Untranslated(lines.get(one.rule.id, 0), one.rule.id, why))
        else:
            found.append(one)
    ranked = [replace(rule, priority=100 + number) for number, rule in enumerate(found)]
    return Imported(tuple(ranked), (), tuple(remarks), tuple(wrong))


def _ends(rule: Rule) -> bool:
    """Would the rule have ended the search where it matched?"""
    found = _OURS.match(rule.action)
    return found is None or found[1].lower() in ("jump", "ask", "score", "quit")


def _step(rule: Rule, remarks: dict[str, None]) -> Step | None:
    """One rule in its place; None: it does nothing here either. Raises UntranslatableError."""
    names = [item.name for item in rule.items]
    recipients = any(name.startswith("recipient") and name != "recipient_count" for name in names)
    late = any(name in LATE for name in names)
    when, active = asked_by(rule.items, remarks)
    limit = _LIMIT.fullmatch(rule.action)
    if limit is not None:
        return _limit(rule, limit, when, active, recipients)
    command = _OURS.match(rule.action)
    if command is not None:
        if command[1].lower() in _NOTHING:
            remarks[f"{command[1].lower()}() is left out: it decided nothing."] = None
            return None
        raise UntranslatableError(f"{command[1]}() has no equal here")
    effect = _effect(rule.action)
    new: NewRule | None = None
    if effect.do:
        if recipients and effect.logs:
            raise UntranslatableError("a rule that only logs can't be about one recipient")
        whole = _any_recipient(when) if recipients and not refuses(effect) else when
        new = NewRule(
            rule.id,
            whole,
            effect.do,
            shadow=effect.logs,
            comments=_comments(effect),
            active=active,
            logged_in=_needs_login(rule.items),
        )
    if active is not None and new is None:
        raise UntranslatableError("an exception can't have hours or days")
    if late and recipients:
        raise UntranslatableError("what it asks for is not known when one recipient is answered")
    return Step(rule.id, when, effect, new, recipients=recipients, late=late)


def _comments(effect: Effect) -> tuple[str, ...]:
    logs = ("it only logged: in shadow it says `would` in the log, and does nothing",) if effect.logs else ()
    return (*((effect.remark,) if effect.remark else ()), *logs)


def _limit(rule: Rule, found: re.Match[str], when: Value, active: dict[str, Value] | None, recipients: bool) -> Step:
    """`rate(sasl_username/100/3600/450 4.7.1 text)`."""
    command, key, most, seconds, action = found[1].lower(), found[3].lower(), int(found[4]), int(found[5]), found[6]
    if recipients:
        raise UntranslatableError("a limit is about the whole message, and the rule about one recipient")
    if key not in _KEYS:
        raise UntranslatableError(f"{key} has no field of ours that has one value in a message")
    if not most or not seconds:
        raise UntranslatableError("a limit of nothing, or in no time")
    effect = _effect(action)
    if effect.permits and not effect.logs:
        raise UntranslatableError("a limit that permits has no equal here")
    comments = [
        *_comments(effect),
        "Only messages that go on are counted; postfwd counts every request that it sees. Where a later rule refuses "
        "the message as well, the stricter of the two answers.",
    ]
    new = NewRule(
        rule.id,
        when,
        effect.do,
        limits=({"name": command, "by": _KEYS[key], "count": _COUNTS[command], "max": most, "per": span(seconds)},),
        shadow=effect.logs,
        comments=tuple(comments),
        active=active,
        logged_in=key == "sasl_username" or _needs_login(rule.items),
    )
    return Step(rule.id, when, effect, new, ends=False)


def _effect(action: str) -> Effect:
    """Raises UntranslatableError."""
    text = action.replace("$$ratecount", _USED)
    if "$$" in text:
        raise UntranslatableError("a reply that names attributes of the request has to be written by hand")
    found = effect_of(text or "WARN")
    if isinstance(found, str):
        raise UntranslatableError(found)
    return replace(found, do=_with_count(found.do))


def _with_count(do: Mapping[str, Value]) -> Mapping[str, Value]:
    """`$$ratecount` in a reply is our {limit.used}."""
    return {name: _counted(value) for name, value in do.items()}


def _counted(value: Value) -> Value:
    if isinstance(value, str):
        return value.replace(_USED, "{limit.used}")
    return {key: _counted(one) for key, one in value.items()} if isinstance(value, Mapping) else value


def _needs_login(items: Iterable[Item]) -> bool:
    """Is one of the tests false for mail without a login?"""
    mine = [item for item in items if item.name == "sasl_username"]
    return bool(mine) and not any(item.negated or item.operator in ("!=", "!~") for item in mine)


def _any_recipient(when: Value) -> Value:
    """A condition about one recipient as one about any of them."""
    assert isinstance(when, dict)
    inner = {key.removeprefix("rcpt."): value for key, value in when.items() if key.startswith("rcpt.")}
    rest = {key: value for key, value in when.items() if not key.startswith("rcpt.")}
    if not inner or any(key in rest for key in ("any", "all", "not")):
        raise UntranslatableError("what it asks of a recipient is too tangled to be asked of any of them")
    return {**rest, "any_rcpt": inner}
