"""Signatures and the way back, at the mail of a real daemon whose Redis is taken over, and then gone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.builders.daemon import until
from tests.builders.redisserver import RedisServer
from tests.builders.revisions import a_manifest, a_revision
from tests.builders.signers import a_key, put_signed, trusted
from tests.e2e.test_revisions_live import ONE, TWO, a_daemon, a_rule, editor, in_force, said


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


EVIL = {"stop": a_rule("stop", "evil")}


def test_a_taken_over_redis_changes_no_rule(tmp_path: Path, server: RedisServer) -> None:
    """Unsigned: an alert, and mail is judged as before, also after a restart; signed: in force. Then a person goes back
    on this host while Redis is gone; its head is not taken again, a newer one is."""
    anna = a_key(tmp_path)
    trust = trusted(tmp_path, anna)
    with a_daemon(tmp_path / "mx1", server, signatures="required", trusted_keys=trust.folder) as daemon:
        put_signed(editor(server), ONE, anna)
        daemon.start()
        in_force(daemon, 1)
        assert "550 5.7.1 one" == said(daemon)
        forged = replace(a_revision(2, a_manifest(EVIL)), urgent="now")
        texts = {one.sha: EVIL["stop"] for one in a_manifest(EVIL).entries}
        editor(server).commit(forged, [a_manifest(EVIL)], texts, editor(server).head(), {"event": "put"})
        until(lambda: daemon.alerts() == {"revision-untrusted"}, "it is told")
        assert "550 5.7.1 one" == said(daemon)
        daemon.stop()
        daemon.start()
        until(lambda: daemon.alerts() == {"revision-untrusted"}, "it is told again")
        assert "550 5.7.1 one" == said(daemon)
        put_signed(editor(server), TWO, anna)
        in_force(daemon, 3)
        until(lambda: not daemon.alerts(), "it clears by itself")
        assert "550 5.7.1 two" == said(daemon)
        server.ask("CONFIG", "SET", "save", "1 1")
        server.ask("SAVE")
        server.stop()
        command = [sys.executable, "-m", "tidegate", "policy", "rollback", "--local", "--config", str(daemon.config)]
        refused = subprocess.run(
            [*command, "7"], env={"PYTHONPATH": "milter"}, capture_output=True, text=True, check=False
        )
        assert (2, True) == (refused.returncode, "no record of revision 7; it has" in refused.stderr)
        done = subprocess.run(
            [*command, "1"], env={"PYTHONPATH": "milter"}, capture_output=True, text=True, check=False
        )
        assert "revision-local" in done.stdout, done.stderr
        in_force(daemon, 1)
        assert "550 5.7.1 one" == said(daemon)
        server.start()
        until(lambda: daemon.alerts() == {"revision-local"}, "Redis is back, and its head stays out")
        assert "550 5.7.1 one" == said(daemon)
        put_signed(editor(server), {"stop": a_rule("stop", "four")}, anna)
        in_force(daemon, 4)
        assert "550 5.7.1 four" == said(daemon)


def test_past_its_gates(tmp_path: Path, server: RedisServer) -> None:
    """A revision that was promoted past its gates is in force, and an alert until the next one."""
    with a_daemon(tmp_path / "mx1", server) as daemon:
        manifest = a_manifest(ONE)
        texts = {one.sha: ONE["stop"] for one in manifest.entries}
        forced = replace(a_revision(1, manifest), forced=("fleet", "replay"))
        editor(server).commit(forced, [manifest], texts, editor(server).head(), {"event": "promote"})
        daemon.start()
        in_force(daemon, 1)
        assert "550 5.7.1 one" == said(daemon)
        until(lambda: daemon.alerts() == {"revision-forced"}, "it is told")
        confirmed = a_revision(2, manifest)
        editor(server).commit(confirmed, [manifest], texts, editor(server).head(), {"event": "confirm"})
        in_force(daemon, 2)
        until(lambda: not daemon.alerts(), "a person confirmed it")
