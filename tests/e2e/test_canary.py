"""A new generation on trial, from outside: a real daemon, and senders that speak the milter protocol."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from tests.builders.daemon import ACCEPT_ALL, Daemon, reject_all, until
from tests.builders.milterclient import MilterClient

SENDERS = 60


def daemon_of(folder: Path, **settings: object) -> Daemon:
    """One with canaries; each test says how long they last. The brake, which looks at them too, is another page's."""
    wanted = {"canary_share": "30%", "canary_time": "1h", "canary_longest": "1h"}
    wanted |= {"mask": "false", "poll": "1h", "brake": "off"}
    return Daemon(folder, **{**wanted, "workers": 2, **settings})


def edit(daemon: Daemon, text: str, **request: object) -> dict[str, Any]:
    """Put this policy there, load it, and wait until every worker has what came of it."""
    daemon.policy(text)
    return loaded(daemon, **request)


def loaded(daemon: Daemon, **request: object) -> dict[str, Any]:
    before = daemon.status()["load"]["count"]
    daemon.ask(do="reload", **request)

    def there() -> dict[str, Any]:
        status = daemon.status()
        wanted = (status["generation"]["number"], on_trial(status))
        have = {(one["generation"], one["canary"]) for one in status["workers"]}
        return status if status["load"]["count"] > before and have == {wanted} else {}

    found: dict[str, Any] = until(there, "the load")
    return found


def on_trial(status: dict[str, Any]) -> int:
    return int(status["canary"]["number"]) if status["canary"]["runs"] else 0


def send(daemon: Daemon, sender: str) -> str:
    """One message on a connection of its own; the reply, without its reference."""
    with MilterClient(daemon.socket) as client:
        client.greet()
        return client.message(sender=f"{sender}@example.com", login=sender).answer.text.partition(" (")[0]


def everybody(daemon: Daemon, senders: int = SENDERS) -> dict[str, str]:
    """A message of each sender."""
    return {f"user{number}": send(daemon, f"user{number}") for number in range(senders)}


def outcome(daemon: Daemon, wanted: str) -> dict[str, Any]:
    """The canary, once that has become of it."""
    found: dict[str, Any] = until(
        lambda: (canary := daemon.status()["canary"])["outcome"] == wanted and canary, f"the canary is {wanted}"
    )
    return found


def sides(daemon: Daemon, messages: int) -> dict[str, set[int]]:
    """By sender, the generations that judged its messages, once so many lines are there."""
    rows = until(lambda: (found := daemon.lines("decision")) and len(found) >= messages and found, "the lines")
    found: dict[str, set[int]] = {}
    for row in rows:
        found.setdefault(row["login"], set()).add(row["generation"])
    return found


def later(daemon: Daemon) -> list[dict[str, Any]]:
    """The lines of senders that came when all was over."""
    return [row for row in daemon.lines("decision") if row["login"].startswith("later")]


def labelling(value: str) -> str:
    """A policy that puts a header on every message."""
    return f"version: 1\nrules:\n  - id: label\n    when: always\n    do: {{add_header: {{X-Test: {value}}}}}\n...\n"


def test_the_same_sender_is_always_on_the_same_side(folder: Path) -> None:
    """About the share of the senders gets the new generation, in every worker, whatever is loaded meanwhile."""
    with daemon_of(folder) as daemon:
        daemon.policy(ACCEPT_ALL)
        daemon.start()
        status = edit(daemon, labelling("one"))
        assert (1, 2) == (status["generation"]["number"], on_trial(status))
        everybody(daemon)
        everybody(daemon)
        first = sides(daemon, 2 * SENDERS)
        assert {1} < {number for numbers in first.values() for number in numbers} <= {1, 2}
        assert all(len(numbers) == 1 for numbers in first.values())
        chosen = {sender for sender, numbers in first.items() if numbers == {2}}
        assert 6 <= len(chosen) <= 32  # of 60, at 30 %: far from nobody and from all
        status = edit(daemon, labelling("two"))
        assert (1, 3) == (status["generation"]["number"], on_trial(status))
        assert daemon.status()["canary"]["seen"] == 0  # the newest wins, and begins anew
        everybody(daemon)
        assert chosen == {sender for sender, numbers in sides(daemon, 3 * SENDERS).items() if 3 in numbers}


