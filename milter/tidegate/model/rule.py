"""Rules, their actions, and the lists they look into: what a policy file says, ready to be judged.

Texts (`Template`) were checked at load: every placeholder is of the closed set, and whatever it expands to
is made safe by the one sanitiser (engine/reply.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from tidegate.model.condition import Condition
from tidegate.model.limit import Limit
from tidegate.model.problem import Place
from tidegate.model.words import (
    Disposition,
    EntryState,
    ListKind,
    Mode,
    OnError,
    OnInvalid,
    OnUninspected,
)


@dataclass(frozen=True, slots=True)
class Template:
    """A text with `{placeholders}` of the closed set (conditions/placeholders.py); `text` is as written."""

    text: str


@dataclass(frozen=True, slots=True)
class ReplyTemplate:
    """`code: "550 5.7.1"` and its text; code, enhanced code and disposition are of one class."""

    code: int
    enhanced: str
    text: Template


@dataclass(frozen=True, slots=True)
class Ending:
    """A rule's disposition: reject and defer carry a reply, hold a reason."""

    disposition: Disposition
    reply: ReplyTemplate | None = None
    reason: Template | None = None


@dataclass(frozen=True, slots=True)
class AddHeader:
    """Append `name: text` once for each text."""

    name: str
    texts: tuple[Template, ...]


@dataclass(frozen=True, slots=True)
class SetHeader:
    """Replace all occurrences of `name` by one (or one for each text)."""

    name: str
    texts: tuple[Template, ...]


@dataclass(frozen=True, slots=True)
class RemoveHeader:
    """Remove all occurrences of `name`."""

    name: str


@dataclass(frozen=True, slots=True)
class PrefixSubject:
    """Put `text` before the subject, once (not if it stands there already)."""

    text: Template


@dataclass(frozen=True, slots=True)
class AddRecipient:
    """One more envelope recipient."""

    address: str


@dataclass(frozen=True, slots=True)
class RemoveRecipient:
    """Remove one recipient; `address` None removes those that the rule's recipient tests matched."""

    address: str | None


@dataclass(frozen=True, slots=True)
class Redirect:
    """Send to `address` instead: all recipients, or (`matched`) those that the rule matched."""

    address: str
    matched: bool = False


@dataclass(frozen=True, slots=True)
class Bcc:
    """A copy to `address`, added with NOTIFY=NEVER (RFC 3461 section 4.1)."""

    address: str


@dataclass(frozen=True, slots=True)
class SetSender:
    """Replace the envelope sender."""

    address: str


Edit: TypeAlias = (
    "AddHeader | SetHeader | RemoveHeader | PrefixSubject | AddRecipient | RemoveRecipient | Redirect | Bcc | SetSender"
)


@dataclass(frozen=True, slots=True)
class Exempt:
    """Silences the rules named by id or tag; `everything` is `exempt: all`."""

    names: tuple[str, ...] = ()
    everything: bool = False


@dataclass(frozen=True, slots=True)
class Suspend:
    """Put what the field `by` holds on the live list `list` for so many seconds; `name` and `form` as LiveSource."""

    list: str
    name: str
    form: str
    by: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Actions:
    """What a rule does: at most one ending, any edits, at most one exemption, and whom it puts on a list."""

    ending: Ending | None = None
    edits: tuple[Edit, ...] = ()
    exempt: Exempt | None = None
    suspend: Suspend | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """`active:`. Times are POSIX seconds; `days` 0 is Monday; `hours` are minutes since midnight in `tz`."""

    start: float | None = None
    end: float | None = None  # exclusive: `until` (inclusive as written) plus its unit
    days: tuple[int, ...] = ()
    hours: tuple[tuple[int, int], ...] = ()  # [from, to) in minutes; from > to runs over midnight
    tz: str = "UTC"


@dataclass(frozen=True, slots=True)
class Sample:
    """`sample:`. A stable hash of field `by` puts the message into the first `percent` or not."""

    percent: float
    by: str


@dataclass(frozen=True, slots=True)
class Scope:
    """`scope:` narrows whom an unreadable entry can touch; an empty tuple narrows nothing."""

    senders: tuple[str, ...] = ()  # items of an address list
    logins: tuple[str, ...] = ()
    recipient_domains: tuple[str, ...] = ()
    directions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExceptClause:
    """One item of `except:`; it lapses at `end` (POSIX seconds, exclusive)."""

    name: str
    when: Condition
    end: float | None = None
    ticket: str = ""


@dataclass(frozen=True, slots=True)
class Expect:
    """`expect:`. The rule may hit `max_logins` different senders in `per` seconds; beyond that it goes into shadow."""

    max_logins: int
    per: float


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, ready to be judged.

    `inbound` says that the rule names inbound mail (DESIGN section 3, direction); the others do not judge it.
    `when` already holds what `scope` narrows where the entry is DEFERRING. `stale_exempt` says that what it exempts
    rests on a list or a condition of which only the last good version is known; what else it does is certain. `kept` is
    `brake: keep`: it stays where everything is eased. One with `limits` is YES only where the message would exceed one
    of them; where `by_share` is set, its conditions ask `limit.share`, and say that themselves.
    """

    id: str
    when: Condition
    do: Actions
    priority: int = 100
    mode: Mode = Mode.ENFORCE
    state: EntryState = EntryState.ACTIVE
    tags: tuple[str, ...] = ()
    exceptions: tuple[ExceptClause, ...] = ()
    schedule: Schedule | None = None
    sample: Sample | None = None
    on_invalid: OnInvalid = OnInvalid.SKIP
    on_error: OnError = OnError.DEFER
    on_uninspected: OnUninspected = OnUninspected.SKIP
    per_recipient: bool = False
    inbound: bool = False
    description: str = ""
    owner: str = ""
    place: Place = field(default_factory=lambda: Place("", 0, 0))
    digest: str = ""  # sha256 of the entry's text, hex
    stale_exempt: bool = False
    kept: bool = False
    expect: Expect | None = None
    limits: tuple[Limit, ...] = ()
    by_share: bool = False


@dataclass(frozen=True, slots=True)
class ListItem:
    """One normalised item: `key` is what a look-up finds (conditions/members.py); map lists carry values."""

    key: str
    values: tuple[str, ...] = ()
    end: float | None = None  # lapses then (POSIX seconds, exclusive)


@dataclass(frozen=True, slots=True)
class LiveSource:
    """Where the entries of a live list come from, and how they are kept.

    `form` says how they are written: a list type, or `logins` for the map of that name. `max_stale`: seconds after
    which what a list that nobody confirms lets pass is in doubt; 0: never. `allows`: something lets mail pass by it.
    """

    name: str
    form: str
    max_stale: float = 0.0
    allows: bool = False


@dataclass(frozen=True, slots=True)
class MemberListData:
    """One list as loaded. `unavailable` set: it exists but can't be asked, and why.

    `live` set: its entries are not part of the policy; each worker asks a replica of them.
    """

    name: str
    kind: ListKind
    items: tuple[ListItem, ...] = ()
    unavailable: str | None = None
    state: EntryState = EntryState.ACTIVE
    place: Place = field(default_factory=lambda: Place("", 0, 0))
    digest: str = ""
    doubted: tuple[str, ...] = ()  # as MemberList.doubted
    live: LiveSource | None = None


@dataclass(frozen=True, slots=True)
class Conventions:
    """How this site writes names; part of the generation, so that load and judgement agree."""

    default_realm: str = ""  # completes a login without '@'; empty: none
    recipient_delimiter: str = ""  # e.g. '+': addresses are compared without the tag; empty: as they are
