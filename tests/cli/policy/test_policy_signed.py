"""`tidegate key` and `--key`: what is stored is signed by somebody whom the daemons trust, or it is not stored."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.builders.editor import RULES, Editor
from tests.builders.redisserver import RedisServer
from tidegate.revisions import Revision, read_revision
from tidegate.signing import Trust

OTHER = RULES.replace("stopped by", "refused by")


@pytest.fixture
def editor(tmp_path: Path, server: RedisServer) -> Editor:
    """Signatures are required; anna's key is trusted for prod, dora's for dev."""
    server.flush()
    keys = tmp_path / "trusted"
    keys.mkdir()
    editor = Editor(tmp_path, server, signatures="required", trusted_keys=str(keys))
    for name, environment in (("anna", "prod"), ("dora", "dev")):
        path = tmp_path / f"{name}.pem"
        made = editor.command("key", "new", name, "--file", str(path), "-e", environment)
        assert 0 == made.code, made.errors
        (keys / f"{name}.pub").write_text((tmp_path / f"{name}.pem.pub").read_text())
    return editor


def head(server: RedisServer) -> Revision | None:
    found = server.ask("HGET", "{tidegate:prod}:head", "record")
    return None if found is None else _read(found)


def _read(text: str) -> Revision:
    found = read_revision(text.encode(), "prod")
    assert isinstance(found, Revision)
    return found


def key(editor: Editor, name: str = "anna") -> tuple[str, str]:
    return "--key", str(editor.folder / f"{name}.pem")


def test_keys_are_listed(editor: Editor) -> None:
    """With fingerprint and environments; the private key is nobody else's, and stays."""
    found = editor.command("key", "list", "--config", str(editor.config), "--json").document
    assert [("anna", ["prod"]), ("dora", ["dev"])] == [(one["name"], one["environments"]) for one in found["keys"]]
    assert found["keys"][0]["fingerprint"] in editor.command("key", "list", "--config", str(editor.config)).output
    private = editor.folder / "anna.pem"
    assert 0o600 == private.stat().st_mode & 0o777
    before = private.read_bytes()
    again = editor.command("key", "new", "anna", "--file", str(private), "-e", "prod")
    assert (2, before) == (again.code, private.read_bytes())
    (editor.folder / "trusted" / "bad.pub").write_text("nothing")
    listed = editor.command("key", "list", "--config", str(editor.config))
    assert 1 == listed.code
    assert "bad.pub" in listed.output


def test_every_change_is_signed(editor: Editor, server: RedisServer) -> None:
    """put, rm, rollback, confirm, push and edit, by option, by setting and by environment."""
    trust = Trust(str(editor.folder / "trusted"))
    assert 0 == editor.put(RULES, *key(editor)).code
    environment = {"TIDEGATE_KEY": str(editor.folder / "anna.pem")}
    assert 0 == editor.run("rm", "halt", environment=environment).code
    assert 0 == editor.run("rollback", "1", "--expires", "1h", *key(editor)).code
    assert 0 == editor.run("confirm", *key(editor)).code
    folder = editor.folder / "whole"
    assert 0 == editor.run("export", str(folder)).code
    (folder / "rule-halt.yaml").unlink()
    with editor.config.open("a") as settings:
        settings.write(f"signing_key: {editor.folder}/anna.pem\n")
    assert 0 == editor.run("push", str(folder)).code
    script = editor.folder / "editor.sh"
    script.write_text("#!/bin/sh\nsed -i 's/stopped by/refused by/' \"$1\"\n")
    script.chmod(0o755)
    done = editor.run("edit", "stop", environment={"EDITOR": str(script), "VISUAL": ""})
    assert 0 == done.code, done.errors
    told = editor.run("history").output.splitlines()
    assert 6 == sum("[signed: anna]" in line for line in told)
    for number in range(1, 7):
        revision = _read(server.ask("HGET", "{tidegate:prod}:revisions", number))
        assert trust.doubt(revision) is None


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ((), "--key FILE"),
        (("--key", "nowhere.pem"), "nowhere.pem"),
        (("dora",), "may not sign for prod"),
        (("eve",), "not among the trusted"),
    ],
    ids=["no key", "no file", "another environment's", "a stranger's"],
)
def test_what_daemons_would_refuse_is_not_stored(
    editor: Editor, server: RedisServer, options: tuple[str, ...], why: str
) -> None:
    """Exit code 2, and it says why."""
    editor.command("key", "new", "eve", "--file", str(editor.folder / "eve.pem"), "-e", "prod")
    done = editor.put(RULES, *(key(editor, options[0]) if len(options) == 1 else options))
    assert 2 == done.code
    assert why in done.errors
    assert head(server) is None


