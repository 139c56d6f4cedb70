"""`tidegate policy put`: read, checked beside what is there, stored; and everything that keeps it from being stored."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.builders.editor import RULES, Editor
from tests.builders.redisserver import RedisServer
from tests.builders.stored import a_revision, document, manifest_of, put, revisions_of, rule
from tidegate.revisions import Revision
from tidegate.store.contents import Content, fetch
from tidegate.store.revisions import Revisions


@pytest.fixture
def editor(tmp_path: Path, server: RedisServer) -> Editor:
    server.flush()
    editor = Editor(tmp_path, server)
    editor.site()
    return editor


def content(server: RedisServer, environment: str = "prod") -> Content:
    revisions = revisions_of(server, environment)
    found = fetch(revisions, revisions.head())
    assert isinstance(found, Content), found
    return found


def test_a_file_is_put(editor: Editor, server: RedisServer) -> None:
    """Each entry is stored as its author wrote it; what it overrides is said."""
    done = editor.put(RULES, "--reason", "an outbreak", "--author", "ann")
    assert 0 == done.code, done
    assert "  added     rule halt\n  added     rule stop, over 10-site.yaml:5:5\n" in done.output
    assert "revision 1 of prod: 2 added" in done.output
    found = content(server)
    assert found.revision is not None
    assert (1, 0, "ann", "an outbreak", "prod") == (
        found.revision.number,
        found.revision.parent,
        found.revision.author,
        found.revision.reason,
        found.revision.environment,
    )
    assert (
        "version: 1\nrules:\n  # Nobody writes there.\n  - id: stop\n" in found.texts[found.manifest.shas[rule("stop")]]
    )
    (line,) = Revisions(revisions_of(server).link).log(5)
    assert "added rule halt, added rule stop" == line.fields["changes"]


def test_as_json(editor: Editor) -> None:
    """The same for programs."""
    done = editor.put(RULES, "--json")
    assert 0 == done.code, done
    assert (1, True, "prod") == tuple(done.document[name] for name in ("revision", "stored", "environment"))
    assert {"rule stop": "10-site.yaml:5:5", "rule halt": ""} == {
        one["key"]: one["overrides"] for one in done.document["changes"]
    }


def test_what_is_there_already_is_no_revision(editor: Editor) -> None:
    """Nothing is stored, and that is fine."""
    editor.put(RULES)
    done = editor.put(RULES)
    assert (0, "nothing to do: revision 1 of prod says the same\n") == (done.code, done.output)


def test_from_standard_input(editor: Editor, server: RedisServer) -> None:
    """As `-`; the other entries stay."""
    editor.put(RULES)
    done = editor.run("put", "-", stdin=document("stop", "example.com"))
    assert 0 == done.code, done
    assert {"rule stop", "rule halt"} == {str(one.key) for one in content(server).manifest.entries}
    broken = editor.run("put", "-", stdin="rules: 5\n")
    assert 1 == broken.code
    assert "standard input:1:1: no-version" in broken.output


BROKEN = {
    "a key that is not known": ("    wen: always", "unknown-key"),
    "no condition": ("", "missing-key"),
    "a list that is nowhere": ("    when: {login: {in: nobody}}", "unknown-list"),
    "a syntax error": ("    when: {login: [}", "yaml-syntax"),
    "an example that fails": (
        "    when: {login: x}\n    examples: {match: [{sender: a@example.com, rcpt: [b@example.net]}]}",
        "example-failed",
    ),
}


@pytest.mark.parametrize("what", sorted(BROKEN))
def test_what_is_wrong_is_told_as_check_tells_it(editor: Editor, server: RedisServer, what: str) -> None:
    """The same lines, with the place in the file, and nothing is stored: not the good entry either."""
    line, code = BROKEN[what]
    text = RULES.replace("    when: {any_rcpt: {domain: example.org}}", line)
    done = editor.put(text)
    assert 1 == done.code, done
    assert "nothing was stored" in done.output
    assert not server.ask("EXISTS", "{tidegate:prod}:head")
    alone = editor.folder / "alone"
    alone.mkdir()
    (alone / "put.yaml").write_text(text)
    checked = editor.command("check", str(alone))
    told = [row for row in checked.output.splitlines() if f": {code}: " in row]
    assert told, checked
    for row in told:
        assert row.replace("put.yaml", str(editor.file), 1) in done.output
    place = told[0].split(":")[1]
    excerpt = next(row for row in checked.output.splitlines() if row.startswith(f"  {place} | "))
    assert excerpt in done.output


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "empty-file"),
        ("version: 1\n...\n", "empty-file"),
        ("version: 1\nrule: []\n...\n", "unknown-section"),
        ("version: 1\nlists: []\n...\n", "wrong-section-type"),
        ("\x00", "wrong-section-type"),
        ("version: 1\nrules:\n  - {id: a, when: always, do: {hold: {reason: x}}}\n" * 2 + "...\n", "duplicate-key"),
        (
            "version: 1\nrules:\n" + "  - {id: a, when: always, do: {hold: {reason: x}}}\n" * 2 + "...\n",
            "duplicate-id",
        ),
        ("version: 1\nrules:\n  - " + "[" * 5000 + "\n...\n", ""),
    ],
    ids=lambda value: value if value and "\n" not in value else "",
)
def test_files_that_hold_no_entries(editor: Editor, text: str, code: str) -> None:
    """Whatever the bytes: a problem with its place, exit code 1."""
    done = editor.put(text)
    assert 1 == done.code, done
    assert f": {code}" in done.output
    assert str(editor.file) in done.output


def test_a_file_that_is_not_there(editor: Editor) -> None:
    """Exit code 2."""
    done = editor.run("put", "/nowhere.yaml")
    assert (2, "tidegate: /nowhere.yaml: No such file or directory\n") == (done.code, done.errors)


def test_what_it_breaks_elsewhere(editor: Editor, server: RedisServer) -> None:
    """A list that a file's rule needs otherwise: refused, at the place of that rule."""
    done = editor.put("version: 1\nlists:\n  partners: {type: login, items: [a]}\n...\n")
    assert 1 == done.code, done
    assert "10-site.yaml:9" in done.output
    assert "list-mismatch" in done.output
    assert not server.ask("EXISTS", "{tidegate:prod}:head")


