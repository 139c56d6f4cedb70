"""What a broken rule becomes: STALE by its last valid text, DEFERRING by the parts that can be read, or SKIPPED.

A rule that stands in doubt is UNKNOWN and never certain, so it never takes part in a 5xx; it defers only the mail whose
fate depends on it (DESIGN section 4, the bracket). What can be read of it narrows that mail: its `when`, else its
`scope`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tidegate.model import (
    Actions,
    AllOf,
    AnyOf,
    Cause,
    Condition,
    Disposition,
    Doubt,
    Ending,
    EntryState,
    Exempt,
    Mode,
    OnError,
    OnInvalid,
    ReplyTemplate,
    Rule,
    Template,
    Unknowable,
)
from tidegate.policy.actions import build_actions
from tidegate.policy.findings import Findings
from tidegate.policy.names import Names
from tidegate.policy.nodes import Mapping, Node, Scalar
from tidegate.policy.nodes import Sequence as SequenceNode
from tidegate.policy.read import EntryText
from tidegate.policy.rules import RuleParts, read_header
from tidegate.policy.scope import scope_condition
from tidegate.policy.staleness import MaxStale
from tidegate.policy.texts import with_reference

WORST = Actions(
    Ending(Disposition.REJECT, ReplyTemplate(550, "5.7.1", Template(with_reference("Message refused by policy"))))
)
"""What a rule may do of which that can't be read: the strictest."""


_UNCOUNTED = Cause(Doubt.PASSING, "what would have exceeded its limits was not counted")


def header_of(text: EntryText, names: Names) -> RuleParts:
    """The header keys of a rule whose body can't be read; what is wrong with them has been told."""
    parts = RuleParts()
    written = text.node if isinstance(text.node, Mapping) else text.header
    if written is not None:
        read_header({key.text: value for key, value in written.pairs}, names, parts, Findings())
    return parts


def stale_rule(rule: Rule, texts: Sequence[EntryText], names: Names) -> Rule:
    """The last valid version; a readable `off` or `shadow` is obeyed. What it exempts is in doubt (engine/match.py).

    Not where a key stands twice: where the line `- id: …` of the next rule is lost, the mode may be that rule's.
    """
    mode = rule.mode
    if len(texts) == 1 and not _repeats_keys(texts[0]):
        written = header_of(texts[0], names).mode
        mode = written if written in (Mode.OFF, Mode.SHADOW) else mode
    return replace(rule, mode=mode, state=EntryState.STALE)


def max_stale_of(parts: RuleParts, texts: Sequence[EntryText], names: Names) -> MaxStale | None:
    """How long the last valid version may serve: as the broken text readably says, or as it says itself."""
    written = header_of(texts[0], names).max_stale if len(texts) == 1 and not _repeats_keys(texts[0]) else None
    return written or parts.max_stale


def _repeats_keys(text: EntryText) -> bool:
    written = text.node if isinstance(text.node, Mapping) else text.header
    keys = [key.text for key, _ in written.pairs] if written is not None else []
    return len(set(keys)) < len(keys)


def deferring_rule(text: EntryText, parts: RuleParts, names: Names, reason: str, findings: Findings) -> Rule | None:
    """A rule that was never valid, as far as it asks to defer; None where it is to be skipped."""
    name, header = text.key.id, header_of(text, names)
    if (header.on_invalid or OnInvalid.SKIP) is not OnInvalid.DEFER or header.mode in (Mode.OFF, Mode.SHADOW):
        return None
    do = parts.do or _header_do(text, names) or _readable_exempt(text)
    scope = scope_condition(header.scope, parts.per_recipient) if header.scope is not None else None
    narrow = parts.when.condition if parts.when is not None else scope
    if narrow is None and do is None:
        message = f"`on_invalid: defer`, but neither `when` nor `do` nor `scope` of `{name}` can be read"
        findings.add("defer-without-scope", message, text.place)
        return None
    why = f"rule {name} was never valid: {reason}"
    directions = header.scope.directions if header.scope is not None else ()
    return Rule(
        id=name,
        when=Unknowable(Cause(Doubt.PASSING, why)) if narrow is None else _doubted(narrow, why),
        do=do or WORST,
        priority=100 if header.priority is None else header.priority,
        state=EntryState.DEFERRING,
        tags=header.tags,
        exceptions=parts.exceptions,
        schedule=parts.schedule,
        sample=parts.sample,
        on_invalid=OnInvalid.DEFER,
        on_error=OnError.DEFER,
        per_recipient=parts.per_recipient,
        inbound=parts.inbound or "inbound" in directions,
        description=parts.texts.get("description", ""),
        owner=parts.texts.get("owner", ""),
        place=text.place,
        digest=text.digest,
    )


