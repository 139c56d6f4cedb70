"""The brake by hand, against a real daemon: over the control socket, and by the file."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.builders.daemon import ENVIRONMENT, ROOT, Daemon, Session, reject_all, until

POLICY = """version: 1
rules:
  - {id: stop, tags: [loud], when: always, do: {reject: {code: "550 5.7.1", text: "stopped"}}}
  - {id: kept, tags: [loud], when: {sender.address: never@example.com}, do: {hold: {reason: look}}, brake: keep}
...
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that refuses everything."""
    with Daemon(tmp_path_factory.mktemp("brake"), workers=2) as running:
        running.policy(POLICY)
        running.start()
        yield running
        running.stop()


def tidegate(daemon: Daemon, *arguments: str) -> tuple[int, str, str]:
    """`tidegate brake …`: exit code, output, errors."""
    done = subprocess.run(
        [sys.executable, "-m", "tidegate", "brake", *arguments, "--config", str(daemon.config)],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def replies(daemon: Daemon, start: str) -> None:
    """Wait until every worker answers so: six in a row."""
    until(lambda: all(daemon.message().startswith(start) for _ in range(6)), f"replies that begin with {start}")


def eased(daemon: Daemon) -> list[dict[str, Any]]:
    """What stands."""
    found: list[dict[str, Any]] = daemon.status()["eased"]["holds"]
    return found


def test_on_and_off(daemon: Daemon) -> None:
    """In shadow at once, with an alert and the reason; off again as it was; a message in flight is judged by it."""
    flying = Session(daemon.socket)
    flying.greet()
    assert "" == flying.envelope()
    code, output, _ = tidegate(daemon, "on", "--all", "--for", "1h", "--reason", "looking")
    assert (0, "the brake is on: all rules are in shadow until ") == (code, output[:47])
    assert "`brake: keep`, so they stay: kept" in output
    assert "accept" == flying.content()
    flying.close()
    replies(daemon, "accept")
    assert "brake-on" in daemon.alerts()
    code, output, _ = tidegate(daemon, "status", "--json")
    assert (1, "shadow", "looking") == (
        code,
        json.loads(output)["everything"],
        json.loads(output)["holds"][0]["reason"],
    )
    line = until(lambda: [one for one in daemon.lines("decision") if one.get("eased")], "a line that names it")[0]
    assert (["stop: shadow"], "reject") == (line["eased"], line["would"])
    assert 0 == tidegate(daemon, "off", "--all")[0]
    replies(daemon, "550 5.7.1 stopped")
    assert "brake-on" not in daemon.alerts()
    assert 0 == tidegate(daemon, "status")[0]


def test_soft_by_tag(daemon: Daemon) -> None:
    """Only what the tag names, without those that are kept; refusals become deferrals."""
    code, output, _ = tidegate(daemon, "on", "loud", "--for", "30m", "--soft", "--json")
    assert (0, ["stop"], ["kept"]) == (code, json.loads(output)["rules"], json.loads(output)["kept"])
    replies(daemon, "451 4.7.1 Please try again later")
    code, output, _ = tidegate(daemon, "off", "stop")
    assert (0, "off: stop  soft until") == (code, output[:21])
    replies(daemon, "550")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("on", "stopp", "--for", "1h"), "no rule and no tag is called `stopp` (did you mean `stop`?)"),
        (("on", "stop"), "Missing option '--for'"),
        (("on", "--all", "--for", "8d"), "is no duration from 1m to 7d"),
        (("on", "--for", "1h"), "name rules or tags, or say --all"),
        (("off",), "name rules or tags, or say --all"),
    ],
    ids=["unknown", "endless", "too-long", "nothing-on", "nothing-off"],
)
def test_what_is_not_done(daemon: Daemon, arguments: tuple[str, ...], said: str) -> None:
    """A name that nobody has, no end, no rule: exit 2, and nothing was done."""
    code, _, errors = tidegate(daemon, *arguments)
    assert (2, [], True) == (code, eased(daemon), said in errors)


def test_the_file(daemon: Daemon) -> None:
    """It acts within a poll or two, says what it can't read, and what it eased ends with it."""
    place = daemon.state / "brake"
    end = time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime(time.time() + 3600))
    place.write_text(f"all {end} the helpdesk is flooded\nnobody {end}\nrubbish\n")
    until(lambda: eased(daemon), "the file is read")
    replies(daemon, "accept")
    alerts = {one["code"]: one["message"] for one in daemon.status()["alerts"]}
    assert "all rules: shadow until" in alerts["brake-on"]
    assert "line 3: write WHAT UNTIL REASON" in alerts["brake-file"]
    assert "no rule and no tag is called `nobody`" in alerts["brake-file"]
    code, output, _ = tidegate(daemon, "off", "--all")
    assert (1, True) == (code, "take its line out of the file" in output)
    place.unlink()
    replies(daemon, "550")
    until(lambda: not daemon.alerts() & {"brake-on", "brake-file"}, "the alerts clear")


def test_it_outlives_the_daemon(tmp_path: Path) -> None:
    """A daemon that starts with a brake on serves by it from the first message; a worker that is killed, too."""
    with Daemon(tmp_path) as daemon:
        daemon.policy(reject_all())
        daemon.start()
        assert 0 == tidegate(daemon, "on", "stop", "--for", "1h")[0]
        daemon.stop()
        code, _, errors = tidegate(daemon, "on", "stop", "--for", "1h")
        assert (2, True) == (code, f"into {daemon.state}/brake" in errors)
        daemon.start()
        assert "accept" == daemon.message()
        daemon.stop()
