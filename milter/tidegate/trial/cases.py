"""A case as a transaction, and a policy set in which the case's own lists stand in for the policy's.

Promises: a case means the same in a rule's examples and in a scenario. Refuses a case that can't be carried out
(BadCaseError): it has been written by a person, who has to hear of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tidegate import image
from tidegate.conditions.addresses import fold_login
from tidegate.conditions.members import normalise
from tidegate.engine.candidates import prepare
from tidegate.limits import Stated
from tidegate.model import (
    Asks,
    Connection,
    Conventions,
    Envelope,
    Index,
    ListItem,
    Loaded,
    MemberList,
    MemberListData,
    Message,
    PolicySet,
    ReadFile,
    Recipient,
    Rule,
    Transaction,
)
from tidegate.policy.examples import DEFAULT_SENDER, Case, CaseList
from tidegate.policy.lists import guess_kind, map_value
from tidegate.policy.suggest import did_you_mean, shown
from tidegate.trial.messages import read_message

_UNREADABLE = "it can't be read in this case"
_OF_CONNECTION = ("client.", "tls.", "daemon.")
_OF_MESSAGE = ("header", "subject", "message.", "disclosed.")


class BadCaseError(Exception):
    """A case that can't be carried out; the text is for the person who wrote it."""


def transaction_of(case: Case, conventions: Conventions, read_file: ReadFile | None = None) -> Transaction:
    """The transaction that the case describes.

    `read_file` reads the file of `message:` by the path written in the case. Addresses are given as Postfix would give
    them. Raises BadCaseError where the message can't be read.
    """
    connection: list[tuple[str, str]] = []
    envelope: list[tuple[str, str]] = []
    message: list[tuple[str, str]] = []
    for field in case.unreadable:
        rows = envelope
        if field.startswith(_OF_CONNECTION):
            rows = connection
        elif field.startswith(_OF_MESSAGE):
            rows = message
        rows.append((field, _UNREADABLE))
    return Transaction(
        Connection(
            case.client,
            case.client_name,
            case.helo,
            case.daemon,
            case.tls,
            case.tls_cipher,
            case.local,
            tuple(connection),
        ),
        Envelope(
            _sender(case, conventions),
            tuple(Recipient(text, f"<{text}>") for text in case.recipients),
            case.login,
            case.auth_type,
            tuple(envelope),
        ),
        replace(_message(case, read_file), unreadable=tuple(message)),
        reference="trial",
    )


def _sender(case: Case, conventions: Conventions) -> str:
    if case.sender is not None:
        return case.sender
    login = fold_login(case.login, conventions)
    return login if "@" in login else DEFAULT_SENDER


def _message(case: Case, read_file: ReadFile | None) -> Message:
    if case.message:
        if read_file is None:
            raise BadCaseError("`message` can't be used here: there is no directory to read it from")
        source = read_file(case.message)
        if source.error:
            raise BadCaseError(f"the message {case.message} can't be read: {source.error}")
        found = read_message(source.data)
    else:
        headers = tuple((name, text.encode("utf-8", "surrogatepass")) for name, text in case.headers)
        found = Message(headers, sum(len(name) + len(value) + 4 for name, value in headers) + 2)
    return found if case.size is None else replace(found, size=case.size)


def stated(case: Case, rules: Iterable[Rule]) -> Stated:
    """What the case says is used of the limits of these rules. Raises BadCaseError for a limit that none has."""
    known = {f"{rule.id}/{limit.name}": (rule.id, limit.name) for rule in rules for limit in rule.limits}
    used: dict[tuple[str, str], int | None] = {}
    for name, number in case.limits:
        found = [one for full, one in known.items() if name in (full, one[1])]
        if len(found) != 1:
            several = "several rules have" if found else "no rule has"
            near = did_you_mean(name, known) if not found else ""
            raise BadCaseError(f"{several} a limit {shown(name)}{near or '; write RULE/NAME'}")
        used[found[0]] = number
    return Stated(used)


def case_lists(lists: Iterable[CaseList], policies: PolicySet, conventions: Conventions) -> dict[str, MemberList]:
    """A case's lists, normalised as the policy's are. Raises BadCaseError for an item that does not fit."""
    made = [_list_data(one, policies, conventions) for one in lists]
    if not made:
        return {}
    generation = image.Generation(image.build(Loaded(lists=tuple(made), conventions=conventions), 1))
    found = {one.name: generation.list(one.name) for one in made}
    return {name: one for name, one in found.items() if one is not None}


def _list_data(written: CaseList, policies: PolicySet, conventions: Conventions) -> MemberListData:
    known = policies.list(written.name)
    kind = known.kind if known is not None else guess_kind(written.name, None)
    if kind is None:
        raise BadCaseError(f"the policy has no list `{written.name}`")
    if written.unavailable:
        return MemberListData(written.name, kind, unavailable="unavailable in this case")
    items = []
    for text, values in written.items:
        member = normalise(kind, text, conventions)
        if isinstance(member, str):
            raise BadCaseError(f"list `{written.name}`: {member}")
        items.append(ListItem(member.key, tuple(_value(written.name, value, conventions) for value in values)))
    return MemberListData(written.name, kind, tuple(items))


def _value(name: str, text: str, conventions: Conventions) -> str:
    value, why = map_value(name, text, conventions)
    if why:
        raise BadCaseError(f"list `{name}`: {why}")
    return value


@dataclass(frozen=True, slots=True)
class Overlaid:
    """A policy set with some rules and some lists of its own; the rest, and the patterns, are those of `base`.

    Implements model.PolicySet. It has no index, since that was made from other lists: every rule is a candidate.
    """

    base: PolicySet
    rules: tuple[Rule, ...]
    lists: Mapping[str, MemberList]

    @property
    def number(self) -> int:
        return self.base.number

    @property
    def digest(self) -> str:
        return self.base.digest

    @property
    def conventions(self) -> Conventions:
        return self.base.conventions

    @property
    def reads_body(self) -> bool:
        return self.base.reads_body

    @property
    def limited(self) -> bool:
        return any(rule.limits for rule in self.rules)

    @property
    def index(self) -> Index:
        return Index(unkeyed=tuple(number for number, rule in enumerate(self.rules) if not rule.per_recipient))

    @property
    def index_at_rcpt(self) -> Index:
        return Index(unkeyed=self.per_recipient)

    @property
    def asks(self) -> Asks:
        return prepare(self.index, self.index_at_rcpt)

    @property
    def per_recipient(self) -> tuple[int, ...]:
        return tuple(number for number, rule in enumerate(self.rules) if rule.per_recipient)

    @property
    def exempts(self) -> frozenset[int]:
        return frozenset(number for number, rule in enumerate(self.rules) if rule.do.exempt is not None)

    @property
    def watched(self) -> tuple[int, ...]:
        return ()

    @property
    def needs(self) -> frozenset[str]:
        return self.base.needs

    def __len__(self) -> int:
        return len(self.rules)

    def rule(self, number: int) -> Rule:
        """The rule of this number."""
        return self.rules[number]

    def list(self, name: str) -> MemberList | None:
        """The case's list of this name, else the policy's."""
        return self.lists[name] if name in self.lists else self.base.list(name)

    def matches(self, field: str, source: str, text: str) -> bool:
        """As in `base`: the patterns are the same."""
        return self.base.matches(field, source, text)

    def pattern_rules(self, _field: str, _text: str) -> Iterable[int]:
        """None: all rules are candidates anyway."""
        return ()
