"""Conditions from nodes: a map is AND, `all`, `any` and `not` nest, `use` names another, recipients are quantified.

Promises: every problem of the tree is found, not the first; what is built is small and shallow enough for the evaluator
(`use` of `use` of `use` can grow without looking so); lists and conditions of which only the last good version is known
count as UNKNOWN where their YES would make a verdict milder.
"""

from __future__ import annotations

from tidegate.conditions.fields import FIELDS, RECIPIENT_FIELDS, find_field
from tidegate.model import (
    AllOf,
    Always,
    AnyOf,
    Cause,
    Condition,
    Doubt,
    Field,
    Fresh,
    Not,
    Quantifier,
    Recipients,
    Stage,
    Test,
    Unknowable,
)
from tidegate.policy import elsewhere
from tidegate.policy.comparisons import WRITTEN_OPERATORS, build_test
from tidegate.policy.findings import Findings, kind_of
from tidegate.policy.names import Broken, Built, Names
from tidegate.policy.nodes import Mapping, Node, Scalar, Sequence, Tag
from tidegate.policy.suggest import did_you_mean, nearest, shown

MAX_DEPTH = 32
MAX_SIZE = 50_000
"""Tests and values of one condition, with every named condition that it uses."""

QUANTIFIERS = {one.value: one for one in Quantifier}
WORDS = ("all", "any", "not", "use", *QUANTIFIERS)
"""The keys of a condition that aren't fields."""
_LATER_FIELDS = ("body", "attachment")


