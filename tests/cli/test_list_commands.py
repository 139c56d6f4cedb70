"""`tidegate list`, `suspend`, `release`: what a person does to live lists, with a real Redis and no daemon."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.builders.redisserver import RedisServer
from tests.builders.storesettings import StoreWords
from tidegate.cli import main
from tidegate.store.connection import open_store
from tidegate.store.lists import Entry, ListStore

POLICY = """version: 1
lists:
  suspended: {type: login, redis: suspended}
  nets: {type: ip, redis: blocked-nets}
  logins: {type: map, redis: grants}
  partners: {type: domain, file: partners.txt}
...
"""


@dataclass
class Site:
    """A settings file with a Redis and a policy."""

    folder: Path
    server: RedisServer
    config: str = ""

    def run(self, *words: str, stdin: str = "") -> tuple[int, str]:
        command = [*words[:1], *words[1:]]
        at = 2 if words[0] == "list" else 1
        command[at:at] = ["--config", self.config]
        done = CliRunner().invoke(main, command, input=stdin)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.output

    def told(self, *words: str) -> tuple[int, Any]:
        at = words.index("--") if "--" in words else len(words)
        code, output = self.run(*words[:at], "--json", *words[at:])
        return code, json.loads(output[output.index("{") :])

    def held(self, name: str) -> dict[str, Entry | None]:
        store = ListStore(open_store(StoreWords(self.server.url), 2.0))
        return {key: entry for part in store.entries(name) for key, entry in part}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "p").mkdir()
    (tmp_path / "state").mkdir()
    (tmp_path / "p" / "a.yaml").write_text(POLICY)
    (tmp_path / "p" / "partners.txt").write_text("example.org\n")
    with RedisServer() as server:
        config = tmp_path / "t.yaml"
        config.write_text(
            f"listen: unix:/run/t.sock\npolicies: {tmp_path}/p\nstate: {tmp_path}/state\n"
            f"default_realm: example.com\nredis: {server.url}\n"
        )
        yield Site(tmp_path, server, str(config))


def test_on_and_off(site: Site) -> None:
    """Written as the policy's list is, by whom, why and until when; shown; taken off."""
    before = time.time()
    code, told = site.told("list", "add", "suspended", "Bob", "eve", "--for", "2h", "--reason", "phished")
    assert (0, 2, "suspended") == (code, told["added"], told["name"])
    entry = site.held("suspended")["bob@example.com"]
    assert entry is not None
    assert ("phished", True) == (entry.why, bool(entry.by))
    assert entry.until is not None
    assert 7190 < entry.until - before < 7290
    code, told = site.told("list", "show", "suspended")
    assert (0, {"bob@example.com", "eve@example.com"}) == (code, {one["entry"] for one in told["entries"]})
    code, output = site.run("list", "show", "suspended", "bob", "joe")
    assert (1, True, True) == (code, "phished" in output, "not on it: joe@example.com" in output)
    assert (0, 1) == (site.run("list", "rm", "suspended", "BOB")[0], len(site.held("suspended")))
    assert 0 == site.run("list", "rm", "suspended", "nobody")[0]


def test_a_list_is_known_by_both_names(site: Site) -> None:
    """As the policy calls it, or as Redis does; its type decides what may stand on it."""
    assert 0 == site.run("list", "add", "nets", "10.0.0.0/8")[0]
    assert 0 == site.run("list", "add", "blocked-nets", "192.0.2.1")[0]
    assert {"10.0.0.0/8", "192.0.2.1/32"} == site.held("blocked-nets").keys()
    code, output = site.run("list", "add", "nets", "10.0.0.1/8", "rubbish")
    assert (2, True) == (code, "bits set behind its prefix" in output)
    assert 2 == len(site.held("blocked-nets"))


def test_a_map(site: Site) -> None:
    """A key needs values; a login's are addresses and domains."""
    assert 2 == site.run("list", "add", "logins", "alice")[0]
    assert 2 == site.run("list", "add", "logins", "alice", "--value", "rubbish")[0]
    assert 0 == site.run("list", "add", "logins", "alice", "--value", "A@Example.com", "--value", "example.net")[0]
    entry = site.held("grants")["alice@example.com"]
    assert entry is not None
    assert ("a@example.com", "example.net") == entry.values