def skipped_exempt(texts: Sequence[EntryText], parts: RuleParts, names: Names) -> Rule | None:
    """What is left of an entry that is skipped and would have exempted others: nobody knows whether it would have
    silenced them, so they answer at most 4xx where it might match (DESIGN section 4). None where it names nobody."""
    headers = [header_of(text, names) for text in texts]
    exempts = [_names_of(node) for text in texts if (node := exempt_node(text)) is not None]
    if not exempts or any(one.mode in (Mode.OFF, Mode.SHADOW) for one in headers):
        return None
    exempt = Exempt(
        tuple(dict.fromkeys(name for one in exempts for name in one.names)), any(one.everything for one in exempts)
    )
    if not exempt.names and not exempt.everything:
        return None
    key, scope = texts[0].key, headers[0].scope
    narrow = scope_condition(scope, False) if scope is not None else None
    if len(texts) == 1 and parts.when is not None:
        narrow = parts.when.condition
    alone = parts if len(texts) == 1 else RuleParts()
    return Rule(
        id=key.id,
        when=narrow or Unknowable(Cause(Doubt.PASSING, f"rule {key.id} was never valid")),
        do=Actions(exempt=exempt),
        priority=100 if headers[0].priority is None else headers[0].priority,
        state=EntryState.SKIPPED,
        exceptions=alone.exceptions,
        schedule=alone.schedule,
        sample=alone.sample,
        inbound=alone.inbound or (scope is not None and "inbound" in scope.directions),
        place=texts[0].place,
        digest=texts[0].digest,
    )


def skipped_rule(texts: Sequence[EntryText], readable: Sequence[RuleParts], names: Names) -> Rule | None:
    """Whom an entry would have concerned that is skipped: kept for the exposure ledger, it takes no part in a verdict.

    `readable` are the parts of each text. By its `when`; where that can't be read by its `scope`, and without one it is
    all mail that is judged unasked. None where it says that it is off, or in shadow.
    """
    headers = [header_of(text, names) for text in texts]
    if any(one.mode in (Mode.OFF, Mode.SHADOW) for one in headers):
        return None
    reach = [_reach(parts, header, len(texts) == 1) for parts, header in zip(readable, headers, strict=True)]
    if any(_value(text.node, "limits") or _value(text.header, "limits") for text in texts):
        reach = [AllOf((one, Unknowable(_UNCOUNTED))) for one in reach]
    alone = readable[0] if len(texts) == 1 else RuleParts()
    scopes = [one.scope for one in headers if one.scope is not None]
    return Rule(
        id=texts[0].key.id,
        when=reach[0] if len(reach) == 1 else AnyOf(tuple(reach)),
        do=Actions(),
        priority=100 if headers[0].priority is None else headers[0].priority,
        state=EntryState.SKIPPED,
        tags=headers[0].tags,
        exceptions=alone.exceptions,
        schedule=alone.schedule,
        sample=alone.sample,
        per_recipient=alone.per_recipient and alone.when is not None,
        inbound=any(one.inbound for one in readable) or any("inbound" in one.directions for one in scopes),
        place=texts[0].place,
        digest=texts[0].digest,
    )


def _reach(parts: RuleParts, header: RuleParts, alone: bool) -> Condition:
    """The mail that an entry may be about. Of a per_recipient one that is not alone its `when` means nothing."""
    if parts.when is not None and (alone or not parts.per_recipient):
        return parts.when.condition
    unreadable = Unknowable(Cause(Doubt.PASSING, "what the entry asks can't be read"))
    scope = scope_condition(header.scope) if header.scope is not None else None
    return unreadable if scope is None else AllOf((scope, unreadable))


def _names_of(node: Node) -> Exempt:
    if isinstance(node, Scalar) and node.text == "all":
        return Exempt(everything=True)
    return Exempt(tuple(dict.fromkeys(_words(node))))


def _doubted(condition: Condition, why: str) -> Condition:
    return AllOf((condition, Unknowable(Cause(Doubt.PASSING, why))))


def _header_do(text: EntryText, names: Names) -> Actions | None:
    """The actions of a rule whose body can't be read, where `do` itself can."""
    node = _value(text.header, "do") if text.node is None else None
    return None if node is None else build_actions(node, text.key.id, names, Findings())


def _readable_exempt(text: EntryText) -> Actions | None:
    """An exempt whose names are known while the rest is not; beside other actions it is the lesser evil."""
    node = exempt_node(text)
    if node is None or _does_more(text):
        return None
    exempt = _names_of(node)
    return Actions(exempt=exempt) if exempt.names or exempt.everything else None


def exempt_node(text: EntryText) -> Node | None:
    """What stands behind `exempt:` in the rule's `do`, as far as it can be read."""
    do = _value(text.node, "do") or _value(text.header, "do")
    return _value(do, "exempt")


def _does_more(text: EntryText) -> bool:
    do = _value(text.node, "do") or _value(text.header, "do")
    return isinstance(do, Mapping) and len(do.pairs) > 1


def _value(node: Node | None, key: str) -> Node | None:
    if not isinstance(node, Mapping):
        return None
    for name, value in node.pairs:
        if name.text == key:
            return value
    return None


def _words(node: Node | None) -> list[str]:
    items = node.items if isinstance(node, SequenceNode) else (node,)
    return [one.text for one in items if isinstance(one, Scalar)]


def tags_of(text: EntryText) -> list[str]:
    """The rule's tags as far as they can be read."""
    written = text.node if isinstance(text.node, Mapping) else text.header
    return _words(_value(written, "tags"))