def test_it_goes_on_to_all_after_enough(folder: Path) -> None:
    """Long enough, and enough messages on both sides: then everybody has it, and the log and the status say so."""
    with daemon_of(folder, canary_time="1s", canary_messages=5) as daemon:
        daemon.policy(ACCEPT_ALL)
        daemon.start()
        edit(daemon, labelling("one"))
        for worker in daemon.workers():
            assert 2 == Path(f"/proc/{worker}/maps").read_text().count("memfd:load-extra")
        until(lambda: everybody(daemon, 20) and daemon.status()["canary"]["outcome"] == "promoted", "it is promoted")
        until(lambda: daemon.generation() == 2, "every worker has it")
        assert {0} == {worker["canary"] for worker in daemon.status()["workers"]}
        for worker in daemon.workers():  # the old image is unmapped
            until(lambda pid=worker: 1 == Path(f"/proc/{pid}/maps").read_text().count("memfd:load-extra"), "one image")
        assert {"accept", "continue"} >= {send(daemon, f"later{number}") for number in range(20)}
        rows = until(lambda: len(found := later(daemon)) == 20 and found, "the lines")
        assert {2} == {row["generation"] for row in rows}
        ended = daemon.lines("canary ended")[0]
        assert ("promoted", 2, 1) == (ended["outcome"], ended["generation"], ended["beside"])


def test_without_enough_it_goes_on_unproven(folder: Path) -> None:
    """Nobody sends anything: after the longest time it is for all, marked."""
    with daemon_of(folder, canary_time="1s", canary_longest="1s") as daemon:
        daemon.policy(ACCEPT_ALL)
        daemon.start()
        edit(daemon, reject_all())
        assert "it saw 0 messages" in outcome(daemon, "unproven")["reason"]
        until(lambda: daemon.generation() == 2, "every worker has it")
        assert send(daemon, "anybody").startswith("550")


def test_harm_touches_the_share_alone(folder: Path) -> None:
    """A rule that refuses everything, under load: given up, named and in quarantine, and only its share met it."""
    with daemon_of(folder) as daemon:
        daemon.policy(ACCEPT_ALL)
        daemon.start()
        edit(daemon, reject_all("stop-everything"))
        until(lambda: everybody(daemon) and "canary-abandoned" in daemon.alerts(), "it is given up")
        canary = outcome(daemon, "abandoned")
        assert ["stop-everything"] == canary["rules"]
        assert 1 == daemon.generation()
        assert {"accept", "continue"} >= set(everybody(daemon).values())
        refused = [
            row for row in daemon.lines("decision") if row["disposition"] == "reject"
        ]  # written before the reply
        assert {2} == {row["generation"] for row in refused}
        new = canary["compared"]["canary"]
        assert len(refused) >= new["refused"]["messages"] > 0
        # Some more met it between the comparison and the moment in which each worker gave it up.
        assert 0 < new["refused"]["senders"] <= len({row["login"] for row in refused}) < SENDERS // 2
        status = loaded(daemon)  # the same bytes again
        assert (1, 0) == (status["generation"]["number"], on_trial(status))
        assert "generation-quarantined" in daemon.alerts()
        edit(daemon, ACCEPT_ALL)
        until(lambda: not daemon.alerts() & {"canary-abandoned", "generation-quarantined"}, "the alerts clear")


def test_mail_that_is_sent_elsewhere_is_harm(folder: Path) -> None:
    """A rule that redirects everybody is given up like one that stops everybody."""
    moved = "version: 1\nrules:\n  - id: move\n    when: always\n    do: {redirect: nowhere@example.org}\n...\n"
    with daemon_of(folder) as daemon:
        daemon.policy(ACCEPT_ALL)
        daemon.start()
        edit(daemon, moved)
        until(lambda: everybody(daemon) and "canary-abandoned" in daemon.alerts(), "it is given up")
        assert ["move"] == outcome(daemon, "abandoned")["rules"]
        assert 1 == daemon.generation()