def test_with_a_passphrase(editor: Editor, server: RedisServer) -> None:
    """It comes from a file."""
    secret = editor.folder / "secret"
    secret.write_text("correct horse\n")
    path = str(editor.folder / "bob.pem")
    made = editor.command("key", "new", "bob", "--file", path, "-e", "prod", "--passphrase-file", str(secret))
    assert 0 == made.code, made.errors
    (editor.folder / "trusted" / "bob.pub").write_text(Path(f"{path}.pub").read_text())
    assert 2 == editor.put(RULES, "--key", path).code
    done = editor.put(RULES, "--key", path, "--key-passphrase-file", str(secret))
    assert (0, 1) == (done.code, (found := head(server)) and found.number), done.errors
    assert "correct horse" not in done.output + done.errors


def test_nobody_signs_what_a_stranger_has_put_under_his_change(editor: Editor, server: RedisServer) -> None:
    """A head without a signature that counts is not built on; going back to one that has is one command."""
    assert 0 == editor.put(RULES, *key(editor)).code
    assert 0 == editor.put(OTHER, *key(editor)).code
    found = head(server)
    assert found is not None
    forged = replace(found, number=3, parent=2, key="", signature="").canonical()
    server.ask("HSET", "{tidegate:prod}:revisions", 3, forged)
    server.ask("HSET", "{tidegate:prod}:head", "number", 3, "record", forged)
    for words in (("rm", "stop"), ("list",), ("export", str(editor.folder / "x")), ("rollback", "3")):
        done = editor.run(*words, *(key(editor) if words[0] in ("rm", "rollback") else ()))
        assert (2, True) == (done.code, "is not to be trusted: it is not signed" in done.errors), words
    done = editor.run("rollback", "1", *key(editor))
    assert 0 == done.code, done.errors
    assert 4 == json.loads(server.ask("HGET", "{tidegate:prod}:head", "record"))["number"]
    assert 0 == editor.put(OTHER, *key(editor)).code


def test_on_the_way_to_signatures(tmp_path: Path, server: RedisServer) -> None:
    """What was stored without one is signed as it stands, as a new revision, before they are required."""
    server.flush()
    editor = Editor(tmp_path, server)
    editor.put(RULES)
    editor.command("key", "new", "anna", "--file", str(tmp_path / "anna.pem"), "-e", "prod")
    assert "nothing to do" in editor.run("rollback", "1").output
    assert 0 == editor.run("rollback", "1", *key(editor)).code
    found = head(server)
    assert found is not None
    assert (2, True) == (found.number, bool(found.signature))
    assert "nothing to do" in editor.run("rollback", "1", *key(editor)).output


def test_doctor_looks_at_the_keys(editor: Editor) -> None:
    """Who may sign here; and that nobody may."""

    def keys() -> list[tuple[str, str]]:
        found = editor.command("doctor", "--config", str(editor.config), "--json").document
        return [(one["grade"], one["text"]) for one in found["parts"] if one["name"] == "keys"]

    (editor.folder / "trusted").chmod(0o755)
    if os.geteuid() == 0:
        assert [("fine", "anna may sign for prod; signatures are required")] == keys()
    (editor.folder / "trusted").chmod(0o777)
    assert "look" in keys()[0][0]
    assert "can be changed by" in keys()[0][1]
    (editor.folder / "trusted" / "anna.pub").unlink()
    assert "broken" == keys()[0][0]
