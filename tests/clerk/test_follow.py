"""Redis is no authority: whatever becomes of it, what was fetched serves on, one alert says why, and it heals."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.builders.redisserver import Cluster, RedisServer, Watched, Wire, certificates, until
from tests.builders.revisions import a_manifest, a_revision, a_text, put
from tests.builders.storesettings import StoreWords
from tests.builders.wireproxy import WireProxy, passed
from tidegate.clerk.follow import MISSED, Followed, Follower
from tidegate.live import snapshot
from tidegate.revisions import digest_of
from tidegate.store.connection import Link, open_store
from tidegate.store.revisions import Revisions

ONE, TWO = {"r": a_text("r", "one")}, {"r": a_text("r", "two")}
SECRET = "correct-horse"


@dataclass
class Site:
    """A Redis behind a proxy, and a daemon's state directory; `now` is its clock."""

    server: RedisServer
    proxy: WireProxy
    state: Path
    now: float = 1_800_000_000.0
    wanted: StoreWords = field(init=False)
    follower: Follower = field(init=False)

    def __post_init__(self) -> None:
        self.wanted = StoreWords(self.proxy.url, environment="test")
        self.restart()

    @property
    def editor(self) -> Revisions:
        """Who puts policies, past the proxy."""
        return Revisions(open_store(StoreWords(self.server.url, environment="test"), 5.0))

    @property
    def key(self) -> Callable[[str], str]:
        return self.editor.keys.key

    def link(self) -> Link:
        return open_store(self.wanted, 0.3)

    def restart(self, allow: bool = False) -> None:
        """The clerk begins anew."""
        self.follower = Follower(Revisions(self.link()), str(self.state), allow=allow)

    def poll(self, times: int = 1) -> Followed:
        for _ in range(times):
            self.now += 2.0
            found = self.follower.poll(self.now)
        return found

    def texts(self) -> list[str]:
        """What serves."""
        kept = snapshot.newest(str(self.state), "test").snapshot
        return [kept.texts[one.sha] for one in kept.in_force(self.now).entries] if kept else []


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with RedisServer() as server, WireProxy(server.path) as proxy:
        (tmp_path / "s").mkdir()
        yield Site(server, proxy, tmp_path / "s")


Trouble = Callable[[Site], Callable[[], object]]
"""Makes trouble; what it returns ends it."""


def _down(site: Site) -> Callable[[], object]:
    dump(site)
    site.server.stop()
    return site.server.start


def dump(site: Site) -> None:
    site.server.ask("SAVE")


def _frozen(site: Site) -> Callable[[], object]:
    site.server.freeze()
    return site.server.thaw


def _paused(site: Site) -> Callable[[], object]:
    site.server.ask("CLIENT", "PAUSE", 4_000)  # who pauses all clients can't end it before
    return lambda: site.server.ask("PING")


def _slow(site: Site) -> Callable[[], object]:
    site.proxy.wait = 1.0
    return lambda: setattr(site.proxy, "wait", 0.0)


def _spoiled(spoil: Callable[[bytes], bytes | None]) -> Trouble:
    def begin(site: Site) -> Callable[[], object]:
        site.proxy.spoil = spoil
        return lambda: setattr(site.proxy, "spoil", passed)

    return begin


