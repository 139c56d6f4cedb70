"""`tidegate policy put --preview`: what the edit would have made of the last days' mail, before anything is stored."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builders.editor import Editor
from tests.builders.kept import a_kept
from tests.builders.redisserver import RedisServer
from tests.builders.transactions import NOW
from tidegate.replay import Quill

STOP = '{reject: {code: "550 5.7.1", text: stop}}'
EDIT = f"version: 1\nrules:\n  - {{id: stop, when: {{login: u3@example.com}}, do: {STOP}}}\n...\n"
LISTED = """version: 1
lists: {suspended: {type: login, redis: suspended}}
rules:
  - {id: stop, when: {login: {in: suspended}}, do: {hold: {reason: x}}}
...
"""


@pytest.fixture
def editor(tmp_path: Path, server: RedisServer) -> Editor:
    """A machine whose daemon kept a hundred messages of ten people."""
    server.flush()
    editor = Editor(tmp_path, server)
    editor.site()
    (tmp_path / "state").mkdir()
    kept = [a_kept(NOW + n, login=f"u{n % 10}@example.com", rcpt=["a@example.invalid"]) for n in range(100)]
    Quill(str(tmp_path / "state"), 1 << 20).write(kept, NOW)
    return editor


def stored(editor: Editor) -> int:
    """The revision that is in Redis."""
    return int(editor.run("list", "--json").document["revision"])


def test_a_preview_stores_nothing(editor: Editor) -> None:
    """Ten of a hundred verdicts; the exit code is that of replay."""
    done = editor.put(EDIT, "--preview")
    assert 1 == done.code, done
    assert "10 verdicts of 100 (10 %) would be another" in done.output
    assert "nothing was stored" in done.output
    told = editor.put(EDIT, "--preview", "--json").document
    assert (False, 10) == (told["stored"], told["preview"]["changed"])
    assert 0 == editor.put(EDIT, "--preview", "--max-change", "20%").code
    assert 0 == stored(editor)


def test_as_a_gate(editor: Editor) -> None:
    """Beyond it nothing is stored; within it the edit is, and nothing is shown."""
    assert 1 == editor.put(EDIT, "--max-change", "1%").code
    assert 0 == stored(editor)
    done = editor.put(EDIT, "--max-change", "10%")
    assert 0 == done.code, done
    assert "would be another" not in done.output
    assert 1 == stored(editor)
    assert 1 == editor.run("rm", "stop", "--uncover", "--max-change", "1%").code
    assert 0 == editor.run("rm", "stop", "--uncover").code


def test_no_mail_is_no_pass(editor: Editor) -> None:
    """As everywhere."""
    done = editor.put(EDIT, "--max-change", "100%", "--mail", str(editor.policies))
    assert 2 == done.code
    assert "no data is no pass" in done.output
    assert 0 == stored(editor)


def test_lists_that_nobody_has_here_are_empty(editor: Editor) -> None:
    """Without a daemon: a rule that asks one matches nobody, for certain."""
    done = editor.put(LISTED, "--preview", "--json")
    assert (0, 100, 0) == (done.code, done.document["preview"]["judged"], done.document["preview"]["changed"])
