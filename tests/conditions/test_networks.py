"""conditions/networks.py: one network for all addresses of it, however they are written."""

from __future__ import annotations

import pytest

from tidegate.conditions.networks import client_network


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("192.0.2.9", "192.0.2.0/24"),
        ("2001:db8::1:2", "2001:db8::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8::1", "2001:db8::/64"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unknown", "unknown"),
    ],
    ids=["v4", "v4 too", "v6", "v6, its first", "v6, short", "v4 in v6", "a zone", "none", "junk"],
)
def test_networks(client: str, expected: str) -> None:
    """Who has no login counts as its network."""
    assert expected == client_network(client)