def test_a_person_says_that_it_is_meant(folder: Path) -> None:
    """Out of the quarantine it goes to all at once: as a canary it would be given up again."""
    with daemon_of(folder) as daemon:
        daemon.policy(ACCEPT_ALL)
        daemon.start()
        edit(daemon, reject_all())
        until(lambda: everybody(daemon) and "canary-abandoned" in daemon.alerts(), "it is given up")
        daemon.ask(do="confirm", quarantine=True)
        until(lambda: send(daemon, "anybody").startswith("550"), "it is in force")
        until(lambda: "canary-abandoned" not in daemon.alerts(), "the alert clears")


def test_a_revert_ends_it(folder: Path) -> None:
    """The bytes of what is in force: the canary is over, and nobody was disturbed."""
    with daemon_of(folder) as daemon:
        daemon.policy(ACCEPT_ALL)
        daemon.start()
        edit(daemon, reject_all())
        status = edit(daemon, ACCEPT_ALL)
        assert (1, 0, "reverted") == (
            status["generation"]["number"], on_trial(status), status["canary"]["outcome"],
        )  # fmt: skip
        assert {"accept", "continue"} >= set(everybody(daemon).values())


def test_a_worker_that_is_replaced_has_both(folder: Path) -> None:
    """kill -9 in the middle: the new worker gives each sender the side that it had."""
    with daemon_of(folder) as daemon:
        daemon.policy(ACCEPT_ALL)
        daemon.start()
        edit(daemon, labelling("one"))
        everybody(daemon)
        before = sides(daemon, SENDERS)
        victims = daemon.workers()
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        until(lambda: len(daemon.workers()) == 2 and not {*victims} & {*daemon.workers()}, "two new workers")
        until(lambda: {2} == {one["canary"] for one in daemon.status()["workers"]}, "both have the canary")
        everybody(daemon)
        assert before == sides(daemon, 2 * SENDERS)


def test_an_urgent_change_skips_it(folder: Path) -> None:
    """`--now` needs a reason, which stands in log and status; a canary that runs is ended by it the same way."""
    with daemon_of(folder) as daemon:
        daemon.policy(ACCEPT_ALL)
        daemon.start()
        assert "error" in daemon.ask(do="reload", now=True)
        status = edit(daemon, reject_all(), now=True, reason="an outbreak")
        assert (2, 0, "urgent", "an outbreak") == (
            status["generation"]["number"], on_trial(status), status["canary"]["outcome"], status["canary"]["reason"],
        )  # fmt: skip
        assert send(daemon, "anybody").startswith("550")
        assert "an outbreak" == daemon.lines("canary skipped")[0]["reason"]
        edit(daemon, labelling("one"))
        status = loaded(daemon, now=True, reason="it can't wait")
        assert (3, "urgent") == (status["generation"]["number"], status["canary"]["outcome"])
        assert {"accept", "continue"} >= set(everybody(daemon, 5).values())


def test_list_items_need_none(folder: Path) -> None:
    """What differs in list items, or in what is written for people, is for all at once."""
    text = (
        "version: 1\nlists:\n  bad: {type: login, items: [mallory]}\nrules:\n"
        "  - id: bad\n    when: {login: {in: bad}}\n"
        '    do: {reject: {code: "550 5.7.1", text: "no"}}\n...\n'
    )
    with daemon_of(folder) as daemon:
        daemon.policy(text)
        daemon.start()
        assert send(daemon, "eve") in ("accept", "continue")
        status = edit(daemon, text.replace("[mallory]", "[\n    mallory,\n    eve\n  ]"))
        assert (2, 0) == (status["generation"]["number"], on_trial(status))
        assert send(daemon, "eve").startswith("550")
        status = edit(daemon, text.replace("- id: bad", "- id: bad\n    description: Bad ones"))
        assert (3, 0) == (status["generation"]["number"], on_trial(status))


def test_a_connection_has_what_both_need(folder: Path) -> None:
    """The canary judges at RCPT: connections made meanwhile are asked there, and only for its share."""
    rule = (
        "version: 1\nrules:\n  - id: nobody\n    per_recipient: true\n    when: {rcpt.address: bob@example.net}\n"
        '    do: {reject: {code: "550 5.1.1", text: "no such user"}}\n...\n'
    )
    with daemon_of(folder) as daemon:
        daemon.policy(ACCEPT_ALL)
        daemon.start()
        edit(daemon, rule)
        replies = everybody(daemon, 40)
        found = {reply.partition(" no such")[0] for reply in replies.values()}
        assert 2 == len(found), replies
        assert "550 5.1.1" in found


