"""One transaction's readings: each field is read at most once, and only if somebody asks.

Promises: values come normalised as conditions/members.py compares them; a field that is absent is an empty Reading, one
that is there but can't be read carries its cause. Never raises on anything a client can send.
This is the hot path: no ipaddress, no header parsing, no decoding unless a rule reads that field. How each field is
read is conditions/readers.py's; what several fields need is kept here.

Numbers with a cause are lower bounds: so much was counted for certain, there may be more. Texts of which the end is
missing are in `cut`: what they contain is certain, how they end is not.
"""

from __future__ import annotations

from copy import copy

from tidegate.conditions.addresses import fold_address
from tidegate.conditions.mailboxes import MAX_ADDRESSES, MAX_BYTES, header_mailboxes
from tidegate.conditions.readers import ABSENT, OWN_DOMAINS, READERS, YES, header_values, outside, wrong_list
from tidegate.conditions.text import fold
from tidegate.model import Cause, Doubt, ListKind, PolicySet, Reading, Recipient, Transaction

# What front/ may call the thing that could not be read, and the fields that fall with it.
_FAMILIES = {"sender.address": "sender", "rcpt.address": "rcpt", "recipients": "rcpt", "headers": "header"}

_COUNTED = frozenset({"rcpt.count", "header.count"})


class Facts:
    """One transaction's readings, made when asked for. `cut` names text fields with their values that lack an end."""

    __slots__ = (
        "_doubts", "_folded", "_headers", "_mailboxes", "_readings", "_recipients",
        "cut", "now", "policies", "transaction",
    )  # fmt: skip
    transaction: Transaction
    policies: PolicySet
    now: float
    cut: dict[str, tuple[str, ...]]

    def __init__(self, transaction: Transaction, policies: PolicySet, now: float) -> None:
        self.transaction = transaction
        self.policies = policies
        self.now = now
        self.cut = {}
        self._readings: dict[str, Reading] = {}
        self._folded: dict[str, tuple[str, ...]] = {}
        self._headers: dict[str, list[bytes]] | None = None
        self._mailboxes: dict[str, tuple[tuple[str, ...], Cause | None]] = {}
        self._recipients: dict[tuple[str, str], Reading] = {}
        message = transaction.message
        rows = transaction.connection.unreadable + transaction.envelope.unreadable
        if message is not None:
            rows += message.unreadable
        self._doubts = {_FAMILIES.get(field, field): why for field, why in rows} if rows else {}

    def holding(self, name: str, reading: Reading) -> Facts:
        """The same transaction where the field `name` reads so: for what one rule alone knows (`limit.share`)."""
        other = copy(self)
        other._readings = {**self._readings, name: reading}
        return other

    @property
    def legible(self) -> bool:
        """Was everything that the client said readable, and are all headers there?"""
        message = self.transaction.message
        return not self._doubts and message is not None and message.complete

    def read(self, name: str) -> Reading:
        """The reading of a field that is not a recipient's. Raises KeyError for a name outside the registry."""
        reading = self._readings.get(name)
        if reading is None:
            reader = READERS.get(name)
            if reader is not None:
                doubt = self.doubt(name) if self._doubts else None
                if doubt is None:
                    reading = reader(self)
                else:  # there may be more of what can't be read, not less of what can
                    reading = Reading(reader(self).values if name in _COUNTED else (), doubt)
            elif name.startswith("header."):
                reading = header_values(self, name, name[7:])
            else:
                raise KeyError(name)
            self._readings[name] = reading
        return reading

    def read_recipient(self, name: str, recipient: Recipient) -> Reading:
        """The reading of `rcpt.address`, `rcpt.domain`, `rcpt.localpart` or `rcpt.external` for one recipient."""
        key = (name, recipient.address)
        reading = self._recipients.get(key)
        if reading is None:
            reading = self._recipients[key] = self._recipient(name, recipient)
        return reading

    def folded(self, name: str) -> tuple[str, ...]:
        """The values of a text field without case."""
        texts = self._folded.get(name)
        if texts is None:
            texts = self._folded[name] = tuple([fold(str(value)) for value in self.read(name).values])
        return texts

    def doubt(self, name: str) -> Cause | None:
        """Why the field `name` could not be read by front/, if it could not."""
        for field, why in self._doubts.items():
            if name == field or name.startswith(f"{field}."):
                return Cause(Doubt.LASTING, f"{name}: {why}")
        return None

    def missing_recipients(self) -> Cause | None:
        """Why there may be recipients that are not in the envelope."""
        return self.doubt("rcpt.address") if self._doubts else None

    def _recipient(self, name: str, recipient: Recipient) -> Reading:
        address = fold_address(recipient.address, self.policies.conventions)
        if not address:
            return Reading((), Cause(Doubt.LASTING, "a recipient address that can't be read"))
        local, at, domain = address.rpartition("@")
        if name == "rcpt.address":
            return Reading((address,))
        if name == "rcpt.localpart":
            return Reading((local if at else address,))
        if name == "rcpt.domain":
            return Reading((domain,)) if at else ABSENT
        if name == "rcpt.external":
            return self.external(domain if at else "")
        raise KeyError(name)

    def external(self, domain: str) -> Reading:
        """Is a folded domain outside `own-domains`? Without that list every domain is."""
        own = self.policies.list(OWN_DOMAINS)
        if own is None:
            return YES
        trouble = wrong_list(own, ListKind.DOMAIN)
        if trouble is not None:
            return Reading((), trouble)
        return outside(own, domain, self.now)

    def headers(self, name: str) -> list[bytes]:
        """The raw values of header `name` (lower case), in order."""
        if self._headers is None:
            found: dict[str, list[bytes]] = {}
            message = self.transaction.message
            for written, value in message.headers if message is not None else ():
                key = written.lower()
                if key in found:
                    found[key].append(value)
                else:
                    found[key] = [value]
            self._headers = found
        return self._headers.get(name, [])

    def header_cause(self, name: str = "") -> Cause | None:
        """Why headers (of that name) may be missing, where they may."""
        message = self.transaction.message
        if message is None:
            return Cause(Doubt.PASSING, "the headers have not come yet")
        doubt = self.doubt(f"header.{name}") if self._doubts else None
        if doubt is None and not message.complete:
            return Cause(Doubt.LASTING, "more headers than are kept")
        return doubt

    def mailboxes(self, header: str) -> tuple[tuple[str, ...], Cause | None]:
        """All mailboxes of all headers of that name, folded, and why there may be others."""
        known = self._mailboxes.get(header)
        if known is None:
            found: dict[str, None] = {}
            cause = self.header_cause(header)
            room = MAX_BYTES
            for raw in self.headers(header):
                if len(found) >= MAX_ADDRESSES or room <= 0:
                    cause = Cause(Doubt.LASTING, f"header.{header}: more than {MAX_ADDRESSES} addresses or 64 KiB")
                    break
                addresses, trouble = header_mailboxes(raw)
                room -= len(raw)
                for address in addresses:
                    found[fold_address(address, self.policies.conventions)] = None
                if trouble:
                    cause = Cause(Doubt.LASTING, f"header.{header}: {trouble}")
            known = self._mailboxes[header] = (tuple(found), cause)
        return known
