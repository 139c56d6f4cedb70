"""The command `tidegate` as a process, with whatever a person, a script or an accident hands it: one defined exit code,
words for a person, never a traceback.
"""

from __future__ import annotations

import gzip
import json
import lzma
import os
import subprocess
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path

import pytest

from tidegate.cli import door

ROOT = Path(__file__).resolve().parents[2]
POLICY = """version: 1
rules:
  - {id: stop, when: {login: mallory}, do: {reject: {code: "550 5.7.1", text: stopped}}}
  - {id: every, when: {message.size: {gt: 1}}, do: {add_header: {X-Tag: "1"}}}
...
"""
BOMB = "version: 1\nrules:\n" + "  - " + "[" * 100_000 + "\n...\n"


def tidegate(
    *arguments: str | bytes, shell: str = "", environment: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    """Exit code, output, errors. `shell` is what stands behind the command on a command line, e.g. `>/dev/full`."""
    command = [sys.executable, "-m", "tidegate", *arguments]
    if shell:
        command = ["/bin/sh", "-c", f'"$@" {shell}', "sh", *command]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "milter"), **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    errors = done.stderr.decode("utf-8", "backslashreplace")
    assert "Traceback" not in errors, errors
    return done.returncode, done.stdout.decode("utf-8", "backslashreplace"), errors


