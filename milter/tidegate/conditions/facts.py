"""What the fields hold in one transaction: each is read at most once, and only if somebody asks.

Promises: values come normalised as conditions/members.py compares them; a field that is absent is an empty Reading, one
that is there but can't be read carries its cause. Never raises on anything a client can send.
This is the hot path: no ipaddress, no header parsing, no decoding unless a rule reads that field.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from tidegate.conditions.addresses import MAX_ADDRESSES, fold_address, fold_domain, header_mailboxes
from tidegate.conditions.headers import header_text
from tidegate.conditions.members import lookup_keys
from tidegate.conditions.text import fold
from tidegate.model import Cause, Direction, Doubt, ListKind, MemberList, PolicySet, Reading, Recipient, Transaction

ABSENT = Reading()
_YES, _NO = Reading((True,)), Reading((False,))

OWN_DOMAINS, RELAY_NETWORKS, LOGINS = "own-domains", "relay-networks", "logins"
_MAILBOX_HEADERS = ("from", "sender", "reply-to")


class Facts:
    """One transaction's readings, made when asked for."""

    __slots__ = ("_folded", "_headers", "_mailboxes", "_readings", "_recipients", "now", "policies", "transaction")

    def __init__(self, transaction: Transaction, policies: PolicySet, now: float) -> None:
        self.transaction = transaction
        self.policies = policies
        self.now = now
        self._readings: dict[str, Reading] = {}
        self._folded: dict[str, tuple[str, ...]] = {}
        self._headers: dict[str, list[bytes]] | None = None
        self._mailboxes: dict[str, tuple[tuple[str, ...], Cause | None]] = {}
        self._recipients: dict[tuple[str, str], Reading] = {}

    def read(self, name: str) -> Reading:
        """The reading of a field that is not a recipient's. Raises KeyError for a name outside the registry."""
        reading = self._readings.get(name)
        if reading is None:
            reader = _READERS.get(name)
            if reader is not None:
                reading = self._unreadable(name) or reader(self)
            elif name.startswith("header."):
                reading = _header(self, name[7:])
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
            texts = self._folded[name] = tuple(fold(str(value)) for value in self.read(name).values)
        return texts

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
            return _YES
        if own.cause is not None:
            return Reading((), own.cause)
        return _NO if domain and own.find(domain, self.now) is not None else _YES

    def headers(self, name: str) -> list[bytes]:
        """The raw values of header `name` (lower case), in order."""
        if self._headers is None:
            found: dict[str, list[bytes]] = {}
            message = self.transaction.message
            for key, value in message.headers if message is not None else ():
                found.setdefault(key.lower(), []).append(value)
            self._headers = found
        return self._headers.get(name, [])

    def header_cause(self) -> Cause | None:
        """Why headers may be missing, where they may."""
        message = self.transaction.message
        if message is None:
            return Cause(Doubt.PASSING, "the headers have not come yet")
        return None if message.complete else Cause(Doubt.LASTING, "more headers than are kept")

    def mailboxes(self, header: str) -> tuple[tuple[str, ...], Cause | None]:
        """All mailboxes of all headers of that name, folded, and why there may be others."""
        known = self._mailboxes.get(header)
        if known is None:
            found: list[str] = []
            cause = self.header_cause()
            for raw in self.headers(header):
                addresses, trouble = header_mailboxes(raw)
                found += [fold_address(address, self.policies.conventions) for address in addresses]
                if trouble:
                    cause = Cause(Doubt.LASTING, f"{header}: {trouble}")
                if len(found) > MAX_ADDRESSES:
                    cause = Cause(Doubt.LASTING, f"{header}: more than {MAX_ADDRESSES} addresses")
                    break
            known = self._mailboxes[header] = (tuple(dict.fromkeys(found)), cause)
        return known

    def _unreadable(self, name: str) -> Reading | None:
        transaction = self.transaction
        message = transaction.message
        for rows in (
            transaction.connection.unreadable,
            transaction.envelope.unreadable,
            message.unreadable if message is not None else (),
        ):
            for field, why in rows:
                if name == field or name.startswith(f"{field}."):
                    return Reading((), Cause(Doubt.LASTING, f"{name}: {why}"))
        return None


def _text(value: str) -> Reading:
    return Reading((value,)) if value else ABSENT


def _direction(facts: Facts) -> Reading:
    connection, envelope = facts.transaction.connection, facts.transaction.envelope
    if connection.local:
        return Reading((Direction.LOCAL.value,))
    if not envelope.login:
        networks = facts.policies.list(RELAY_NETWORKS)
        client = facts.read("client.ip")
        if networks is None or not client.values:
            return Reading((Direction.INBOUND.value,), client.cause if networks is not None else None)
        if networks.cause is not None:
            return Reading((), networks.cause)
        if networks.find(str(client.values[0]), facts.now) is None:
            return Reading((Direction.INBOUND.value,))
    for recipient in envelope.recipients:
        external = facts.read_recipient("rcpt.external", recipient)
        if external.cause is not None:
            return Reading((), external.cause)
        if external.values == (True,):
            return Reading((Direction.OUTBOUND.value,))
    return Reading((Direction.INTERNAL.value if envelope.recipients else Direction.OUTBOUND.value,))


def _client_ip(facts: Facts) -> Reading:
    text = facts.transaction.connection.client_ip
    if not text or ":" not in text:
        return _text(text)
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return Reading((), Cause(Doubt.LASTING, "client.ip is not an address"))
    return Reading((str(address.ipv4_mapped or address),))


