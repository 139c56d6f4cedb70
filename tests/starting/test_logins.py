"""Postfix's sender_login_maps turned round: which address each login may use."""

from __future__ import annotations

import pytest

from tidegate.starting import turned

BOTH = {"alice": ("sales@example.com",), "bob": ("sales@example.com",)}
PAIRS = {
    "an-address": ([("Sales@Example.com", "alice")], {"alice": ("sales@example.com",)}),
    "two-logins": (
        [("sales@example.com", "alice, bob")],
        BOTH,
    ),
    "blanks-separate": (
        [("sales@example.com", "alice bob")],
        BOTH,
    ),
    "a-domain": ([("@example.com", "carol")], {"carol": ("@example.com",)}),
    "a-bare-name": ([("info", "alice")], {"alice": ("info@example.com", "info@example.org")}),
    "two-addresses": (
        [("b@example.com", "alice"), ("a@example.com", "alice")],
        {"alice": ("a@example.com", "b@example.com")},
    ),
    "nobody": ([("a@example.com", " ")], {}),
    "no-key": ([("", "alice")], {}),
}


@pytest.mark.parametrize("name", PAIRS)
def test_each_login_has_what_any_key_gives_it(name: str) -> None:
    """A bare name counts in the own domains that are names themselves, not below them."""
    pairs, expected = PAIRS[name]
    assert dict(turned(pairs, ("example.com", ".example.com", "example.org")).grants) == expected


def test_an_address_that_somebody_elses_domain_covers_is_counted() -> None:
    """In Postfix the address is decided by its own key alone; here the domain's login may use it too."""
    pairs = [("@example.com", "carol"), ("sales@example.com", "alice"), ("carol@example.com", "carol")]
    assert turned(pairs, ()).wider == 1
