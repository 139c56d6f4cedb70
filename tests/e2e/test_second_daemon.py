"""Two daemons, one socket or one state directory: a second one never breaks the first."""

from __future__ import annotations

import subprocess

import pytest

from tests.e2e.harness.postfix import until
from tests.e2e.harness.site import OpenSite, Site
from tests.e2e.harness.texts import SITE, on_subject, refuse, rules


@pytest.fixture(scope="module")
def site(open_site: OpenSite) -> Site:
    """One site for all of this module."""
    return open_site({"10-site.yaml": SITE, "20.yaml": rules(on_subject("stop-me", refuse()))})


def served_until_gone(site: Site, daemon: subprocess.Popen[bytes]) -> set[int]:
    """Send until that daemon has left; the codes of all messages."""
    codes: set[int] = set()

    def gone() -> bool:
        codes.add(site.send("meanwhile").final.code)
        return daemon.poll() is not None

    until(gone, "the first daemon leaves", 60.0)
    return codes


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
    """With a state directory of its own the second one takes the socket over; no message is refused meanwhile."""
    first, other = site.daemon.process, site.daemon.root / "other"
    assert first is not None
    other.mkdir()
    site.daemon.configure(state=other)
    site.daemon.start(wait=False)
    assert {250} == served_until_gone(site, first)
    assert 0 == first.returncode
    site.daemon.state = other
    assert 550 == site.send("stop-me two of us").final.code


def test_takeover(site: Site) -> None:
    """`--takeover`: the second one serves, the first drains and leaves with 0; no message is refused meanwhile."""
    first = site.daemon.process
    assert first is not None
    site.daemon.start("--takeover")
    assert {250} == served_until_gone(site, first)
    assert 0 == first.returncode
    assert 550 == site.send("stop-me afterwards").final.code
