"""The other commands of `tidegate policy`: rm, list, show, diff, edit, history, log, rollback, push, export."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.builders.editor import RULES, Editor, Ended
from tests.builders.redisserver import RedisServer
from tests.builders.stored import document, put, revisions_of, rule
from tidegate.live import snapshot
from tidegate.live.snapshot import Snapshot
from tidegate.revisions import Revision
from tidegate.store.contents import Content, fetch
from tidegate.store.revisions import Revisions


@pytest.fixture
def editor(tmp_path: Path, server: RedisServer) -> Editor:
    server.flush()
    editor = Editor(tmp_path, server)
    editor.site()
    assert 0 == editor.put(RULES, "--author", "ann", "--reason", "first").code
    return editor


def content(server: RedisServer) -> Content:
    revisions = revisions_of(server)
    found = fetch(revisions, revisions.head())
    assert isinstance(found, Content), found
    return found


def keys(server: RedisServer) -> tuple[list[str], list[str]]:
    """What the manifest holds, and what it removes."""
    manifest = content(server).manifest
    return [str(one.key) for one in manifest.entries], [str(key) for key in manifest.removed]


# rm


def test_rm_of_an_entry_that_only_redis_holds(editor: Editor, server: RedisServer) -> None:
    """It is gone, without a tombstone."""
    assert 0 == editor.run("rm", "halt").code
    assert (["rule stop"], []) == keys(server)


def test_rm_of_a_files_entry(editor: Editor, server: RedisServer) -> None:
    """A tombstone switches it off, whether or not Redis held one of that id."""
    done = editor.run("rm", "stop", "keep", "--reason", "harmful")
    assert 0 == done.code, done
    assert (["rule halt"], ["rule keep", "rule stop"]) == keys(server)
    assert "removed   rule keep, over 10-site.yaml:8:5" in done.output
    again = editor.run("rm", "keep")
    assert (2, "tidegate: rule keep: it is off already\n") == (again.code, again.errors)


def test_uncover(editor: Editor, server: RedisServer) -> None:
    """Redis forgets the entry and the tombstone; the file's entry counts again."""
    editor.run("rm", "keep")
    assert 0 == editor.run("rm", "keep", "stop", "--uncover").code
    assert (["rule halt"], []) == keys(server)
    assert 2 == editor.run("rm", "keep", "--uncover").code


def test_rm_that_would_break_something(editor: Editor, server: RedisServer) -> None:
    """The rule that needs it is named, and nothing is stored."""
    done = editor.run("rm", "partners")
    assert 1 == done.code, done
    assert "10-site.yaml:9:" in done.output
    assert "nothing was stored" in done.output
    assert ([], 1) == (keys(server)[1], content(server).revision.number)  # type: ignore[union-attr]


def test_names_that_mean_nothing_or_several(editor: Editor, server: RedisServer) -> None:
    """They are named; KIND/ID says which."""
    assert "there is no entry nothing" in editor.run("rm", "nothing").errors
    editor.put("version: 1\nlists:\n  halt: {type: login, items: [a]}\n...\n")
    several = editor.run("rm", "halt")
    assert (2, True) == (several.code, "halt means list/halt, rule/halt: say which" in several.errors)
    assert 0 == editor.run("rm", "list/halt").code
    assert ["rule halt", "rule stop"] == keys(server)[0]


# list, show, diff


def test_list(editor: Editor) -> None:
    """Each entry with its digest and what it overrides; tombstones; the revision."""
    editor.run("rm", "keep")
    done = editor.run("list")
    assert 0 == done.code, done
    shown = re.sub(r"[0-9a-f]{8}", "SHA", done.output).replace("  ", " ")
    assert re.search(r"rule halt +SHA\n", shown)
    assert re.search(r"rule stop +SHA +over 10-site.yaml:5:5\n", shown)
    assert re.search(r"rule keep +removed +over 10-site.yaml:8:5\n", shown)
    assert "revision 2 of prod, by " in done.output
    rows = {one["key"]: (one["removed"], one["overrides"]) for one in editor.run("list", "--json").document["entries"]}
    assert {
        "rule halt": (False, ""),
        "rule stop": (False, "10-site.yaml:5:5"),
        "rule keep": (True, "10-site.yaml:8:5"),
    } == rows


