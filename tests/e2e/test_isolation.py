"""What is broken costs what is broken: skip and alert, entry by entry, while it runs (promises P4, P5, P8, P9)."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator

import pytest

from tests.e2e.harness.postfix import until
from tests.e2e.harness.site import BOB, OpenSite, Site
from tests.e2e.harness.texts import SITE, a_rule, on_subject, refuse, rules

STEADY = rules(on_subject("steady", refuse()))
BROKEN = a_rule("broken", "{subjekt: {prefix: broken}}", refuse())  # line 3 of a file, `when` on its line 4
DEFERRING = a_rule(
    "careful",
    "{subject: {prefix: careful}, bogus: 1}",
    refuse(),
    on_invalid="defer",
    scope='{senders: ["alice@example.com"]}',
)


@pytest.fixture(scope="module")
def shared(open_site: OpenSite) -> Site:
    """One site for all of this module."""
    return open_site({"10-site.yaml": SITE, "20-steady.yaml": STEADY})


@pytest.fixture
def site(shared: Site) -> Iterator[Site]:
    """The shared site with its two files; a test's own files are removed after it."""
    assert {} == shared.daemon.alerts()
    yield shared
    for path in shared.daemon.policies.iterdir():
        if path.name not in ("10-site.yaml", "20-steady.yaml"):
            path.rmdir() if path.is_dir() else path.unlink()
    shared.daemon.load(("10-site.yaml", SITE), ("20-steady.yaml", STEADY))


def code(site: Site, subject: str) -> int:
    """What a message with this subject gets."""
    return site.send(subject).final.code


def test_a_broken_rule_is_skipped(site: Site) -> None:
    """Its mail passes, its neighbours stay, the alert names file, line and column."""
    site.daemon.load(("30.yaml", rules(BROKEN, on_subject("beside", refuse()))))
    assert [250, 550, 550] == [code(site, subject) for subject in ("broken", "beside", "steady")]
    alert = next(iter(site.daemon.alerts().values()))
    assert alert["place"].endswith("30.yaml:4:12"), alert
    assert "subjekt" in alert["message"]


def test_a_syntax_error_costs_one_entry(site: Site) -> None:
    """The file is cut at its items: those before and after the error are in force."""
    torn = '  - id: torn\n    when: {subject: "unclosed\n    do: {reject\n'
    site.daemon.load(("30.yaml", rules(on_subject("before", refuse()), torn, on_subject("after", refuse()))))
    assert [550, 550, 550] == [code(site, subject) for subject in ("before", "after", "steady")]
    assert site.daemon.alerts()


def test_a_broken_list_costs_its_dependants(site: Site) -> None:
    """A rule that asks a broken list can't be built; it is named as well; the others stay."""
    text = SITE.replace("type: login", "type: logins")
    site.daemon.load(
        ("30.yaml", rules(on_subject("beside", refuse())) + ""),
        ("40.yaml", text.replace("suspended", "locked").replace("own-domains", "more-domains")),
    )
    assert [550, 550] == [code(site, subject) for subject in ("beside", "steady")]
    said = " ".join(str(entry) for entry in site.daemon.status()["entries"])
    assert "locked" in said


def test_never_valid_and_defer(site: Site) -> None:
    """`on_invalid: defer`: mail in its scope waits, other mail does not."""
    site.daemon.load(("30.yaml", rules(DEFERRING)))
    assert 451 == code(site, "careful")
    assert 250 == site.send("careful", login="carl@example.com").final.code
    assert 550 == code(site, "steady")


def test_what_a_skipped_rule_lets_pass_is_listed(site: Site) -> None:
    """By Postfix's own queue ids, until the rule is repaired; what another rule refuses is told as well."""
    lame = a_rule("lame", '{sender.domain: example.com, header.x-lame: "1"}', "{rejekt: {}}")
    site.daemon.load(("30.yaml", rules(lame)))
    passed = [site.send(f"lame {number}", **{"X-Lame": "1"}).queue_id for number in range(3)]
    assert 250 == code(site, "another")
    assert 550 == site.send("steady and lame", **{"X-Lame": "1"}).final.code

    def told() -> list[dict[str, str]]:
        done = site.daemon.command("exposure", "lame", "--state", str(site.daemon.state), "--json")
        return [row for one in json.loads(done.stdout)["exposures"] for row in one["messages"]]

    until(lambda: len(told()) == 4, "four messages are listed")
    assert passed == [row["queue_id"] for row in told() if row["disposition"] == "accept"]
    assert ["reject"] == [row["disposition"] for row in told() if row["queue_id"] not in passed]
    for queue_id in passed:
        site.postfix.wait_for_log(rf"{queue_id}: from=<alice@example.com>")
    site.daemon.load(("30.yaml", rules(lame.replace("{rejekt: {}}", refuse()))))
    assert 550 == site.send("lame again", **{"X-Lame": "1"}).final.code
    assert 4 == len(told())


