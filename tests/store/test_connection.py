"""A link over each kind of Redis, and each way in which one can fail: a StoreError in time, and recovery by itself."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.builders.redisserver import Cluster, RedisServer, Watched, certificates, until
from tests.builders.storesettings import StoreWords
from tidegate.store.connection import Fault, Link, Script, StoreError, open_store

TIMEOUT = 0.5
TWICE = Script("redis.call('SET', KEYS[1], ARGV[1]) return {redis.call('GET', KEYS[1]), 2}")


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def link_to(url: str) -> Link:
    return open_store(StoreWords(url), TIMEOUT)


def works(link: Link) -> None:
    """A command, a script that the server does not know, and one that it knows."""
    key = link.keys.key("test")
    assert [b"a", 2] == link.run(TWICE, [key], ["a"])
    assert [b"b", 2] == link.run(TWICE, [key], [b"b"])
    assert b"b" == link.call("GET", key)
    assert link.call("HSET", link.keys.key("hash"), "field", 3) in (0, 1)
    assert [b"field", b"3"] == link.call("HGETALL", link.keys.key("hash"))
    assert link.call("GET", link.keys.key("none")) is None


def fault(link: Link) -> StoreError:
    with pytest.raises(StoreError) as caught:
        link.call("SET", link.keys.key("test"), "x")
    return caught.value


def test_over_a_unix_socket(server: RedisServer) -> None:
    """The plainest way."""
    works(link_to(server.url))


def test_replies_are_those_of_the_wire(server: RedisServer) -> None:
    """Whatever version of redis-py is there: bytes, numbers, lists; no dictionaries, no truth values."""
    link = link_to(server.url)
    assert b"OK" == link.call("SET", "k", "1")
    assert b"PONG" == link.call("PING")
    link.call("XADD", "s", "1-1", "a", "b")
    assert [[b"1-1", [b"a", b"b"]]] == link.call("XRANGE", "s", "-", "+")


def test_over_tcp_with_a_password() -> None:
    """The password is in a file, and is read anew when it changes."""
    with RedisServer(tcp=True) as server:
        server.set_acl("user editor on >first ~* +@all")
        secret = server.folder / "secret"
        secret.write_text("first\n")
        link = open_store(StoreWords(server.tcp_url, redis_user="editor", redis_password_file=str(secret)), TIMEOUT)
        works(link)
        server.set_acl("user editor on >second ~* +@all")
        server.ask("CLIENT", "KILL", "TYPE", "normal", "USER", "editor")
        until(lambda: fault(link).fault is Fault.REFUSED, "the old password is refused")
        secret.write_text("second\n")
        works(link)
        missing = open_store(StoreWords(server.tcp_url, redis_password_file="/nowhere/secret"), TIMEOUT)
        assert Fault.SETTINGS is fault(missing).fault
        assert "the password file /nowhere/secret can't be read: No such file" in str(fault(missing))


def test_over_tls(tmp_path: Path) -> None:
    """The certificate and the host name are checked."""
    certificates(tmp_path)
    with RedisServer("tls-auth-clients no", tls=True, folder=tmp_path) as server:
        wanted = StoreWords(server.tcp_url, redis_ca_file=str(tmp_path / "ca.pem"))
        works(open_store(wanted, TIMEOUT))
        assert "certificate" in str(fault(open_store(replace(wanted, redis_ca_file=""), TIMEOUT)))
        elsewhere = replace(wanted, redis=wanted.redis.replace("localhost", "127.0.0.1"))
        assert Fault.UNREACHABLE is fault(open_store(elsewhere, TIMEOUT)).fault
        plain = replace(wanted, redis=wanted.redis.replace("rediss", "redis"))
        assert Fault.UNREACHABLE is fault(open_store(plain, TIMEOUT)).fault


def test_over_tls_with_our_own_certificate(tmp_path: Path) -> None:
    """Redis asks for one unless it is told not to."""
    certificates(tmp_path)
    with RedisServer(tls=True, folder=tmp_path) as server:
        wanted = StoreWords(server.tcp_url, redis_ca_file=str(tmp_path / "ca.pem"))
        assert Fault.UNREACHABLE is fault(open_store(wanted, TIMEOUT)).fault
        works(open_store(replace(wanted, redis_cert_file=str(tmp_path / "server.pem")), TIMEOUT))


def test_behind_sentinels() -> None:
    """The master dies; within the Sentinels' time the same link speaks to the replica that took over."""
    with Watched() as watched:
        link = link_to(watched.url)
        works(link)
        watched.master.kill()
        assert fault(link).fault in (Fault.UNREACHABLE, Fault.TIMEOUT)
        until(lambda: _answers(link), "the replica takes over", 30.0)
        works(link)


