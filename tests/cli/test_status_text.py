"""`tidegate status` for a person: what matters is on it, what is fine is not."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner

from tidegate.cli import main
from tidegate.cli.statustext import text

DOCUMENT: dict[str, Any] = {
    "version": "0.1.0",
    "pid": 4711,
    "stage": "serving",
    "started": 0.0,
    "now": 7300.0,
    "generation": {"number": 3, "digest": "ab" * 32, "since": 7000.0, "states": {"active": 7, "stale": 1}},
    "desired": {"active": True},
    "load": {"attempted": 7290.0, "busy": False},
    "workers": [{"slot": 0, "pid": 4712, "generation": 3, "sessions": 2, "messages": 1}],
    "settings": {"file": "/etc/t.yaml", "last_good": False},
    "entries": [
        {"key": "rule fine", "state": "active", "place": "10.yaml:3:5", "reason": ""},
        {"key": "rule old", "state": "stale", "place": "10.yaml:9:5", "reason": "unknown key"},
        {"key": "rule doubted", "state": "deferring", "place": "10.yaml:20:5", "reason": "its list is broken"},
    ],
    "alerts": [
        {
            "subject": "rule old",
            "severity": "error",
            "place": "10.yaml:9:5",
            "message": "unknown key",
            "code": "unknown-key",
            "since": 7240.0,
            "cure": "remove it",
            "count": 2,
        }
    ],
}


def test_the_text() -> None:
    """Generation, attempts, workers, and every entry that isn't as written, with place, reason and cure."""
    shown = text(DOCUMENT)
    for words in (
        "process 4711",
        "3  abababababababab  for 5 min",
        "7 active, 1 stale",
        "10 s ago",
        "DEFERRING   10.yaml:20:5: rule doubted: its list is broken",
        "ERROR       10.yaml:9:5: rule old (STALE): unknown key (and 1 more: tidegate check) [unknown-key], for 60 s",
        "cure: remove it",
        "2 sessions",
    ):
        assert words in shown
    assert ("rule fine" not in shown, 1) == (True, shown.count("rule old"))


PARTS: dict[str, Any] = {
    "notifications": {
        "channels": [
            {"name": "ops", "kind": "webhook", "delivered": 3, "waiting": 2, "dropped": 1, "error": "no answer"}
        ],
        "silences": [],
        "deferred": {"messages": 1, "since": 7240.0, "last": 7240.0},
    },
    "health": {"live": True, "ready": True, "unready": [], "degraded": True, "reasons": ["1 alert stands"]},
    "eased": {
        "holds": [
            {"rule": "r", "easing": "soft", "by": "hand", "reason": "too many", "since": 7000.0, "until": 9000.0},
            {"rule": "", "easing": "soft", "by": "automatic", "reason": "", "since": 7299.0, "until": None},
        ]
    },
    "exposure": {"rules": [{"rule": "old", "state": "skipped", "messages": 37, "since": 1.0}], "unwatched": 2},
    "poison": {
        "breakers": [{"rule": "b", "why": "errors", "since": 7200.0, "phase": "open", "until": 8000.0, "turns": 1}],
        "deaths": 3, "messages": 1, "senders": 0, "walks": False,
    },
    "ladder": {
        "rung": "proven",
        "why": "the policies can't be loaded",
        "proven": [{"number": 2, "digest": "cd" * 32}],
        "quarantine": [{"number": 9, "digest": "ef" * 32, "since": 7290.0, "why": "too many rejects"}],
    },
    "soak": {"proven": False, "seconds": 60.0, "messages": 3, "wanted_seconds": 600.0, "wanted_messages": 50},
    "canary": {
        "runs": True, "number": 4, "share": 10, "beside": 3, "since": 7240.0, "outcome": "", "reason": "",
        "compared": {
            side: {"judged": {"messages": 12, "senders": 9}, "stopped": {"messages": 1, "senders": 1}}
            for side in ("canary", "beside")
        },
    },
    "sources": [
        {"kind": "policy", "name": "10.yaml", "digest": "d", "size": 3, "error": "it is empty", "read": 7290.0},
        {"kind": "list", "name": "l.txt", "digest": "d", "size": 3, "error": "", "read": 7290.0},
    ],
    "restarts": 2,
    "totals": {"messages": 40, "verdicts": {"accept": 37, "reject": 0, "hold": 3}, "errors": {"deadline": 1}},
    "tide": {"water": "high", "moons": [], "boats": [{"name": "Ahab"}, {"name": "Ishmael"}]},
}  # fmt: skip


