"""One rule from its node: every key checked, all problems at once, and the defaults that DESIGN section 3 names.

`build_rule` says what the parts came to even where others are broken, because a rule that was never valid and says
`on_invalid: defer` is judged by the parts that can be read (policy/doubt.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from tidegate.model import (
    Actions,
    Disposition,
    ExceptClause,
    Expect,
    Limit,
    Mode,
    OnError,
    OnInvalid,
    OnUninspected,
    Rule,
    Sample,
    Schedule,
    Scope,
    Stage,
)
from tidegate.policy import elsewhere
from tidegate.policy.actions import build_actions, touches_only_headers
from tidegate.policy.dates import read_moment, warn_of_end
from tidegate.policy.edits import asks_matched
from tidegate.policy.examples import Example, build_examples
from tidegate.policy.findings import Findings
from tidegate.policy.keys import EXCEPT_KEYS, RULE_KEYS
from tidegate.policy.limits import SHARE, asks_limits, build_limits
from tidegate.policy.names import ID, Built, Names
from tidegate.policy.nodes import Mapping, Node, Sequence
from tidegate.policy.restraints import build_brake, build_expect
from tidegate.policy.schedule import build_sample, build_schedule
from tidegate.policy.scope import build_scope
from tidegate.policy.staleness import MaxStale, build_max_stale
from tidegate.policy.suggest import shown
from tidegate.policy.when import ConditionBuilder

MAX_PRIORITY = 1_000_000
MAX_TEXT = 2000
"""Characters of a text for people."""
_DAY = 86400.0

Word = TypeVar("Word", Mode, OnInvalid, OnError, OnUninspected)


@dataclass(slots=True)
class RuleParts:
    """What could be read of one rule. `rule` is there if nothing is wrong with it."""

    rule: Rule | None = None
    when: Built | None = None
    do: Actions | None = None
    scope: Scope | None = None
    mode: Mode | None = None
    on_invalid: OnInvalid | None = None
    max_stale: MaxStale | None = None
    per_recipient: bool = False
    priority: int | None = None
    tags: tuple[str, ...] = ()
    schedule: Schedule | None = None
    sample: Sample | None = None
    exceptions: tuple[ExceptClause, ...] = ()
    expect: Expect | None = None
    kept: bool = False
    limits: tuple[Limit, ...] = ()
    by_share: bool = False
    lists: frozenset[str] = frozenset()  # that it asks by name
    allowing: frozenset[str] = frozenset()  # those of them by which it lets mail pass
    inbound: bool = False
    aligned: bool = False
    stale_exempt: bool = False
    late: str = ""  # something it asks that is not known at MAIL
    examples: tuple[Example, ...] = ()
    texts: dict[str, str] = field(default_factory=dict)  # description, owner, ticket


def build_rule(name: str, node: Node, names: Names, findings: Findings, digest: str = "") -> RuleParts:
    """The rule `name` as `node` says."""
    parts = RuleParts()
    written = findings.mapping(node, "a rule", "{id: …, when: …, do: …}")
    if written is None:
        return parts
    keys = findings.keys(written, "a rule", RULE_KEYS, ("id", "when", "do"), elsewhere.RULE_KEYS)
    if "id" in keys:
        findings.text(keys["id"], "`id`")
    read_header(keys, names, parts, findings)
    if "per_recipient" in keys:
        parts.per_recipient = bool(findings.flag(keys["per_recipient"], "`per_recipient`"))
    _conditions(keys, name, names, parts, findings)
    on_error = _word(keys, "on_error", OnError, findings)
    on_uninspected = _word(keys, "on_uninspected", OnUninspected, findings)
    if "examples" in keys:
        parts.examples = build_examples(keys["examples"], findings)
    if "expect" in keys:
        parts.expect = build_expect(keys["expect"], findings)
    if "brake" in keys:
        parts.kept = build_brake(keys["brake"], findings)
    _limits(keys, names, parts, findings)
    _together(written, keys, on_error, on_uninspected, names, parts, findings)
    if findings.broken or parts.when is None or parts.do is None:
        return parts
    default = OnError.SKIP if touches_only_headers(parts.do) else OnError.DEFER
    parts.rule = Rule(
        id=name,
        when=parts.when.condition,
        do=parts.do,
        priority=100 if parts.priority is None else parts.priority,
        mode=parts.mode or Mode.ENFORCE,
        tags=parts.tags,
        exceptions=parts.exceptions,
        schedule=parts.schedule,
        sample=parts.sample,
        on_invalid=parts.on_invalid or OnInvalid.SKIP,
        on_error=on_error or default,
        on_uninspected=on_uninspected or OnUninspected.SKIP,
        per_recipient=parts.per_recipient,
        inbound=parts.inbound,
        description=parts.texts.get("description", ""),
        owner=parts.texts.get("owner", ""),
        place=written.place,
        digest=digest,
        stale_exempt=parts.stale_exempt,
        kept=parts.kept,
        expect=parts.expect,
        limits=parts.limits,
        by_share=parts.by_share,
    )
    return parts


def _word(keys: dict[str, Node], key: str, words: type[Word], findings: Findings) -> Word | None:
    if key not in keys:
        return None
    word = findings.choice(keys[key], f"`{key}`", [one.value for one in words])
    return None if word is None else words(word)


def read_header(keys: dict[str, Node], names: Names, parts: RuleParts, findings: Findings) -> None:
    """What says who and how, but not what."""
    for key in ("description", "owner", "ticket"):
        if key in keys:
            text = findings.text(keys[key], f"`{key}`")
            if text is not None and len(text) > MAX_TEXT:
                findings.add("bad-value", f"`{key}` has more than {MAX_TEXT} characters", keys[key])
            parts.texts[key] = text or ""
    if "max_stale" in keys:
        parts.max_stale = build_max_stale(keys["max_stale"], findings)
    parts.mode = _word(keys, "mode", Mode, findings)
    parts.on_invalid = _word(keys, "on_invalid", OnInvalid, findings)
    if "priority" in keys:
        parts.priority = findings.whole(keys["priority"], "`priority`", 0, MAX_PRIORITY)
    if "tags" in keys:
        parts.tags = read_tags(keys["tags"], findings)
    if "scope" in keys:
        parts.scope = build_scope(keys["scope"], names.conventions, findings)


def read_tags(node: Node, findings: Findings) -> tuple[str, ...]:
    """`tags: [ONE, TWO]`, written like ids."""
    found: dict[str, None] = {}
    for text, where in findings.texts(node, "`tags`") or ():
        if not ID.match(text) or text == "all":
            findings.add("bad-id", f"{shown(text)} can't be a tag", where)
        found[text] = None
    return tuple(found)


def _conditions(keys: dict[str, Node], name: str, names: Names, parts: RuleParts, findings: Findings) -> None:
    """`when`, `do`, `except`, `active`, `sample`: what the rule asks and does."""
    if "do" in keys:
        parts.do = build_actions(keys["do"], name, names, findings)
    exempts = parts.do is not None and parts.do.exempt is not None
    acts = parts.do is not None and (parts.do.ending is not None or bool(parts.do.edits))
    both = exempts and acts
    if both:
        # Judged as two: what it does by the strict reading of stale lists; what it exempts is in doubt with them.
        parts.stale_exempt = _rests_on_stale(keys, names, parts)
        exempts = False
    builder = ConditionBuilder(names, findings, per_recipient=parts.per_recipient, aging=both)
    built: list[Built] = []
    if "when" in keys:
        parts.when = builder.build(keys["when"], "`when`", milder=exempts)
        if parts.when is not None:
            built.append(parts.when)
    if "except" in keys:
        parts.exceptions = _exceptions(keys["except"], builder, exempts, names, built, findings)
    for one in built:
        parts.lists |= one.lists
        parts.allowing |= one.lists if both else one.allowing
        parts.inbound |= one.inbound
        parts.aligned |= one.aligned
        parts.by_share |= one.shares
        if one.latest > Stage.RCPT:
            parts.late = "the message"
        elif (one.quantified or one.latest > Stage.MAIL) and not parts.late:
            parts.late = "all recipients"
    if parts.scope is not None:
        parts.inbound |= "inbound" in parts.scope.directions
    if "active" in keys:
        parts.schedule = build_schedule(keys["active"], findings)
    if "sample" in keys:
        parts.sample = build_sample(keys["sample"], parts.per_recipient, findings)


def _rests_on_stale(keys: dict[str, Node], names: Names, parts: RuleParts) -> bool:
    """Would what the rule asks be answered otherwise for its exemption than for its action?"""
    nodes = [keys["when"]] if "when" in keys else []
    if isinstance(clauses := keys.get("except"), Sequence):
        nodes += [
            value for one in clauses.items if isinstance(one, Mapping) for key, value in one.pairs if key.text == "when"
        ]
    builder = ConditionBuilder(names, Findings(), per_recipient=parts.per_recipient, aging=True)
    both = [(builder.build(node, "", milder=False), builder.build(node, "", milder=True)) for node in nodes]
    return any(one is not None and other is not None and one.condition != other.condition for one, other in both)


def _exceptions(
    node: Node, builder: ConditionBuilder, exempts: bool, names: Names, built: list[Built], findings: Findings
) -> tuple[ExceptClause, ...]:
    items = findings.sequence(node, "`except`")
    clauses: list[ExceptClause] = []
    seen: set[str] = set()
    for item in items.items if items else ():
        written = findings.mapping(item, "an exception", "{name: …, when: …}")
        if written is None:
            continue
        keys = findings.keys(written, "an exception", EXCEPT_KEYS, required=("name", "when"))
        name = findings.text(keys["name"], "the exception's `name`") if "name" in keys else None
        if name is not None and (not ID.match(name) or name in seen):
            why = "stands twice" if name in seen else "can't be a name"
            findings.add("bad-id", f"{shown(name)} {why}", keys["name"])
        seen.add(name or "")
        when = builder.build(keys["when"], "the exception's `when`", milder=not exempts) if "when" in keys else None
        until = read_moment(keys["until"], "`until`", findings) if "until" in keys else None
        ticket = findings.text(keys["ticket"], "`ticket`") if "ticket" in keys else ""
        if until is not None:
            warn_of_end(until.over, f"the exception `{name}`", keys["until"], names.now, findings)
        if name is None or when is None or ticket is None:
            continue
        built.append(when)
        clauses.append(ExceptClause(name, when.condition, until.over if until else None, ticket))
    return tuple(clauses)


def _limits(keys: dict[str, Node], names: Names, parts: RuleParts, findings: Findings) -> None:
    """`limits`, and what only a rule with limits, or without, can say."""
    do = parts.do
    if "limits" not in keys:
        if parts.by_share:
            findings.add("no-limits", f"`{SHARE}` is about the rule's own `limits`, and it has none", keys["when"])
        if do is not None and (name := asks_limits(do)):
            findings.add("no-limits", f"`{{{name}}}` is about the rule's own `limits`, and it has none", keys["do"])
        return
    built = build_limits(keys["limits"], names, findings)
    parts.limits, parts.lists = built.limits, parts.lists | built.lists
    if parts.per_recipient:
        cure = "leave out `per_recipient`: limits are asked once for the whole message"
        findings.add("not-at-rcpt", "a per_recipient rule can't have `limits`", keys["limits"], cure=cure)
    if do is None:
        return
    if do.exempt is not None:
        findings.add("limit-exempt", "a rule with `limits` can't exempt: sending more would open a door", keys["do"])
    if parts.by_share and do.ending is not None and do.ending.disposition is not Disposition.HOLD:
        message = f"a rule that asks `{SHARE}` lets the message go on: it can hold, or edit"
        findings.add("limit-share", message, keys["do"])


def _together(
    written: Mapping,
    keys: dict[str, Node],
    on_error: OnError | None,
    on_uninspected: OnUninspected | None,
    names: Names,
    parts: RuleParts,
    findings: Findings,
) -> None:
    """What no key can know alone."""
    do = parts.do
    if parts.per_recipient and on_uninspected is OnUninspected.HOLD:
        findings.add("per-recipient-action", "one recipient can't be held", keys["on_uninspected"])
    until = parts.schedule.end if parts.schedule is not None else None
    if do is None or do.exempt is None or not do.exempt.everything:  # that one ends within a day, as it has to
        warn_of_end(until, "the rule", keys.get("active", written), names.now, findings)
    if do is None:
        return
    if parts.per_recipient and (
        do.ending is None
        or do.ending.disposition not in (Disposition.REJECT, Disposition.DEFER)
        or do.edits
        or do.exempt is not None
        or do.suspend is not None
    ):
        findings.add("per-recipient-action", "a per_recipient rule rejects or defers, nothing else", keys["do"])
    if do.exempt is not None and on_error is OnError.SKIP:
        findings.add("exempt-skip", "a rule that exempts can't skip its doubts", keys["on_error"])
    if do.exempt is not None and do.exempt.everything:
        _exempt_all(keys, names, parts, findings)
    if asks_matched(do.edits) and parts.when is not None and not parts.when.picks:
        message = "`matched` speaks of the recipients that the rule's recipient tests picked, and it has none"
        findings.add("nothing-matched", message, keys["do"])


def _exempt_all(keys: dict[str, Node], names: Names, parts: RuleParts, findings: Findings) -> None:
    schedule = parts.schedule
    begin = schedule.start if schedule is not None and schedule.start is not None else names.now
    if "ticket" not in keys:
        findings.add("exempt-all", "`exempt: all` needs a `ticket`", keys["do"])
    if schedule is None or schedule.end is None:
        if "active" not in keys or schedule is not None:
            findings.add("exempt-all", "`exempt: all` needs an end: `active: {until: …}`", keys["do"])
    elif schedule.end - begin > _DAY:
        findings.add("exempt-all", "`exempt: all` has to end within 24 hours", keys["active"])
