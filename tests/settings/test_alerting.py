"""The section `alerts`: every mistake has its place, and what is right comes through the record unchanged."""

from __future__ import annotations

import pytest

from tidegate.alerts.plan import Kind
from tidegate.model import Severity
from tidegate.settings import Settings, check_settings, from_json, to_json, to_show

HEAD = "listen: unix:/run/t.sock\npolicies: /p\n"


@pytest.mark.parametrize(
    ("section", "word"),
    [
        ("5", "map"),
        ("{chanels: {}}", "did you mean `channels`"),
        ("{channels: []}", "map"),
        ("{channels: {Ops: {webhook: 'http://x/'}}}", "a-z"),
        ("{channels: {a: {}}}", "one of `webhook`"),
        ("{channels: {a: {webhook: 'http://x/', exec: [/bin/true]}}}", "one of `webhook`"),
        ("{channels: {a: {webhook: 'ftp://x/'}}}", "URL"),
        ("{channels: {a: {webhook: 'http://x:99999/'}}}", "URL"),
        ("{channels: {a: {webhook: 'http://user:word@x/'}}}", "token_file"),
        ('{channels: {a: {webhook: "http://x/\\n"}}}', "URL"),
        ("{channels: {a: {webhook: 'http://x/', format: xml}}}", "json or alertmanager"),
        ("{channels: {a: {exec: [mail]}}}", "absolute path"),
        ("{channels: {a: {exec: []}}}", "1 to 16"),
        ("{channels: {a: {exec: [/bin/true], format: json}}}", "belongs to `webhook`"),
        ("{channels: {a: {sendmail: 'a b'}}}", "postmaster@example.com"),
        ("{channels: {a: {sendmail: -t}}}", "postmaster@example.com"),
        ("{channels: {a: {sendmail: postmaster, timeout: 5m}}}", "60s"),
        ("{channels: {a: {sendmail: postmaster, severity: bad}}}", "critical"),
        ("{repeat: [4h, 1h]}", "rise"),
        ("{repeat: often}", "8s"),
        ("{storm: {max: 0}}", "1 to 1000"),
        ("{storm: 3}", "map"),
        ("{heartbeat: {every: 1m}}", "`url`"),
        ("{syslog: maybe}", "true or false"),
        ("{host: 'a b'}", "mx1"),
        ("{host: a, host: b}", "twice"),
    ],
)
def test_a_mistake_has_its_place(section: str, word: str) -> None:
    """Never an exception: a problem on the line of the section, with a cure."""
    problems = check_settings(f"{HEAD}alerts: {section}\n".encode(), "t.yaml")
    assert isinstance(problems, tuple)
    assert any(word in problem.message for problem in problems), problems
    assert {3} == {problem.place.line for problem in problems}
    assert all(problem.cure for problem in problems)


def test_what_is_right_comes_through_the_record() -> None:
    """All kinds of channels, and JSON gives back the same settings."""
    section = """
  channels:
    hook: {webhook: "https://example.com/x?y=1", token_file: /etc/token, timeout: 5s, severity: error}
    am: {webhook: "http://127.0.0.1:9093", format: alertmanager}
    page: {exec: [/usr/bin/page, -x, "a b"]}
    mail: {sendmail: [postmaster@example.com, root], from: tidegate@example.com}
  repeat: [1h, 1d]
  escalate: 15m
  storm: {max: 3, per: 1m}
  heartbeat: {url: "https://example.com/beat", every: 30s}
  syslog: false
  host: mx1
"""
    settings = check_settings(f"{HEAD}alerts:{section}".replace("1d", "24h").encode(), "t.yaml")
    assert isinstance(settings, Settings), settings
    assert [Kind.WEBHOOK, Kind.ALERTMANAGER, Kind.EXEC, Kind.SENDMAIL] == [one.kind for one in settings.alerts.channels]
    assert (Severity.ERROR, 5.0) == (settings.alerts.channels[0].severity, settings.alerts.channels[0].timeout)
    assert ((3600.0, 86400.0), (900.0,), 3, 60.0) == (
        settings.alerts.repeat,
        settings.alerts.escalate,
        settings.alerts.storm,
        settings.alerts.window,
    )
    assert settings == from_json(to_json(settings))


def test_what_is_shown_holds_no_secret() -> None:
    """A status is copied into tickets: what stands behind a host, or behind a command, stays out of it."""
    section = """
  channels:
    chat: {webhook: "https://chat.example.com:8443/hooks/secret?key=secret"}
    page: {exec: [/usr/bin/page, --token, secret]}
    mail: {sendmail: [postmaster@example.com]}
  heartbeat: {url: "https://example.com/secret"}
"""
    settings = check_settings(f"{HEAD}alerts:{section}".encode(), "t.yaml")
    assert isinstance(settings, Settings), settings
    shown = to_show(settings)
    assert "secret" not in str(shown)
    targets = [one["target"] for one in shown["alerts"]["channels"]]
    assert [["https://chat.example.com:8443/…"], ["/usr/bin/page", "…"], ["postmaster@example.com"]] == targets
    assert "https://example.com/…" == shown["alerts"]["heartbeat"]


def test_a_record_of_an_older_release() -> None:
    """It knows nothing of alerts, and is good."""
    settings = check_settings(HEAD.encode(), "t.yaml")
    assert isinstance(settings, Settings)
    text = to_json(settings)
    start = text.index('"alerts"')
    older = text[:start] + text[text.index("}", start) + 3 :]
    assert settings == from_json(older)
