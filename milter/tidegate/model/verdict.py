"""The one result of a judgement: disposition, reply, edits, the trail that explains them, and what failed."""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.model.condition import Cause
from tidegate.model.limit import LimitUse
from tidegate.model.restraint import Easing
from tidegate.model.words import Disposition, Truth


@dataclass(frozen=True, slots=True)
class Reply:
    """An SMTP reply. The constructor insists that code and enhanced code are of one class, 4 or 5.

    Text is one line of printable ASCII, at most 400 characters; `%` is not doubled here (front/answer.py does).
    Raises ValueError for anything else: only a bug of ours gets there.
    """

    code: int
    enhanced: str
    text: str

    def __post_init__(self) -> None:
        first = self.code // 100
        if first not in (4, 5) or not self.enhanced.startswith(f"{first}."):
            raise ValueError(f"reply classes differ: {self.code} {self.enhanced}")
        if len(self.text) > 400 or not self.text.isascii() or not self.text.isprintable():
            raise ValueError("reply text is not one line of at most 400 printable ASCII characters")

    def __str__(self) -> str:
        return f"{self.code} {self.enhanced} {self.text}"


@dataclass(frozen=True, slots=True)
class HeaderChange:
    """All that happens to one header name: remove what is there (`replace`), then append `values` in order."""

    name: str
    values: tuple[str, ...] = ()
    replace: bool = False
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Changes:
    """The edits that count, already settled between rules (DESIGN section 4: algebra, not a sequence)."""

    remove_recipients: tuple[str, ...] = ()  # addresses as in Recipient.address
    add_recipients: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    headers: tuple[HeaderChange, ...] = ()
    sender: str | None = None  # new envelope sender; "" is the null sender
    removed_by: tuple[str, ...] = ()  # the rules that take recipients away, or redirect them, where any are

    def __bool__(self) -> bool:
        return bool(
            self.remove_recipients or self.add_recipients or self.bcc or self.headers or self.sender is not None
        )


@dataclass(frozen=True, slots=True)
class Mark:
    """One rule in the trail: how it came out, on what, and why it did not count where it did not."""

    rule: str
    truth: Truth
    hit: str = ""  # list entry, header, counter; masked by observe/ where the settings say so
    cause: Cause | None = None
    shadow: bool = False
    exempted_by: str = ""  # the exempt that silenced it
    lost_to: str = ""  # the rule that won against it (stricter, or lower priority number)
    would: Disposition | None = None  # of the message, were this rule in shadow the only one of them in force
    eased: Easing | None = None  # by a restraint: it counted for less than it says, or was not asked


@dataclass(frozen=True, slots=True)
class Fault:
    """A failure of ours over one rule ("": over the search for the rules); never its text, which may hold content."""

    rule: str
    kind: str  # the exception's class
    place: str  # the innermost lines of code: `readers.py:88 read`


@dataclass(frozen=True, slots=True)
class Suspension:
    """A rule puts somebody on a live list (Suspend); `shadow`: it only would."""

    rule: str
    list: str
    name: str
    form: str
    who: str
    seconds: float
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happens to the message, and why.

    `rule` gave the reply or the disposition ("" : none did). `certain` is False where the bracket could not decide;
    then the disposition is DEFER (or what `on_uninspected` says) and never REJECT.
    """

    disposition: Disposition
    reply: Reply | None = None
    reason: str = ""  # for the hold queue and the log
    changes: Changes = Changes()
    rule: str = ""
    certain: bool = True
    trail: tuple[Mark, ...] = ()
    would: Disposition | None = None  # with all shadow rules enforced, where that differs
    generation: int = 0
    digest: str = ""
    faults: tuple[Fault, ...] = ()  # each cost its rule an UNKNOWN
    limits: tuple[LimitUse, ...] = ()  # that were asked
    suspensions: tuple[Suspension, ...] = ()
