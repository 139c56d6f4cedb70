"""`tidegate policy promote`: the bytes of test go to production, through gates each of which has to say yes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.builders.editor import FILES, RULES, Editor, Ended
from tests.builders.redisserver import RedisServer
from tests.builders.signers import a_key, trusted
from tests.builders.storesettings import StoreWords
from tidegate.cli.policy import promote as promoting
from tidegate.revisions import Node, Revision, read_revision
from tidegate.store.connection import open_store
from tidegate.store.nodes import say

HOUR = 3600


@dataclass
class Way:
    """A Redis with test and prod, and a machine of prod with its policy files and its mail."""

    editor: Editor
    server: RedisServer

    @property
    def mail(self) -> Path:
        return self.editor.folder / "mail"

    def message(self, recipient: str) -> None:
        self.mail.mkdir(exist_ok=True)
        (self.mail / "one.eml").write_text("From: alice@example.com\nSubject: hello\n\nhello\n")
        envelope = {"sender": "alice@example.com", "rcpt": [recipient], "login": "alice", "client": "192.0.2.7"}
        (self.mail / "one.json").write_text(json.dumps(envelope))

    def head(self, environment: str = "prod") -> Revision | None:
        text = self.server.ask("HGET", f"{{tidegate:{environment}}}:head", "record")
        found = read_revision(text.encode(), environment) if text else None
        assert found is None or isinstance(found, Revision)
        return found

    def number(self) -> int:
        head = self.head()
        return head.number if head else 0

    def report(self, name: str = "mx1", **changes: Any) -> None:
        """A daemon of test says that it has run the head for an hour."""
        head, now = self.head("test"), int(time.time())
        assert head is not None
        number = head.number
        node = Node(
            name, at=now, loaded=number, revision=number, manifest=head.manifest, since=now - HOUR, clean=now - HOUR
        )
        node = replace(node, **{"workers": 2, "current": 2, **changes})
        say(open_store(StoreWords(self.server.url, environment="test"), 5.0), name, node.canonical(), now)

    def promote(self, *options: str) -> Ended:
        words = ("--from", "test", "--to", "prod", "--mail", str(self.mail), *options)
        return self.editor.run("promote", *words)


@pytest.fixture
def way(tmp_path: Path, server: RedisServer) -> Way:
    """Every gate would say yes."""
    server.flush()
    way = Way(Editor(tmp_path, server), server)
    way.editor.site(FILES)
    way.editor.put(FILES.replace("from the file", "from prod"))
    way.editor.put(RULES, "-e", "test", "--reason", "a new rule", "--expect", "40 logins")
    way.message("bob@example.edu")
    way.report()
    return way


def test_the_same_bytes(way: Way) -> None:
    """Production has the manifest of test, digest and texts, on top of its own head; the audit stream says from where,
    and what was expected goes along."""
    done = way.promote()
    assert 0 == done.code, done.output + done.errors
    source, target = way.head("test"), way.head()
    assert source is not None
    assert target is not None
    assert (source.manifest, 2, 1, ()) == (target.manifest, target.number, target.parent, target.forced)
    assert [40, 40] == [one.logins for one in target.expect]
    manifest = way.server.ask("HGET", "{tidegate:prod}:manifests", target.manifest)
    assert manifest == way.server.ask("HGET", "{tidegate:test}:manifests", target.manifest)
    for _, _, sha in json.loads(manifest)["entries"]:
        texts = [way.server.ask("HGET", f"{{tidegate:{name}}}:entries", sha) for name in ("test", "prod")]
        assert texts[0] == texts[1]
    line = way.editor.run("log", "--json").document["log"][0]
    assert ("promote", "test/1", "a new rule") == (line["event"], line["from"], line["reason"])
    again = way.promote()
    assert (0, 2) == (again.code, way.number())
    assert "nothing to do" in again.output


def _nobody(way: Way) -> None:
    way.server.ask("DEL", "{tidegate:test}:node:mx1", "{tidegate:test}:nodes")


def _silent(way: Way) -> None:
    way.server.ask("DEL", "{tidegate:test}:node:mx1")


def _unreadable(way: Way) -> None:
    way.server.ask("SET", "{tidegate:test}:node:mx1", "nonsense")


def _another_revision(way: Way) -> None:
    way.report("mx2", revision=0, loaded=0)


def _another_manifest(way: Way) -> None:
    way.report("mx2", manifest="0" * 64)


def _on_trial(way: Way) -> None:
    way.report(canary=7)


def _a_worker_behind(way: Way) -> None:
    way.report(current=1)


def _skipped(way: Way) -> None:
    way.report("mx2", troubled=("skipped rule stop",))


def _tripped(way: Way) -> None:
    way.report(troubled=("tripped rule stop",))


def _unready(way: Way) -> None:
    way.report(unready="no worker")


def _too_short(way: Way) -> None:
    way.report(since=int(time.time()) - 60)


def _eased_meanwhile(way: Way) -> None:
    way.report(clean=int(time.time()) - 60)


def _never_clean(way: Way) -> None:
    way.report(clean=0)


def _expires(way: Way) -> None:
    way.editor.run("rollback", "0", "-e", "test")
    way.editor.put(RULES, "-e", "test", "--expires", "1h")
    way.report()


def _broken_file(way: Way) -> None:
    way.editor.site("version: 1\nrules:\n  - {id: x, when: {no.such.field: a}, do: {hold: {reason: x}}}\n...\n")


def _example_fails(way: Way) -> None:
    rule = "{id: x, when: {login: u0}, do: {hold: {reason: a}}, examples: {match: [{login: u1}]}}"
    way.editor.site(f"version: 1\nrules: [{rule}]\n...\n")


def _verdicts_change(way: Way) -> None:
    way.message("bob@example.net")


def _no_mail(way: Way) -> None:
    for one in way.mail.iterdir():
        one.unlink()


BROKEN: list[tuple[str, Callable[[Way], None]]] = [
    ("fleet", _nobody),
    ("fleet", _silent),
    ("fleet", _unreadable),
    ("fleet", _another_revision),
    ("fleet", _another_manifest),
    ("fleet", _on_trial),
    ("fleet", _a_worker_behind),
    ("fleet", _skipped),
    ("fleet", _tripped),
    ("fleet", _unready),
    ("fleet", _too_short),
    ("fleet", _eased_meanwhile),
    ("fleet", _never_clean),
    ("settled", _expires),
    ("check", _broken_file),
    ("examples", _example_fails),
    ("replay", _verdicts_change),
    ("replay", _no_mail),
]


@pytest.mark.parametrize(("gate", "spoil"), BROKEN, ids=[f"{name}{one.__name__}" for name, one in BROKEN])
def test_each_gate_says_no(way: Way, gate: str, spoil: Callable[[Way], None]) -> None:
    """One that is broken refuses by its name, and by no other; nothing is stored."""
    spoil(way)
    done = way.promote("--json")
    assert 1 == done.code, done.output + done.errors
    assert [gate] == [one["gate"] for one in done.document["gates"] if not one["passed"]]
    assert (False, 1) == (done.document["stored"], way.number())
    told = way.promote()
    assert f"  NO        {gate}: " in told.output
    assert "nothing was stored" in told.output


def test_break_glass(way: Way) -> None:
    """It needs a reason; it is in the record, in history and audit stream, until a person confirms the revision."""
    _verdicts_change(way)
    _nobody(way)
    assert 2 == way.promote("--break-glass").code
    assert 1 == way.number()
    done = way.promote("--break-glass", "--reason", "the wave is here")
    assert 0 == done.code, done.output + done.errors
    assert "  passed by fleet: " in done.output
    head = way.head()
    assert head is not None
    assert (2, ("fleet", "replay"), "the wave is here") == (head.number, head.forced, head.reason)
    assert "past its gates: fleet, replay" in way.editor.run("history").output
    assert "fleet, replay" == way.editor.run("log", "--json").document["log"][0]["forced"]
    assert 0 == way.editor.run("confirm").code
    after = way.head()
    assert after is not None
    assert (3, (), head.manifest) == (after.number, after.forced, after.manifest)


def test_dry_run(way: Way) -> None:
    """Each gate with its answer, and nothing is stored."""
    done = way.promote("--dry-run")
    assert 0 == done.code, done.output + done.errors
    for gate in ("settled", "fleet", "check", "examples", "replay"):
        assert f"  ok        {gate}: " in done.output
    assert 1 == way.number()
    _skipped(way)
    assert 1 == way.promote("--dry-run", "--break-glass", "--reason", "x").code


def test_somebody_was_faster(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who changed production meanwhile is named, and nothing of the promotion is stored."""
    asked = promoting.ask
    config, file = way.editor.config, way.editor.folder / "other.yaml"
    file.write_text(RULES.replace("id: halt", "id: other"))

    def slowly(*words: Any) -> Any:
        command = [sys.executable, "-m", "tidegate", "policy", "put", str(file), "--config", str(config)]
        subprocess.run([*command, "--author", "bert"], check=True, env={"PYTHONPATH": "milter"}, capture_output=True)
        return asked(*words)

    monkeypatch.setattr(promoting, "ask", slowly)
    done = way.promote()
    assert 1 == done.code
    assert "conflict: revision 2 of prod came in between, by bert" in done.errors
    head, source = way.head(), way.head("test")
    assert head is not None
    assert source is not None
    assert (2, True) == (head.number, head.manifest != source.manifest)