def test_list_names_what_lies_there_by_hand(editor: Editor, server: RedisServer) -> None:
    """Entries that nobody reviewed, and that they are not in force."""
    server.ask("HSET", "{tidegate:prod}:unreviewed", "block-x", document("block-x"))
    assert re.search(r"block-x +UNREVIEWED, written by hand: not in force\n", editor.run("list").output)
    assert ["block-x"] == editor.run("list", "--json").document["unreviewed"]


def test_list_without_policy_files(tmp_path: Path, server: RedisServer, editor: Editor) -> None:
    """A machine that has none can't say what is overridden, and says so."""
    done = editor.run("list", "--policies", "/nowhere")
    assert 0 == done.code, done
    assert "can't be told" in done.errors
    assert "rule stop" in done.output


def test_show(editor: Editor) -> None:
    """The text on standard output, where from on the other; `put` takes it back."""
    done = editor.run("show", "stop")
    assert 0 == done.code, done
    assert done.output.startswith("version: 1\nrules:\n  # Nobody writes there.\n  - id: stop\n")
    assert "rule stop of redis:prod, over 10-site.yaml:5:5\n" == done.errors
    assert "nothing to do" in editor.run("put", "-", stdin=done.output).output
    file = editor.run("show", "keep")
    assert "rule keep of a policy file\n" == file.errors
    assert 'do: {add_header: {X-Keep: "1"}}' in file.output
    assert 2 == editor.run("show", "nothing").code


def test_show_of_what_was(editor: Editor) -> None:
    """An entry as it was in an earlier revision; of a removed one there is none now, but what the file holds."""
    editor.put(document("stop", "example.com"))
    assert "example.net" in editor.run("show", "stop", "--revision", "1").output
    assert "example.com" in editor.run("show", "stop", "--json").document["text"]
    editor.run("rm", "stop")
    assert "from the file" in editor.run("show", "stop").output
    assert 2 == editor.run("show", "stop", "--revision", "9").code


def test_diff(editor: Editor) -> None:
    """Between two revisions, entry by entry; without numbers, what the newest one changed."""
    editor.put(document("stop", "example.com"))
    editor.run("rm", "halt")
    newest = editor.run("diff")
    assert (1, "forgotten rule halt") == (newest.code, newest.output.splitlines()[0])
    done = editor.run("diff", "1", "2")
    assert 1 == done.code, done
    assert "changed rule stop\n--- revision 1\n+++ revision 2\n" in done.output
    assert "+    when: {any_rcpt: {domain: example.com}}" in done.output
    whole = editor.run("diff", "1")
    assert ["changed rule stop", "forgotten rule halt"] == sorted(
        line for line in whole.output.splitlines() if re.match(r"[a-z]+ rule ", line)
    )
    assert (0, "no difference between revision 2 and revision 2\n") == (
        editor.run("diff", "2", "2").code,
        editor.run("diff", "2", "2").output,
    )
    assert "example.net" in editor.run("diff", "0", "1", "--json").document["changes"][1]["after"]
    assert 2 == editor.run("diff", "1", "77").code
    assert 2 == editor.run("diff", "one").code


# history, log, rollback