def test_what_was_broken_before_is_nobodys_fault(editor: Editor, server: RedisServer) -> None:
    """A file of this machine that has a mistake does not keep others from working."""
    editor.site("version: 1\nrules:\n  - {id: bad, wen: always}\n...\n")
    assert 0 == editor.put(RULES).code
    assert 1 == content(server).revision.number  # type: ignore[union-attr]


def test_it_may_use_what_the_files_hold(editor: Editor) -> None:
    """A list of a policy file, from a rule in Redis."""
    text = "version: 1\nrules:\n  - {id: x, when: {sender.domain: {in: partners}}, do: {hold: {reason: x}}}\n...\n"
    assert 0 == editor.put(text).code


def test_an_expectation_goes_with_the_rule(editor: Editor, server: RedisServer) -> None:
    """It is recorded for the rules that are changed, and carried on as long as their text stays."""
    editor.put(RULES, "--expect", "40 logins per 2h")
    first = content(server)
    assert first.revision is not None
    assert {("stop", 40, 7200), ("halt", 40, 7200)} == {
        (one.rule, one.logins, one.per) for one in first.revision.expect
    }
    editor.put(document("stop", "example.com"), "--expect", "5 logins")
    second = content(server)
    assert second.revision is not None
    assert {("stop", 5, 3600), ("halt", 40, 7200)} == {
        (one.rule, one.logins, one.per) for one in second.revision.expect
    }
    editor.put(document("halt", "example.com"))
    third = content(server)
    assert third.revision is not None
    assert ["stop"] == [one.rule for one in third.revision.expect]


def test_in_force_at_once(editor: Editor, server: RedisServer) -> None:
    """`--now` needs a reason, which stands in the record."""
    assert 2 == editor.put(RULES, "--now").code
    done = editor.put(RULES, "--now", "--reason", "an outbreak")
    assert 0 == done.code, done
    assert "at once" in done.output
    assert "an outbreak" == content(server).revision.urgent  # type: ignore[union-attr]


