"""Lists in Redis, as the policy names them: what may be written, and where what they let pass comes to be in doubt."""

from __future__ import annotations

import pytest

from tests.builders.policies import HOLD, codes, load_text, problems_of, rule_key, states
from tidegate.model import AllOf, EntryKey, EntryKind, Fresh, ListKind, LiveSource, MemberListData, Rule
from tidegate.model import Test as FieldTest
from tidegate.policy.load import LoadedPolicy

LIVE = "{type: login, redis: vip, max_stale: 1h}"


def loaded(written: str, *, name: str = "l", rules: str = "") -> LoadedPolicy:
    """A policy with one list and perhaps rules in flow style."""
    body = "".join(f"  - {one.strip()}\n" for one in rules.strip().splitlines())
    return load_text(f"version: 1\nlists: {{{name}: {written}}}\n" + (f"rules:\n{body}" if body else "") + "...\n")


def the_list(found: LoadedPolicy) -> MemberListData:
    """Its only list."""
    (data,) = found.loaded.lists
    return data


def the_rule(found: LoadedPolicy) -> Rule:
    """Its only rule."""
    (rule,) = found.loaded.rules
    return rule


@pytest.mark.parametrize(
    ("name", "written", "expected"),
    [
        ("l", "{type: login, redis: vip}", LiveSource("vip", "login")),
        ("l", "{type: ip, redis: nets, max_stale: 1d}", LiveSource("nets", "ip", 86400.0)),
        ("l", "{type: map, redis: plans}", LiveSource("plans", "map")),
        ("logins", "{type: map, redis: grants}", LiveSource("grants", "logins", 0.0, True)),
        ("own-domains", "{type: domain, redis: own}", LiveSource("own", "domain", 0.0, True)),
    ],
)
def test_a_list_in_redis(name: str, written: str, expected: LiveSource) -> None:
    """Its name there, the form of its entries, how old it may be; the entries are no part of the policy."""
    found = loaded(written, name=name)
    data = the_list(found)
    assert (expected, (), None, []) == (data.live, data.items, data.unavailable, codes(found))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("{type: regex, redis: words}", "bad-value"),
        ("{type: login, redis: 'a b'}", "bad-id"),
        ("{type: login, redis: a, items: [bob]}", "bad-value"),
        ("{type: login, redis: a, max_stale: soon}", "bad-value"),
        ("{type: login, items: [bob], max_stale: 1h}", "bad-value"),
    ],
)
def test_what_can_not_be(written: str, expected: str) -> None:
    """Patterns, a name that is none, two sources, an age that is none, and one of a list that has none."""
    assert expected in codes(loaded(written))


def test_without_redis_it_can_not_be_asked() -> None:
    """The problem is the list's, and says what cures it; what asks the list is in doubt."""
    found = load_text(f"version: 1\nlists: {{l: {LIVE}}}\n...\n", redis=False)
    (told,) = problems_of(found, "no-redis")
    assert "redis:" in told.cure
    assert the_list(found).unavailable is not None
    assert {"list l": "skipped"} == states(found)


@pytest.mark.parametrize(
    ("rule", "aging", "allows"),
    [
        ("{id: r, when: {login: {in: l}}, do: HOLD}", False, False),
        ("{id: r, when: {not: {login: {in: l}}}, do: HOLD}", True, True),
        ("{id: r, when: {not: {not: {login: {in: l}}}}, do: HOLD}", False, False),
        ("{id: r, when: {login: {in: l}}, do: {exempt: [x]}}", True, True),
        ("{id: r, when: {login: {in: l}}, do: {exempt: [x], add_header: {X: y}}}", True, True),
    ],
    ids=["it stops", "it lets pass", "twice not", "it exempts", "it does both"],
)
def test_an_old_list_in_doubt(rule: str, aging: bool, allows: bool) -> None:
    """Where a hit makes a verdict milder, a list that is too old makes it UNKNOWN; where it is stricter it serves."""
    others = "{id: x, when: always, do: HOLD}"
    found = loaded(LIVE, rules=f"{rule}\n{others}".replace("HOLD", HOLD))
    when = str(next(one for one in found.loaded.rules if one.id == "r").when)
    assert (aging, allows) == ("Fresh" in when, the_list(found).live == LiveSource("vip", "login", 3600.0, True))


def test_an_exception_by_an_old_list() -> None:
    """So it is in `except`, and through a condition that another one uses."""
    text = f"""version: 1
lists: {{l: {LIVE}}}
conditions: {{known: {{login: {{in: l}}}}}}
rules:
  - {{id: r, when: {{use: known}}, except: [{{name: e, when: {{use: known}}}}], do: {HOLD}}}
...
"""
    rule = the_rule(load_text(text))
    test = rule.when
    assert isinstance(test, FieldTest)
    assert AllOf((test, Fresh("l"))) == rule.exceptions[0].when


def test_without_max_stale_age_is_no_doubt() -> None:
    """By default an old list serves, with an alert."""
    rules = f"{{id: r, when: {{not: {{login: {{in: l}}}}}}, do: {HOLD}}}"
    assert "Fresh" not in str(the_rule(loaded("{type: login, redis: vip}", rules=rules)).when)


def test_a_broken_edit_of_a_login_map_in_redis_is_in_doubt() -> None:
    """As with any list: nobody knows what the edit was to say, unless it says the same source readably."""
    before = "version: 1\nlists: {logins: {type: map, redis: grants}}\n...\n"
    accepted = load_text(before).loaded.texts
    same = load_text(before.replace("}}", ", oops: 1}}"), accepted=accepted)
    other = load_text(before.replace("grants}}", "other, oops: 1}}"), accepted=accepted)
    assert ["stale", "stale"] == [states(one)["list logins"] for one in (same, other)]
    assert [(), ("",)] == [the_list(one).doubted for one in (same, other)]
    assert EntryKey(EntryKind.LIST, "logins") in accepted
    assert rule_key("logins") not in accepted
    assert ListKind.MAP is the_list(same).kind