def forked(folder: Path, *arguments: str | bytes) -> tuple[int, str, str]:
    """The same in a fork of this process, which has everything imported: a tenth of the time."""
    files = [folder / "output", folder / "errors"]
    pid = os.fork()
    if pid == 0:
        status = 99
        try:
            for number, path in enumerate((os.devnull, *files)):
                os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC), number)
            sys.stdin, sys.stdout, sys.stderr = (open(number, mode, closefd=False) for number, mode in enumerate("rww"))  # noqa: SIM115
            sys.argv = ["tidegate", *map(os.fsdecode, arguments)]
            door()
        except SystemExit as leave:
            status = leave.code if isinstance(leave.code, int) else int(leave.code is not None)
        except BaseException:  # noqa: BLE001 - the process boundary
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    _, ended = os.waitpid(pid, 0)
    output, errors = (path.read_bytes().decode("utf-8", "backslashreplace") for path in files)
    assert "Traceback" not in errors, errors
    return os.waitstatus_to_exitcode(ended), output, errors


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a policy directory, a message, and things that are none."""
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.yaml").write_text(POLICY)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.yaml").write_bytes(b"version: 1\nrules: [\n\xff")
    (tmp_path / "broken" / os.fsdecode(b"\xff\x1b[2J.yaml")).write_bytes(b"\0\x01")
    (tmp_path / "bomb").mkdir()
    (tmp_path / "bomb" / "a.yaml").write_text(BOMB)
    (tmp_path / "empty").mkdir()
    (tmp_path / "m.eml").write_bytes(b"Subject: hi\r\nFrom: \xff\xfe <a@b>\r\n\r\nbody\r\n")
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


CASES: list[tuple[int, tuple[str | bytes, ...]]] = [
    (0, ("check", "p")),
    (0, ("check", "p", "--json")),
    (0, ("check", "p/a.yaml")),
    (1, ("check", "broken")),
    (1, ("check", "broken", "--json")),
    (1, ("check", "broken/a.yaml")),
    (1, ("check", b"broken/\xff\x1b[2J.yaml")),
    (1, ("check", "bomb")),
    (1, ("check", "empty")),
    (2, ("check", "none")),
    (2, ("check", b"\xff\xfe")),
    (2, ("check", "pipe")),
    (2, ("check", "/dev/null")),
    (2, ("check", "")),
    (1, ("check", "--config", "none")),
    (1, ("check", "--config", "p")),
    (1, ("check", "--config", "/dev/zero")),
    (1, ("check", "--config", "p/a.yaml")),
    (2, ("check", "p", "--default-realm", "@@")),
    (2, ("check", "p", "--recipient-delimiter", "++")),
    (2, ("fleet", "--config", "none")),
    (2, ("fleet", "--config", "p/a.yaml", "--json")),
    (2, ("fleet", "-e", "../x")),
    (2, ("confirm", "--revision", "--quarantine")),
    (0, ("test", "p")),
    (1, ("test", "broken")),
    (1, ("test", "bomb")),
    (2, ("list", "add", "x", "y", "--config", "none")),
    (2, ("list", "add", "x")),
    (2, ("list", "show", b"\xff")),
    (2, ("list", "sync", "x", "--", "false")),
    (2, ("list", "sync", "x", "--file", "none", "--", "nonexistent-command")),
    (2, ("suspend", b"\xff\x1b", "--reason", "x")),
    (2, ("release", "bob")),
    (2, ("test", "none")),
    (2, ("test", b"\xff")),
    (2, ("test", "pipe")),
    (2, ("test", "/dev/zero")),
    (0, ("explain", "m.eml", "--rcpt", "x", "--policies", "p")),
    (0, ("explain", "m.eml", "--rcpt", "x", "--policies", "p/a.yaml", "--json")),
    (0, ("explain", "m.eml", "--rcpt", b"\xff", "--policies", "broken", "--login", b"\xfe", "--json")),
    (0, ("explain", "m.eml", "--rcpt", "", "--policies", "bomb", "--helo", b"\x1b[2J")),
    (0, ("explain", "-", "--rcpt", "x", "--policies", "p", "--rule", "stop")),
    (2, ("explain", "m.eml", "--rcpt", "x", "--policies", "p", "--rule", "stopp")),
    (2, ("explain", "m.eml", "--rcpt", "x", "--policies", "none")),
    (2, ("explain", "m.eml", "--rcpt", "x", "--policies", "p", "--client", "nonsense")),
    (2, ("explain", "none", "--rcpt", "x", "--policies", "p")),
    (2, ("explain", "p", "--rcpt", "x", "--policies", "p")),
    (2, ("explain", "/dev/zero", "--rcpt", "x", "--policies", "p")),
    (2, ("explain", "m.eml", "--policies", "p")),
    (2, ("explain", "m.eml", "--rcpt", "x", "--policies", "")),
    (2, ("explain", "m.eml", "--rcpt", "x", "--live", "--state", "none")),
    (2, ("explain", "m.eml", "--rcpt", "x", "--live", "--state", b"\xff")),
    (2, ("explain", "m.eml", "--rcpt", "x", "--live", "--policies", "p")),
    (2, ("limits", "show", "bob", "--config", "none")),
    (2, ("limits", "show", b"\xff", "--config", "p")),
    (2, ("limits", "top", "--count", "-1")),
    (2, ("limits", "grant", b"\xff", "+5", "--for", "for ever", "--reason", "r")),
    (2, ("alerts", "--state", "none")),
    (2, ("alerts", "--state", b"\xff", "--json")),
    (2, ("alerts", "test", "--state", "none")),
    (2, ("alerts", "silence", "k", "--for", "4h", "--reason", "r", "--state", "none")),
    (2, ("alerts", "silence", "k", "--for", "4h", "--state", "p")),
    (2, ("alerts", "silence", "k", "--for", "for ever", "--reason", "r")),
    (2, ("alerts", "silence", "k", "--for", "31d", "--reason", "r")),
    (2, ("alerts", "silence", b"\xff\x1b[2J", "--for", "0", "--state", "none")),
    (2, ("alerts", "--state", "none", "mail", "--state", "none")),
    (0, ("alerts", "mail", "--state", "none")),
    (0, ("alerts", "mail", "--state", "p", "--json")),
    (0, ("exposure", "--state", "none")),
    (0, ("exposure", "--state", "none", "--json")),
    (0, ("exposure", b"\xff\x1b[2J", "--state", "p")),
    (2, ("exposure", "--state", "m.eml")),
    (2, ("exposure", "--limit", "-1", "--state", "none")),
    (2, ("key", "new", "bob")),
    (2, ("key", "new", "bob", "--file", "/nowhere/k", "-e", "a}b")),
    (2, ("key", "list", "--config", "none")),
    (2, ("held", "release", "--config", "none")),
    (2, ("held", "list", "--max-age", "soon", "--config", "none")),
    (2, ("shadow-report", "--since", "soon", "--log", "none")),
    (2, ("import", "postfwd", "none")),
    (2, ("init", "--per-hour", "many")),
    (0, ("forget", b"\xff\x1b[2J", "--state", "none")),
    (0, ("forget", "a'b`c$(d)", "--state", "none", "--json")),
    (2, ("forget", "", "--state", "none")),
    (2, ("forget", "bob", "--state", "m.eml")),
    (2, ("replay", "p", "--state", "none")),
    (2, ("replay", "p", "--against", "p", "--state", "none")),
    (2, ("replay", "p", "--against", "p", "--state", "m.eml", "--json")),
    (2, ("replay", "bomb", "--against", "broken", "--state", b"\xff", "--json")),
    (2, ("replay", "p", "--against", "empty", "--mail", ".")),
    (2, ("replay", "broken/a.yaml", "--against", "p", "--state", "none")),
    (2, ("replay", "none")),
    (2, ("replay", b"\xff\x1b[2J")),
    (0, ("apply", "p", "--dry-run", "--to", "none", "--state", "none")),
    (1, ("apply", "broken", "--dry-run", "--to", "none", "--state", "none", "--json")),
    (1, ("apply", "bomb", "--dry-run", "--to", "none", "--state", "none")),
    (1, ("apply", "p", "--dry-run", "--to", "none", "--from", b"\xff\x1b[2J", "--state", "none")),
    (2, ("apply", "p", "--to", "empty", "--state", "none")),
    (2, ("apply", "p", "--to", "m.eml", "--state", "none")),
    (2, ("apply", "pipe", "--to", "none")),
    (2, ("apply", "m.eml", "--to", "none")),
    (2, ("apply", b"\xff", "--to", "none")),
    (2, ("apply", "--rollback", "--to", "empty")),
    (2, ("apply", "--confirm", "--to", "empty")),
    (0, ("apply", "--history", "--to", "none", "--json")),
    (2, ("why", "ABCDEF", "--log", "none")),
    (2, ("why", "ABCDEF", "--log", "p")),
    (2, ("why", "ABCDEF", "--log", "pipe")),
    (2, ("why", "ABCDEF", "--log", "/dev/zero")),
    (1, ("why", "ABCDEF", "--log", "p/a.yaml")),
    (1, ("why", "ABCDEF", "--log", "-")),
    (2, ("why", b"\xff\xff\xff\xff", "--log", "-")),
    (2, ("why", "../../x", "--log", "-")),
    (2, ("why", "ABCDEF", "--config", "none")),
    (0, ("brake", "--help")),
    (2, ("brake", "on", "--all", "--for", "1h", "--state", "none")),
    (2, ("brake", "on", b"\xff\x1b[2J", "--for", "1h", "--state", "none", "--json")),
    (2, ("brake", "on", "r", "--for", b"\xff\x1b[2J", "--state", "none")),
    (2, ("brake", "on", "r", "--for", "9999999d", "--state", "none")),
    (2, ("brake", "on", "r", "--state", "none")),
    (2, ("brake", "off", "r", "--state", "m.eml")),
    (2, ("brake", "off", "--config", "/dev/zero")),
    (2, ("brake", "status", "--state", b"\xff", "--json")),
    (1, ("status", "--state", "none")),
    (1, ("status", "--state", "none", "--json")),
    (1, ("status", "--state", b"\xff")),
    (1, ("status", "--state", "m.eml")),
    (1, ("status", "--config", "none")),
    (1, ("status", "--config", "p/a.yaml", "--json")),
    (1, ("status", "--config", "/dev/zero")),
    (2, ("reload", "--state", "none")),
    (2, ("reload", "--now", "--state", "none")),
    (2, ("reload", "--reason", "an outbreak", "--state", "none")),
    (2, ("confirm", "--state", b"\xff")),
    (2, ("confirm", "--config", "p/a.yaml")),
    (78, ("run", "--config", "none")),
    (78, ("run", "--config", "p")),
    (78, ("run", "--config", "p/a.yaml")),
    (78, ("run", "--config", "/dev/zero")),
    (0, ("policy", "--help")),
    (2, ("policy", "pt")),
    (2, ("policy", "list")),
    (2, ("policy", "list", "--config", "none", "--json")),
    (2, ("policy", "put", "p/a.yaml", "--config", "none")),
    (2, ("policy", "put", b"\xff\x1b[2J", "--config", "p")),
    (2, ("policy", "put", "p/a.yaml", "--config", "/dev/zero")),
    (2, ("policy", "put", "p/a.yaml", "--expires", "1s")),
    (2, ("policy", "put", "p/a.yaml", "--expect", "many logins")),
    (2, ("policy", "put", "p/a.yaml", "--now")),
    (2, ("policy", "put", "p/a.yaml", "--base", "-1")),
    (2, ("policy", "put", "p/a.yaml", "-e", b"\xff\x1b[2J")),
    (2, ("policy", "put")),
    (2, ("policy", "rm")),
    (2, ("policy", "rm", b"\xff", "--config", "none")),
    (2, ("policy", "edit", "stop", "--config", "none")),
    (2, ("policy", "show", b"\xff\x1b[2J", "--config", "none")),
    (2, ("policy", "diff", "1", "2", "3")),
    (2, ("policy", "rollback", "one")),
    (2, ("policy", "rollback", "-1")),
    (2, ("policy", "history", "-n", "0")),
    (2, ("policy", "push", "p", "--config", "none")),
    (2, ("policy", "export", "none", "--config", "none")),
    (0, ("fields",)),
    (0, ("fields", "login")),
    (0, ("fields", "--json")),
    (0, ("schema",)),
    (0, ("completion", "fish")),
    (2, ("completion", "tcsh")),
    (2, ("stauts",)),
    (2, ("check", "p", "--jsno")),
    (0, ("--version",)),
    (0, ("-h",)),
]


@pytest.mark.parametrize(("code", "arguments"), CASES, ids=[repr(case[1]) for case in CASES])
def test_each_has_one_exit_code(code: int, arguments: tuple[str | bytes, ...], place: Path) -> None:
    """0 fine, 1 findings, 2 it could not be done, 78 settings; nothing that a terminal would obey."""
    absolute = [
        there if one and os.path.lexists(there := os.fsencode(place / os.fsdecode(one))) else one for one in arguments
    ]
    got, output, errors = forked(place, *absolute)
    assert (code, []) == (got, [one for one in "\x1b\x07\x9b" if one in output + errors]), errors
    if "--json" in arguments and code < 2:
        json.loads(output)
    if code:
        assert output + errors


@pytest.mark.parametrize("command", [("fields",), ("check", "p", "--json"), ("--help",)])
@pytest.mark.parametrize(
    ("shell", "code"),
    [(">/dev/full", 2), ("| true", None), (">&-", 0), (">&- 2>&- <&-", 0)],
    ids=["full", "left", "closed", "all"],
)
def test_output_that_goes_nowhere(command: tuple[str, ...], shell: str, code: int | None, place: Path) -> None:
    """A full disk is said, a reader that left is not worth a word, a closed stream is as if it were /dev/null."""
    arguments = [str(place / one) if one == "p" else one for one in command]
    got, _, errors = tidegate(*arguments, shell=shell)
    if code is not None:
        assert code == got
    assert ("standard output: No space left on device" in errors) == (shell == ">/dev/full")


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii:strict"},
        {"PYTHONIOENCODING": "latin-1:strict"},
    ],
    ids=["c", "ascii", "latin-1"],
)
@pytest.mark.parametrize("command", [("check", "broken", "--json"), ("check", "broken"), ("fields", "--json")])
def test_a_terminal_without_utf8(command: tuple[str, ...], environment: dict[str, str], place: Path) -> None:
    """What can't be shown is escaped, in JSON as JSON wants it."""
    arguments = [str(place / one) if one == "broken" else one for one in command]
    code, output, _ = tidegate(*arguments, environment=environment)
    assert (1 if "broken" in command else 0) == code
    if "--json" in command:
        json.loads(output)


