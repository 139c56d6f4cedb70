"""Which rules are new in what they say."""

from __future__ import annotations

import json

import pytest

from tests.builders.policies import load_text
from tidegate.live import Accepted, Known
from tidegate.loader.hints import hints_from, hints_of
from tidegate.model import Expect

POLICY = """version: 1
lists:
  people: {type: login, items: [alice]}
  own-domains: {type: domain, items: [example.com]}
conditions:
  ours: {login: {in: people}}
  ours-out: {all: [{use: ours}, {direction: outbound}]}
rules:
  - {id: plain, tags: [t, u], when: always, do: {hold: {reason: look}}}
  - {id: asks, tags: [t], when: {use: ours-out}, do: {hold: {reason: look}}, expect: {max_logins: 5, per: 2h}}
  - {id: vip, when: {login: boss}, do: {exempt: [plain]}, brake: keep}
...
"""


def fresh(after: str, before: str = POLICY) -> list[str]:
    """The fresh rules of `after`."""
    return sorted(hints_of(load_text(after).loaded, known_of(before) if before else None).fresh)


def known_of(text: str, latest: str = "") -> Known:
    """What is known after this policy was for all, and another one was loaded."""
    return Known(Accepted(load_text(text).loaded.texts), load_text(latest or text).loaded.texts)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "", []),
        ("version: 1", "version: 1 # a remark", []),
        ("reason: look}}}\n", "reason: see}}}\n", ["plain"]),
        ("items: [alice]", "items: [bob]", []),
        ("direction: outbound", "direction: local", ["asks"]),
        ("[example.com]", "[example.net]", ["asks", "plain", "vip"]),
        ("login: boss", "login: chief", ["asks", "plain", "vip"]),
        ("  - {id: vip, when: {login: boss}, do: {exempt: [plain]}, brake: keep}\n", "", ["asks", "plain"]),
        ("...\n", "  - {id: more, when: always, do: {hold: {reason: x}}}\n...\n", ["more"]),
    ],
    ids=["same", "remark", "rule", "list", "condition", "own-domains", "exempt", "exempt-gone", "new"],
)
def test_fresh(old: str, new: str, expected: list[str]) -> None:
    """By their own text, by a condition that they use, and all of them where an exempt is another. Lists are data."""
    assert expected == fresh(POLICY.replace(old, new, 1))


def test_what_is_on_trial_is_new_until_it_is_for_all() -> None:
    """Beside what is for all; what changed since the last load is told apart."""
    tried = POLICY.replace("reason: look}}}\n", "reason: see}}}\n", 1)
    edited = tried.replace("direction: outbound", "direction: local")
    hints = hints_of(load_text(edited).loaded, known_of(POLICY, tried))
    assert ({"plain", "asks"}, {"asks"}) == (hints.fresh, hints.changed)


def test_nothing_is_new_without_a_before() -> None:
    """The first policy of a host is its usual one."""
    assert [] == fresh(POLICY, "")


def test_hints_travel() -> None:
    """Tags, what is kept, what only exempts, what is expected; as JSON and back."""
    hints = hints_of(load_text(POLICY).loaded, None)
    assert {"t": ["asks", "plain"], "u": ["plain"]} == {tag: sorted(names) for tag, names in hints.tags.items()}
    assert (frozenset({"vip"}), frozenset({"vip"})) == (hints.kept, hints.exempting)
    assert {"asks": Expect(5, 7200.0)} == hints.expects
    assert hints == hints_from(json.loads(json.dumps(hints.document())))
