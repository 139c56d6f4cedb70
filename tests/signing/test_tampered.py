"""A taken-over Redis, where signatures are demanded: whatever is written there, no rule changes, and one is told."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import pytest

from tests.builders.redisserver import RedisServer
from tests.builders.revisions import ENVIRONMENT, a_manifest, a_revision, a_text
from tests.builders.signers import a_key, put_signed, trusted
from tests.builders.storesettings import StoreWords
from tests.loader.test_revision_above import Unconfined
from tidegate import live
from tidegate.clerk.follow import Follower
from tidegate.live import snapshot
from tidegate.loader.child import Request, work
from tidegate.loader.confine import Confined
from tidegate.loader.report import Report, decode
from tidegate.model import Conventions, Severity
from tidegate.revisions import Revision, digest_of
from tidegate.signing import PrivateKey, Trust
from tidegate.store.connection import open_store
from tidegate.store.revisions import Revisions

ONE, TWO = {"r": a_text("r", "one")}, {"r": a_text("r", "two")}
EVIL = a_text("r", "evil")
NOW = 1_800_000_000.0


@dataclass
class Site:
    """A Redis, a daemon's state directory with its clerk and loader, and a person with a key for this environment."""

    server: RedisServer
    folder: Path
    anna: PrivateKey = field(init=False)
    trust: Trust = field(init=False)
    now: float = NOW

    def __post_init__(self) -> None:
        (self.folder / "s").mkdir()
        (self.folder / "p").mkdir()
        (self.folder / "p" / "a.yaml").write_text(a_text("r", "file"))
        self.anna = a_key(self.folder)
        self.trust = trusted(self.folder, self.anna, ENVIRONMENT)

    @property
    def state(self) -> str:
        return str(self.folder / "s")

    def editor(self, environment: str = ENVIRONMENT) -> Revisions:
        return Revisions(open_store(StoreWords(self.server.url, environment=environment), 5.0))

    def follow(self, times: int = 2) -> set[str]:
        """The clerk begins anew, and polls; which alerts stand."""
        follower = Follower(self.editor(), self.state, allow=True, trust=self.trust)
        for _ in range(times):
            self.now += 2.0
            found = follower.poll(self.now)
        return set(found.alerts)

    def load(self) -> Report:
        """The loader reads what the clerk left."""
        child = Unconfined()
        policies, conventions = str(self.folder / "p"), Conventions()
        request = Request(policies, self.state, conventions, 1, environment=ENVIRONMENT, trust=self.trust)
        work(cast(Confined, child), request)
        report = decode(os.pread(child.result, 1 << 24, 0))
        if report.recorded:
            live.settle_next(self.state, on_trial=False)
        return report

    def ask(self, *words: str | bytes | int) -> None:
        self.server.ask(*words)

    def key(self, name: str) -> str:
        return self.editor().keys.key(name)

    def head(self, record: Revision) -> None:
        """Somebody with the editor's password, or root on Redis's machine, writes the head and the record."""
        number, text = record.number, record.canonical()
        self.ask("HSET", self.key("revisions"), number, text)
        self.ask("HSET", self.key("head"), "number", number, "record", text)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Revision 1 is in force."""
    with RedisServer() as server:
        site = Site(server, tmp_path)
        put_signed(site.editor(), ONE, site.anna)
        assert set() == site.follow()
        assert "one" in in_force(site.load())
        yield site


def in_force(report: Report) -> str:
    """The source of rule r, and what is held because of it."""
    entry = next(one for one in report.entries if one.key.id == "r")
    words = {digest_of(a_text("r", word).encode()): word for word in ("one", "two", "evil", "file")}
    told = [word for sha, word in words.items() if sha[:8] in entry.place.source]
    return f"{''.join(told)} {entry.place.source}"


def wrong(report: Report) -> set[str]:
    return {one.code for one in report.problems if one.severity is not Severity.NOTICE}


# What is done to Redis once revision 2 is there that nobody has fetched; each returns nothing.


def _signature_removed(site: Site) -> None:
    head = site.editor().head().revision
    assert head is not None
    site.head(replace(head, key="", signature=""))


def _key_only_removed(site: Site) -> None:
    """The record that OPA once took: no key is named, so none was checked."""
    head = site.editor().head().revision
    assert head is not None
    site.ask("HSET", site.key("head"), "record", json.dumps({**json.loads(head.canonical()), "key": ""}))


def _record_changed(site: Site) -> None:
    head = site.editor().head().revision
    assert head is not None
    site.head(replace(head, urgent="at once", reason="believe me"))


def _expiry_changed(site: Site) -> None:
    head = site.editor().head().revision
    assert head is not None
    site.head(replace(head, expires=1, fallback=a_manifest(ONE).digest()))


def _another_manifest(site: Site) -> None:
    head, manifest = site.editor().head().revision, a_manifest({"r": EVIL})
    assert head is not None
    site.ask("HSET", site.key("entries"), digest_of(EVIL.encode()), EVIL)
    site.ask("HSET", site.key("manifests"), manifest.digest(), manifest.canonical())
    site.head(replace(head, manifest=manifest.digest()))


def _manifest_changed(site: Site) -> None:
    site.ask("HSET", site.key("entries"), digest_of(EVIL.encode()), EVIL)
    site.ask("HSET", site.key("manifests"), a_manifest(TWO).digest(), a_manifest({"r": EVIL}).canonical())


def _entry_changed(site: Site) -> None:
    site.ask("HSET", site.key("entries"), digest_of(TWO["r"].encode()), EVIL)


def _entry_removed(site: Site) -> None:
    site.ask("HDEL", site.key("entries"), digest_of(TWO["r"].encode()))


def _manifests_removed(site: Site) -> None:
    site.ask("DEL", site.key("manifests"))


def _records_removed(site: Site) -> None:
    site.ask("DEL", site.key("revisions"))


def _head_removed(site: Site) -> None:
    site.ask("DEL", site.key("head"))


def _all_removed(site: Site) -> None:
    site.ask("FLUSHALL")


def _number_only(site: Site) -> None:
    site.ask("HSET", site.key("head"), "number", 1)


def _older_head(site: Site) -> None:
    """A real revision, signed, and older than the one in force."""
    site.follow()
    assert "two" in in_force(site.load())
    old = site.editor().revision(1)
    assert isinstance(old, Revision)
    site.ask("HSET", site.key("head"), "number", 1, "record", old.canonical())


def _of_another_environment(site: Site) -> None:
    """A revision of dev, signed by somebody who may sign for dev, under the keys of this environment."""
    dora = a_key(site.folder, "dora")
    trusted(site.folder, dora, "dev", name="dora")
    other = put_signed(site.editor("dev"), {"r": EVIL}, dora)
    site.ask("HSET", site.key("entries"), digest_of(EVIL.encode()), EVIL)
    site.ask("HSET", site.key("manifests"), other.manifest, a_manifest({"r": EVIL}).canonical())
    site.head(replace(other, number=2, parent=1))


def _key_of_another_environment(site: Site) -> None:
    """The same person signs for the environment that is not hers."""
    dora = a_key(site.folder, "dora")
    trusted(site.folder, dora, "dev", name="dora")
    _put_by(site, dora)


def _key_of_a_stranger(site: Site) -> None:
    _put_by(site, a_key(site.folder, "mallory"))


def _put_by(site: Site, key: PrivateKey) -> None:
    manifest = a_manifest({"r": EVIL})
    site.ask("HSET", site.key("entries"), digest_of(EVIL.encode()), EVIL)
    site.ask("HSET", site.key("manifests"), manifest.digest(), manifest.canonical())
    site.head(key.sign(replace(a_revision(3, manifest), parent=2)))


def _by_hand(site: Site) -> None:
    """Although `redis_unreviewed: allow` would let it in."""
    site.ask("HSET", site.key("unreviewed"), "r", EVIL)
    site.ask("HSET", site.key("head"), "record", "{}")


TAMPERING: list[Callable[[Site], None]] = [
    _signature_removed,
    _key_only_removed,
    _record_changed,
    _expiry_changed,
    _another_manifest,
    _manifest_changed,
    _entry_changed,
    _entry_removed,
    _manifests_removed,
    _records_removed,
    _head_removed,
    _all_removed,
    _number_only,
    _older_head,
    _of_another_environment,
    _key_of_another_environment,
    _key_of_a_stranger,
    _by_hand,
]


@pytest.mark.parametrize("tamper", TAMPERING, ids=lambda one: one.__name__.strip("_"))
def test_no_rule_changes(site: Site, tamper: Callable[[Site], None]) -> None:
    """Revision 1 is in force (in one case 2), revision 2 comes with a change by a stranger: it is not taken, also not
    by a clerk that begins anew, an alert says why; and once Redis is as it was, revision 2 is taken."""
    put_signed(site.editor(), TWO, site.anna)
    dump = {name: site.server.ask("DUMP", site.key(name)) for name in ("head", "entries", "manifests", "revisions")}
    tamper(site)
    before = in_force(site.load())
    alerts = site.follow()
    assert alerts & {"revision-untrusted", "revision-refused", "revision-older"}, alerts
    report = site.load()
    assert before == in_force(report)
    assert "evil" not in in_force(report)
    assert before.split()[0] in ("one", "two")
    assert alerts <= site.follow()
    for name, text in dump.items():
        site.ask("DEL", site.key(name))
        site.ask("RESTORE", site.key(name), 0, text)
    site.ask("DEL", site.key("unreviewed"))
    assert set() == site.follow()
    assert in_force(site.load()).startswith("two")


def test_the_snapshot_on_disk_is_verified_too(site: Site) -> None:
    """Unsigned, signed by a stranger, older: the loader does not believe the clerk's file either."""
    manifest = a_manifest({"r": EVIL})
    texts = {digest_of(EVIL.encode()): EVIL}
    mallory = a_key(site.folder, "mallory")
    plain = replace(a_revision(2, manifest), parent=1)
    for serial, revision in enumerate((plain, mallory.sign(plain), site.anna.sign(plain)), 10):
        revision = replace(revision, reason="changed") if serial == 12 else revision
        made = snapshot.Snapshot(serial, ENVIRONMENT, NOW, revision, manifest, texts=texts)
        snapshot.write(site.state, made)
        report = site.load()
        assert in_force(report).startswith("one")
        assert {"revision-untrusted"} == wrong(report)
        assert (1, True) == (report.revised.number, bool(report.revised.held))
    assert set() == site.follow()
    report = site.load()
    assert (set(), "one") == (wrong(report), in_force(report)[:3])