def test_history_and_log(editor: Editor) -> None:
    """Newest first: who, when, why, and what."""
    editor.put(document("stop", "example.com"), "--author", "bob", "--reason", "second", "--expires", "1h")
    done = editor.run("history")
    first, second = done.output.splitlines()
    assert re.match(r"\*     2  20\d\d-.*bob +second  \[reverts by itself at ", first)
    assert re.match(r"      1  20\d\d-.*ann +first$", second)
    rows = editor.run("history", "--json").document
    assert (2, [2, 1]) == (rows["head"], [one["revision"] for one in rows["revisions"]])
    log = editor.run("log").output.splitlines()
    assert "bob on" in log[0]
    assert log[0].endswith("put       changed rule stop: second")
    assert ["put", "put"] == [one["event"] for one in editor.run("log", "--json").document["log"]]
    assert 1 == len(editor.run("log", "-n", "1").output.splitlines())


def test_an_environment_without_a_revision(editor: Editor) -> None:
    """Each of them says so."""
    for command, word in (("list", "no revision yet"), ("history", "no revision yet"), ("log", "nothing happened")):
        done = editor.run(command, "-e", "empty")
        assert (0, True) == (done.code, word in done.output), done


def test_rollback(editor: Editor, server: RedisServer) -> None:
    """Old content as a new revision; 0 is nothing at all."""
    editor.put(document("stop", "example.com"))
    done = editor.run("rollback", "1", "--reason", "harmful")
    assert 0 == done.code, done
    assert "revision 3 of prod: 1 changed" in done.output
    found = content(server)
    assert "example.net" in found.texts[found.manifest.shas[rule("stop")]]
    assert "nothing to do" in editor.run("rollback", "1").output
    assert 0 == editor.run("rollback", "0").code
    assert ([], []) == keys(server)
    assert 2 == editor.run("rollback", "99").code


def test_rollback_of_what_is_not_valid_any_more(editor: Editor, server: RedisServer) -> None:
    """The list that it needs is gone from the files: told, and done only by force."""
    editor.put("version: 1\nrules:\n  - {id: x, when: {sender.domain: {in: partners}}, do: {hold: {reason: x}}}\n...\n")
    editor.run("rm", "x")
    editor.site("version: 1\nrules: []\n...\n")
    done = editor.run("rollback", "2")
    assert 1 == done.code, done
    assert "unknown-list" in done.output
    assert 0 == editor.run("rollback", "2", "--force").code
    assert "rule x" in keys(server)[0]


def test_rollback_instead_of_a_confirmation(editor: Editor, server: RedisServer) -> None:
    """A revision that would revert is taken back at once."""
    editor.put(document("stop", "example.com"), "--expires", "2h")
    assert 0 == editor.run("rollback", "1").code
    found = content(server)
    assert found.revision is not None
    assert (3, None) == (found.revision.number, found.revision.expires)
    assert "nothing to do" in editor.run("confirm").output


def _fetched(editor: Editor, server: RedisServer) -> None:
    """The daemon of this machine has the head on record."""
    found = content(server)
    (editor.folder / "state").mkdir(exist_ok=True)
    kept = Snapshot(1, "prod", 1.0, found.revision, found.manifest, found.fallback, found.texts)
    snapshot.write(str(editor.folder / "state"), kept)


@pytest.mark.parametrize("dump", [False, True], ids=["flushed", "an old dump"])
def test_what_redis_has_lost_is_put_back_from_the_record_here(editor: Editor, server: RedisServer, dump: bool) -> None:
    """Nothing is built on what is left; rollback brings all of it back, and daemons find the revision they have."""
    old = content(server)
    assert old.revision is not None
    editor.put(document("other"))
    _fetched(editor, server)
    before = content(server)
    server.flush()
    if dump:
        revisions = revisions_of(server)
        revisions.commit(old.revision, [old.manifest], old.texts, revisions.head(), {})
    done = editor.put(document("more"))
    assert 2 == done.code, done
    assert (
        "this machine has fetched revision 2 from it before: tidegate policy rollback 2 puts that back" in done.errors
    )
    back = editor.run("rollback", "2")
    assert 0 == back.code, back
    after = content(server)
    assert after.revision is not None
    assert (3, before.manifest, before.texts) == (after.revision.number, after.manifest, after.texts)
    assert before.revision == revisions_of(server).revision(2)
    assert 0 == editor.put(document("more")).code