class ConditionBuilder:
    """Builds the conditions of one entry, and remembers what they need.

    `per_recipient`: the rule is judged at RCPT, so bare recipient names mean that one recipient. `of_recipient`: what
    is built is about one recipient, as inside a quantifier. `milder`: a YES of what is built makes a verdict milder (an
    exception, an exempt). `aging`: what live lists say that are too old is in doubt whatever it does to the verdict,
    since the rule both acts and exempts.
    """

    __slots__ = (
        "_aging",
        "_aligned",
        "_allowing",
        "_findings",
        "_inbound",
        "_latest",
        "_lists",
        "_names",
        "_picks",
        "_quantified",
        "_rcpt",
        "_recipient",
        "_shares",
        "_size",
    )

    def __init__(
        self,
        names: Names,
        findings: Findings,
        *,
        per_recipient: bool = False,
        of_recipient: bool = False,
        aging: bool = False,
    ) -> None:
        self._aging = aging
        self._names = names
        self._findings = findings
        self._rcpt = per_recipient
        self._recipient = per_recipient or of_recipient
        self._start()

    def _start(self) -> None:
        self._lists: set[str] = set()
        self._allowing: set[str] = set()
        self._inbound = self._aligned = self._quantified = self._picks = self._shares = False
        self._latest = Stage.CONNECT
        self._size = 0

    def build(self, node: Node, what: str, *, milder: bool = False) -> Built | None:
        """The condition with all that is known of it; None after its problems were named."""
        self._start()
        condition, depth = self._condition(node, what, self._recipient, milder, 1)
        if self._size > MAX_SIZE:
            self._findings.add("too-large", f"{what} has more than {MAX_SIZE} tests and values", node)
            return None
        if condition is None:
            return None
        return Built(
            condition,
            frozenset(self._lists),
            self._inbound,
            self._aligned,
            frozenset(self._allowing),
            self._latest,
            self._quantified,
            self._picks,
            self._size,
            depth,
            self._shares,
        )

    def _condition(
        self, node: Node, what: str, recipient: bool, milder: bool, depth: int
    ) -> tuple[Condition | None, int]:
        """The condition and how deep it reaches."""
        if depth > MAX_DEPTH:
            self._findings.add("too-large", f"{what} is nested deeper than {MAX_DEPTH} levels", node)
            return None, depth
        if isinstance(node, Mapping):
            return self._all_pairs(node, what, recipient, milder, depth)
        if isinstance(node, Scalar):
            if node.tag is Tag.TEXT and node.text == "always":
                self._size += 1
                return Always(), depth
            if node.tag is Tag.NULL or not node.text.strip():
                self._findings.add("empty-condition", f"{what} is empty", node)
                return None, depth
        elif not node.items:
            self._findings.add("empty-condition", f"{what} is empty", node)
            return None, depth
        form = "write `all:` or `any:` before the list" if isinstance(node, Sequence) else "write `FIELD: VALUE`"
        if what.strip("`") in QUANTIFIERS:
            form = f"write {what[:-1]}: {{address: …}}`"
        self._findings.add("wrong-type", f"{what} is a map (or `always`), not {kind_of(node)}", node, cure=form)
        return None, depth

    def _all_pairs(
        self, node: Mapping, what: str, recipient: bool, milder: bool, depth: int
    ) -> tuple[Condition | None, int]:
        if not node.pairs:
            self._findings.add("empty-condition", f"{what} is empty", node)
            return None, depth
        children: list[Condition] = []
        deepest = depth
        inner = depth + 1 if len(node.pairs) > 1 else depth
        for key, value in node.pairs:
            child, reached = self._pair(key, value, recipient, milder, inner)
            deepest = max(deepest, reached)
            if child is not None:
                children.append(child)
        if len(children) < len(node.pairs):
            return None, deepest
        return (children[0] if len(children) == 1 else AllOf(tuple(children))), deepest

    def _pair(
        self, key: Scalar, value: Node, recipient: bool, milder: bool, depth: int
    ) -> tuple[Condition | None, int]:
        name = key.text
        if name == "not":
            child, reached = self._condition(value, "`not`", recipient, not milder, depth + 1)
            return (None if child is None else Not(child)), reached
        if name in ("all", "any"):
            return self._several(name, value, recipient, milder, depth)
        if name == "use":
            return self._use(value, recipient, milder, depth)
        if name in QUANTIFIERS:
            return self._quantifier(key, value, recipient, milder, depth)
        return self._test(key, value, recipient, milder), depth

    def _several(
        self, word: str, node: Node, recipient: bool, milder: bool, depth: int
    ) -> tuple[Condition | None, int]:
        if not isinstance(node, Sequence):
            cure = f"write `{word}:` with `- ` before each condition"
            self._findings.add("wrong-type", f"`{word}` is a list of conditions, not {kind_of(node)}", node, cure=cure)
            return None, depth
        if not node.items:
            self._findings.add("empty-condition", f"`{word}` is an empty list", node)
            return None, depth
        built = [self._condition(item, f"an item of `{word}`", recipient, milder, depth + 1) for item in node.items]
        deepest = max(reached for _, reached in built)
        children = tuple(child for child, _ in built if child is not None)
        if len(children) < len(built):
            return None, deepest
        if len(children) == 1:
            return children[0], deepest
        return (AllOf(children) if word == "all" else AnyOf(children)), deepest

    def _use(self, node: Node, recipient: bool, milder: bool, depth: int) -> tuple[Condition | None, int]:
        names, findings = self._names, self._findings
        name = findings.text(node, "`use`")
        if name is None:
            return None, depth
        found = names.use(name, milder)
        if found is None:
            near = did_you_mean(name, names.conditions)
            findings.add("unknown-condition", f"there is no condition {shown(name)}{near}", node)
            return None, depth
        if isinstance(found, Broken):
            findings.add("broken-dependency", f"it uses the condition `{name}` ({found.place}): {found.why}", node)
            return None, depth
        if recipient and not self._rcpt:
            findings.add("not-of-recipient", f"`use: {name}` is about the message, not about one recipient", node)
            return None, depth
        if self._rcpt and (found.quantified or found.latest > Stage.RCPT):
            findings.add("not-at-rcpt", f"the condition `{name}` asks what is not known at RCPT", node)
            return None, depth
        self._size += found.size
        reached = depth + found.depth
        if reached > MAX_DEPTH:
            findings.add("too-large", f"with the condition `{name}` it is nested deeper than {MAX_DEPTH} levels", node)
            return None, depth
        self._lists |= found.lists
        self._allowing |= found.lists if milder else found.allowing
        self._inbound |= found.inbound
        self._aligned |= found.aligned
        self._quantified |= found.quantified
        self._picks |= found.picks
        self._shares |= found.shares
        self._latest = max(self._latest, found.latest)
        return found.condition, reached

    def _quantifier(
        self, key: Scalar, node: Node, recipient: bool, milder: bool, depth: int
    ) -> tuple[Condition | None, int]:
        if self._rcpt:
            message = f"`{key.text}` counts over all recipients, and a per_recipient rule knows one"
            self._findings.add("not-at-rcpt", message, key, cure="write the test alone: `domain: example.net`")
            return None, depth
        if recipient:
            self._findings.add("not-of-recipient", f"`{key.text}` stands inside another quantifier", key)
            return None, depth
        quantifier = QUANTIFIERS[key.text]
        inner = milder != (quantifier is Quantifier.NO)
        child, reached = self._condition(node, f"`{key.text}`", True, inner, depth + 1)
        self._quantified = True
        self._picks |= quantifier is not Quantifier.NO
        return (None if child is None else Recipients(quantifier, child)), reached

    def _test(self, key: Scalar, node: Node, recipient: bool, milder: bool) -> Condition | None:
        row = self._field(key, recipient)
        if row is None:
            return None
        test = build_test(row, node, self._names, self._findings)
        if test is None:
            return None
        self._note(row, test)
        name = test.list_name
        if name is None:
            return test
        if milder:
            self._allowing.add(name)
            if name in self._names.stale_lists:
                return AllOf((test, Unknowable(Cause(Doubt.PASSING, f"list {name} is only known as it last was"))))
        if (milder or self._aging) and name in self._names.aging_lists:
            return AllOf((test, Fresh(name)))
        return test

    def _note(self, row: Field, test: Test) -> None:
        self._size += 1 + len(test.values)
        self._latest = max(self._latest, row.stage)
        if test.list_name is not None:
            self._lists.add(test.list_name)
        if row.name == "direction":
            self._inbound |= "inbound" in test.values or test.list_name in self._names.inbound_lists
        elif row.name.endswith(".aligned"):
            self._aligned = True
        elif row.name == "limit.share":
            self._shares = True

    def _field(self, key: Scalar, recipient: bool) -> Field | None:
        """The registry's row for a key of this place, or None after the problem was named."""
        name = key.text.lower()
        bare = RECIPIENT_FIELDS.get(name)
        if bare is not None and recipient:
            return FIELDS[bare]
        row = find_field(name)
        if row is None:
            self._unknown_field(key, name, bare)
            return None
        if row.recipient and not recipient:
            part = row.name.removeprefix("rcpt.")
            cure = f"write `any_rcpt: {{{part}: …}}` (or all_rcpt, no_rcpt)"
            self._findings.add(
                "recipient-field", f"`{row.name}` is one recipient's, and a message has several", key, cure=cure
            )
            return None
        if recipient and not row.recipient and not self._rcpt:
            self._findings.add("not-of-recipient", f"`{row.name}` is not a recipient's field", key)
            return None
        if self._rcpt and row.stage > Stage.RCPT:
            self._findings.add("not-at-rcpt", f"`{row.name}` is not known at RCPT", key)
            return None
        return row

    def _unknown_field(self, key: Scalar, name: str, bare: str | None) -> None:
        if bare is not None:
            cure = f"write `any_rcpt: {{{name}: …}}` (or all_rcpt, no_rcpt)"
            self._findings.add(
                "recipient-field", f"`{name}` is one recipient's, and a message has several", key, cure=cure
            )
        elif name.partition(".")[0] in _LATER_FIELDS:
            self._findings.add("not-yet", f"this version does not know the field {shown(key.text)} yet", key)
        else:
            cure = _instead(name)
            near = "" if cure else _meant(name)
            self._findings.add("unknown-field", f"there is no field {shown(key.text)}{near}", key, cure=cure)


def _instead(name: str) -> str:
    """What to write where no field has all that the name says."""
    if name in WRITTEN_OPERATORS:
        return f"name the field before the operator: `FIELD: {{{name}: …}}`"
    header, _, part = name.removeprefix("header.").rpartition(".")
    if name.startswith("header.") and part in ("address", "domain", "localpart"):
        who = "any_rcpt: {address: …}" if header in ("to", "cc", "bcc") else f"header.{header}: {{contains: …}}"
        return f"write `{who}`; mailboxes are known of From, Sender and Reply-To"
    return ""


def _meant(name: str) -> str:
    """; did you mean …, by what people call a field elsewhere, or by likeness."""
    known = elsewhere.FIELDS.get(name)
    if known is not None:
        return f"; did you mean `{known}`?"
    near = did_you_mean(name, (*FIELDS, *WORDS))
    first, dot, rest = name.partition(".")
    if not near and dot and first != "header" and nearest(first, ("header",)):
        return f"; did you mean `header.{rest}`?"
    return near