def test_a_broken_edit_keeps_the_last_valid_version(site: Site) -> None:
    """STALE: what was valid serves, with an alert that clears on repair."""
    good = rules(on_subject("mine", refuse()))
    site.daemon.load(("30.yaml", good))
    assert 550 == code(site, "mine")
    site.daemon.load(("30.yaml", good.replace("reject", "rejekt")))
    assert 550 == code(site, "mine")
    assert "stale" in site.daemon.states().values()
    assert site.daemon.alerts()
    site.daemon.load(("30.yaml", good))
    assert {} == site.daemon.alerts()
    assert 550 == code(site, "mine")


def test_an_edit_that_is_valid_counts(site: Site) -> None:
    """A changed text is in force at once on HUP."""
    site.daemon.load(("30.yaml", rules(on_subject("mine", refuse("Old text")))))
    site.daemon.load(("30.yaml", rules(on_subject("mine", refuse("New text")))))
    assert "New text" in site.send("mine").final.text


def test_polling_sees_an_edit(site: Site) -> None:
    """Nobody signals anything: the file is in force within seconds."""
    number = site.daemon.generation
    site.daemon.policy("30.yaml", rules(on_subject("polled", refuse())))
    site.daemon.wait_for_generation(number + 1, 5.0)
    assert 550 == code(site, "polled")


def test_a_deleted_file_is_a_deletion(site: Site) -> None:
    """Its rules end with it, without an alert, while every other file reads completely."""
    site.daemon.load(("30.yaml", rules(on_subject("leaving", refuse()))))
    assert 550 == code(site, "leaving")
    (site.daemon.policies / "30.yaml").unlink()
    site.daemon.load()
    assert 250 == code(site, "leaving")
    assert {} == site.daemon.alerts()


@pytest.mark.parametrize("keep", [0, 1, 12, 40, 90, -2, -4])
def test_a_cut_file_changes_no_verdict(site: Site, keep: int) -> None:
    """A file that loses its end, at any byte, keeps what it held in force, and an alert names it."""
    whole = rules(on_subject("first", refuse()), on_subject("last", refuse()))
    site.daemon.load(("30.yaml", whole))
    site.daemon.load(("30.yaml", whole[:keep]))
    assert [550, 550, 550] == [code(site, subject) for subject in ("first", "last", "steady")]
    assert any("30.yaml" in str(alert) for alert in site.daemon.alerts().values()), site.daemon.alerts()


def test_an_unreadable_file_changes_no_verdict(site: Site) -> None:
    """A directory in the file's place: what it held stays; when the file is back the alert is gone."""
    whole = rules(on_subject("kept", refuse()))
    path = site.daemon.policy("30.yaml", whole)
    site.daemon.load()
    path.unlink()
    path.mkdir()
    site.daemon.load()
    assert 550 == code(site, "kept")
    assert site.daemon.alerts()
    path.rmdir()
    site.daemon.load(("30.yaml", whole))
    assert {} == site.daemon.alerts()


def test_the_directory_is_gone(site: Site) -> None:
    """Absence is not deletion: all rules stay, with an alert, until the directory is back."""
    away = site.daemon.policies.with_name("away")
    site.daemon.policies.rename(away)
    site.daemon.load()
    assert 550 == code(site, "steady")
    assert site.daemon.alerts()
    away.rename(site.daemon.policies)
    site.daemon.load()
    assert {} == site.daemon.alerts()