def test_what_is_wrong_comes_first() -> None:
    """Alerts, what is eased, exposed, barred and poisoned; then what is in force, and who does the work."""
    shown = text({**DOCUMENT, **PARTS}).splitlines()
    assert [
        "tidegate", "ERROR", "", "DEFERRING", "EASED", "EASED", "EXPOSED", "EXPOSED", "QUARANTINE", "BREAKER",
        "POISON", "generation", "canary", "last good", "soak", "entries", "last load", "settings", "sources", "",
        "totals", "deferred", "channel", "tide", "worker 0", "restarts",
    ] == [line[:11].strip() for line in shown]  # fmt: skip
    for words in (
        "degraded: 1 alert stands",
        "r: soft, by hand: too many, for 5 min, until ",
        "all rules: soft, by automatic, for 1 s",
        "old: skipped, 37 messages since the start: tidegate exposure old",
        "9  efefefefefefefef  for 10 s: too many rejects",
        "rule b: errors, for 100 s, open until ",
        "(proven: the policies can't be loaded)",
        "2  cdcdcdcdcdcdcdcd  proven",
        "generation 4 gets 10 % of the senders beside 3 for 60 s: 12 messages of 9 senders, 1 stopped; beside it ",
        "1 policy file, 1 list file, read 10 s ago; 1 can't be used",
        "40 messages since the start: 37 accept, 3 hold; own faults: 1 deadline",
        "1 deferral by our own doing, the first 60 s ago",
        "ops (webhook): 3 delivered, 2 waiting, 1 given up; fails: no answer",
        "water high, boats name Ahab; name Ishmael",
    ):
        assert any(words in line for line in shown), words


def test_no_generation_is_said_as_what_it_means() -> None:
    """An admin needs the consequence, not a zero."""
    document = {**DOCUMENT, "generation": {**DOCUMENT["generation"], "number": 0}}
    assert "none: all mail is deferred" in text(document)


def test_the_table_of_commands() -> None:
    """Every command can be loaded and says what it does."""
    listing = CliRunner().invoke(main, ["--help"]).output
    for name in main.list_commands(None):  # type: ignore[arg-type]
        assert name in listing
        assert 0 == CliRunner().invoke(main, [name, "--help"]).exit_code


ACTS = "acts where a new rule stops more than 3 senders"


@pytest.mark.parametrize(
    ("brake", "expected"),
    [
        ({"mode": "off"}, "brake       off: nothing is eased by itself"),
        (
            {"mode": "on", "few": 3, "every": 3, "seen": 40, "new_rules": 0, "stopped_by_new": 0},
            f"brake       on: {ACTS}; 0 rules are new; 40 senders in the last hour",
        ),
        (
            {"mode": "soft", "few": 3, "every": 3, "seen": 1, "new_rules": 1, "stopped_by_new": 2},
            f"brake       soft: {ACTS}; 1 rule is new, 2 senders stopped by them; 1 sender in the last hour",
        ),
    ],
    ids=["off", "on", "a new rule"],
)
def test_the_brake_that_waits(brake: dict[str, Any], expected: str) -> None:
    """What it waits for, and what it has seen, in one line."""
    assert expected in text(DOCUMENT | {"brake": brake}).splitlines()