def test_behind_sentinels_with_tls_and_passwords(tmp_path: Path) -> None:
    """TLS and a login to the Sentinels and to the server, each with its own password."""
    folders = [tmp_path / name for name in ("m", "s")]
    folders[0].mkdir()
    certificates(folders[0], address="127.0.0.1")
    shutil.copytree(folders[0], folders[1])
    for name, secret in (("server", "secret1"), ("sentinel", "secret2")):
        (tmp_path / name).write_text(secret)
    with RedisServer("tls-auth-clients no", tls=True, folder=folders[0]) as master:
        master.set_acl("user editor on >secret1 ~* +@all")
        watch = (
            f"sentinel monitor policy 127.0.0.1 {master.port} 1",
            "requirepass secret2",
            "tls-replication yes",
            "tls-auth-clients no",
        )
        with RedisServer(*watch, tls=True, folder=folders[1], sentinel=True) as sentinel:
            sentinel.password = "secret2"
            wanted = StoreWords(
                f"rediss+sentinel://localhost:{sentinel.port}/policy",
                redis_user="editor",
                redis_password_file=str(tmp_path / "server"),
                redis_ca_file=str(folders[0] / "ca.pem"),
                redis_sentinel_password_file=str(tmp_path / "sentinel"),
            )
            until(lambda: _answers(open_store(wanted, TIMEOUT)), "the Sentinel knows the master")
            works(open_store(wanted, TIMEOUT))
            for less in ("redis_ca_file", "redis_user", "redis_sentinel_password_file"):
                assert not _answers(open_store(replace(wanted, **{less: ""}), TIMEOUT)), less
            plain = replace(wanted, redis=wanted.redis.replace("rediss", "redis"))
            assert not _answers(open_store(plain, TIMEOUT))


def test_in_a_cluster() -> None:
    """Keys of any environment are found, also from a node that does not hold them, and when their slot moves."""
    with Cluster() as cluster:
        for environment in ("prod", "test", "dev"):
            works(open_store(StoreWords(cluster.url, environment=environment), TIMEOUT))
        link = link_to(cluster.url)
        works(link)
        for step in _moved(cluster, link.keys.key("test"), link.keys.slot):
            step()
            works(link)
        holder = cluster.holder(link.keys.key("test"))
        holder.kill()
        assert Fault.UNREACHABLE is fault(link).fault
        holder.start()
        until(lambda: _answers(link), "the node is back")


def _moved(cluster: Cluster, key: str, slot: int) -> list[Callable[[], object]]:
    """Another node takes the slot, without its keys but with the link's next writes: ASK first, then MOVED."""
    old = cluster.holder(key)
    new = next(node for node in cluster.nodes if node is not old)
    names = {node.port: node.ask("CLUSTER", "MYID") for node in (old, new)}

    def asks() -> None:
        for name in old.ask("CLUSTER", "GETKEYSINSLOT", slot, 100):
            old.ask("DEL", name)
        new.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", names[old.port])
        old.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", names[new.port])

    def moves() -> None:
        for node in (new, old):
            for name in node.ask("CLUSTER", "GETKEYSINSLOT", slot, 100):
                node.ask("DEL", name) if node is old else None
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", names[new.port])
        new.ask("FLUSHALL")

    return [asks, moves]


def _answers(link: Link) -> bool:
    try:
        return bool(link.call("SET", link.keys.key("test"), "x") == b"OK")
    except StoreError:
        return False


def test_a_node_of_a_cluster_as_one_server() -> None:
    """Whoever wrote redis:// for a Cluster is told what to write."""
    with Cluster() as cluster:
        wrong = next(node for node in cluster.nodes if node is not cluster.holder("{tidegate:prod}:test"))
        found = fault(link_to(wrong.tcp_url))
        assert Fault.SETTINGS is found.fault
        assert "redis+cluster://" in str(found)


