"""Postfix's smtpd_sender_login_maps, turned round: it says who may use an address, `logins` what a login may use.

Source: postconf(5), smtpd_sender_login_maps. A key is `user@domain`, `user` (in the site's own domains) or `@domain`;
its value are logins, separated by commas or blanks. The first of these keys that is there decides there; here a login
has what any key gives it. So a login that owns `@example.com` may use an address of that domain that another login
owns alone: such addresses are counted, and told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_SEPARATORS = re.compile(r"[,\s]+")


@dataclass(frozen=True, slots=True)
class Turned:
    """Logins with what each may use, sorted. `wider` addresses are one login's, and of another login's domain."""

    grants: tuple[tuple[str, tuple[str, ...]], ...] = ()
    wider: int = 0


def turned(pairs: Iterable[tuple[str, str]], own_domains: Sequence[str]) -> Turned:
    """The map of `pairs` (key, value) as Postfix has them."""
    grants: dict[str, dict[str, None]] = {}
    owners: dict[str, set[str]] = {}
    for key, value in pairs:
        logins = [one for one in _SEPARATORS.split(value.strip().lower()) if one]
        for address in _addresses(key.strip().lower(), own_domains):
            owners.setdefault(address, set()).update(logins)
            for login in logins:
                grants.setdefault(login, {})[address] = None
    wider = sum(
        bool(owners.get(f"@{address.rpartition('@')[2]}", set()) - logins)
        for address, logins in owners.items()
        if not address.startswith("@")
    )
    return Turned(tuple((login, tuple(sorted(grants[login]))) for login in sorted(grants)), wider)


def _addresses(key: str, own_domains: Sequence[str]) -> list[str]:
    if "@" in key:
        return [key]
    return [f"{key}@{domain}" for domain in own_domains if not domain.startswith(".")] if key else []
