"""Going back on one host, from its own records: with Redis or without it, until something newer comes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders.redisserver import RedisServer
from tests.builders.revisions import put
from tests.builders.wireproxy import WireProxy
from tests.clerk.test_follow import ONE, TWO, Site
from tidegate.live import snapshot

THREE = {"r": ONE["r"].replace("one", "three")}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Revision 2 serves, and 1 is on record."""
    with RedisServer() as server, WireProxy(server.path) as proxy:
        (tmp_path / "s").mkdir()
        site = Site(server, proxy, tmp_path / "s")
        put(site.editor, ONE)
        site.poll()
        put(site.editor, TWO)
        site.poll()
        assert [TWO["r"]] == site.texts()
        yield site


def test_back_while_redis_is_gone(site: Site) -> None:
    """It is in the snapshot without an answer of Redis, an alert says so, and once Redis is back its head is not taken
    again, also after a restart; a newer one is."""
    site.server.ask("SAVE")
    site.server.stop()
    site.follower.back(1, site.now)
    assert [ONE["r"]] == site.texts()
    assert {"revision-local"} == set(site.follower.found.alerts)
    assert "revision 1 serves here" in site.poll().alerts["revision-local"]
    site.server.start()
    assert {"revision-local"} == set(site.poll(2).alerts)
    site.restart()
    assert {"revision-local"} == set(site.poll(2).alerts)
    assert [ONE["r"]] == site.texts()
    put(site.editor, THREE)
    assert {} == dict(site.poll().alerts)
    assert [THREE["r"]] == site.texts()


def test_what_redis_has_is_meant_after_all(site: Site) -> None:
    """A person says so."""
    site.follower.back(1, site.now)
    site.poll()
    assert [ONE["r"]] == site.texts()
    site.follower.accept()
    assert {} == dict(site.poll().alerts)
    assert [TWO["r"]] == site.texts()


def test_back_to_the_files_alone(site: Site) -> None:
    """0 is no revision at all."""
    site.follower.back(0, site.now)
    assert {"revision-local"} == set(site.poll().alerts)
    assert [] == site.texts()
    put(site.editor, THREE)
    assert {} == dict(site.poll().alerts)
    assert [THREE["r"]] == site.texts()


def test_what_is_not_on_record(site: Site) -> None:
    """Nothing is changed."""
    before = snapshot.newest(str(site.state), "test")
    site.follower.back(7, site.now)
    assert {} == dict(site.poll().alerts)
    assert before == snapshot.newest(str(site.state), "test")


def test_redis_has_lost_all_of_it(site: Site) -> None:
    """What is put back gets a number above the one that was given up (tidegate policy rollback does that), so it is
    taken; one that is not above it is not."""
    site.follower.back(1, site.now)
    site.server.flush()
    assert {"revision-local"} == set(site.poll().alerts)
    put(site.editor, TWO)
    put(site.editor, THREE)
    assert {"revision-local"} == set(site.poll(2).alerts)
    assert [ONE["r"]] == site.texts()
