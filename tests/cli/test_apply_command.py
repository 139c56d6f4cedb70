"""`tidegate apply`: the bytes that the gates saw are those in use; each gate can say no; each change is on record."""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.builders.kept import a_kept
from tests.builders.transactions import NOW
from tidegate.cli import main
from tidegate.cli.releasing import KEPT, Deed, Releases
from tidegate.loader.releases import changed, home_of, read_applied, record_path
from tidegate.replay import Quill

RULE = '  - {{id: r{0}, when: {{login: u{0}}}, do: {{reject: {{code: "550 5.7.1", text: stop}}}}}}\n'
SCENARIO = """version: 1
policy: elsewhere
scenarios:
  - name: everybody may
    given: {{login: u0}}
    expect: {{disposition: {disposition}}}
"""


def policy(*numbers: int) -> str:
    """A policy with such rules."""
    return "version: 1\nrules:\n" + "".join(RULE.format(n) for n in numbers) + "...\n"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A directory that wants to be applied, with a list and what is no policy; the settings name a link."""
    folder = tmp_path / "next"
    (folder / "lists").mkdir(parents=True)
    (folder / "a.yaml").write_text(policy(0, 1))
    (folder / "lists" / "l.txt").write_text("alice\n")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("secret")
    (tmp_path / "state").mkdir()
    (tmp_path / "t.yaml").write_text(
        f"listen: unix:/run/t.sock\npolicies: {tmp_path}/policies\nstate: {tmp_path}/state\n"
    )
    return tmp_path


def apply(site: Path, *options: str | Path) -> Result:
    return CliRunner().invoke(main, ["apply", "--config", str(site / "t.yaml"), *map(str, options)])


def asked(site: Path, *options: str | Path) -> tuple[int, dict[str, Any]]:
    done = apply(site, "--json", *options)
    assert done.exit_code < 2, done.output
    return done.exit_code, json.loads(done.stdout)


def answers(told: dict[str, Any]) -> dict[str, bool]:
    return {one["gate"]: one["passed"] for one in told["gates"]}


def in_use(site: Path) -> str:
    return home_of(str(site / "policies"), NOW).digest


def test_a_directory_is_applied(site: Path) -> None:
    """Whole, without what begins with a dot; the link points to it, and the record says who and why."""
    code, told = asked(site, site / "next", "--reason", "the first")
    link = site / "policies"
    assert (0, True, {"check": True, "examples": True}) == (code, told["applied"], answers(told))
    assert told["digest"] == in_use(site) == os.path.basename(os.readlink(link))
    assert {"a.yaml", "lists", ".release"} == set(os.listdir(link))
    assert () == changed(os.path.realpath(link))
    applied = read_applied(str(link), told["digest"])
    assert applied is not None
    assert ("the first", 0.0, ()) == (applied.reason, applied.until, applied.forced)
    assert "no daemon answers; it reads this when it starts" == told["daemon"]


def test_the_digest_that_ran_on_test(site: Path) -> None:
    """A dry run changes nothing, and names it; --from insists on it."""
    _, told = asked(site, site / "next", "--dry-run")
    assert not told["applied"]
    assert {"next", "state", "t.yaml"} == set(os.listdir(site))
    code, done = asked(site, site / "next", "--from", told["digest"][:16])
    assert (0, told["digest"]) == (code, done["digest"])
    (site / "next" / "lists" / "l.txt").write_text("bob\n")
    code, other = asked(site, site / "next", "--from", told["digest"])
    assert (1, False, False) == (code, other["applied"], answers(other)["digest"])
    assert told["digest"] == in_use(site)
    assert "twelve digits" in apply(site, site / "next", "--from", "abc").stdout


def _broken(site: Path) -> list[str]:
    (site / "next" / "a.yaml").write_text(policy(0, 1).replace("reject", "rejekt"))
    return []


def _example(site: Path) -> list[str]:
    rule = "{id: r0, when: {login: u0}, do: {hold: {reason: a}}, examples: {match: [{login: u1}]}}"
    (site / "next" / "a.yaml").write_text(f"version: 1\nrules:\n  - {rule}\n...\n")
    return []


def _scenario(site: Path) -> list[str]:
    (site / "s.yaml").write_text(SCENARIO.format(disposition="accept"))
    return ["--scenarios", str(site / "s.yaml")]


def _no_scenario(site: Path) -> list[str]:
    return ["--scenarios", str(site / "next")]


def _removals(site: Path) -> list[str]:
    assert 0 == apply(site, site / "next").exit_code
    (site / "next" / "a.yaml").write_text(policy(*range(12)))
    assert 0 == apply(site, site / "next").exit_code
    (site / "next" / "a.yaml").write_text(policy(99))
    return []


def _no_mail(_site: Path) -> list[str]:
    return ["--max-change", "1%"]


def _digest(_site: Path) -> list[str]:
    return ["--from", "0" * 64]


GATES = {
    "check": _broken,
    "examples": _example,
    "scenarios": _scenario,
    "scenarios ": _no_scenario,
    "removals": _removals,
    "replay": _no_mail,
    "digest": _digest,
}


@pytest.mark.parametrize("gate", GATES)
def test_a_gate_says_no(gate: str, site: Path) -> None:
    """Nothing is changed; with --break-glass and a reason it is applied, and that is on record."""
    options = GATES[gate](site)
    before = in_use(site) if (site / "policies").exists() else ""
    code, told = asked(site, site / "next", *options)
    assert (1, False, [gate.strip()]) == (code, told["applied"], [one for one, ok in answers(told).items() if not ok])
    assert before == (in_use(site) if (site / "policies").exists() else "")
    assert 2 == apply(site, site / "next", *options, "--break-glass").exit_code
    code, told = asked(site, site / "next", *options, "--break-glass", "--reason", "an outbreak")
    assert (0, [gate.strip()]) == (code, told["forced"])
    applied = read_applied(str(site / "policies"), told["digest"])
    assert applied is not None
    assert ((gate.strip(),), "an outbreak") == (applied.forced, applied.reason)
    assert f"PAST ITS GATES ({gate.strip()})" in apply(site, "--history").stdout


def test_gates_that_say_yes(site: Path) -> None:
    """Scenarios that pass, and removals that are meant."""
    (site / "s.yaml").write_text(SCENARIO.format(disposition="reject"))
    code, told = asked(site, site / "next", "--scenarios", site / "s.yaml")
    assert (0, True) == (code, answers(told)["scenarios"])
    _removals(site)
    assert 0 == apply(site, site / "next", "--remove").exit_code


def test_removals_are_named(site: Path) -> None:
    """What is new, changed, and gone."""
    asked(site, site / "next")
    (site / "next" / "a.yaml").write_text(policy(0, 2).replace("text: stop", "text: halt", 1))
    _, told = asked(site, site / "next")
    assert {"new": ["rule r2"], "changed": ["rule r0"], "gone": ["rule r1"]} == told["entries"]


def test_rollback_needs_nothing_but_the_disk(site: Path) -> None:
    """To the one before, and to any that is named; what was changed in place is refused."""
    first = asked(site, site / "next")[1]["digest"]
    (site / "next" / "a.yaml").write_text(policy(0, 1, 2))
    second = asked(site, site / "next")[1]["digest"]
    code, told = asked(site, "--rollback", "--reason", "harm")
    assert (0, first, second) == (code, told["digest"], told["previous"])
    assert first == in_use(site)
    assert second == asked(site, "--rollback", second[:12])[1]["digest"] == in_use(site)
    (site / "policies.releases" / first / "a.yaml").write_text("version: 1\n")
    done = apply(site, "--rollback")
    assert 2 == done.exit_code
    assert f"release {first[:12]} is not as it was applied: a.yaml" in done.output
    assert 2 == apply(site, "--rollback", "0123").exit_code
    assert ["apply", "apply", "rollback", "rollback"] == [
        one["what"] for one in json.loads(apply(site, "--history", "--json").stdout)["history"]
    ]


def test_applied_twice_it_still_has_a_way_back(site: Path) -> None:
    """A release that is applied again, as a script does, is not what came before it: neither for --rollback nor for
    --expires."""
    first = asked(site, site / "next")[1]["digest"]
    asked(site, site / "next")
    assert 2 == apply(site, "--rollback").exit_code
    assert 2 == apply(site, site / "next", "--expires", "2h").exit_code
    (site / "next" / "a.yaml").write_text(policy(0, 1, 2))
    second = asked(site, site / "next")[1]["digest"]
    assert first == asked(site, site / "next", "--expires", "2h")[1]["previous"]
    assert [second, first] == [home_of(str(site / "policies"), time.time() + age).digest for age in (0, 8000)]
    assert first == asked(site, "--rollback")[1]["digest"] == in_use(site)


def test_back_to_one_whose_record_is_damaged(site: Path) -> None:
    """What it holds is told by its digest, so that it can be used."""
    first = asked(site, site / "next")[1]["digest"]
    (site / "next" / "a.yaml").write_text(policy(0, 1, 2))
    asked(site, site / "next")
    record_path(str(site / "policies"), first).write_text("rubbish")
    assert (0, first) == (asked(site, "--rollback")[0], in_use(site))


def test_the_first_has_none_before_it(site: Path) -> None:
    """It is said, for going back and for lapsing."""
    assert 2 == apply(site, site / "next", "--expires", "2h").exit_code
    asked(site, site / "next")
    done = apply(site, "--rollback")
    assert 2 == done.exit_code
    assert "there is no release before this one" in done.output


def test_what_lapses_and_is_confirmed(site: Path) -> None:
    """Until then it can be; afterwards it is too late, and a rollback makes that final."""
    first = asked(site, site / "next")[1]["digest"]
    (site / "next" / "a.yaml").write_text(policy(0, 1, 2))
    _, told = asked(site, site / "next", "--expires", "2h")
    second = told["digest"]
    assert told["until"] is not None
    link = str(site / "policies")
    assert (second, first) == (home_of(link, told["until"] - 1).digest, home_of(link, told["until"]).digest)
    assert {"digest": second, "confirmed": True} == asked(site, "--confirm")[1]
    assert second == home_of(link, told["until"] + 1).digest
    assert not asked(site, "--confirm")[1]["confirmed"]
    Releases(link).use(Deed(1.0, "alice", "apply", second, first, "", 2.0))
    done = apply(site, "--confirm")
    assert 2 == done.exit_code
    assert f"release {second[:12]} has lapsed already" in done.output
    assert first == asked(site, "--rollback")[1]["digest"] == os.path.basename(os.readlink(link))


def test_a_directory_becomes_a_link(site: Path) -> None:
    """Only where it is said; what it held is the release before."""
    link = site / "policies"
    link.mkdir()
    (link / "old.yaml").write_text(policy(5))
    done = apply(site, site / "next")
    assert 2 == done.exit_code
    assert "--adopt makes its content the first one" in done.output
    assert not link.is_symlink()
    code, told = asked(site, site / "next", "--adopt")
    assert (0, True) == (code, link.is_symlink())
    assert told["previous"] == asked(site, "--rollback")[1]["digest"]
    assert policy(5) == (link / "old.yaml").read_text()
    assert policy(5) == (site / "policies.before-apply" / "old.yaml").read_text()


def test_two_at_once_are_told(site: Path) -> None:
    """The second changes nothing."""
    asked(site, site / "next")
    with (site / "policies.releases" / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = apply(site, site / "next")
    assert 2 == done.exit_code
    assert "somebody else applies at this moment" in done.output


def test_old_releases_are_forgotten(site: Path) -> None:
    """But for the newest, and those in use."""
    first = ""
    for number in range(KEPT + 3):
        (site / "next" / "a.yaml").write_text(policy(number))
        first = asked(site, site / "next")[1]["digest"] or first
    folder = site / "policies.releases"
    assert KEPT == len([one for one in folder.iterdir() if len(one.name) == 64])
    assert KEPT == len([one for one in folder.iterdir() if one.suffix == ".record"])


def test_replay_is_a_gate(site: Path) -> None:
    """By a folder of mail, against what is in force; without a daemon it can't be told, which is a no."""
    Quill(str(site / "state"), 1 << 20).write([a_kept()], NOW)
    _, told = asked(site, site / "next", "--max-change", "100%")
    (replayed,) = [one for one in told["gates"] if one["gate"] == "replay"]
    assert not replayed["passed"]
    assert "no daemon answers" in replayed["text"]


