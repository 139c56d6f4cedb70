"""The table of what is held of people names every file that the daemon makes in its state directory."""

from __future__ import annotations

import ast
import re
from fnmatch import fnmatch
from pathlib import Path

from tests.builders.daemon import Daemon, until
from tests.builders.milterclient import MilterClient

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "privacy.md").read_text(encoding="utf-8")
BROKEN = """version: 1
lists: {l: {type: login, file: logins.txt}}
rules:
  - {id: stop, when: {logn: x}, do: {hold: {reason: a}}}
  - {id: listed, when: {login: {in: l}}, do: {hold: {reason: a}}}
...
"""


def named() -> set[str]:
    """The file names of the table's first column; a folder's are `folder/`."""
    rows = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| ")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def test_every_record_has_a_row() -> None:
    """Each NAME, FOLDER, KEY and PREFIX of a module that writes records is in the table."""
    missing = []
    for path in sorted((ROOT / "milter" / "tidegate").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if not re.search(r"^from tidegate import .*\brecords\b|^from tidegate\.records", text, re.MULTILINE):
            continue
        for node in ast.parse(text).body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                name = getattr(node.targets[0], "id", "")
                value = str(node.value.value)
                if name in ("NAME", "FOLDER", "KEY", "PREFIX") and not {value, f"{value}/", f"{value}*"} & named():
                    missing.append(f"{path.name}: {value}")
    assert [] == missing


def test_every_file_of_a_running_daemon_has_a_row(tmp_path: Path) -> None:
    """After loads, broken edits, mail, and a restart."""
    with Daemon(tmp_path) as daemon:
        (daemon.policies / "logins.txt").write_text("alice\n")
        daemon.policy(BROKEN)
        daemon.start()
        with MilterClient(daemon.socket) as client:
            client.greet()
            client.message()
        until(lambda: (daemon.state / "exposure" / "rows").exists(), "the ledger has a row")
        until(lambda: (daemon.state / "ages").exists(), "the ages are on record")
        found = [str(path.relative_to(daemon.state)) for path in daemon.state.rglob("*") if not path.is_dir()]
        daemon.stop()
    patterns = [f"{name}*" if name.endswith("/") else name for name in named()]
    assert [] == [name for name in found if not any(fnmatch(name, pattern) for pattern in patterns)]
    assert {"accepted", "lock", "ages"} <= set(found)
