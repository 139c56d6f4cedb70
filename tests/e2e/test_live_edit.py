"""Policy edited in Redis while mail flows, by the commands an admin has, through a real Postfix."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from tests.builders.redisserver import RedisServer
from tests.e2e.harness.postfix import until
from tests.e2e.harness.site import Site
from tests.e2e.harness.texts import SITE, on_subject, refuse, rules


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        os.chmod(server.folder, 0o755)
        os.chmod(server.path, 0o777)
        yield server


@pytest.fixture(scope="module")
def site(server: RedisServer) -> Iterator[Site]:
    """A site whose daemon follows this Redis."""
    with Site({"10-site.yaml": SITE}, redis=server.url, redis_poll="300ms") as site:
        until(lambda: (site.daemon.state / "redis").is_dir(), "Redis was read once")
        yield site


def policy(site: Site, *arguments: str, code: int | None = 0) -> str:
    """`tidegate policy …`, and what it prints. `code` None: whatever comes of it."""
    done = site.daemon.command("policy", *arguments, "--config", str(site.daemon.config))
    assert code in (None, done.returncode), done
    return done.stdout


def put(site: Site, text: str, *options: str, code: int = 0) -> str:
    """`tidegate policy put` of this text."""
    file = site.daemon.root / "put.yaml"
    file.write_text(text)
    return policy(site, "put", str(file), *options, code=code)


def answered(site: Site, word: str, code: int) -> None:
    """Mail with this subject comes to get this reply."""
    until(lambda: site.send(word).final.code == code, f"{word} is answered {code}")


def test_put_rollback_and_rm(site: Site) -> None:
    """An entry is put and refuses; a broken one changes nothing; rolled back it is gone; a file's rule is switched off
    and comes back."""
    answered(site, "block", 250)
    put(site, rules(on_subject("block", refuse("Live"))), "--reason", "an outbreak", "--wait")
    outcome = site.send("block")
    assert (550, True) == (outcome.final.code, outcome.final.text.startswith("5.7.1 Live ("))
    broken = put(site, rules(on_subject("block", "{rejct: {}}")), code=1)
    assert "put.yaml:5:10: unknown-key: `rejct` is no action; did you mean `reject`?" in broken
    assert 550 == site.send("block").final.code
    policy(site, "rollback", "0", "--wait")
    answered(site, "block", 250)
    mallory = "mallory@example.com"
    assert 550 == site.send("suspended", mallory).final.code
    policy(site, "rm", "suspended-account", "--wait")
    assert 250 == site.send("switched off", mallory).final.code
    policy(site, "rm", "suspended-account", "--uncover", "--wait")
    assert 550 == site.send("on again", mallory).final.code
    done = json.loads(policy(site, "log", "--json"))["log"]
    assert ["uncover", "rm", "rollback", "put"] == [one["event"] for one in done]
    assert "an outbreak" == done[-1]["reason"]