def _reset(site: Site) -> Callable[[], object]:
    """Each reply is cut in its middle, and the connection with it."""
    halves: set[int] = set()

    def spoil(data: bytes) -> bytes | None:
        if len(data) in halves:
            return None
        halves.add(len(data))
        return data[: len(data) // 2]

    return _spoiled(spoil)(site)


def _password(site: Site) -> Callable[[], object]:
    site.server.settings("requirepass", SECRET)
    site.server.password = SECRET
    site.follower = Follower(Revisions(site.link()), str(site.state))

    def end() -> None:
        site.server.settings("requirepass", "")
        site.server.password = ""

    return end


def _wrong_password(site: Site) -> Callable[[], object]:
    _password(site)
    (site.state / "password").write_text("not-it\n")
    site.wanted = replace(site.wanted, redis_password_file=str(site.state / "password"))
    site.restart()

    def repair() -> None:
        (site.state / "password").write_text(f"{SECRET}\n")

    return repair


def _maxclients(site: Site) -> Callable[[], object]:
    site.restart()
    wire = Wire(site.server.path)
    wire.ask("CONFIG", "SET", "maxclients", 1)

    def end() -> None:
        with wire:
            wire.ask("CONFIG", "SET", "maxclients", 100)

    return end


def _commands(*commands: tuple[str | int | bytes, ...]) -> Trouble:
    """What somebody does with redis-cli; it ends when the policy is put again."""

    def begin(site: Site) -> Callable[[], object]:
        for name, *rest in commands:
            site.server.ask(name, *(one.replace("@", site.key("")) if isinstance(one, str) else one for one in rest))
        return lambda: site.server.ask("DEL", *(site.key(one) for one in ("head", "manifests", "entries", "revisions")))

    return begin


def _half_written(site: Site) -> Callable[[], object]:
    """The head has moved, its manifest has not come."""
    manifest = a_manifest(TWO)
    record = a_revision(2, manifest).canonical()
    site.server.ask("HSET", site.key("revisions"), 2, record)
    site.server.ask("HSET", site.key("head"), "number", 2, "record", record)
    head = a_revision(1, a_manifest(ONE)).canonical()

    def end() -> None:
        site.server.ask("HSET", site.key("head"), "number", 1, "record", head)

    return end


def _half_of_the_entries(site: Site) -> Callable[[], object]:
    end = _half_written(site)
    manifest = a_manifest(TWO)
    site.server.ask("HSET", site.key("manifests"), manifest.digest(), manifest.canonical())
    return end


def _old_dump(site: Site) -> Callable[[], object]:
    """Redis is restored from yesterday's dump."""
    for number in (2, 3):
        put(site.editor, {"r": a_text("r", f"later {number}")})
    site.poll()
    for name in ("2", "3"):
        site.server.ask("HDEL", site.key("revisions"), name)
    record = a_revision(1, a_manifest(ONE)).canonical()
    site.server.ask("HSET", site.key("head"), "number", 1, "record", record)

    def end() -> None:
        for number in (2, 3):
            put(site.editor, {"r": a_text("r", f"later {number}")})

    return end


def _flushed(site: Site) -> Callable[[], object]:
    site.server.flush()

    def end() -> None:
        put(site.editor, ONE)

    return end


def _two_histories(site: Site) -> Callable[[], object]:
    """After a FLUSHALL somebody puts policies until the number is larger than ours."""
    site.server.flush()
    for number in range(3):
        put(site.editor, {"r": a_text("r", f"another {number}")})

    def end() -> None:
        site.server.flush()
        put(site.editor, ONE)

    return end


TROUBLES: dict[str, tuple[Trouble, str]] = {
    "down": (_down, "redis-down"),
    "frozen": (_frozen, "redis-down"),
    "paused": (_paused, "redis-down"),
    "slow": (_slow, "redis-down"),
    "reset in a reply": (_reset, "redis-down"),
    "closed at once": (_spoiled(lambda _data: None), "redis-down"),
    "no Redis at all": (_spoiled(lambda _data: b"SSH-2.0-OpenSSH_9.2\r\n"), "redis-foreign"),
    "another reply": (_spoiled(lambda _data: b"+OK\r\n"), "redis-foreign"),
    "NOAUTH": (_password, "redis-refused"),
    "wrong password": (_wrong_password, "redis-refused"),
    "maxclients": (_maxclients, "redis-down"),
    "a wrong type for the head": (_commands(("DEL", "@head"), ("SET", "@head", "x")), "redis-foreign"),
    "a head of nonsense": (_commands(("HSET", "@head", "number", "9", "record", b"\xff\x00")), "revision-refused"),
    "a head that points nowhere": (_commands(("DEL", "@head"), ("HSET", "@head", "number", "77")), "revision-refused"),
    "a half-written revision": (_half_written, "revision-refused"),
    "half of its entries": (_half_of_the_entries, "revision-refused"),
    "FLUSHALL": (_flushed, "revision-older"),
    "an old dump": (_old_dump, "revision-older"),
    "two histories": (_two_histories, "revision-older"),
}


@pytest.mark.parametrize(("trouble", "code"), TROUBLES.values(), ids=TROUBLES)
def test_what_was_fetched_serves_on(site: Site, trouble: Trouble, code: str) -> None:
    """One alert while it lasts, no change of what serves, nothing raised; afterwards it is followed again."""
    put(site.editor, ONE)
    assert 1 == site.poll().number
    end = trouble(site)
    serves, row = site.texts(), site.follower.found.row
    site.poll(MISSED)
    for _ in range(2):
        found = site.poll()
        assert [code] == list(found.alerts)
        assert (serves, row) == (site.texts(), found.row)
    site.follower = Follower(Revisions(site.link()), str(site.state))  # also over a restart
    assert [code] == list(site.poll(MISSED).alerts)
    assert serves == site.texts()
    assert SECRET not in json.dumps(found.alerts) + found.error
    end()
    found = site.poll(2)
    if found.alerts.keys() == {"revision-older"}:  # put anew, which only a person can say is the same
        site.follower.accept()
        found = site.poll()
    assert ({}, True) == (dict(found.alerts), found.up)


def test_a_new_revision_is_fetched(site: Site) -> None:
    """Its missing texts alone are asked for, and the snapshot is another file."""
    put(site.editor, {**ONE, "s": a_text("s")})
    first = site.poll()
    assert (1, 1, True, {}) == (first.head, first.number, first.up, dict(first.alerts))
    asked = counted(site, "hmget")
    assert first == site.poll()  # one command, nothing written
    assert 1 == counted(site, "hmget") - asked
    put(site.editor, {**TWO, "s": a_text("s")})
    second = site.poll()
    assert (2, 2) == (second.number, second.serial)
    assert [TWO["r"], a_text("s")] == site.texts()


def counted(site: Site, command: str) -> int:
    """How often a command was called."""
    line = next(
        (one for one in site.server.ask("INFO", "commandstats").split("\r\n") if one.startswith(f"cmdstat_{command}:")),
        "calls=0,",
    )
    return int(line.partition("calls=")[2].partition(",")[0])


def test_an_environment_without_a_head_counts_as_read(site: Site) -> None:
    """It was reached: there is a snapshot, and nothing lies over the files."""
    found = site.poll()
    assert (0, 1, {}) == (found.number, found.serial, dict(found.alerts))
    kept = snapshot.newest(str(site.state), "test").snapshot
    assert kept is not None
    assert kept.revision is None
    put(site.editor, ONE)
    assert 1 == site.poll().number


def test_never_reached(site: Site) -> None:
    """No snapshot is written: what was never read is not empty."""
    site.server.stop()
    found = site.poll(MISSED)
    assert (["redis-down"], "", 0) == (list(found.alerts), found.row, found.serial)
    site.server.start()
    assert 1 == site.poll().serial


def test_a_single_lost_poll_is_no_alert(site: Site) -> None:
    """The status tells of it."""
    put(site.editor, ONE)
    site.poll()
    site.server.freeze()
    found = site.poll()
    site.server.thaw()
    assert (False, {}, True) == (found.up, dict(found.alerts), bool(found.error))
    again = site.poll()
    assert (True, found.error) == (again.up, again.error)


@pytest.mark.parametrize("how", ["flushed", "older"])
def test_a_person_accepts_what_is_older(site: Site, how: str) -> None:
    """Once, for the head that stands there now."""
    put(site.editor, ONE)
    record = site.server.ask("HGET", site.key("head"), "record")
    put(site.editor, TWO)
    site.poll()
    if how == "flushed":
        site.server.flush()
    else:
        site.server.ask("HSET", site.key("head"), "number", 1, "record", record)
    assert ["revision-older"] == list(site.poll().alerts)
    site.follower.accept()
    found = site.poll()
    assert (0 if how == "flushed" else 1, 2, {}) == (found.number, found.serial, dict(found.alerts))
    assert ([] if how == "flushed" else [ONE["r"]]) == site.texts()
    assert {} == dict(site.poll().alerts)


def test_the_word_of_a_person_is_not_kept_for_later(site: Site) -> None:
    """Where nothing was to be accepted it accepts nothing."""
    put(site.editor, ONE)
    site.poll()
    site.follower.accept()
    site.poll()
    site.server.flush()
    assert ["revision-older"] == list(site.poll().alerts)


def test_a_damaged_snapshot_is_fetched_again(site: Site) -> None:
    """While it runs, and at a start."""
    put(site.editor, ONE)
    for _ in range(2):
        name = site.poll().row.split()[0]
        (site.state / snapshot.FOLDER / name).write_bytes(b"x")
        found = site.poll()
        assert (1, {}) == (found.number, dict(found.alerts))
        assert [ONE["r"]] == site.texts()
        assert name != found.row.split()[0]
        site.restart()


def test_damage_does_not_open_the_way_back(site: Site) -> None:
    """The newest snapshot is damaged, and Redis has an old dump: an older head than that of the snapshot before it is
    not taken."""
    put(site.editor, ONE)
    record = site.server.ask("HGET", site.key("head"), "record")
    for number in (2, 3):
        put(site.editor, {"r": a_text("r", f"later {number}")})
        site.poll()
    name = site.follower.found.row.split()[0]
    (site.state / snapshot.FOLDER / name).write_bytes(b"x")
    site.server.ask("HSET", site.key("head"), "number", 1, "record", record)
    site.restart()
    assert ["revision-older"] == list(site.poll().alerts)
    assert [] == site.texts()  # the damaged one: the loader goes by its own record


def test_a_full_disk_takes_no_revision(site: Site) -> None:
    """It can't be put on record: the alert says so, and the revision is taken once there is room."""
    put(site.editor, ONE)
    (site.state / snapshot.FOLDER).write_text("in the way")
    assert ["snapshot-unwritable"] == list(site.poll().alerts)
    (site.state / snapshot.FOLDER).unlink()
    found = site.poll()
    assert (1, {}) == (found.number, dict(found.alerts))


@pytest.mark.parametrize("allow", [False, True], ids=["refused", "allowed"])
def test_what_was_written_by_hand(site: Site, allow: bool) -> None:
    """It is told in any case, and in force only where the settings say so; taken out it is gone."""
    put(site.editor, ONE)
    site.restart(allow)
    site.poll()
    site.server.ask("HSET", site.key("unreviewed"), "mine", a_text("mine"))
    found = site.poll(15)
    assert ["revision-unreviewed"] == list(found.alerts)
    kept = snapshot.newest(str(site.state), "test").snapshot
    assert kept is not None
    assert ({"mine": a_text("mine")} if allow else {}) == kept.loose
    site.server.ask("DEL", site.key("unreviewed"))
    found = site.poll(15)
    assert {} == dict(found.alerts)
    kept = snapshot.newest(str(site.state), "test").snapshot
    assert kept is not None
    assert {} == kept.loose


def test_a_name_that_somebody_made_up(site: Site) -> None:
    """However long and whatever is in it: the alert stays a line that fits into a packet."""
    site.server.ask("HSET", site.key("unreviewed"), "\x1b[2J\n" + "x" * 100_000, "text")
    text = site.poll().alerts["revision-unreviewed"]
    assert text.isprintable()
    assert len(text) < 500


def test_the_word_of_a_person_is_not_kept_for_another_head(site: Site) -> None:
    """It was given for one that could not be used: the next one that is older needs its own."""
    put(site.editor, ONE)
    site.poll()
    end = _half_written(site)
    site.follower.accept()
    assert ["revision-refused"] == list(site.poll().alerts)
    end()
    site.server.flush()
    assert ["revision-older"] == list(site.poll().alerts)


@pytest.mark.parametrize("allow", [False, True], ids=["refused", "allowed"])
def test_a_head_by_hand(site: Site, allow: bool) -> None:
    """A manifest in another spelling and a record with it: refused, or taken with an alert."""
    put(site.editor, ONE)
    site.restart(allow)
    site.poll()
    manifest = json.dumps(json.loads(a_manifest(ONE).canonical()), indent=1)
    sha = digest_of(manifest.encode())
    record = json.dumps({**json.loads(a_revision(2, a_manifest(ONE)).canonical()), "manifest": sha}, indent=1)
    site.server.ask("HSET", site.key("manifests"), sha, manifest)
    site.server.ask("HSET", site.key("revisions"), 2, record)
    site.server.ask("HSET", site.key("head"), "number", 2, "record", record)
    for _ in range(2):
        found = site.poll()
        assert ["revision-unreviewed" if allow else "revision-refused"] == list(found.alerts)
        assert (2 if allow else 1) == found.number
        site.restart(allow)


def test_over_tls(tmp_path: Path) -> None:
    """With a CA of our own; one who is not signed by it is not believed."""
    with RedisServer("tls-auth-clients no", tls=True, folder=_made(tmp_path / "r")) as server:
        (tmp_path / "s").mkdir()
        put(Revisions(open_store(StoreWords(server.url, environment="test"), 5.0)), ONE)
        wanted = StoreWords(server.tcp_url, redis_ca_file=str(tmp_path / "r" / "ca.pem"), environment="test")
        follower = Follower(Revisions(open_store(wanted, 2.0)), str(tmp_path / "s"))
        assert 1 == follower.poll(1.0).number
        stranger = Follower(
            Revisions(open_store(StoreWords(server.tcp_url, environment="test"), 2.0)), str(tmp_path / "s")
        )
        for now in range(MISSED):
            found = stranger.poll(float(now))
        assert (["redis-down"], 1) == (list(found.alerts), found.number)


def _made(folder: Path) -> Path:
    folder.mkdir()
    certificates(folder)
    return folder


def test_behind_sentinels(tmp_path: Path) -> None:
    """The master dies: what was fetched serves on, and what is put at the new one is followed."""
    with Watched() as redis:
        editor = Revisions(open_store(StoreWords(redis.url, environment="test"), 2.0))
        put(editor, ONE)
        assert redis.replica is not None
        until(
            lambda: redis.replica and redis.replica.ask("HGET", editor.keys.head, "number") == "1", "it is replicated"
        )
        follower = Follower(Revisions(open_store(StoreWords(redis.url, environment="test"), 1.0)), str(tmp_path))
        assert 1 == follower.poll(1.0).number
        redis.master.kill()
        until(lambda: follower.poll(2.0).up, "another one is the master")
        put(editor, TWO)
        found = follower.poll(3.0)
        assert (2, {}) == (found.number, dict(found.alerts))


def test_in_a_cluster(tmp_path: Path) -> None:
    """All keys lie on one node; it is found from any other."""
    with Cluster() as redis:
        editor = Revisions(open_store(StoreWords(redis.url, environment="test"), 2.0))
        put(editor, ONE)
        follower = Follower(Revisions(open_store(StoreWords(redis.url, environment="test"), 1.0)), str(tmp_path))
        assert 1 == follower.poll(1.0).number
        holder = redis.holder(editor.keys.head)
        holder.freeze()
        for now in range(MISSED):
            found = follower.poll(2.0 + now)
        assert (["redis-down"], 1) == (list(found.alerts), found.number)
        holder.thaw()
        until(lambda: follower.poll(9.0).up, "the node answers again")
        put(editor, TWO)
        assert 2 == follower.poll(10.0).number