def _client_net(facts: Facts) -> Reading:
    client = facts.read("client.ip")
    if not client.values:
        return client
    address = str(client.values[0])
    if ":" not in address:
        return Reading((f"{address.rpartition('.')[0]}.0/24",))
    return Reading((str(ipaddress.ip_network(f"{address}/64", strict=False)),))


def _client_name(facts: Facts) -> Reading:
    """Postfix says `unknown`, or the address in brackets, for a client without a verified name."""
    name = facts.transaction.connection.client_name
    return ABSENT if not name or name == "unknown" or name.startswith("[") else Reading((fold_domain(name),))


def _sender(part: str) -> Callable[[Facts], Reading]:
    def read(facts: Facts) -> Reading:
        sender = facts.transaction.envelope.sender
        if not sender:
            return ABSENT
        address = fold_address(sender, facts.policies.conventions)
        local, at, domain = address.rpartition("@")
        if part == "address":
            return Reading((address,))
        if part == "domain":
            return Reading((domain,)) if at else ABSENT
        return Reading((local if at else address,))

    return read


def _aligned(facts: Facts, addresses: tuple[str, ...], cause: Cause | None) -> Reading:
    """DESIGN section 3: YES only if every mailbox is covered by the map, NO if a readable one is not."""
    login = facts.transaction.envelope.login
    if not login:
        return ABSENT
    logins: MemberList | None = facts.policies.list(LOGINS)
    if logins is None or logins.kind is not ListKind.MAP:
        return Reading((), Cause(Doubt.PASSING, "there is no map `logins`"))
    if logins.cause is not None:
        return Reading((), logins.cause)
    allowed = logins.values(login, facts.now) or ()
    for address in addresses:
        if not any(key in allowed for key in lookup_keys(ListKind.ADDRESS, address)):
            return _NO
    return Reading((), cause) if cause is not None else _YES


def _sender_aligned(facts: Facts) -> Reading:
    address = facts.read("sender.address")
    if not facts.transaction.envelope.sender:
        return _YES if facts.transaction.envelope.login else ABSENT
    return _aligned(facts, tuple(str(value) for value in address.values), address.cause)


def _mailbox(header: str, part: str) -> Callable[[Facts], Reading]:
    def read(facts: Facts) -> Reading:
        addresses, cause = facts.mailboxes(header)
        if part == "address":
            return Reading(addresses, cause)
        if part == "domain":
            return Reading(tuple(dict.fromkeys(address.rpartition("@")[2] for address in addresses)), cause)
        return _aligned(facts, addresses, cause) if addresses or cause is not None else ABSENT

    return read


def _disclosed(external: bool) -> Callable[[Facts], Reading]:
    def read(facts: Facts) -> Reading:
        seen: set[str] = set()
        cause = None
        for header in ("to", "cc"):
            addresses, doubt = facts.mailboxes(header)
            seen.update(addresses)
            cause = cause or doubt
        count = len(seen)
        if external:
            outside = [facts.external(address.rpartition("@")[2]) for address in seen]
            cause = next((reading.cause for reading in outside if reading.cause is not None), cause)
            count = sum(reading.values == (True,) for reading in outside)
        # A count of which a part can't be read is no count: comparing what was read would be a guess.
        return Reading((count,)) if cause is None else Reading((), cause)

    return read


def _header(facts: Facts, name: str) -> Reading:
    values = []
    cause = facts.header_cause()
    for raw in facts.headers(name):
        text, whole = header_text(raw)
        values.append(text)
        if not whole:
            cause = Cause(Doubt.LASTING, f"header.{name} is longer than is read")
    return Reading(tuple(values), cause) if values or cause is not None else ABSENT


def _size(facts: Facts) -> Reading:
    message = facts.transaction.message
    return Reading((message.size,)) if message is not None else Reading((), facts.header_cause())


def _header_count(facts: Facts) -> Reading:
    message = facts.transaction.message
    cause = facts.header_cause()
    return Reading((len(message.headers),), cause) if message is not None else Reading((), cause)


_READERS: dict[str, Callable[[Facts], Reading]] = {
    "direction": _direction,
    "client.ip": _client_ip,
    "client.net": _client_net,
    "client.name": _client_name,
    "client.helo": lambda facts: _text(facts.transaction.connection.helo),
    "login": lambda facts: _text(facts.transaction.envelope.login),
    "auth.type": lambda facts: _text(facts.transaction.envelope.auth_type),
    "daemon.name": lambda facts: _text(facts.transaction.connection.daemon_name),
    "tls.version": lambda facts: _text(facts.transaction.connection.tls_version),
    "tls.cipher": lambda facts: _text(facts.transaction.connection.tls_cipher),
    "sender.address": _sender("address"),
    "sender.domain": _sender("domain"),
    "sender.localpart": _sender("localpart"),
    "sender.null": lambda facts: _NO if facts.transaction.envelope.sender else _YES,
    "sender.aligned": _sender_aligned,
    "rcpt.count": lambda facts: Reading((len(facts.transaction.envelope.recipients),)),
    "subject": lambda facts: _header(facts, "subject"),
    "disclosed.count": _disclosed(external=False),
    "disclosed.external_count": _disclosed(external=True),
    "message.size": _size,
    "header.count": _header_count,
} | {
    f"header.{header}.{part}": _mailbox(header, part)
    for header in _MAILBOX_HEADERS
    for part in ("address", "domain", "aligned")
}
