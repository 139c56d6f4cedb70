"""Two daemons, one socket or one state directory: a second one never breaks the first."""

from __future__ import annotations

import pytest

from tests.e2e.harness.postfix import until
from tests.e2e.harness.site import OpenSite, Site
from tests.e2e.harness.texts import SITE, on_subject, refuse, rules


@pytest.fixture(scope="module")
def site(open_site: OpenSite) -> Site:
    """One site for all of this module."""
    return open_site({"10-site.yaml": SITE, "20.yaml": rules(on_subject("stop-me", refuse()))})


def test_same_settings(site: Site) -> None:
    """The second daemon does not start (75), and the first goes on serving."""
    first = site.daemon.process
    second = site.daemon.start(wait=False)
    try:
        assert 75 == second.wait(15)
    finally:
        site.daemon.process = first
    assert 250 == site.send("two of us").final.code


def test_same_socket_other_state(site: Site) -> None:
    """Another state directory does not help: the socket has its lock too."""
    first = site.daemon.process
    other = site.daemon.root / "other"
    other.mkdir()
    site.daemon.configure(state=other)
    second = site.daemon.start(wait=False)
    try:
        assert 75 == second.wait(15)
    finally:
        site.daemon.process = first
        site.daemon.configure(state=site.daemon.state)
    assert 550 == site.send("stop-me two of us").final.code


def test_takeover(site: Site) -> None:
    """`--takeover`: the second one serves, the first drains and leaves with 0; no message is refused meanwhile."""
    first = site.daemon.process
    assert first is not None
    codes: set[int] = set()
    site.daemon.start("--takeover")

    def gone() -> bool:
        codes.add(site.send("during").final.code)
        return first.poll() is not None

    until(gone, "the first leaves", 60.0)
    assert {250} == codes
    assert 0 == first.returncode
    assert 550 == site.send("stop-me afterwards").final.code
