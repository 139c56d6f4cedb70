"""How each field is read from a transaction: one function for each row of conditions/fields.py.

Promises: never raises on anything a client can send, and asks only for what its field needs. Refuses to remember
anything: conditions/facts.py keeps what was read.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from tidegate.conditions.addresses import fold_address, fold_domain, fold_login
from tidegate.conditions.asking import Asked
from tidegate.conditions.headers import header_text
from tidegate.conditions.members import QUAD, glob_matches, grant_keys, is_glob
from tidegate.conditions.networks import client_network
from tidegate.model import Cause, Direction, Doubt, ListKind, MemberList, Reading, Recipient

ABSENT = Reading()
NOT_COUNTED = Cause(Doubt.PASSING, "limit.share: no limit has been asked")
"""Until the limits of a rule are asked (engine/metering.py), nobody knows."""
YES, NO = Reading((True,)), Reading((False,))

OWN_DOMAINS, RELAY_NETWORKS, LOGINS = "own-domains", "relay-networks", "logins"
MAILBOX_HEADERS = ("from", "sender", "reply-to")
MAX_HEADER_BYTES = 1 << 20
"""Bytes read of all headers of one name together."""


def wrong_list(known: MemberList, kind: ListKind) -> Cause | None:
    """Why a list that has a meaning of its own can't be asked."""
    if known.kind is not kind:
        return Cause(Doubt.PASSING, f"list {known.name} is not of type {kind.value}")
    return known.cause


def _text(value: str) -> Reading:
    return Reading((value,)) if value else ABSENT


def _login(facts: Asked) -> Reading:
    return _text(fold_login(facts.transaction.envelope.login, facts.policies.conventions))


def directions(facts: Asked) -> tuple[tuple[Direction, ...], Cause | None]:
    """Every direction that the message may have, and why there is more than one."""
    connection, envelope = facts.transaction.connection, facts.transaction.envelope
    if connection.local:
        return (Direction.LOCAL,), None
    relayed, cause = _relayed(facts)
    if relayed == (False,):
        return (Direction.INBOUND,), None
    found, inner = _outward(facts, envelope.recipients)
    if cause is not None:
        return (*found, Direction.INBOUND), cause
    return found, inner


def _relayed(facts: Asked) -> tuple[tuple[bool, ...], Cause | None]:
    """May the client send outward: by a login, or from `relay-networks`? Both answers where that can't be known."""
    login = facts.read("login")
    if login.values or (login.cause is not None and facts.transaction.envelope.auth_type):
        return (True,), None
    client, networks = facts.read("client.ip"), facts.policies.list(RELAY_NETWORKS)
    cause = login.cause
    if networks is not None and (client.values or client.cause is not None):
        trouble = wrong_list(networks, ListKind.IP) or client.cause
        if trouble is None and networks.find(str(client.values[0]), facts.now) is not None:
            return (True,), None
        cause = cause or trouble
    return ((False,), None) if cause is None else ((True, False), cause)


def _outward(facts: Asked, recipients: tuple[Recipient, ...]) -> tuple[tuple[Direction, ...], Cause | None]:
    """Outbound or internal, by the recipients so far; before there are any, outbound."""
    cause = facts.missing_recipients()
    for recipient in recipients:
        external = facts.read_recipient("rcpt.external", recipient)
        if external.values == (True,):
            return (Direction.OUTBOUND,), None
        cause = cause or external.cause
    if cause is not None:
        return (Direction.OUTBOUND, Direction.INTERNAL), cause
    return (Direction.INTERNAL if recipients else Direction.OUTBOUND,), None


def _direction(facts: Asked) -> Reading:
    found, cause = directions(facts)
    return Reading((found[0].value,)) if len(found) == 1 else Reading((), cause)


def _client_ip(facts: Asked) -> Reading:
    text = facts.transaction.connection.client_ip
    if not text:
        return ABSENT
    if QUAD.match(text):
        return Reading((text,))
    try:
        address = ipaddress.IPv6Address(text[5:] if text[:5].lower() == "ipv6:" else text)
    except ValueError:
        return Reading((), Cause(Doubt.LASTING, "client.ip is not an address"))
    plain = ipaddress.IPv6Address(int(address))  # without a zone (RFC 4007 section 11)
    return Reading((str(plain.ipv4_mapped or plain),))


def _client_net(facts: Asked) -> Reading:
    client = facts.read("client.ip")
    if not client.values:
        return client
    return Reading((client_network(str(client.values[0])),))


def _client_name(facts: Asked) -> Reading:
    """Postfix says `unknown`, or the address in brackets, for a client without a verified name."""
    name = facts.transaction.connection.client_name
    return ABSENT if not name or name == "unknown" or name.startswith("[") else Reading((fold_domain(name),))


def _sender_address(facts: Asked) -> Reading:
    sender = facts.transaction.envelope.sender
    return _text(fold_address(sender, facts.policies.conventions)) if sender else ABSENT


def _sender_part(part: int) -> Callable[[Asked], Reading]:
    def read(facts: Asked) -> Reading:
        address = facts.read("sender.address")
        if not address.values:
            return address
        parts = str(address.values[0]).rpartition("@")
        if parts[1]:
            return Reading((parts[part],))
        return address if part == 0 else ABSENT  # no @: all of it is a localpart

    return read


