"""`tidegate status` for a person: what matters is on it, what is fine is not."""

from __future__ import annotations

from typing import Any

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
