"""`tidegate shadow-report`: what the rules in shadow would have done, by lines of the decision log."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from tidegate.cli import main
from tidegate.cli.shadow import collect


def _line(ref: str, login: str, would: str = "", rules: tuple[str, ...] = (), disposition: str = "accept") -> str:
    event = {
        "timestamp": "2026-01-02T03:04:05.000+00:00",
        "event": "decision",
        "disposition": disposition,
        "ref": ref,
        "login": login,
        "client": "192.0.2.1",
        **({"would": would} if would else {}),
        **({"would_rules": list(rules)} if rules else {}),
    }
    return json.dumps(event) + "\n"


LINES = [
    _line("R1", "alice", "reject", ("spoofed: reject",)),
    _line("R2", "alice", "reject", ("spoofed: reject", "slow: defer")),
    _line("R3", "bob", "", ("spoofed: reject",), disposition="reject"),
    _line("R4", "carol"),
    '{"event": "policies loaded", "timestamp": "2026-01-02T03:04:05+00:00"}\n',
    "a decision that nobody made\n",
]


def test_each_rule_says_whom_it_would_have_met_and_what_it_would_have_changed() -> None:
    """A message that is refused anyway is matched, and not changed."""
    report = collect(LINES, 0.0)
    assert report.decisions == 4
    spoofed = report.rules["spoofed"]
    assert (spoofed.matched, len(spoofed.senders)) == (3, 2)
    assert {name: (one.messages, one.examples) for name, one in spoofed.changed.items()} == {
        "accept to reject": (2, ["R1", "R2"])
    }
    assert report.rules["slow"].changed["accept to defer"].messages == 1
    assert dict(report.together) == {"accept to reject": 2}


def test_what_is_older_does_not_count() -> None:
    """`begin` is the first moment that counts."""
    assert collect(LINES, 2e9).decisions == 0


FORMS = {
    "json": LINES[1],
    "logfmt": "timestamp=2026-01-02T03:04:05.000+00:00 event=decision disposition=accept ref=R2 login=alice "
    'would=reject would_rules="spoofed: reject,slow: defer"\n',
}


@pytest.mark.parametrize("form", FORMS)
def test_it_reads_both_forms_of_the_log(form: str) -> None:
    """As a pipe from journalctl too: whatever stands before the line is left out."""
    done = CliRunner().invoke(main, ["shadow-report", "--log", "-", "--since", "all", "--json"], input=FORMS[form])
    assert done.exit_code == 1, done.output
    found = json.loads(done.output)["rules"]
    assert found["spoofed"]["changes"] == {"accept to reject": {"messages": 1, "examples": ["R2"]}}
    assert found["slow"]["changes"] == {"accept to defer": {"messages": 1, "examples": ["R2"]}}


def test_the_text_is_for_a_person_and_the_exit_code_for_a_script() -> None:
    """0 where nothing would have changed."""
    done = CliRunner().invoke(main, ["shadow-report", "--log", "-", "--since", "all"], input="".join(LINES))
    assert done.exit_code == 1
    assert "spoofed: matched 3 messages of 2 senders" in done.output
    assert "all together: accept to reject 2" in done.output
    quiet = CliRunner().invoke(main, ["shadow-report", "--log", "-", "--since", "all"], input=LINES[3])
    assert (quiet.exit_code, "no rule in shadow matched" in quiet.output) == (0, True)


def test_a_time_that_is_none_is_usage() -> None:
    """Exit code 2, and what to write."""
    done = CliRunner().invoke(main, ["shadow-report", "--log", "-", "--since", "yesterday"], input="")
    assert done.exit_code == 2
    assert "8s, 500ms, 2m" in done.output
