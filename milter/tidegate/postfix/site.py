"""What Postfix knows of a site that a first policy needs: its domains, its networks, and whose address is whose.

Promises: what is written in main.cf is proposed, and what stands in a table that can be listed; what can't be read is
told, and proposed to nobody. Source: postconf(5).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tidegate.postfix.instance import Instance, UnreadableError
from tidegate.postfix.relays import here
from tidegate.postfix.tables import pairs_of

_DOMAINS = ("mydestination", "virtual_mailbox_domains", "virtual_alias_domains", "relay_domains")
_NAME = re.compile(r"\.?[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+")
_NEVER = re.compile(r"localhost(?:\..*)?|.*\.local(?:domain)?")
_LOGIN_MAPS = "smtpd_sender_login_maps"
_MOST = 1000  # domains that are proposed


@dataclass(frozen=True, slots=True)
class PostfixSite:
    """Proposals, and what could not be read."""

    domains: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    owners: tuple[tuple[str, str], ...] = ()  # of smtpd_sender_login_maps: address and logins
    unread: tuple[str, ...] = ()


def site_of(instance: Instance) -> PostfixSite:
    """What this instance says of its site."""
    unread: list[str] = []
    host = instance.values.get("myhostname", "").lower()
    domains: dict[str, None] = {}
    for name in _DOMAINS:
        for word in _words(instance.values.get(name, "")):
            for domain in _names(word, instance, unread):
                if _NAME.fullmatch(domain) and not _NEVER.fullmatch(domain) and domain != host:
                    domains[domain] = None
    mine = instance.values.get("mydomain", "").lower()
    if not domains and _NAME.fullmatch(mine) and not _NEVER.fullmatch(mine):
        domains[mine] = None
    if len(domains) > _MOST:
        unread.append(f"of {len(domains)} domains only the first {_MOST} are proposed")
    networks = [word for word in _words(instance.values.get("mynetworks", "")) if ":/" not in word and not here(word)]
    return PostfixSite(
        tuple(domains)[:_MOST],
        tuple(word.replace("[", "").replace("]", "") for word in networks),
        _owners(instance, unread),
        tuple(dict.fromkeys(unread)),
    )


def _names(word: str, instance: Instance, unread: list[str]) -> list[str]:
    """The domains of one word: itself, or the keys of the table that it names."""
    if ":" not in word:
        return [word.lower()]
    try:
        return [key.lower() for key, _ in pairs_of(word, instance.directory)]
    except UnreadableError as error:
        unread.append(str(error))
        return []


def _owners(instance: Instance, unread: list[str]) -> tuple[tuple[str, str], ...]:
    tables = {_LOGIN_MAPS: instance.values.get(_LOGIN_MAPS, "")}
    tables |= {one.key: one.overrides[_LOGIN_MAPS] for one in instance.services if _LOGIN_MAPS in one.overrides}
    found: dict[tuple[str, str], None] = {}
    for word in dict.fromkeys(word for text in tables.values() for word in _words(text)):
        try:
            found |= dict.fromkeys(pairs_of(word, instance.directory))
        except UnreadableError as error:
            unread.append(str(error))
    return tuple(found)


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[,\s]+", text) if word and not word.startswith(("!", "$"))]