LINE = (
    '{"event": "decision", "ref": "%s", "queue_id": "4ABC%d", "disposition": "reject", "reply": "550 no\\u001b[2J"}\n'
)


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("d.log", lambda data: data),
        ("d.log.1", lambda data: data),
        ("d.log-20270101", lambda data: data),
        ("d.log.2.gz", gzip.compress),
        ("d.log-20270101.xz", lzma.compress),
    ],
    ids=["now", "rotated", "dated", "gz", "xz"],
)
def test_why_finds_a_line_in_rotated_logs(name: str, pack: object, tmp_path: Path) -> None:
    """By reference and by queue id; a damaged log is passed over with a word."""
    assert callable(pack)
    (tmp_path / "d.log").write_text("")
    (tmp_path / "d.log.9.gz").write_bytes(b"\x1f\x8bdamaged")
    (tmp_path / name).write_bytes(pack((LINE % ("REFA00001", 7)).encode()))
    for reference in ("REFA00001", "4ABC7"):
        code, output, errors = forked(tmp_path, "why", reference, "--log", str(tmp_path / "d.log"))
        assert (0, True) == (code, "550 no" in output), errors
        assert "\x1b" not in output
        assert "d.log.9.gz is passed over" in errors


def test_why_tells_where_systemd_has_the_log(tmp_path: Path) -> None:
    """The log of a daemon that writes to standard error is the journal."""
    (tmp_path / "t.yaml").write_text("listen: unix:/run/t.sock\npolicies: /p\n")
    code, _, errors = forked(tmp_path, "why", "REFA00001", "--config", str(tmp_path / "t.yaml"))
    assert (2, True) == (code, "journalctl -u tidegate -o cat -g REFA00001 | tidegate why REFA00001 --log -" in errors)