def test_words_of_a_person_are_one_line(editor: Editor, server: RedisServer) -> None:
    """Whatever is typed into a reason stays a text; one that is too long is refused."""
    assert 0 == editor.put(RULES, "--reason", "two\nlines\x1b[31m and größe").code
    assert "two lines [31m and größe" == content(server).revision.reason  # type: ignore[union-attr]
    assert 2 == editor.put(document("stop"), "--reason", "x" * 501).code


def test_bytes_that_are_no_text(editor: Editor, server: RedisServer) -> None:
    """In the name of a file, in a reason, in an author: shown, stored as text, or refused; never a traceback."""
    name = editor.folder / os.fsdecode(b"p\xff\x1b[2J.yaml")
    name.write_text(RULES.replace("when", "wen"))
    done = editor.run("put", str(name))
    assert (1, False) == (done.code, "\x1b" in done.output)
    name.write_text(RULES)
    assert 0 == editor.run("put", str(name), "--reason", os.fsdecode(b"a\xffb"), "--author", os.fsdecode(b"\xff")).code
    found = content(server).revision
    assert found is not None
    assert "a b" == found.reason
    assert found.author.isprintable()


def test_somebody_was_faster(editor: Editor, server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between reading the head and moving it: who it was, and why; nothing of the loser's is stored."""
    original = Revisions.commit

    def slow(self: Revisions, revision: Revision, *rest: object) -> object:
        if revision.author != "bob":
            put(self, {rule("other"): document("other")}, author="bob")
        return original(self, revision, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Revisions, "commit", slow)
    done = editor.put(RULES)
    assert 1 == done.code, done
    assert "conflict: revision 1 of prod came in between, by bob on mx1" in done.errors
    assert "a test; nothing of yours was stored; look at it with tidegate policy diff 0 1" in done.errors
    assert ["rule other"] == [str(one.key) for one in content(server).manifest.entries]


def test_on_top_of_a_certain_revision(editor: Editor) -> None:
    """`--base`: what was looked at is still what is there."""
    assert 0 == editor.put(RULES, "--base", "0").code
    done = editor.put(document("stop"), "--base", "0")
    assert (2, "tidegate: revision 1 of prod is in force, not 0\n") == (done.code, done.errors)


def test_commit_confirmed(editor: Editor, server: RedisServer) -> None:
    """What reverts by itself names what it reverts to; nothing is put on top of it; confirmed, it stays."""
    editor.put(RULES)
    done = editor.put(document("stop", "example.com"), "--expires", "2h")
    assert 0 == done.code, done
    assert "it reverts by itself at" in done.output
    found = content(server)
    assert found.revision is not None
    assert found.revision.expires is not None
    assert 7200 == found.revision.expires - found.revision.at
    assert found.in_force(found.revision.at + 7199.0) == found.manifest
    assert found.in_force(found.revision.at + 7200.0) == found.fallback != found.manifest
    later = editor.put(document("other"))
    assert 2 == later.code
    assert "first tidegate policy confirm, or tidegate policy rollback 1" in later.errors
    assert 0 == editor.run("confirm").code
    confirmed = content(server)
    assert confirmed.revision is not None
    assert (3, None, found.manifest) == (confirmed.revision.number, confirmed.revision.expires, confirmed.manifest)
    assert 0 == editor.put(document("other")).code


def test_what_has_reverted(editor: Editor, server: RedisServer) -> None:
    """The next change starts from what is in force, and there is nothing to confirm any more."""
    revisions = revisions_of(server)
    first, second = manifest_of({rule("a"): document("a")}), manifest_of({rule("b"): document("b")})
    put(revisions, {rule("a"): document("a")})
    texts = {sha: document(name) for name, sha in (("a", first.shas[rule("a")]), ("b", second.shas[rule("b")]))}
    past = replace(a_revision(2, second), at=1_000, expires=2_000, fallback=first.digest())
    revisions.commit(past, [second, first], texts, revisions.head(), {})
    assert "reverted by itself" in editor.run("list").output
    assert 2 == editor.run("confirm").code
    assert 0 == editor.put(document("c")).code
    assert ["a", "c"] == [one.key.id for one in content(server).manifest.entries]


def test_another_environment(editor: Editor, server: RedisServer) -> None:
    """`-e` names it; the settings' one is left alone."""
    assert 0 == editor.put(RULES, "-e", "test").code
    assert not server.ask("EXISTS", "{tidegate:prod}:head")
    assert "test" == content(server, "test").revision.environment  # type: ignore[union-attr]
    assert 2 == editor.put(RULES, "-e", "no such thing").code


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"redis": "off"}, "`redis` is not set"),
        ({"redis": "unix:///nowhere/r.sock"}, "Redis at unix:/nowhere/r.sock: No such file or directory"),
        ({"redis_editor_password_file": "/nowhere/secret"}, "the password file /nowhere/secret can't be read"),
        ({"policies": "/nowhere"}, "/nowhere"),
    ],
    ids=["off", "down", "password", "policies"],
)
def test_it_can_not_be_done(tmp_path: Path, server: RedisServer, settings: dict[str, str], word: str) -> None:
    """One line, exit code 2."""
    server.flush()
    done = Editor(tmp_path, server, **settings).put(RULES)
    assert 2 == done.code, done
    assert word in done.errors
    assert 1 == done.errors.count("\n")