def test_an_alert_is_one_episode(site: Site) -> None:
    """A thousand loads of the same broken file raise one alert; it clears on delete, with a line for each."""
    site.daemon.load(("30.yaml", rules(BROKEN)))
    for _ in range(3):
        site.daemon.load()
    (site.daemon.policies / "30.yaml").unlink()
    site.daemon.load()
    until(lambda: site.daemon.lines("alert cleared"), "the alert cleared")
    about = [row for row in site.daemon.lines() if row.get("subject", "").endswith("broken")]
    raised = [row for row in about if row["event"] == "alert raised"]
    cleared = [row for row in about if row["event"] == "alert cleared"]
    assert len(raised) == len(cleared)
    assert "error" == raised[-1]["level"]


def test_a_revert_clears_the_alert(site: Site) -> None:
    """A byte-identical revert resolves it."""
    good = rules(on_subject("mine", refuse()))
    site.daemon.load(("30.yaml", good))
    site.daemon.load(("30.yaml", good.replace("subject", "subjekt")))
    assert site.daemon.alerts()
    site.daemon.load(("30.yaml", good))
    assert {} == site.daemon.alerts()


def test_an_id_used_twice(site: Site) -> None:
    """Both are a problem; the version that was in force stays in force."""
    site.daemon.load(("30.yaml", rules(on_subject("twin", refuse("First")))))
    site.daemon.load(("40.yaml", rules(a_rule("twin", "{subject: {prefix: other}}", refuse("Second")))))
    assert [550, 250] == [code(site, "twin"), code(site, "other")]
    assert site.daemon.alerts()


def test_check_says_what_the_daemon_says(site: Site) -> None:
    """`tidegate check DIR` is the same code (P10): same problem, same place, and an exit status."""
    site.daemon.load(("30.yaml", rules(BROKEN)))
    place = next(iter(site.daemon.alerts().values()))["place"]
    done = site.daemon.command("check", str(site.daemon.policies))
    assert 1 == done.returncode, done.stderr
    assert f"{place.rpartition('/')[2]}" in done.stdout + done.stderr


def test_one_message_sees_one_generation(site: Site) -> None:
    """P7: a message that began before a reload is judged by the policy set of its MAIL."""
    site.daemon.load(("30.yaml", rules(on_subject("journey", refuse("Before")))))
    with site.client() as client:
        client.envelope("alice@example.com", [BOB])
        client.command("DATA")
        site.daemon.load(("30.yaml", rules(on_subject("journey", refuse("After")))))
        reply = client.finish(b"From: alice@example.com\nSubject: journey\n\nx\n")
        following = client.send("alice@example.com", [BOB], b"From: alice@example.com\nSubject: journey\n\nx\n").final
    assert "Before" in reply.text
    assert "After" in following.text or 421 == following.code


def test_what_is_missing_is_confirmed_in_one_command(site: Site) -> None:
    """An empty file keeps what it held until `tidegate confirm` says that it is meant; the alert is over then."""
    daemon = site.daemon
    daemon.load(("30.yaml", rules(on_subject("emptied", refuse()))))
    daemon.load(("30.yaml", ""))
    assert 550 == code(site, "emptied")
    assert any("tidegate confirm" in str(alert["cure"]) for alert in daemon.alerts().values())
    done = daemon.command("confirm", "--config", str(daemon.config))
    assert (0, "") == (done.returncode, done.stderr), done
    assert "gone  rule emptied" in done.stdout
    assert [250, 550] == [code(site, subject) for subject in ("emptied", "steady")]


def test_reload_waits_until_it_is_in_force(open_site: OpenSite) -> None:
    """`tidegate reload` comes back when the edit counts, and exits 1 where an alert stands."""
    site = open_site({"10-site.yaml": SITE}, poll="1h")  # or a look of the daemon's own may take the edit first
    daemon = site.daemon
    (clerk,) = daemon.status()["clerk"]
    os.kill(clerk, signal.SIGSTOP)  # otherwise it might see the edit before the command asks
    daemon.policy("30.yaml", rules(on_subject("reloaded", refuse())))
    done = daemon.command("reload", "--config", str(daemon.config), "--json")
    assert 0 == done.returncode, done
    assert ["rule reloaded"] == json.loads(done.stdout)["changed"]
    assert 550 == code(site, "reloaded")
    daemon.policy("30.yaml", rules(on_subject("reloaded", "{rejekt: 1}")))
    assert 1 == daemon.command("reload", "--config", str(daemon.config)).returncode
    os.kill(clerk, signal.SIGCONT)
