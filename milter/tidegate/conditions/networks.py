"""The network by which a client counts: one answer for conditions, brake, canary and breaker."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address


@lru_cache(maxsize=4096)
def client_network(client: str) -> str:
    """The /24 or /64 of an address (DESIGN section 3, client.net); an IPv4 address in IPv6's notation is IPv4.

    What is no address is its own network.
    """
    try:
        address = ip_address(client)
    except ValueError:
        return client
    if isinstance(address, IPv6Address):
        plain = IPv6Address(int(address))  # without a zone (RFC 4007 section 11)
        if plain.ipv4_mapped is None:
            return f"{IPv6Address(int(plain) >> 64 << 64)}/64"
        address = plain.ipv4_mapped
    return f"{str(address).rpartition('.')[0]}.0/24"