@pytest.mark.parametrize(
    "words",
    [
        ("list", "add", "suspended", "x", "--for", "soon"),
        ("list", "add", "suspended", "x", "--until", "2001-01-01"),
        ("list", "add", "suspended", "x", "--for", "1h", "--until", "2099-01-01"),
        ("list", "add", "a b", "x"),
        ("list", "add", "suspended", ""),
        ("list", "add", "suspended", "x\ny"),
        ("list", "add", "suspended", "x", "--type", "ip"),
        ("list", "import", "unknown", "-"),
        ("list", "show", "a/b"),
        ("suspend", "bob"),
        ("suspend", "bob", "--reason", " "),
        ("suspend", "bob", "--reason", "x", "--list", "nets"),
    ],
    ids=" ".join,
)
def test_what_is_refused(site: Site, words: tuple[str, ...]) -> None:
    """With a word for a person, and nothing is changed."""
    code, output = site.run(*words)
    assert (2, []) == (code, site.server.ask("KEYS", "*"))
    assert output


def test_an_unknown_list(site: Site) -> None:
    """It is written as it comes; with a type it is checked."""
    assert 0 == site.run("list", "add", "other", "Some Thing")[0]
    assert {"Some Thing"} == site.held("other").keys()
    assert 2 == site.run("list", "add", "other2", "nonsense", "--type", "ip")[0]


def test_import(site: Site) -> None:
    """As a list file is read; bad lines are named, left out, and the exit code says so."""
    (site.folder / "f").write_text("# who\nBob\n\neve # why\n")
    assert (0, {"bob@example.com", "eve@example.com"}) == (
        site.run("list", "import", "suspended", str(site.folder / "f"))[0],
        site.held("suspended").keys(),
    )
    code, output = site.run("list", "import", "nets", "-", stdin="10.0.0.0/8\nrubbish\n")
    assert (1, True, {"10.0.0.0/8"}) == (code, "line 2" in output, site.held("blocked-nets").keys())
    assert 2 == site.run("list", "import", "nets", "-", stdin="# nothing\n")[0]