@pytest.mark.parametrize("kind", ["fifo", "folder", "nothing"])
def test_what_can_not_be_copied(kind: str, site: Path) -> None:
    """2, and nothing is left behind."""
    odd = site / "next" / "odd.yaml"
    if kind == "fifo":
        os.mkfifo(odd)
    elif kind == "folder":
        odd.symlink_to(site / "next" / "lists")
    else:
        odd.symlink_to("nowhere")
    done = apply(site, site / "next")
    assert 2 == done.exit_code
    assert "odd.yaml" in done.output
    assert ["lock"] == os.listdir(site / "policies.releases")


@pytest.mark.parametrize(
    "options", [(), ("--confirm", "--rollback"), ("--now", "x"), ("nowhere",), ("--expires", "1s", "x")]
)
def test_usage(options: tuple[str, ...], site: Path) -> None:
    """2, with a word."""
    done = apply(site, *options)
    assert 2 == done.exit_code
    assert done.output


def test_for_a_person(site: Path) -> None:
    """The digest, what each gate said, and what is in use now."""
    done = apply(site, site / "next")
    digest = in_use(site)
    assert f"digest {digest}, 2 files" in done.stdout
    assert "ok        check: no problem" in done.stdout
    assert f"applied: {site}/policies is release {digest[:12]}" in done.stdout
    _broken(site)
    done = apply(site, site / "next")
    assert 1 == done.exit_code
    assert "NO        check: 2 problems" in done.stdout
    assert f"not applied; {site}/policies is as it was" in done.stdout
