"""A signed revision that ran on test goes to production, before a real Postfix; what nobody signed does not."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.builders.redisserver import RedisServer
from tests.builders.revisions import a_revision
from tests.builders.signers import a_key, trusted
from tests.e2e.harness.postfix import until
from tests.e2e.harness.site import Site
from tests.e2e.harness.texts import SITE, on_subject, refuse, rules
from tests.e2e.test_live_edit import answered, policy, put
from tests.e2e.test_revisions_live import a_daemon, in_force
from tidegate.revisions import EMPTY, Revision, read_revision


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        os.chmod(server.folder, 0o755)
        os.chmod(server.path, 0o777)
        yield server


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory, server: RedisServer) -> Path:
    """Anna signs for both; everybody can read whom the daemons trust."""
    trusted(server.folder, a_key(server.folder), "test", "prod")
    os.chmod(server.folder / "trusted", 0o755)
    return server.folder


@pytest.fixture(scope="module")
def site(server: RedisServer, keys: Path) -> Iterator[Site]:
    """Production: its daemon demands signatures."""
    more = {"signatures": "required", "trusted_keys": str(keys / "trusted")}
    with Site({"10-site.yaml": SITE}, redis=server.url, redis_poll="300ms", **more) as site:
        until(lambda: (site.daemon.state / "redis").is_dir(), "Redis was read once")
        yield site


def head(server: RedisServer, environment: str) -> Revision:
    found = read_revision(server.ask("HGET", f"{{tidegate:{environment}}}:head", "record").encode(), environment)
    assert isinstance(found, Revision)
    return found


def test_from_test_to_production_and_back(tmp_path: Path, server: RedisServer, site: Site, keys: Path) -> None:
    """Nobody runs it on test: no. Somebody does: the same digest refuses the same mail on production; what a stranger
    writes into Redis changes nothing; one command goes back."""
    key = ("--key", str(keys / "anna.pem"))
    mail = site.daemon.root / "mail"
    mail.mkdir()
    (mail / "one.eml").write_text("From: alice@example.com\nSubject: hello\n\nhello\n")
    (mail / "one.json").write_text(json.dumps({"sender": "alice@example.com", "rcpt": ["bob@example.net"]}))
    promote = ("promote", "--from", "test", "--to", "prod", "--mail", str(mail), "--soak", "0s", *key)
    put(site, rules(on_subject("block", refuse("Tried"))), "-e", "test", *key)
    assert "NO        fleet" in policy(site, *promote, code=1)
    answered(site, "block", 250)
    with a_daemon(tmp_path / "mx-test", server) as lower:
        lower.start()
        in_force(lower, 1)
        until(lambda: "NO" not in policy(site, *promote, "--dry-run", code=None), "all gates say yes")
        policy(site, *promote, "--wait")
    answered(site, "block", 550)
    assert head(server, "test").manifest == head(server, "prod").manifest
    forged = replace(a_revision(2, EMPTY, environment="prod"), urgent="now").canonical()
    server.ask("HSET", "{tidegate:prod}:manifests", EMPTY.digest(), EMPTY.canonical())
    server.ask("HSET", "{tidegate:prod}:revisions", 2, forged)
    server.ask("HSET", "{tidegate:prod}:head", "number", 2, "record", forged)
    until(lambda: "revision-untrusted" in str(site.daemon.status()["alerts"]), "it is told")
    assert 550 == site.send("block").final.code
    policy(site, "rollback", "0", *key, "--wait")
    answered(site, "block", 250)
