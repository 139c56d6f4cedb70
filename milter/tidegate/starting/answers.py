"""What has to be known of a site to write its first policy: a value that holds only what a policy file can hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tidegate.conditions.members import normalise
from tidegate.model import Conventions, ListKind


@dataclass(frozen=True, slots=True)
class Answers:
    """`grants` are logins with the addresses and domains that each may use; without them nobody's are known."""

    own_domains: tuple[str, ...]
    relay_networks: tuple[str, ...] = ()
    grants: tuple[tuple[str, tuple[str, ...]], ...] = ()
    per_hour: int = 300  # recipients of one login
    per_day: int = 2000
    visible: int = 50  # outside addresses in To and Cc


@dataclass(frozen=True, slots=True)
class Defects:
    """What is wrong with the answers, a sentence each."""

    texts: tuple[str, ...]


def answers_from(
    own_domains: Iterable[str],
    relay_networks: Iterable[str],
    grants: Iterable[tuple[str, tuple[str, ...]]],
    per_hour: int,
    per_day: int,
    visible: int,
) -> Answers | Defects:
    """The answers with domains as A-labels and networks in the form in which they are compared, each once."""
    domains, wrong = _items(ListKind.DOMAIN, own_domains, "own domain")
    networks, more = _items(ListKind.IP, relay_networks, "relay network")
    defects = [*wrong, *more]
    if not domains and not wrong:
        defects.append("without an own domain nobody knows which recipients are outside: name at least one")
    if per_day < per_hour:
        defects.append(f"{per_day} recipients a day are fewer than {per_hour} an hour")
    if defects:
        return Defects(tuple(defects))
    return Answers(domains, networks, tuple(grants), per_hour, per_day, visible)


def _items(kind: ListKind, texts: Iterable[str], what: str) -> tuple[tuple[str, ...], list[str]]:
    found: dict[str, None] = {}
    wrong = []
    for text in texts:
        member = normalise(kind, text, Conventions())
        if isinstance(member, str):
            wrong.append(f"{what} {text!r}: {member}")
        else:
            found[member.key if kind is ListKind.DOMAIN else text.strip()] = None
    return tuple(found), wrong