@pytest.mark.parametrize(
    ("trouble", "cure", "word"),
    [
        (("CONFIG", "SET", "maxmemory", 1), ("CONFIG", "SET", "maxmemory", 0), "its memory is full"),
        (("REPLICAOF", "127.0.0.1", 1), ("REPLICAOF", "NO", "ONE"), "it is a replica"),
        (("ACL", "SETUSER", "default", "-hset"), ("ACL", "SETUSER", "default", "+hset"), "can't run this command"),
        (("CONFIG", "SET", "min-replicas-to-write", 1), ("CONFIG", "SET", "min-replicas-to-write", 0), "too few"),
    ],
    ids=["full", "replica", "acl", "replicas"],
)
def test_a_redis_that_takes_no_writes(
    editor: Editor, server: RedisServer, trouble: tuple[str, ...], cure: tuple[str, ...], word: str
) -> None:
    """The whole revision is stored or nothing of it: one line, exit code 2; afterwards it is stored."""
    editor.put(RULES)
    server.ask(*trouble)
    try:
        done = editor.put(document("other"))
    finally:
        server.ask(*cure)
    assert (2, True) == (done.code, word in done.errors), done
    assert 1 == done.errors.count("\n")
    assert ["1"] == server.ask("HKEYS", "{tidegate:prod}:revisions")
    assert "nothing to do" in editor.put(RULES).output
    assert 0 == editor.put(document("other")).code


def test_a_head_that_was_written_by_hand(editor: Editor, server: RedisServer) -> None:
    """Nothing is built on it, and rollback puts an end to it."""
    editor.put(RULES)
    server.ask("HSET", "{tidegate:prod}:head", "number", 7)
    done = editor.put(document("stop"))
    assert 2 == done.code, done
    assert "unreviewed: the head was moved by hand" in done.errors
    assert "UNREVIEWED" in editor.run("history").output
    assert 0 == editor.run("rollback", "1").code
    assert 8 == content(server).revision.number  # type: ignore[union-attr]


def test_what_is_unreviewed_where_it_is_allowed(tmp_path: Path, server: RedisServer) -> None:
    """It is built upon, and becomes a proper revision."""
    server.flush()
    editor = Editor(tmp_path, server, redis_unreviewed="allow")
    editor.put(RULES)
    sha = content(server).manifest.shas[rule("stop")]
    server.ask("HSET", "{tidegate:prod}:entries", sha, document("stop", "hand.example"))
    assert "UNREVIEWED: the text of rule stop was changed by hand" in editor.run("list").output
    assert 0 == editor.put(document("other")).code
    found = content(server)
    assert "hand.example" in found.texts[found.manifest.shas[rule("stop")]]


def test_without_a_terminal_and_as_a_process(editor: Editor) -> None:
    """As a script calls it; no secret of the settings in its arguments."""
    editor.file.write_text(RULES)
    command = [sys.executable, "-m", "tidegate", "policy", "put", str(editor.file), "--config", str(editor.config)]
    done = subprocess.run(
        command, env={"PYTHONPATH": "milter"}, capture_output=True, text=True, check=False, timeout=60
    )
    assert (0, "") == (done.returncode, done.stderr)