def test_check_reads_what_the_settings_name(place: Path) -> None:
    """The directory and the realm are the daemon's; the settings' own mistakes come with their line and a caret."""
    settings = place / "t.yaml"
    settings.write_text(f"listen: unix:/run/t.sock\npolicies: {place}/p\nworker: 2\n")
    code, output, _ = forked(place, "check", "--config", str(settings))
    assert 1 == code
    assert f"{settings}:3:1: settings-unknown-key: there is no setting `worker`; did you mean `workers`?" in output
    assert "  3 | worker: 2\n    | ^^^^^^" in output
    settings.write_text(f"listen: unix:/run/t.sock\npolicies: {place}/p\n")
    code, output, _ = forked(place, "check", "--config", str(settings))
    assert (0, f"{place}/p: 1 files, 2 rules, 0 lists") == (code, output.splitlines()[0])


def test_check_counts_rules_without_a_key(place: Path) -> None:
    """They are looked at for every message, so they are worth a line."""
    _, output, _ = forked(place, "check", str(place / "p"))
    assert "1 rules are looked at for every message, because no test selects them: every" in output
    _, output, _ = forked(place, "check", str(place / "p"), "--json")
    assert ["every"] == json.loads(output)["rules_without_key"]


def test_the_realm_of_the_settings_counts(place: Path) -> None:
    """`login: mallory` is mallory@example.com where that is the default realm."""
    settings = place / "t.yaml"
    settings.write_text(f"listen: unix:/run/t.sock\npolicies: {place}/p\ndefault_realm: example.com\n")
    arguments = ("explain", str(place / "m.eml"), "--rcpt", "x@y", "--login", "mallory@example.com", "--json")
    for options, expected in ((("--config", str(settings)), "reject"), (("--policies", str(place / "p")), "accept")):
        _, output, _ = forked(place, *arguments, *options)
        assert expected == json.loads(output)["verdict"]["disposition"]


@pytest.mark.parametrize(
    "command", [("check", "p"), ("test", "p"), ("fields",), ("status", "--state", "none"), ("schema",)]
)
def test_a_machine_without_postfix_checks_policies(command: tuple[str, ...], place: Path) -> None:
    """Only `run` needs pymilter: policies are written, and checked, on other machines too."""
    arguments = [str(place / one) if one == "p" else one for one in command]
    script = "import sys; sys.modules['milter'] = sys.modules['redis'] = None; from tidegate.cli import door; door()"
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT / "milter")},
        capture_output=True,
        check=False,
    )
    assert (1 if "status" in command else 0) == done.returncode, done.stderr
