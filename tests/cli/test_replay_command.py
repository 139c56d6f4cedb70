"""`tidegate replay`: what it counts, what it hides, and when it is no pass."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.builders.kept import a_kept
from tests.builders.revisions import a_snapshot, a_text
from tests.builders.transactions import NOW
from tidegate.cli import main
from tidegate.live import snapshot
from tidegate.replay import FOLDER, Quill, segments

STOP = """version: 1
lists: {stopped: {type: login, file: lists/stopped.txt}}
rules:
  - {id: stop, when: {login: {in: stopped}}, do: {reject: {code: "550 5.7.1", text: stop}}}
...
"""
NOTHING = "version: 1\nrules: []\n...\n"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A store of a hundred messages of ten people, a policy in use, and a candidate that stops one of them."""
    for name in ("p", "candidate"):
        (tmp_path / name / "lists").mkdir(parents=True)
        (tmp_path / name / "a.yaml").write_text(NOTHING)
        (tmp_path / name / "lists" / "stopped.txt").write_text("u3@example.com\n")
    (tmp_path / "candidate" / "b.yaml").write_text(STOP)
    (tmp_path / "state").mkdir()
    (tmp_path / "t.yaml").write_text(
        f"listen: unix:/run/t.sock\npolicies: {tmp_path}/p\nstate: {tmp_path}/state\nreplay: 72h\n"
    )
    Quill(str(tmp_path / "state"), 1 << 20).write(
        [a_kept(NOW + n, login=f"u{n % 10}@example.com", sender="", reference=f"R{n}") for n in range(100)], NOW
    )
    return tmp_path


def replay(site: Path, *options: str | Path) -> Result:
    return CliRunner().invoke(
        main, ["replay", "--config", str(site / "t.yaml"), "--against", str(site / "p"), *map(str, options)]
    )


def asked(site: Path, *options: str | Path) -> tuple[int, dict[str, Any]]:
    done = replay(site, "--json", *options)
    return done.exit_code, json.loads(done.stdout)


def test_a_candidate_directory(site: Path) -> None:
    """Ten of a hundred verdicts change, of one sender: more than a hundredth, less than a fifth."""
    code, found = asked(site, site / "candidate")
    (change,) = found["changes"]
    assert (1, 100, 100, 10, 10) == (code, *(found[key] for key in ("messages", "judged", "changed", "stricter")))
    assert ("accept", "reject", "stop", 10, 1) == tuple(
        change[key] for key in ("before", "after", "rule", "messages", "senders")
    )
    assert {"stop": {"before": 0, "after": 10}} == found["rules"]
    assert "10 % of the verdicts change, and 1 % may" == found["reason"]
    assert 0 == asked(site, site / "candidate", "--max-change", "20%")[0]


def test_files_are_laid_over_the_directory(site: Path) -> None:
    """Of the same name they stand in for it; its lists are read where they lie."""
    assert (1, 10) == _codes(asked(site, site / "candidate" / "b.yaml"))
    (site / "p" / "b.yaml").write_text(STOP.replace("stop,", "other,"))
    assert (0, 0) == _codes(asked(site, site / "candidate" / "b.yaml"))
    assert (0, 0) == _codes(asked(site))


def _codes(answer: tuple[int, dict[str, Any]]) -> tuple[int, int]:
    return answer[0], answer[1]["changed"]


def test_for_a_person(site: Path) -> None:
    """Senders are masked unless somebody wants them."""
    shown = replay(site, site / "candidate")
    assert 1 == shown.exit_code
    assert "10 verdicts of 100 (10 %) would be another, 10 of them stricter" in shown.stdout
    assert "accept → reject  by stop: 10 messages, 1 sender" in shown.stdout
    assert "R3  4XyZ12abcd  <> (login u***@example.com)" in shown.stdout
    assert "u3@" not in shown.stdout
    assert "stop: 0 → 10" in shown.stdout
    assert "(login u3@example.com)" in replay(site, site / "candidate", "--unmask").stdout


def test_no_data_is_no_pass(site: Path) -> None:
    """Nothing was kept: 2, with the reason."""
    for one in segments(str(site / "state")):
        one.path.unlink()
    done = replay(site)
    assert 2 == done.exit_code
    assert "no data is no pass" in done.stdout
    assert "nothing was kept yet" in done.output


def test_since(site: Path) -> None:
    """Older mail is left out."""
    Quill(str(site / "state"), 1 << 20).write([a_kept(1.0e9)], 1.0e9)
    assert (101, 100) == (asked(site)[1]["messages"], asked(site, "--since", "24h")[1]["messages"])