def test_between_two_servers(way: Way, tmp_path: Path) -> None:
    """Test has a Redis of its own; its settings file names it."""
    folder = tmp_path / "two"
    folder.mkdir()
    with RedisServer() as other:
        above = Editor(folder, other)
        words = ("--from", "test", "--from-config", str(way.editor.config), "--mail", str(way.mail))
        done = above.run("promote", *words)
        assert 0 == done.code, done.output + done.errors
        text = other.ask("HGET", "{tidegate:prod}:head", "record")
        source = way.head("test")
        assert source is not None
        assert source.manifest == json.loads(text)["manifest"]
        other.stop()
        assert 2 == above.run("promote", *words).code
    way.server.freeze()
    try:
        assert 2 == way.promote("--soak", "0").code
    finally:
        way.server.thaw()


def test_nobody_signs_for_a_stranger(way: Way, tmp_path: Path) -> None:
    """Production demands signatures, the settings for test do not: what nobody signed there stays there."""
    folder = tmp_path / "signed"
    folder.mkdir()
    key = a_key(folder)
    trusted(folder, key, "test", "stage")
    above = Editor(folder, way.server, environment="stage", signatures="required", trusted_keys=str(folder / "trusted"))
    words = ("promote", "--from", "test", "--from-config", str(way.editor.config), "--mail", str(way.mail))
    words = (*words, "--key", str(folder / "anna.pem"), "--json")

    def refused() -> list[str]:
        return [one["gate"] for one in above.run(*words, "--dry-run").document["gates"] if not one["passed"]]

    assert ["signed"] == refused()
    way.editor.run("rollback", "1", "-e", "test", "--key", str(folder / "anna.pem"))
    way.report()
    assert [] == refused()
    assert 0 == above.run(*words).code


def test_there_is_nothing(way: Way) -> None:
    """No such environment, the same one, no reason."""
    assert 2 == way.editor.run("promote", "--from", "dev").code
    assert 2 == way.editor.run("promote", "--from", "prod").code
    assert 2 == way.editor.run("promote").code