def _aligned(facts: Asked, addresses: tuple[str, ...], cause: Cause | None) -> Reading:
    """DESIGN section 3: YES only if every mailbox is covered by the map, NO if a readable one is not.

    Without a login there is nothing to align with: absent. A login that the map does not know may use nothing.
    """
    login = facts.read("login")
    if not login.values:
        return login
    logins = facts.policies.list(LOGINS)
    if logins is None:
        return Reading((), Cause(Doubt.PASSING, f"list {LOGINS} is not loaded"))
    trouble = wrong_list(logins, ListKind.MAP)
    if trouble is not None:
        return Reading((), trouble)
    name = str(login.values[0])
    known = logins.values(name, facts.now)
    covered = all(_granted(address, known or ()) for address in addresses)
    doubted = name in logins.doubted or ("" in logins.doubted and (logins.stale or known is None))
    if doubted and covered is logins.stale:
        # A last good map may only refuse for certain; where a line was skipped, nobody knows what it allowed.
        return Reading((), doubt_of(logins))
    if not covered:
        return NO
    return Reading((), cause) if cause is not None else YES


def doubt_of(known: MemberList) -> Cause:
    """Why such a list can't be trusted in what it says (MemberList.doubted)."""
    why = "is only known as it last was" if known.stale else "has a line that can't be used"
    return Cause(Doubt.PASSING, f"list {known.name} {why}")


def outside(own: MemberList, domain: str, now: float) -> Reading:
    """Is the domain in none of those of the list `own-domains`?"""
    found = own.find(domain, now) if domain else None
    if found is None:
        return YES
    return Reading((), doubt_of(own)) if own.stale and (found in own.doubted or "" in own.doubted) else NO


def _granted(address: str, allowed: tuple[str, ...]) -> bool:
    if address in allowed:
        return True
    if any(key in allowed for key in grant_keys(address)):
        return True
    domain = address.rpartition("@")[2]
    return any(glob_matches(grant, address if "@" in grant else domain) for grant in allowed if is_glob(grant))


def _sender_aligned(facts: Asked) -> Reading:
    login = facts.read("login")
    if not login.values:
        return login
    if not facts.transaction.envelope.sender:
        return YES
    address = facts.read("sender.address")
    return _aligned(facts, tuple([str(value) for value in address.values]), address.cause)


def _mailbox(header: str, part: str) -> Callable[[Asked], Reading]:
    def read(facts: Asked) -> Reading:
        addresses, cause = facts.mailboxes(header)
        if part == "address":
            return Reading(addresses, cause)
        if part == "domain":
            return Reading(tuple(dict.fromkeys([address.rpartition("@")[2] for address in addresses])), cause)
        return _aligned(facts, addresses, cause) if addresses or cause is not None else ABSENT

    return read


def _disclosed(external: bool) -> Callable[[Asked], Reading]:
    def read(facts: Asked) -> Reading:
        seen, cause = facts.mailboxes("to")
        more, other = facts.mailboxes("cc")
        cause = cause or other
        together = dict.fromkeys((*seen, *more)) if more else dict.fromkeys(seen)
        if not external:
            return Reading((len(together),), cause)
        count = 0
        known: dict[str, Reading] = {}
        for address in together:
            domain = address.rpartition("@")[2]
            outside = known.get(domain)
            if outside is None:
                outside = known[domain] = facts.external(domain)
            count += outside.values == (True,)
            cause = cause or outside.cause
        return Reading((count,), cause)

    return read


def header_values(facts: Asked, field: str, name: str) -> Reading:
    """The decoded values of header `name`, as the reading of `field`."""
    values: list[str] = []
    cause = facts.header_cause(name)
    room = MAX_HEADER_BYTES
    for raw in facts.headers(name):
        if room <= 0:
            cause = Cause(Doubt.LASTING, f"header.{name}: more than {MAX_HEADER_BYTES >> 20} MiB")
            break
        text, whole = header_text(raw)
        room -= len(raw)
        values.append(text)
        if not whole:
            cause = Cause(Doubt.LASTING, f"header.{name} is longer than is read")
            facts.cut[field] = (*facts.cut.get(field, ()), text)
    return Reading(tuple(values), cause) if values or cause is not None else ABSENT


def _size(facts: Asked) -> Reading:
    message = facts.transaction.message
    return Reading((message.size,)) if message is not None else Reading((), facts.header_cause())


def _header_count(facts: Asked) -> Reading:
    message = facts.transaction.message
    return Reading((len(message.headers),) if message is not None else (), facts.header_cause())


READERS: dict[str, Callable[[Asked], Reading]] = {
    "direction": _direction,
    "client.ip": _client_ip,
    "client.net": _client_net,
    "client.name": _client_name,
    "client.helo": lambda facts: _text(facts.transaction.connection.helo),
    "login": _login,
    "auth.type": lambda facts: _text(facts.transaction.envelope.auth_type),
    "daemon.name": lambda facts: _text(facts.transaction.connection.daemon_name),
    "tls.version": lambda facts: _text(facts.transaction.connection.tls_version),
    "tls.cipher": lambda facts: _text(facts.transaction.connection.tls_cipher),
    "sender.address": _sender_address,
    "sender.domain": _sender_part(2),
    "sender.localpart": _sender_part(0),
    "sender.null": lambda facts: NO if facts.transaction.envelope.sender else YES,
    "sender.aligned": _sender_aligned,
    "rcpt.count": lambda facts: Reading((len(facts.transaction.envelope.recipients),)),
    "subject": lambda facts: header_values(facts, "subject", "subject"),
    "disclosed.count": _disclosed(external=False),
    "disclosed.external_count": _disclosed(external=True),
    "message.size": _size,
    "header.count": _header_count,
    "limit.share": lambda _facts: Reading((), NOT_COUNTED),
} | {
    f"header.{header}.{part}": _mailbox(header, part)
    for header in MAILBOX_HEADERS
    for part in ("address", "domain", "aligned")
}