@pytest.mark.parametrize(
    ("trouble", "kind", "word"),
    [
        (lambda server: server.kill(), Fault.UNREACHABLE, "No such file or directory|Connection refused"),
        (lambda server: server.freeze(), Fault.TIMEOUT, "in time"),
        (lambda server: server.ask("CLIENT", "PAUSE", 3000), Fault.TIMEOUT, "in time"),
        (lambda server: server.ask("REPLICAOF", "127.0.0.1", 1), Fault.READ_ONLY, "replica"),
        (lambda server: server.settings("maxmemory", 1), Fault.FULL, "maxmemory"),
        (lambda server: server.settings("requirepass", "x"), Fault.REFUSED, "password"),
        (lambda server: server.set_acl("user default on nopass ~* +@read"), Fault.REFUSED, "permissions"),
        (lambda server: server.ask("LPUSH", "{tidegate:prod}:hash", 1), Fault.WRONG_TYPE, "something else"),
        (lambda server: server.settings("min-replicas-to-write", 1), Fault.READ_ONLY, "replicas"),
    ],
    ids=["killed", "frozen", "paused", "readonly", "oom", "noauth", "noperm", "wrongtype", "noreplicas"],
)
def test_each_trouble_is_told(
    server: RedisServer, trouble: Callable[[RedisServer], None], kind: Fault, word: str
) -> None:
    """A reason of its own kind, in one line that holds no secret."""
    link = link_to(server.url)
    link.call("PING")
    trouble(server)
    if kind is Fault.REFUSED:
        link.close()  # a connection that was let in stays in
    with pytest.raises(StoreError, match=word) as caught:
        link.call("HSET", link.keys.key("hash"), "a", "b")
    assert kind is caught.value.fault
    assert "\n" not in str(caught.value)


def test_it_recovers_by_itself(server: RedisServer) -> None:
    """Frozen, killed, restarted without data and without scripts: the same link goes on."""
    link = link_to(server.url)
    works(link)
    server.freeze()
    assert Fault.TIMEOUT is fault(link).fault
    server.thaw()
    until(lambda: _answers(link), "it answers again")
    server.kill()
    assert Fault.UNREACHABLE is fault(link).fault
    server.start()
    works(link)
    server.ask("SCRIPT", "FLUSH")
    server.flush()
    works(link)


def test_more_clients_than_it_takes(server: RedisServer) -> None:
    """maxclients: told as such, and over when somebody leaves."""
    server.settings("maxclients", 2)
    others = [link_to(server.url) for _ in range(2)]
    for other in others:
        other.call("PING")
    link = link_to(server.url)
    found = fault(link)
    assert found.fault in (Fault.BUSY, Fault.UNREACHABLE)
    others[0].close()
    until(lambda: _answers(link), "there is room")


@pytest.mark.parametrize(
    "reply",
    [
        b"$5\r\nab",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b":seven\r\n",
        b"$many\r\n",
        b"*1\r\n" * 5000,
        b"*3\r\n:1\r\n",
        b"",
        b"\r\n",
        b"+OK",
    ],
    ids=lambda value: repr(value[:12]),
)
def test_bytes_that_are_no_reply(reply: bytes) -> None:
    """Whatever stands in Redis's place, or breaks off in the middle: a StoreError, then a new connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        seen: list[int] = []

        def serve() -> None:
            for _ in range(2):
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer:
                    peer.recv(1000)
                    seen.append(1)
                    peer.sendall(reply)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        link = open_store(StoreWords(f"redis://127.0.0.1:{port}"), TIMEOUT)
        for expected in (1, 2):
            with pytest.raises(StoreError):
                link.call("GET", "key")
            assert expected == len(seen)
        thread.join(5)


@pytest.mark.parametrize("reply", [b"+" + b"x" * 200, b"$200\r\n" + b"x" * 200, b"*100\r\n" + b":1\r\n" * 50])
def test_an_answer_that_trickles(reply: bytes) -> None:
    """A byte now and then is no answer in time: given up long before it would end, however quick each read is."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sent: list[int] = []

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(1000)
                for byte in reply:
                    try:
                        peer.send(bytes([byte]))
                    except OSError:
                        return
                    sent.append(byte)
                    gone.wait(0.05)

        gone = threading.Event()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        link = open_store(StoreWords(f"redis://127.0.0.1:{listener.getsockname()[1]}"), TIMEOUT, TIMEOUT)
        with pytest.raises(StoreError, match="in time") as caught:
            link.call("GET", "key")
        given_up = len(sent)
        gone.set()
        thread.join(5)
        assert Fault.TIMEOUT is caught.value.fault
        assert given_up < len(reply) // 2


def test_threads_and_forks(server: RedisServer) -> None:
    """Several threads use one link; a child has connections of its own."""
    link = link_to(server.url)
    link.call("SET", "n", 0)

    def count() -> None:
        for _ in range(50):
            link.call("INCR", "n")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            count()
            status = 0
        finally:
            os._exit(status)
    for thread in threads:
        thread.join()
    assert (pid, 0) == os.waitpid(pid, 0)
    assert b"250" == link.call("GET", "n")


def test_settings_that_name_no_redis() -> None:
    """Off, or nonsense: ValueError, before anything is connected."""
    for text in ("", "redis://a:b@c"):
        with pytest.raises(ValueError, match="redis"):
            open_store(StoreWords(text), TIMEOUT)
