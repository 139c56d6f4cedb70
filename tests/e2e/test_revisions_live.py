"""A policy revision from Redis to the mail of a real daemon: put, on trial, in force; with Redis frozen and gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.builders.daemon import ACCEPT_ALL, ENVIRONMENT, ROOT, Daemon, until
from tests.builders.redisserver import RedisServer
from tests.builders.revisions import put
from tests.builders.storesettings import StoreWords
from tests.builders.wireproxy import WireProxy
from tests.clerk.test_follow import TROUBLES, Site
from tidegate.revisions import Node, read_node
from tidegate.store.connection import open_store
from tidegate.store.nodes import heard
from tidegate.store.revisions import Revisions


def a_rule(name: str, text: str) -> str:
    """A stored text that refuses everything."""
    reply = f'{{code: "550 5.7.1", text: "{text}"}}'
    return f"version: 1\nrules:\n  - id: {name}\n    when: always\n    do: {{reject: {reply}}}\n...\n"


ACL = ROOT / "docs" / "redis.acl"
ONE, TWO = {"stop": a_rule("stop", "one")}, {"stop": a_rule("stop", "two")}


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def a_daemon(folder: Path, server: RedisServer, **settings: object) -> Daemon:
    """One that follows this Redis, with a file that accepts all mail."""
    folder.mkdir(exist_ok=True)
    wanted = {"redis": server.url, "environment": "test", "redis_poll": "0.3s", "node": folder.name, "workers": 2}
    daemon = Daemon(folder, **{**wanted, **settings})
    daemon.policy(ACCEPT_ALL)
    return daemon


def editor(server: RedisServer) -> Revisions:
    return Revisions(open_store(StoreWords(server.url, environment="test"), 5.0))


def said(daemon: Daemon) -> str:
    """The reply to one message, without its reference."""
    return daemon.message().partition(" (")[0]


def in_force(daemon: Daemon, number: int) -> dict[str, Any]:
    """Its status, once this revision is in force on all workers."""

    def there() -> dict[str, Any]:
        status = daemon.status()
        ready = status and daemon.generation() == status["generation"]["number"]
        return status if ready and status["redis"]["revision"]["number"] == number else {}

    found: dict[str, Any] = until(there, f"revision {number} is in force")
    return found


def reports(server: RedisServer) -> dict[str, Node]:
    found = [
        read_node(one.report)
        for one in heard(open_store(StoreWords(server.url, environment="test"), 5.0))
        if one.report
    ]
    return {one.name: one for one in found if isinstance(one, Node)}


def test_put_is_in_force(tmp_path: Path, server: RedisServer) -> None:
    """The environment has no revision at first: the files serve. What is put serves on every worker; the status says
    from where, and the fleet hears of it."""
    with a_daemon(tmp_path / "mx1", server) as daemon:
        daemon.start()
        until(lambda: said(daemon) == "accept", "the files serve")
        put(editor(server), ONE)
        status = in_force(daemon, 1)
        assert {said(daemon) for _ in range(6)} == {"550 5.7.1 one"}
        entry = next(one for one in status["entries"] if one["key"] == "rule stop")
        assert entry["source"].startswith("redis:test/stop@")
        assert status["redis"]["link"]["up"]
        node = until(lambda: (found := reports(server).get("mx1")) and found.revision == 1 and found, "it is told")
        assert (1, 1, 0, status["generation"]["digest"]) == (node.loaded, node.head, node.canary, node.digest)
        assert not daemon.alerts()
        put(editor(server), {}, removed=["stop"])
        in_force(daemon, 2)
        assert "accept" == said(daemon)


def test_on_trial_first(tmp_path: Path, server: RedisServer) -> None:
    """A revision is a canary as an edit of a file is; one that is urgent is not."""
    with a_daemon(tmp_path / "mx1", server, canary_share="50%", canary_time="1h", canary_longest="1h") as daemon:
        put(editor(server), ONE)
        daemon.start()
        in_force(daemon, 1)
        put(editor(server), TWO)
        status = until(lambda: (one := daemon.status()) and one["canary"]["runs"] and one, "it is on trial")
        assert (1, 2) == (status["redis"]["revision"]["number"], status["redis"]["canary"]["number"])
        node = until(lambda: (found := reports(server).get("mx1")) and found.canary and found, "it is told")
        assert (2, 1) == (node.loaded, node.revision)
        put(editor(server), {"stop": a_rule("stop", "three")}, urgent="an outbreak")
        status = in_force(daemon, 3)
        assert ("urgent", "an outbreak") == (status["canary"]["outcome"], status["canary"]["reason"])
        assert "550 5.7.1 three" == said(daemon)


def test_redis_frozen_under_load_and_gone_at_a_restart(tmp_path: Path, server: RedisServer) -> None:
    """Mail is judged as before throughout; one alert, which clears; a restart without Redis serves the snapshot."""
    with a_daemon(tmp_path / "mx1", server) as daemon:
        put(editor(server), ONE)
        daemon.start()
        in_force(daemon, 1)
        server.freeze()
        replies = {said(daemon) for _ in range(20)}
        until(lambda: daemon.alerts() == {"redis-down"}, "it is told")
        replies |= {said(daemon) for _ in range(20)}
        server.thaw()
        until(lambda: not daemon.alerts(), "it clears by itself")
        assert {"550 5.7.1 one"} == replies
        server.stop()
        daemon.stop()
        daemon.start()
        assert "550 5.7.1 one" == said(daemon)
        until(lambda: daemon.alerts() == {"redis-down"}, "it is told")
        assert 1 == daemon.status()["redis"]["revision"]["number"]
        server.start()  # empty: FLUSHALL would look the same
        until(lambda: daemon.alerts() == {"revision-older"}, "what is gone is not taken")
        assert "550 5.7.1 one" == said(daemon)
        daemon.ask(do="confirm", revision=True)
        in_force(daemon, 0)
        assert ("accept", set()) == (said(daemon), daemon.alerts())


def test_never_read(tmp_path: Path, server: RedisServer) -> None:
    """At the very first start nothing may be concluded: mail waits, until Redis was reached once."""
    server.stop()
    with a_daemon(tmp_path / "mx1", server) as daemon:
        daemon.start()
        assert said(daemon).startswith("451")
        assert {"revision-unread", "no-generation"} <= daemon.alerts()
        server.start()
        until(lambda: said(daemon) == "accept", "it was reached, and has no policy")
        until(lambda: not daemon.alerts(), "nothing is wrong")


def test_it_reverts_by_itself_without_redis(tmp_path: Path, server: RedisServer) -> None:
    """Commit-confirmed: nobody confirms, Redis is gone, and what was before is in force again."""

    with a_daemon(tmp_path / "mx1", server) as daemon:
        put(editor(server), ONE)
        daemon.start()
        in_force(daemon, 1)
        put(editor(server), TWO, expires=int(time.time()) + 4)
        in_force(daemon, 2)
        assert "550 5.7.1 two" == said(daemon)
        server.stop()
        until(lambda: said(daemon) == "550 5.7.1 one", "it has reverted")
        status = daemon.status()
        assert (2, True) == (status["redis"]["revision"]["number"], status["redis"]["revision"]["expired"])
        assert "revision-expired" in daemon.alerts()


SECRET = "correct-horse-battery"


def tree(pid: int) -> list[int]:
    """A process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def command(daemon: Daemon, *words: str) -> tuple[int, str]:
    """A command of this host: its exit code, and all that it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "tidegate", *words, "--config", str(daemon.config)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_three_daemons_one_of_them_frozen(tmp_path: Path, server: RedisServer) -> None:
    """`put --wait` names who has not taken it, `fleet` as well; thawed it catches up by itself. They have a login of
    their own in Redis, and no secret stands in a log, a status, an argument or an environment."""
    server.set_acl(ACL.read_text().replace("prod", "test"))
    for user in ("daemon", "editor"):
        server.ask("ACL", "SETUSER", f"tidegate-test-{user}", "on", f">{SECRET}-{user}")
        (tmp_path / user).write_text(f"{SECRET}-{user}\n")
    logins = {
        "redis_user": "tidegate-test-daemon",
        "redis_password_file": tmp_path / "daemon",
        "redis_editor_user": "tidegate-test-editor",
        "redis_editor_password_file": tmp_path / "editor",
        "workers": 1,
    }
    with ExitStack() as stack:
        hosts = [stack.enter_context(a_daemon(tmp_path / name, server, **logins)) for name in ("mx1", "mx2", "mx3")]
        for host in hosts:
            host.start()
        rule = tmp_path / "rule.yaml"
        rule.write_text(ONE["stop"])
        until(lambda: len(reports(server)) == 3, "all are heard of")
        code, said_of_it = command(hosts[0], "policy", "put", str(rule), "--reason", "x", "--wait", "15")
        assert (0, True) == (code, "3 of 3 live daemons have it" in said_of_it), said_of_it
        assert {"550 5.7.1 one"} == {said(host) for host in hosts}
        frozen = tree(hosts[2].pid)
        try:
            for pid in frozen:
                os.kill(pid, signal.SIGSTOP)
            rule.write_text(TWO["stop"])
            code, said_of_it = command(hosts[0], "policy", "put", str(rule), "--wait", "2")
            assert (1, True) == (code, "2 of 3 live daemons have it\n  mx3 has revision 1\n" in said_of_it), said_of_it
            code, said_of_it = command(hosts[0], "fleet")
            assert (1, True) == (code, "mx3  TROUBLE" in said_of_it), said_of_it
        finally:
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)
        until(lambda: command(hosts[1], "fleet")[0] == 0, "it has caught up")
        in_force(hosts[2], 2)
        assert "550 5.7.1 two" == said(hosts[2])
        assert set() == hosts[0].alerts()
        shown = json.dumps(hosts[0].status()) + hosts[0].log.read_text() + hosts[0].errors.read_text()
        for pid in tree(hosts[0].pid):
            shown += Path(f"/proc/{pid}/cmdline").read_text() + Path(f"/proc/{pid}/environ").read_text()
        assert SECRET not in shown


@pytest.mark.parametrize(
    "names",
    [
        ("closed at once", "another reply", "a wrong type for the head", "a half-written revision"),
        ("reset in a reply", "a head that points nowhere", "half of its entries", "FLUSHALL", "two histories"),
    ],
    ids=["one", "two"],
)
def test_each_fault_under_load(tmp_path: Path, server: RedisServer, names: tuple[str, ...]) -> None:
    """While Redis does one thing after the other, mail is judged by the same rule: every reply, and every line of the
    decision log, says so. Each fault is one alert; afterwards the policy is put anew, and none is left."""
    with WireProxy(server.path) as proxy, a_daemon(tmp_path / "mx1", server, redis=proxy.url) as daemon:
        (tmp_path / "s").mkdir()
        site = Site(server, proxy, tmp_path / "s")
        put(site.editor, ONE)
        daemon.start()
        in_force(daemon, 1)
        replies = set()

        def judged(alerts: set[str]) -> bool:
            replies.update(said(daemon) for _ in range(3))
            return daemon.alerts() == alerts

        for name in names:
            trouble, code = TROUBLES[name]
            end = trouble(site)
            until(lambda code=code: judged({code}), name)
            replies.update(said(daemon) for _ in range(5))
            end()
            server.flush()
            put(site.editor, ONE)  # the same revision, byte for byte: there is nothing to confirm
            until(lambda: judged(set()), f"{name}: nothing is left")
        assert {"550 5.7.1 one"} == replies
        assert {"stop"} == {line["rule"] for line in daemon.lines("decision")}
        assert not daemon.lines("supervisor fault") + daemon.lines("redis fault") + daemon.lines("clerk fault")