def test_the_store_is_off(site: Path) -> None:
    """It is said what to write."""
    (site / "t.yaml").write_text((site / "t.yaml").read_text().replace("replay: 72h\n", ""))
    for one in segments(str(site / "state")):
        one.path.unlink()
    done = replay(site)
    assert 2 == done.exit_code
    assert "write `replay: 72h`" in done.output


def test_the_key_is_gone(site: Path) -> None:
    """Said, skipped, and no pass."""
    (site / "state" / FOLDER / "key").unlink()
    done = replay(site)
    assert 2 == done.exit_code
    assert "1 blocks can't be read: the key with which they were sealed is gone" in done.stdout


def test_the_store_is_damaged(site: Path) -> None:
    """What is whole is judged; but nobody knows what the rest would show."""
    (segment,) = segments(str(site / "state"))
    segment.path.write_bytes(segment.path.read_bytes() + b"damage")
    code, found = asked(site)
    assert (2, 100, 1) == (code, found["judged"], found["unreadable"]["damaged"])


def test_what_is_not_kept_is_told(site: Path) -> None:
    """Its share, the missing fields, and who asks for them; too much of it is no pass."""
    (site / "candidate" / "b.yaml").write_text(
        'version: 1\nrules:\n  - {id: x, when: {header.x-a: b}, do: {reject: {code: "550 5.7.1", text: a}}}\n...\n'
    )
    code, found = asked(site, site / "candidate")
    assert (2, 0) == (code, found["judged"])
    assert {"messages": 100, "share": 1.0, "missing": {"header.x-a": 100}, "rules": {"x": 100}} == found[
        "not_replayable"
    ]
    shown = replay(site, site / "candidate").stdout
    assert "100 not replayable (100 %)" in shown
    assert "header.x-a: 100 messages" in shown


@pytest.mark.parametrize(
    "options",
    [
        ["--max-change", "many"],
        ["--max-change", "101%"],
        ["--since", "yesterday"],
        ["--mail", "/nowhere"],
        ["/nowhere"],
        ["--against", "/nowhere"],
    ],
)
def test_what_can_not_be_done(options: list[str], site: Path) -> None:
    """2, and no traceback."""
    done = replay(site, *options)
    assert 2 == done.exit_code
    assert done.exception is None or isinstance(done.exception, SystemExit)


def test_without_a_daemon_nothing_is_in_force(site: Path) -> None:
    """It is said that nobody answers; --against names what to compare with instead."""
    done = CliRunner().invoke(main, ["replay", "--config", str(site / "t.yaml")])
    assert 2 == done.exit_code
    assert "no daemon answers" in done.output


def test_a_folder_of_messages(site: Path) -> None:
    """With an envelope beside them, without one, and one that can't be used."""
    mail = site / "mail"
    mail.mkdir()
    for name, text in (
        ("a", "Return-Path: <x@example.com>\nDelivered-To: b@example.net\n"),
        ("b", "Subject: hello\n"),
        ("c", "Subject: hello\n"),
        ("d", "Subject: hello\n"),
    ):
        (mail / f"{name}.eml").write_text(f"{text}\nbody\n")
    (mail / "b.json").write_text('{"login": "u3@example.com", "rcpt": "b@example.net", "time": "2027-01-15T08:00Z"}')
    (mail / "c.json").write_text('{"logn": "u3@example.com", "rcpt": "b@example.net"}')
    code, found = asked(site, site / "candidate", "--mail", mail)
    (change,) = found["changes"]
    assert (2, 2, 1) == (code, found["judged"], change["messages"])
    assert "b.eml" == change["examples"][0]["ref"]
    assert {"c.eml": "its envelope has no key `logn`; did you mean `login`?"} == {
        Path(one["file"]).name: one["why"] for one in found["unreadable"]["named"] if "no key" in one["why"]
    }
    assert (2, 1) == (found["unreadable"]["files"], found["unreadable"]["envelope_from_headers"] - 1)


def test_what_redis_holds_lies_over_the_candidate(site: Path) -> None:
    """As the daemon has fetched it: a file's rule that an entry in Redis covers changes nothing."""
    assert (1, 10) == _codes(asked(site, site / "candidate"))
    config = site / "t.yaml"
    config.write_text(config.read_text() + f"redis: unix://{site}/nobody.sock\nenvironment: test\n")
    covering = a_text("stop", when="{login: nobody@example.com}")
    snapshot.write(str(site / "state"), a_snapshot(1, {"stop": covering}))
    assert (0, 0) == _codes(asked(site, site / "candidate"))
