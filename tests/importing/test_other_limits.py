"""The rate limits of other filters as limits of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.importing.judging import opened
from tidegate.importing import Imported
from tidegate.importing.policyd import imported as policyd
from tidegate.importing.postfwd import imported as postfwd
from tidegate.importing.rspamd import imported as rspamd
from tidegate.importing.spans import span


def _limits(found: Imported) -> dict[str, list[tuple[Any, ...]]]:
    """Rule: (by, count, max, per) of each limit. The policy has to be valid."""
    assert found.untranslated == ()
    opened(found)
    return {rule.id: [_limit(one) for one in rule.limits] for rule in found.rules}


def _limit(value: Any) -> tuple[Any, ...]:
    assert isinstance(value, Mapping)
    return value["by"], value["count"], value["max"], value["per"]


NINE = ("login", "recipients", 9, "1d")
BUCKET = "bucket { burst = 9; rate = 9 / 1d }"
RSPAMD = {
    "a-selector": ('rates { a { selector = "user.lower"; %s } }', NINE),
    "a-keyword": ("rates { user = { %s } }", NINE),
    "an-equals-sign": ("rates = { user = { bucket = { burst = 9; rate = 9 / 1d; } } }", NINE),
    "a-number-a-second": (
        "rates { user { bucket { burst = 100; rate = 0.0167 } } }",
        ("login", "recipients", 100, "5988s"),
    ),
    "messages": (
        "rates { ip { bucket { burst = 30; rate = 30 / 1min; skip_recipients = true; } } }",
        ("client.ip", "messages", 30, "1m"),
    ),
    "two-keywords": ("rates { user_ip { %s } }", (["login", "client.ip"], "recipients", 9, "1d")),
    "a-section-around": ("ratelimit { rates { user { %s } } }", NINE),
    "a-domain": (
        """rates { d { selector = 'from("smtp"):domain'; %s } }""",
        ("sender.domain", "recipients", 9, "1d"),
    ),
    "a-rate-alone": ('rates { user = "60 / 1m"; }', ("login", "recipients", 60, "1m")),
}


@pytest.mark.parametrize("case", RSPAMD)
def test_a_bucket_is_the_window_in_which_it_fills(case: str) -> None:
    """`max` is the burst, `per` the burst divided by the rate."""
    text, expected = RSPAMD[case]
    (limits,) = _limits(rspamd(text.replace("%s", BUCKET))).values()
    assert limits == [expected]


def test_several_buckets_are_limits_of_one_rule() -> None:
    """All of them hold."""
    text = "rates { user { bucket = [ {burst = 9; rate = 9 / 1m;}, {burst = 99; rate = 99 / 1h;} ] } }"
    (limits,) = _limits(rspamd(text)).values()
    assert [one[2:] for one in limits] == [(9, "1m"), (99, "1h")]


def test_whitelists_are_exceptions() -> None:
    """Lists written in the file, with a list of ours for each."""
    whitelists = 'whitelisted_user = "root, news";\nwhitelisted_ip = ["10.0.0.0/8", "192.0.2.1"];'
    found = rspamd(f'rates {{ user = "9 / 1m"; }}\n{whitelists}')
    opened(found)
    assert [(one.name, one.items) for one in found.lists] == [
        ("whitelisted-user", ("root", "news")),
        ("whitelisted-ip", ("10.0.0.0/8", "192.0.2.1")),
    ]
    assert [one.name for one in found.rules[0].exceptions] == ["whitelisted-user", "whitelisted-ip"]


def test_only_a_symbol_is_only_shadow() -> None:
    """It never deferred, so it does not now."""
    found = rspamd("rates { user { bucket { burst = 9; rate = 9 / 1m; symbol = X; skip_soft_reject = true } } }")
    assert found.rules[0].shadow


def test_a_unit_that_rspamd_does_not_see_is_told() -> None:
    """People write `1 hour`; it reads no unit there. The rule has what was meant, and a comment."""
    found = rspamd('rates { user { bucket { burst = 9; rate = "9 / 1 hour"; } } }')
    assert _limits(found)["ratelimit-user"][0][3] == "1h"
    assert any("finds no unit" in one for one in found.rules[0].comments)


RSPAMD_WRONG = {
    "recipients": ('rates { to = "9 / 1m"; }', "keyword to"),
    "bounces": ('rates { bounce_ip = "9 / 1m"; }', "bounce"),
    "a-selector": ('rates { a { selector = "asn"; bucket { burst = 9; rate = 1 } } }', "selector asn"),
    "no-burst": ("rates { user { bucket { rate = 1 } } }", "burst"),
    "no-rate": ("rates { user { bucket { burst = 9 } } }", "rate"),
    "the-old-form": ("rates { user = [ 9, 0.1 ] }", "old form"),
    "a-map": ('rates { user = "9 / 1m"; }\nwhitelisted_ip = "/etc/rspamd/x.map";', "map in a file"),
    "a-macro": ('.include "x.conf"', ".include"),
    "unclosed": ("rates { user {", "ends in the middle"),
    "a-setting-unknown": ('rates { user = "9 / 1m"; }\nlimits_of_tomorrow = 3;', "not known"),
    "nothing": ("", "no rates"),
    "deep": ("a {" * 50, "nested deeper"),
}


@pytest.mark.parametrize("case", RSPAMD_WRONG)
def test_what_has_no_equal_in_rspamds_file_is_told(case: str) -> None:
    """With its line."""
    text, why = RSPAMD_WRONG[case]
    assert any(why in str(one) for one in rspamd(text).untranslated)


POLICYD = """
limits:
    - [10, 60]
    - [150, 86400]
