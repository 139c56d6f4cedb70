"""Alertmanager itself as the receiver: what stands is active there, what was repaired is not."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.builders.daemon import Daemon, reject_all, until
from tests.builders.ports import free_port

PROGRAM = "prometheus-alertmanager"
GOOD = reject_all()

pytestmark = pytest.mark.skipif(
    not shutil.which(PROGRAM), reason=f"{PROGRAM} is not installed (a Debian package; make test installs it)"
)


@pytest.fixture
def url(folder: Path) -> Iterator[str]:
    """One that listens on loopback, and tells nobody."""
    config = folder / "alertmanager.yml"
    config.write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    address = f"127.0.0.1:{free_port()}"
    options = (f"--config.file={config}", f"--storage.path={folder / 'data'}", f"--web.listen-address={address}")
    with (folder / "alertmanager.log").open("wb") as log:
        process = subprocess.Popen([PROGRAM, *options, "--cluster.listen-address="], stderr=log, stdout=log)
        try:
            until(lambda: fetched(f"http://{address}") is not None, "Alertmanager answers")
            yield f"http://{address}"
        finally:
            process.kill()
            process.wait()


def fetched(url: str) -> list[dict[str, Any]] | None:
    """Its active alerts; None while it does not answer."""
    try:
        with urllib.request.urlopen(f"{url}/api/v2/alerts?active=true", timeout=5) as answer:
            found: list[dict[str, Any]] = json.load(answer)
            return found
    except OSError:
        return None


def test_it_is_active_until_it_is_repaired(folder: Path, url: str) -> None:
    """One alert by its key, over reloads; a repair ends it at once."""
    channel = {"webhook": url, "format": "alertmanager"}
    alerts = json.dumps({"host": "mx1", "syslog": False, "channels": {"am": channel}})
    with Daemon(folder, alerts=alerts) as daemon:
        daemon.policy(GOOD.replace("when:", "wen:"))
        daemon.start()
        (alert,) = until(lambda: fetched(url), "it is active")
        (own,) = daemon.status()["alerts"]
        labels = {"alertname": "tidegate-unknown-key", "instance": "mx1", "severity": "error", "subject": "rule stop"}
        assert labels | {"key": own["key"]} == alert["labels"]
        assert "10-test.yaml:4:5" in alert["annotations"]["summary"]
        daemon.policy(GOOD)
        until(lambda: fetched(url) == [], "it is resolved")