def test_an_older_snapshot(site: Site) -> None:
    """A signed one from a while ago in the place of the newest is not taken; one that a person went back to is."""
    put_signed(site.editor(), TWO, site.anna)
    site.follow()
    assert in_force(site.load()).startswith("two")
    old = next(one for one in snapshot.readable(site.state, ENVIRONMENT) if one.number == 1)
    snapshot.write(site.state, replace(old, serial=20))
    report = site.load()
    assert ("two", {"revision-untrusted"}) == (in_force(report)[:3], wrong(report))
    snapshot.write(site.state, replace(old, serial=21, given_up=2))
    report = site.load()
    assert ("one", set()) == (in_force(report)[:3], wrong(report))


def test_the_keys_are_gone(site: Site) -> None:
    """Nothing can be checked: what was verified last serves on, and the alert says what is missing; a new state
    directory believes nothing at all."""
    (site.folder / "trusted" / "anna.pub").unlink()
    put_signed(site.editor(), TWO, site.anna)
    assert {"signatures-unavailable"} == site.follow()
    report = site.load()
    assert ("one", {"signatures-unavailable"}) == (in_force(report)[:3], wrong(report))


def test_a_person_cannot_confirm_what_is_not_signed(site: Site) -> None:
    """`tidegate confirm --revision` accepts an older revision, and never one without a signature."""
    _put_by(site, a_key(site.folder, "mallory"))
    follower = Follower(site.editor(), site.state, trust=site.trust)
    follower.accept()
    assert {"revision-untrusted"} == set(follower.poll(NOW).alerts)
    assert in_force(site.load()).startswith("one")