limits_by_id:
    vip: [[1000, 86400]]
    root: []
    192.0.2.1: [[5, 60]]
limit_by_sasl: True
limit_by_ip: True
limited_networks: [192.0.2.0/24]
fail_action: "450 4.7.1 Slow down"
db_error_action: "dunno"
"""


def test_policyd_counts_logins_and_then_clients() -> None:
    """Ids with limits of their own are rules of their own, and exceptions of the rule for all."""
    found = policyd(POLICYD)
    assert _limits(found) == {
        "policyd-login": [("login", "recipients", 10, "1m"), ("login", "recipients", 150, "1d")],
        "policyd-login-1": [("login", "recipients", 1000, "1d")],
        "policyd-client": [("client.ip", "recipients", 10, "1m"), ("client.ip", "recipients", 150, "1d")],
        "policyd-client-1": [("client.ip", "recipients", 5, "1m")],
    }
    rules = {rule.id: rule for rule in found.rules}
    assert rules["policyd-login"].exceptions[0].when == {"login": {"in": ["vip", "root"]}}
    assert rules["policyd-client"].exceptions[0].when == {"client.ip": {"in": ["192.0.2.1"]}}
    assert rules["policyd-client"].when == {"login": {"exists": False}, "client.ip": {"in": ["192.0.2.0/24"]}}
    assert rules["policyd-login"].do == {"defer": {"code": "450 4.7.1", "text": "Slow down"}}


def test_policyd_by_sender() -> None:
    """Where there is no login the sender counts, and without a sender the client."""
    found = policyd("limits: [[10, 60]]\nlimit_by_sender: yes\nlimit_by_ip: yes\nlimited_networks: [192.0.2.0/24]\n")
    assert list(_limits(found)) == ["policyd-login", "policyd-sender", "policyd-client"]


POLICYD_WRONG = {
    "no-yaml": ("limits: [", "line"),
    "no-map": ("- 1", "no map"),
    "an-action": ("limits: [[1, 60]]\nfail_action: permit_mynetworks", "restriction of Postfix"),
    "a-limit": ("limits: [[1, 0]]", "above zero"),
    "a-database": ('limits: [[1, 60]]\nsql_limits_by_id: "SELECT 1"', "database"),
    "another-success": ("limits: [[1, 60]]\nsuccess_action: OK", "on what passes"),
}


@pytest.mark.parametrize("case", POLICYD_WRONG)
def test_what_has_no_equal_in_policyds_file_is_told(case: str) -> None:
    """With its line."""
    text, why = POLICYD_WRONG[case]
    assert any(why in str(one) for one in policyd(text).untranslated)


def test_postfwds_limits() -> None:
    """rate counts messages, size bytes, rcpt recipients; `$$ratecount` is {limit.used}."""
    text = (
        "id=A; sasl_username=~/./; action=rate(sasl_username/100/3600/450 4.7.1 max $$ratecount)\n"
        "id=B; client_address=192.0.2.0/24; action=size(client_address/1572864/3600/450 4.7.1 too much)\n"
        "id=C; action=rcpt(sender/3/60/REJECT many)\n"
    )
    found = postfwd(text, lambda _: None)
    assert _limits(found) == {
        "A": [("login", "messages", 100, "1h")],
        "B": [("client.ip", "bytes", 1572864, "1h")],
        "C": [("sender.address", "recipients", 3, "1m")],
    }
    assert found.rules[0].do == {"defer": {"code": "450 4.7.1", "text": "max {limit.used}"}}


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "1s"), (60, "1m"), (90, "90s"), (3600, "1h"), (86400 * 7, "7d")])
def test_seconds_are_written_as_people_do(seconds: float, text: str) -> None:
    """The largest unit without a remainder."""
    assert span(seconds) == text


UNCOUNTABLE = {
    "in-no-time": 'user = "10 / 0h";',
    "nothing": 'user = "0 / 1h";',
    "no-number": 'user = { bucket = { burst = nan; rate = "1/s"; } }',
    "no-end": 'user = { bucket = { burst = inf; rate = "1/s"; } }',
    "bucket-in-no-time": 'user = { bucket = { burst = 5; rate = "1/0s"; } }',
    "too-much": f'user = "{"9" * 400} / 1h";',
}


@pytest.mark.parametrize("name", UNCOUNTABLE)
def test_a_rate_that_counts_nothing_is_named(name: str) -> None:
    """With its line, as all that is not translated; never a fault of ours."""
    found = rspamd(f"rates {{\n {UNCOUNTABLE[name]}\n}}")
    assert ((), [2]) == (found.rules, [one.line for one in found.untranslated])


@pytest.mark.parametrize("number", ["\u00b22", "-1", "1e3", "9" * 30])
def test_what_is_no_number_of_seconds_is_named(number: str) -> None:
    """Also what only looks like digits."""
    found = policyd(f"limits: [[{number}, 60]]\n")
    assert ((), 1) == (found.rules, len(found.untranslated))