# push, export


def test_what_is_exported_and_pushed_is_the_same(editor: Editor, server: RedisServer, tmp_path: Path) -> None:
    """The same manifest, by its digest; with tombstones."""
    editor.run("rm", "keep")
    folder = tmp_path / "export"
    done = editor.run("export", str(folder))
    assert 0 == done.code, done
    assert ["removed.txt", "rule-halt.yaml", "rule-stop.yaml"] == sorted(one.name for one in folder.iterdir())
    before = content(server).manifest
    assert "nothing to do" in editor.run("push", str(folder)).output
    editor.run("rollback", "0")
    assert 0 == editor.run("push", str(folder)).code
    assert before == content(server).manifest
    assert 2 == editor.run("export", str(folder)).code


def test_push_forgets_what_is_not_there(editor: Editor, server: RedisServer, tmp_path: Path) -> None:
    """Redis holds exactly what the folder holds."""
    folder = tmp_path / "push"
    folder.mkdir()
    (folder / "a.yaml").write_text(document("one"))
    (folder / "b.yaml").write_text(document("two"))
    assert 0 == editor.run("push", str(folder)).code
    assert (["rule one", "rule two"], []) == keys(server)


@pytest.mark.parametrize(
    ("files", "code", "word"),
    [
        ({}, 2, "holds no entry"),
        ({"a.yaml": document("one"), "b.yaml": document("one")}, 2, "rule one stands in a.yaml and in b.yaml"),
        ({"a.yaml": document("one").replace("when", "wen")}, 1, "a.yaml:4:5: unknown-key"),
        ({"a.yaml": "version: 1\nrules:\n  - {\n...\n"}, 1, "a.yaml"),
        ({"a.yaml": document("one"), "removed.txt": "rul stop\n"}, 2, "removed.txt:1: write KIND ID"),
    ],
    ids=["nothing", "twice", "unknown key", "syntax", "tombstones"],
)
def test_push_of_what_is_wrong(
    editor: Editor, server: RedisServer, tmp_path: Path, files: dict[str, str], code: int, word: str
) -> None:
    """Nothing is stored."""
    folder = tmp_path / "push"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    done = editor.run("push", str(folder))
    assert code == done.code, done
    assert word in done.output + done.errors
    assert 1 == content(server).revision.number  # type: ignore[union-attr]


# edit


def edit(editor: Editor, script: str, *options: str, answers: str = "") -> Ended:
    """`tidegate policy edit stop` with an editor that is this Python script; `path` is the file."""
    program = editor.folder / "editor.py"
    head = "import sys, pathlib\npath = pathlib.Path(sys.argv[1])\ntext = path.read_text()\n"
    program.write_text(f"{head}{script}\n")
    environment = {"EDITOR": f"{sys.executable} {program}", "VISUAL": "", "TMPDIR": str(editor.folder)}
    return editor.run("edit", *(options or ("stop",)), stdin=answers, environment=environment)


def test_edit(editor: Editor, server: RedisServer) -> None:
    """What was typed is stored, comments and all; the draft is gone."""
    done = edit(editor, "path.write_text(text.replace('example.net', 'example.com'))", "stop", "--reason", "moved")
    assert 0 == done.code, done
    found = content(server)
    text = found.texts[found.manifest.shas[rule("stop")]]
    assert "# Nobody writes there." in text
    assert "example.com" in text
    assert [] == list(editor.folder.glob("tidegate-rule-*"))


def test_edit_without_a_terminal(editor: Editor) -> None:
    """No editor of ours is started where nobody could type; the message says what to do."""
    done = editor.run("edit", "stop", environment={"EDITOR": "", "VISUAL": "", "PATH": str(editor.folder)})
    assert 2 == done.code, done
    assert "needs a terminal; without one, tidegate policy put FILE" in done.errors


