"""The enumerations: what a rule, a condition or a verdict can be.

Every name here is the field's standard term (Postfix manual, RFC 5321, RFC 5322) or is defined in
docs/words.md. The numbers carry meaning where the docstring says so; the values of the others are
what an admin reads and writes.
"""

from __future__ import annotations

from enum import Enum, IntEnum


class Truth(IntEnum):
    """Kleene's three values: `all` is the minimum, `any` the maximum, `not` is 2 minus the value."""

    NO = 0
    UNKNOWN = 1
    YES = 2


class Doubt(Enum):
    """Why a condition is UNKNOWN: `PASSING` (a retry may cure it) or `LASTING` (a retry can't)."""

    PASSING = "passing"
    LASTING = "lasting"


class Disposition(IntEnum):
    """What becomes of the message; the larger number is the stricter one and wins."""

    ACCEPT = 0
    DISCARD = 1
    HOLD = 2
    DEFER = 3
    REJECT = 4


class Direction(str, Enum):
    """Which way a message goes; `LOCAL` was submitted by sendmail(1), not by SMTP."""

    LOCAL = "local"
    OUTBOUND = "outbound"
    INTERNAL = "internal"
    INBOUND = "inbound"


class Stage(IntEnum):
    """The SMTP stage from which on a field is known."""

    CONNECT = 0
    HELO = 1
    MAIL = 2
    RCPT = 3
    DATA = 4
    HEADERS = 5
    BODY = 6


class Mode(str, Enum):
    """`SHADOW` is evaluated and logged without effect; `OFF` is not evaluated."""

    ENFORCE = "enforce"
    SHADOW = "shadow"
    OFF = "off"


class OnInvalid(str, Enum):
    """What an entry that was never valid does to the mail whose fate depends on it."""

    SKIP = "skip"
    DEFER = "defer"


class OnError(str, Enum):
    """What a doubt that will pass (store, list, deadline) does."""

    SKIP = "skip"
    DEFER = "defer"


class OnUninspected(str, Enum):
    """What a doubt that a retry can't cure does."""

    SKIP = "skip"
    HOLD = "hold"
    REJECT = "reject"
    DEFER = "defer"


class OnStoreDown(str, Enum):
    """What a limit does while its store can't be asked: go on from the last known count, be in doubt, or not apply."""

    LOCAL = "local"
    DEFER = "defer"
    OPEN = "open"


class EntryState(str, Enum):
    """The state of one entry of the policy in the generation in force (DESIGN section 5)."""

    ACTIVE = "active"
    STALE = "stale"
    SKIPPED = "skipped"
    DEFERRING = "deferring"
    TRIPPED = "tripped"
    SHADOW = "shadow"
    OFF = "off"
    EXPIRED = "expired"


class EntryKind(str, Enum):
    """The three sections of a policy file."""

    RULE = "rule"
    LIST = "list"
    CONDITION = "condition"


class Severity(IntEnum):
    """`ERROR`: the entry is not in force as written. `WARNING`: it is, and somebody should look. `NOTICE`: no alert.

    Of alerts alone: `CRITICAL`, somebody is needed now; `EMERGENCY`, and has been for long.
    """

    NOTICE = 0
    WARNING = 1
    ERROR = 2
    CRITICAL = 3
    EMERGENCY = 4


class ListKind(str, Enum):
    """The types of lists, which decide how an item is written and how a value is looked up."""

    ADDRESS = "address"
    DOMAIN = "domain"
    LOGIN = "login"
    IP = "ip"
    STRING = "string"
    REGEX = "regex"
    MAP = "map"


class FieldType(str, Enum):
    """The type of a field's values; it decides which operators and list types fit."""

    TEXT = "text"
    ADDRESS = "address"
    DOMAIN = "domain"
    LOGIN = "login"
    IP = "ip"
    NUMBER = "number"
    BOOLEAN = "boolean"


class Operator(str, Enum):
    """The operators of a test. `ONE_OF` is a value or a list of values standing alone."""

    ONE_OF = "one_of"
    IN = "in"
    CONTAINS = "contains"
    PREFIX = "prefix"
    SUFFIX = "suffix"
    GLOB = "glob"
    MATCHES = "matches"
    GT = "gt"
    GE = "ge"
    LT = "lt"
    LE = "le"
    EXISTS = "exists"


class Quantifier(str, Enum):
    """How the tests on a recipient are counted over all of them."""

    ANY = "any_rcpt"
    ALL = "all_rcpt"
    NO = "no_rcpt"
