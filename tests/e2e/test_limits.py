"""Limits through a real Postfix: what fits goes on, what does not is told with numbers, over edits and a restart."""

from __future__ import annotations

import re

import pytest

from tests.e2e.harness.client import a_message
from tests.e2e.harness.site import BOB, OpenSite, Site
from tests.e2e.harness.texts import SITE, rules

RATES = """\
  - id: rate
    when: {login: {exists: true}}
    limits: [{name: hour, by: login, count: recipients, max: MAXIMUM, per: 1h}]
    do: {defer: {code: "451 4.7.1", text: "{limit.used} of {limit.max} used, again in {limit.retry}"}}
"""
TRIED = """\
  - id: tried
    mode: shadow
    when: {login: {exists: true}}
    limits: [{name: hour, by: login, count: messages, max: 1, per: 1h}]
    do: {reject: {text: "too many"}}
"""


def policy(maximum: int = 3) -> str:
    return rules(RATES.replace("MAXIMUM", str(maximum)), TRIED)


@pytest.fixture(scope="module")
def site(open_site: OpenSite) -> Site:
    """One site for all of this module; each test has a login of its own."""
    return open_site({"10-site.yaml": SITE, "20.yaml": policy()})


def test_as_many_as_fit_and_no_more(site: Site) -> None:
    """Two workers, one count. What is refused costs nothing, so that a smaller message still fits."""
    login = "first@example.com"
    codes = [
        site.send(f"limit {number}", login, to=[f"{name}@example.net" for name in names]).final.code
        for number, names in enumerate(("ab", "cd", "e", "f"))
    ]
    assert [250, 451, 250, 451] == codes
    outcome = site.send("limit again", login)
    assert re.match(r"4\.7\.1 3 of 3 used, again in (59|60|61) min \([A-Z0-9]+\)", outcome.final.text), outcome.final
    line = site.daemon.decision(outcome.final.text.rpartition("(")[2].strip(")"))
    assert (["rate/hour: 3 + 1 of 3 for first@example.com, exceeded"], "rate") == (line["limits"][:1], line["rule"])
    assert 250 == site.send("limit of another", "second@example.com").final.code


def test_a_message_that_is_too_large_by_itself(site: Site) -> None:
    """It is told so at once, and waits in nobody's queue for five days."""
    outcome = site.send("crowd", "large@example.com", to=[f"{number}@example.net" for number in range(4)])
    assert 550 == outcome.final.code
    assert outcome.final.text.startswith(
        "5.5.3 This message alone has 4 recipients, and 3 are allowed: please split it"
    )


def test_a_retry_is_charged_once(site: Site) -> None:
    """The same message four times: a client that lost our answers; after that it pays."""
    login = "again@example.com"
    same = a_message("once", message_id="<once@client.example.com>")
    assert [250] * 4 == [site.send(login=login, message=same).final.code for _ in range(4)]
    assert 250 == site.send("twice", login, to=[BOB, "carol@example.net"]).final.code
    assert 451 == site.send("thrice", login).final.code


def test_a_limit_in_shadow(site: Site) -> None:
    """It has a count of its own, is told, and stops nobody."""
    outcomes = [site.send(f"shadow {number}", "shadow@example.com") for number in range(2)]
    assert [250, 250] == [one.final.code for one in outcomes]
    lines = [site.daemon.decision(one.queue_id) for one in outcomes]
    assert [None, "reject"] == [line.get("would") for line in lines]
    assert ["tried/hour: 1 + 1 of 1 for shadow@example.com, exceeded, shadow"] == lines[1]["limits"][1:]


def test_an_edit_and_a_restart_keep_the_count(site: Site) -> None:
    """A counter is (rule, limit, key): only the maximum changes."""
    login = "kept@example.com"
    assert 250 == site.send("kept one", login, to=["a@example.net", "b@example.net", "c@example.net"]).final.code
    site.daemon.load(("20.yaml", policy(4)))
    assert [250, 451] == [site.send(f"kept {number}", login).final.code for number in ("two", "three")]
    site.daemon.stop()
    site.daemon.start()
    assert 451 == site.send("kept four", login).final.code