def test_a_list_that_no_policy_asks(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is written and said to be without effect; who suspends somebody by it where a daemon runs gets exit code 1."""
    code, told = site.told("suspend", "bob", "--reason", "x", "--list", "misspelt")
    assert (0, False, 1) == (code, told["asked"], told["added"])
    code, output = site.run("list", "add", "misspelt", "eve")
    assert (0, True) == (code, "no policy of this host asks misspelt" in output)
    assert "no policy" not in site.run("list", "add", "suspended", "eve")[1]
    monkeypatch.setattr("tidegate.cli.lists.session.ask_daemon", lambda *_: {"lists": {"live": []}})
    code, output = site.run("suspend", "bob", "--reason", "x")
    assert (1, True) == (code, "no policy of this host asks suspended" in output)


def test_suspend_and_release(site: Site) -> None:
    """By short names; who was not on it is told."""
    code, output = site.run("suspend", "Bob", "--for", "1d", "--reason", "phished")
    assert (0, True) == (code, "bob@example.com" in output)
    assert {"bob@example.com"} == site.held("suspended").keys()
    assert 0 == site.run("release", "bob")[0]
    assert (1, {}) == (site.run("release", "bob")[0], site.held("suspended"))


def test_which_lists_there_are(site: Site) -> None:
    """Those of the policy that Redis lacks are told, and made."""
    code, told = site.told("list", "lists")
    assert (1, {"suspended", "blocked-nets", "grants"}) == (code, {one["name"] for one in told["lists"]})
    for name in ("suspended", "nets", "logins"):
        assert 0 == site.run("list", "create", name)[0]
    code, told = site.told("list", "lists")
    assert (0, {0}) == (code, {one["entries"] for one in told["lists"]})


def test_without_redis(site: Site) -> None:
    """Down, or not configured: one line, exit code 2."""
    site.server.stop()
    code, output = site.run("list", "show", "suspended")
    assert (2, 1) == (code, len(output.strip().splitlines()))
    text = Path(site.config).read_text()
    Path(site.config).write_text("".join(line for line in text.splitlines(True) if not line.startswith("redis")))
    code, output = site.run("list", "add", "suspended", "bob")
    assert (2, True) == (code, "`redis` is not set" in output)
    code, output = site.run("check")
    assert (1, 3) == (code, output.count("no-redis"))


def printing(*lines: str, status: int = 0) -> list[str]:
    text = "\n".join(lines)
    return ["--", sys.executable, "-c", f"import sys; print({text!r}); sys.exit({status})"]


def test_sync_in_redis(site: Site) -> None:
    """What the command prints is the list; what people put there stays; only differences are written."""
    site.run("list", "add", "suspended", "mallory", "--reason", "by hand")
    code, told = site.told("list", "sync", "suspended", *printing("bob", "eve"))
    assert (0, 2, 0) == (code, told["added"], told["removed"])
    version = told["version"]
    code, told = site.told("list", "sync", "suspended", *printing("eve", "joe"))
    assert (0, 1, 1) == (code, told["added"], told["removed"])
    assert {"mallory@example.com", "eve@example.com", "joe@example.com"} == site.held("suspended").keys()
    code, told = site.told("list", "sync", "suspended", *printing("joe", "eve"))
    assert (0, "") == (code, told["version"])
    assert version


def test_sync_of_a_map(site: Site) -> None:
    """Two columns; a changed value is a change."""
    assert (
        0 == site.run("list", "sync", "logins", *printing("alice a@example.com", "bob b@example.com, example.net"))[0]
    )
    code, told = site.told("list", "sync", "logins", *printing("alice x@example.com", "bob b@example.com example.net"))
    assert (0, 0, 1) == (code, told["added"], told["changed"])
    entry = site.held("grants")["alice@example.com"]
    assert entry is not None
    assert ("x@example.com",) == entry.values


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (printing("p0", "p1"), 1),
        (printing(""), 1),
        (printing("p0", status=3), 2),
        (["--", "/nonexistent/command"], 2),
        (["--", "sleep", "60"], 2),
        (printing(*(f"p{n}" for n in range(15))), 0),
    ],
    ids=["most are gone", "nothing", "it fails", "there is none", "it hangs", "half are gone"],
)
def test_what_a_sync_does_not_believe(site: Site, command: list[str], expected: int) -> None:
    """A command that fails, or a list that is nearly empty at once, changes nothing."""
    people = [f"p{n}" for n in range(30)]
    assert 0 == site.run("list", "sync", "suspended", *printing(*people))[0]
    code, _ = site.run("list", "sync", "suspended", "--timeout", "1s", *command)
    assert (expected, 30 if expected else 15) == (code, len(site.held("suspended")))


def test_a_loss_can_be_meant(site: Site) -> None:
    """With --force."""
    site.run("list", "sync", "suspended", *printing("a", "b"))
    assert 0 == site.run("list", "sync", "suspended", "--force", *printing("c"))[0]
    assert {"c@example.com"} == site.held("suspended").keys()


def test_sync_of_a_file(site: Site) -> None:
    """Without Redis; as a whole, with the rights of the file before; untouched where nothing changed."""
    site.server.stop()
    path = site.folder / "p" / "partners.txt"
    path.chmod(0o640)
    assert (
        0 == site.run("list", "sync", "partners", "--file", "partners.txt", *printing("example.org", ".b.example"))[0]
    )
    assert (["# kept by: tidegate list sync partners", ".b.example", "example.org"], 0o640) == (
        path.read_text().splitlines(),
        path.stat().st_mode & 0o777,
    )
    node = path.stat().st_ino
    code, told = site.told("list", "sync", "partners", "--file", str(path), *printing(".b.example", "Example.org"))
    assert (0, 0, node) == (code, told["added"] + told["removed"], path.stat().st_ino)
    code, told = site.told("list", "sync", "partners", "--file", str(path), "--dry-run", *printing("new.example"))
    assert (1, True) == (code, bool(told["refused"]))
    assert node == path.stat().st_ino
    assert 2 == site.run("list", "sync", "partners", "--file", str(path), *printing("not a domain", "example.org"))[0]
    assert ["partners.txt"] == [one.name for one in path.parent.iterdir() if one.suffix != ".yaml"]


def test_forget_names_the_lists(site: Site) -> None:
    """Whoever is suspended is not released by being forgotten: the entry is told, with the command."""
    site.run("suspend", "bob", "--reason", "phished")
    code, told = site.told("forget", "bob")
    (left,) = [one for one in told["left"] if one["store"] == "live lists in Redis"]
    assert (1, 1, "tidegate list rm suspended bob@example.com") == (code, left["found"], left["command"])
    site.server.stop()
    _, told = site.told("forget", "bob")
    (left,) = [one for one in told["left"] if one["store"] == "live lists in Redis"]
    assert left["found"] is None


def test_the_audit_stream_has_it(site: Site) -> None:
    """Beside what became of the policy: who, where, why, which list, how many."""
    site.run("suspend", "bob", "--reason", "phished")
    done = CliRunner().invoke(main, ["policy", "log", "--config", site.config])
    assert (0, True, True) == (done.exit_code, "suspended +1 -0: phished" in done.output, "? on ?" not in done.output)
