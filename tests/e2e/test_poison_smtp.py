"""A rule that kills, seen by clients of a real Postfix: 451 while workers die, then mail as the rule declares."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.e2e.harness.postfix import until
from tests.e2e.harness.site import OpenSite
from tests.e2e.harness.texts import SITE

SABOTEUR = str(Path(__file__).resolve().parents[1] / "builders" / "saboteur.py")
KILLER = """\
version: 1
rules:
  - id: killer
    when: {subject: {contains: kill-9}}
    do: {reject: {code: "550 5.7.1", text: "stopped"}}
...
"""


def test_mail_of_many_senders(open_site: OpenSite) -> None:
    """At most three workers die of it; nobody is ever refused for good, other mail is delivered all along, and in the
    end only the mail whose fate depends on the rule waits."""
    site = open_site({"10-site.yaml": SITE, "30.yaml": KILLER}, program=(sys.executable, SABOTEUR))
    answers = []
    for number in range(8):
        answers.append(site.send(f"kill-9 {number}", login=f"user{number}@example.com").final)
        assert 250 == site.send(f"plain {number}").final.code
        until(lambda: len(site.daemon.workers()) == 2, "both workers are there", 20.0)
    assert {451} == {answer.code for answer in answers}
    assert "Temporary failure in our policy check" in answers[-1].text
    deaths = [line for line in site.daemon.lines() if line["event"] == "died in a judgement"]
    assert ["killer"] * 3 == [line["rule"] for line in deaths]
    assert "tripped" == site.daemon.states()["rule killer"]
    assert {"entry-tripped"} == {alert["code"] for alert in site.daemon.alerts().values()}
    for number in range(8):
        site.sink.wait_for(f"plain {number}")
