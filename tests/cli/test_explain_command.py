"""`tidegate explain` and `tidegate test`, as a person calls them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tidegate.cli import main

POLICY = """version: 1
lists:
  suspended: {type: login, items: [mallory@example.com]}
rules:
  - id: suspended-account
    description: Accounts that somebody suspended
    owner: postmaster
    when: {login: {in: suspended}}
    do: {reject: {code: "550 5.7.1", text: suspended}}
    examples: {match: [{login: LOGIN}]}
  - {id: other, per_recipient: true, when: {rcpt.domain: evil.example}, do: {reject: {code: "550 5.7.1", text: other}}}
...
"""


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    """A policy directory and a message beside it."""
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.yaml").write_text(POLICY.replace("LOGIN", "mallory@example.com"))
    (tmp_path / "m.eml").write_bytes(b"Subject: hi\x1b[2J\r\n\r\nbody\r\n")
    return tmp_path


def run(*arguments: str) -> tuple[int, str]:
    """Exit code and output."""
    found = CliRunner().invoke(main, list(arguments), catch_exceptions=False)
    return found.exit_code, found.output


def test_explain_names_each_test_and_the_verdict(policies: Path) -> None:
    """The list entry that hit, a rule that is about one recipient, and what comes of it all."""
    code, text = run(
        "explain", str(policies / "m.eml"), "--policies", str(policies / "p"), "--login", "mallory@example.com",
        "--rcpt", "a@example.net", "--rcpt", "b@evil.example",
    )  # fmt: skip
    assert 0 == code
    assert "login in suspended = mallory@example.com  hit: mallory@example.com" in text
    assert "at RCPT  b@evil.example: REJECT  by other  reply 550 5.7.1 other" in text
    assert "verdict  REJECT  by suspended-account  reply 550 5.7.1 suspended" in text
    assert "Accounts that somebody suspended  owner: postmaster\n" in text
    assert "\x1b" not in text


def test_explain_as_json(policies: Path) -> None:
    """The same for programs."""
    code, text = run(
        "explain", str(policies / "m.eml"), "--policies", str(policies / "p"), "--login", "a@example.com",
        "--rcpt", "a@example.net", "--json",
    )  # fmt: skip
    assert 0 == code
    document = json.loads(text)
    assert "accept" == document["verdict"]["disposition"]
    assert ["no", "no"] == [rule["truth"] for rule in document["rules"]]


LIMITED = """version: 1
rules:
  - id: rate
    when: {login: {exists: true}}
    limits:
      - {name: hour, by: login, count: recipients, max: 300, per: 1h}
      - {name: size, by: login, count: bytes, max: 10, per: 1d}
    do: {defer: {text: "{limit.used} of {limit.max}"}}
...
"""


def test_explain_charges_nothing(policies: Path) -> None:
    """It says what limits would be asked, and what they say where nothing is used."""
    (policies / "p" / "a.yaml").write_text(LIMITED)
    asked = ("explain", str(policies / "m.eml"), "--policies", str(policies / "p"), "--rcpt", "a@example.net")
    code, text = run(*asked, "--login", "a@example.com")
    assert 0 == code
    hour, size = (line.strip() for line in text.splitlines() if line.startswith("    limit "))
    end = "; nothing is asked or charged here"
    assert f"limit hour: 1 recipient for a@example.com, 300 in 60 min: it fits where nothing is used{end}" == hour
    assert f"limit size: 25 bytes for a@example.com, 10 in 24 h: exceeded by this message alone{end}" == size
    assert "reply 552 5.3.4 This message alone has 25 bytes, and 10 are allowed: please split it" in text
    limits = json.loads(run(*asked, "--login", "a@example.com", "--json")[1])["rules"][0]["limits"]
    assert [("hour", False), ("size", True)] == [(one["limit"], one["exceeded"]) for one in limits]
    assert "limit " not in run(*asked)[1]


def test_test_counts_what_is_kept(policies: Path) -> None:
    """Exit 0 where every example comes out."""
    assert (0, "1 examples, 0 scenarios: 0 failures\n") == run("test", str(policies / "p"))


def test_test_names_place_expected_and_got(policies: Path) -> None:
    """Exit 1 and a line for each failure."""
    (policies / "p" / "a.yaml").write_text(POLICY.replace("LOGIN", "alice@example.com"))
    code, text = run("test", str(policies / "p"))
    assert 1 == code
    assert f"{policies}/p/a.yaml:10:24: rule suspended-account: example: expected it matches; got it does not" in text


def test_test_without_a_directory_is_a_usage_error(tmp_path: Path) -> None:
    """Exit 2."""
    assert 2 == run("test", str(tmp_path / "none"))[0]


@pytest.mark.parametrize(
    ("condition", "options", "truth"),
    [
        ("{sender.address: a@example.com}", ("--login", "a@example.com"), "yes"),
        ("{sender.address: a@example.com}", ("--login", "a", "--default-realm", "example.com"), "yes"),
        ("{sender.null: true}", ("--login", "a@example.com", "--sender", "<>"), "yes"),
        ("{sender.null: true}", ("--login", "a@example.com"), "no"),
        ("{client.ip: {in: [192.0.2.0/24]}}", ("--login", "a"), "yes"),
        ("{client.ip: {in: [192.0.2.0/24]}}", ("--login", "a", "--client", "2001:db8::1"), "no"),
        ("{auth.type: plain}", ("--login", "a", "--auth-type", "PLAIN"), "yes"),
        ("{daemon.name: ORIGINATING}", ("--login", "a", "--daemon", "ORIGINATING"), "yes"),
        ("{tls.version: TLSv1.3}", ("--login", "a", "--tls", "TLSv1.3"), "yes"),
        ("{direction: local}", ("--local",), "yes"),
    ],
)
def test_what_is_left_out_is_as_in_a_case(condition: str, options: tuple[str, ...], truth: str, policies: Path) -> None:
    """The same transaction as in an example or a scenario that says as much."""
    rule = f"{{id: r, when: {condition}, do: {{hold: {{reason: x}}}}}}"
    (policies / "p" / "a.yaml").write_text(f"version: 1\nrules:\n  - {rule}\n...\n")
    place = ("--policies", str(policies / "p"), "--rcpt", "b@example.net")
    code, text = run("explain", str(policies / "m.eml"), *place, *options, "--json")
    assert (0, truth) == (code, json.loads(text)["rules"][0]["truth"])
