"""The bytes that ran on test are the bytes that go to production (promise P10), seen by a client of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.e2e.harness.site import OpenSite, Site
from tests.e2e.harness.texts import SITE, on_subject, refuse, rules

NEXT = {"10-site.yaml": SITE, "20-new.yaml": rules(on_subject("new", refuse()))}


def apply(site: Site, *options: str) -> tuple[int, dict[str, Any]]:
    """Exit code and answer of `tidegate apply` on the machine of this site."""
    done = site.daemon.command("apply", *options, "--wait", "--json", "--config", str(site.daemon.config))
    return done.returncode, json.loads(done.stdout)


def code(site: Site, subject: str) -> int:
    """What a message with this subject gets."""
    return site.send(subject).final.code


def test_what_ran_on_test_goes_to_production(open_site: OpenSite, folder: Path) -> None:
    """By its digest; one byte more is not it, and changes nothing; going back is one command."""
    test, production = (open_site({"10-site.yaml": SITE}) for _ in range(2))
    release = folder / "next"
    release.mkdir()
    for name, text in NEXT.items():
        (release / name).write_text(text)
    _, tried = apply(test, str(release), "--adopt")
    assert (550, 250) == (code(test, "new"), code(production, "new"))
    (release / "20-new.yaml").write_text(NEXT["20-new.yaml"].replace("...", "# a byte more\n..."))
    refused, _ = apply(production, str(release), "--adopt", "--from", tried["digest"])
    assert (1, 250) == (refused, code(production, "new"))
    (release / "20-new.yaml").write_text(NEXT["20-new.yaml"])
    done, applied = apply(production, str(release), "--adopt", "--from", tried["digest"])
    assert (0, tried["digest"]) == (done, applied["digest"])
    assert 550 == code(production, "new")
    assert 0 == apply(production, "--rollback")[0]
    assert (250, 550) == (code(production, "new"), code(test, "new"))