def test_a_restart_goes_on_beside_what_was_for_all(folder: Path) -> None:
    """What a canary ran beside is on the proven record: it serves again, and the canary begins anew."""
    with daemon_of(folder, soak="0.5s", soak_messages=3) as daemon:
        daemon.policy(ACCEPT_ALL)
        daemon.start()
        until(lambda: everybody(daemon, 5) and daemon.status()["soak"]["proven"], "it is proven")
        edit(daemon, reject_all())
        daemon.stop()
        daemon.start()
        status = until(lambda: on_trial(found := daemon.status()) and found, "a canary")
        assert (1, 2) == (status["generation"]["number"], on_trial(status))
        until(lambda: {2} == {one["canary"] for one in daemon.status()["workers"]}, "every worker has it")
        replies = everybody(daemon, 30)
        assert 2 == len({reply.partition(" ")[0] for reply in replies.values()}), replies
        daemon.policy(ACCEPT_ALL)
        loaded(daemon)
        daemon.stop()
        daemon.start()
        until(lambda: daemon.generation() > 0, "a generation")
        assert 0 == on_trial(daemon.status())
        assert {"accept", "continue"} >= set(everybody(daemon, 5).values())


def test_a_restart_without_a_proven_one(folder: Path) -> None:
    """What is for all is on record while a canary runs beside it, proven or not: in the middle, and once it was given
    up with the harmful file still in place, it serves again. A damaged record leaves what is on disk, for all."""
    good = reject_all("first").replace("when: always", "when: {login: mallory}")
    expected = {"mallory": "550 5.7.1 stopped by first", "alice": "continue"}
    with daemon_of(folder) as daemon:
        daemon.policy(good)
        daemon.start()
        edit(daemon, reject_all())
        until(lambda: (daemon.state / "beside").exists(), "it is on record")
        daemon.stop()
        daemon.start()
        until(lambda: on_trial(daemon.status()), "a canary")
        assert 1 == daemon.status()["generation"]["number"]
        until(lambda: everybody(daemon) and "canary-abandoned" in daemon.alerts(), "it is given up")
        daemon.stop()
        daemon.start()
        assert expected == {login: send(daemon, login) for login in expected}
        assert {"generation-quarantined", "proven-serves"} <= daemon.alerts()
        edit(daemon, reject_all("other"))
        until(lambda: not (daemon.state / "beside").exists(), "another one is for all")
        daemon.policy(good)
        loaded(daemon)
        until(lambda: (daemon.state / "beside").exists(), "the next canary's")
        (daemon.state / "beside").write_bytes(b"damaged")
        daemon.stop()
        daemon.start()
        assert 0 == on_trial(daemon.status())
        assert expected == {login: send(daemon, login) for login in expected}


def test_a_broken_edit_brings_back_what_was_for_all(folder: Path) -> None:
    """Never the text of a canary: not of one that was given up, nor of one in whose middle the daemon was killed."""
    good = reject_all().replace("when: always", "when: {login: mallory}")
    assert good != reject_all()
    broken = good.replace("when:", "wehn:")
    expected = {"mallory": "550 5.7.1 stopped by stop", **dict.fromkeys(("alice", "bob", "carol"), "continue")}
    with daemon_of(folder) as daemon:
        daemon.policy(good)
        daemon.start()
        edit(daemon, reject_all())
        until(lambda: everybody(daemon) and "canary-abandoned" in daemon.alerts(), "it is given up")
        edit(daemon, broken)
        assert expected == {login: send(daemon, login) for login in expected}
        for now in (broken, reject_all().replace("stopped", "halted")):
            daemon.policy(now)
            loaded(daemon)
            assert daemon.process
            daemon.process.kill()
            daemon.process.wait()
            daemon.policy(broken)
            daemon.start(wait=False)
            until(lambda: daemon.status().get("stage") == "serving", "the next daemon has the socket")
            assert expected == {login: send(daemon, login) for login in expected}
            assert {"stop": "stale"} == {one["key"][5:]: one["state"] for one in daemon.status()["entries"]}