def test_edit_of_a_files_entry(editor: Editor, server: RedisServer) -> None:
    """It is put into Redis, over the file's."""
    done = edit(editor, "path.write_text(text.replace('X-Keep', 'X-Kept'))", "keep")
    assert 0 == done.code, done
    assert "added     rule keep, over 10-site.yaml:8:5" in done.output


def test_edit_without_a_change(editor: Editor) -> None:
    """Nothing to do, nothing kept."""
    done = edit(editor, "")
    assert (0, True) == (done.code, "nothing to do" in done.output), done
    assert [] == list(editor.folder.glob("tidegate-rule-*"))


@pytest.mark.parametrize(
    ("script", "code", "word"),
    [
        ("path.write_text(text.replace('when', 'wen'))", 1, "unknown-key"),
        ("path.write_text(text.replace('{', '{{', 1))", 1, "yaml-syntax"),
        ("path.write_text(text.replace('id: stop', 'id: other'))", 2, "has to hold rule stop and nothing else"),
        ("path.write_text(text + 'x'); sys.exit(3)", 2, "ended with 3"),
    ],
    ids=["unknown key", "syntax", "another id", "the editor fails"],
)
def test_edit_keeps_what_was_typed(editor: Editor, server: RedisServer, script: str, code: int, word: str) -> None:
    """Something is wrong with it: it is told, and the text lies in a file that is named."""
    done = edit(editor, script, answers="n\n")
    assert code == done.code, done
    assert word in done.output + done.errors
    (kept,) = editor.folder.glob("tidegate-rule-stop-*")
    assert f"your text is kept in {kept}" in done.errors
    assert 1 == content(server).revision.number  # type: ignore[union-attr]


def test_edit_for_a_program(editor: Editor) -> None:
    """What is wrong is JSON, and nobody is asked."""
    done = edit(editor, "path.write_text(text.replace('when', 'wen'))", "stop", "--json")
    assert (1, False) == (done.code, done.document["stored"])
    assert {"unknown-key", "missing-key"} == {one["code"] for one in done.document["problems"]}


def test_edit_again(editor: Editor, server: RedisServer) -> None:
    """The editor opens again on the same text."""
    script = (
        "path.write_text(text.replace('wen', 'when').replace('example.net', 'example.com') if 'wen' in text "
        "else text.replace('when', 'wen'))"
    )
    done = edit(editor, script, answers="y\n")
    assert 0 == done.code, done
    assert "example.com" in content(server).texts[content(server).manifest.shas[rule("stop")]]


def test_edit_while_others_edit_other_entries(
    editor: Editor, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they did stays, and so does ours."""
    _meanwhile(monkeypatch, "other")
    done = edit(editor, "path.write_text(text.replace('example.net', 'example.com'))")
    assert 0 == done.code, done
    found = content(server)
    assert "rule other" in keys(server)[0]
    assert "example.com" in found.texts[found.manifest.shas[rule("stop")]]


def test_edit_while_somebody_edits_the_same_entry(
    editor: Editor, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A conflict that names him; our text is kept in a file."""
    _meanwhile(monkeypatch, "stop")
    done = edit(editor, "path.write_text(text.replace('example.net', 'example.com'))")
    assert 1 == done.code, done
    assert "by bob on mx1" in done.errors
    assert "your text is kept in" in done.errors


def _meanwhile(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Between an editor's reading and storing, bob puts an entry of this name."""
    original = Revisions.commit
    happened: list[int] = []

    def slow(self: Revisions, revision: Revision, *rest: object) -> object:
        if not happened:
            happened.append(1)
            found = fetch(self, self.head())
            assert isinstance(found, Content)
            texts = {one.key: found.texts[one.sha] for one in found.manifest.entries}
            put(self, {**texts, rule(name): document(name, "bob.example")}, author="bob")
        return original(self, revision, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Revisions, "commit", slow)
