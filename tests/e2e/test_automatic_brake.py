"""The automatic brake under load: a harmful rule is pushed to a real daemon while many senders send.

Each sender is a login of its own over the raw milter protocol. Replies are counted, whatever the speed of the machine.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.builders.daemon import Daemon, Session, until
from tests.builders.redisserver import RedisServer

SENDERS = 60
FEW = 3
WORKERS = 2
TAG = '{id: tag, when: always, do: {add_header: {X-T: "1"}}}'
STOP = '{id: stop, when: always, do: {reject: {code: "550 5.7.1", text: "stopped"}}}'
SOME = '{id: some, when: {login: {prefix: user1}}, do: {reject: {code: "550 5.7.1", text: "stopped"}}%s}'


def policy(*rules: str) -> str:
    """A policy of these rules."""
    rows = "".join(f"  - {one}\n" for one in rules)
    return f"version: 1\nrules:\n{rows}...\n"


def one_message(daemon: Daemon, login: str) -> str:
    """The reply to a message of this login."""
    session = Session(daemon.socket)
    try:
        session.greet(client=f"192.0.2.{len(login)}")
        return session.message(login)
    finally:
        session.close()


def send(daemon: Daemon, logins: Sequence[str], threads: int = 4) -> Counter[str]:
    """One message of each login, some at a time; the replies by their first digit, or `accept`."""
    replies: list[str] = []
    waiting = list(logins)

    def work() -> None:
        while waiting:
            try:
                login = waiting.pop()
            except IndexError:
                return
            replies.append(one_message(daemon, login))

    crew = [threading.Thread(target=work) for _ in range(threads)]
    for one in crew:
        one.start()
    for one in crew:
        one.join(60)
    return Counter(reply[:3] if reply[:1].isdigit() else reply for reply in replies)


def the_few(daemon: Daemon) -> Counter[str]:
    """One sender after the other, until as many were refused as a new rule may refuse.

    Of several at once each may find that it is one too many: then fewer are refused, and none would be proof of more.
    """
    replies: Counter[str] = Counter()
    for login in logins():
        replies += send(daemon, [login], threads=1)
        if replies["550"] == FEW:
            break
    return replies


def logins(count: int = SENDERS, first: int = 0) -> list[str]:
    """Different logins; `user1…` are a few of them."""
    return [f"user{number}" for number in range(first, first + count)]


def ready(daemon: Daemon, text: str) -> None:
    """Push a policy and wait until all workers have it."""
    before = daemon.status()["load"]["count"]
    daemon.policy(text)
    until(lambda: daemon.status()["load"]["count"] > before and everywhere(daemon), "the policy is in force")


def everywhere(daemon: Daemon) -> bool:
    """Do all workers run the generation that should be in force?"""
    return daemon.generation() == daemon.status()["generation"]["number"]


def states(daemon: Daemon) -> dict[str, str]:
    """The state of each entry."""
    return {one["key"]: one["state"] for one in daemon.status()["entries"]}


def prove(daemon: Daemon) -> None:
    """Wait until what serves is proven."""
    until(lambda: daemon.status()["ladder"]["proven"], "it is proven")


def test_a_rule_that_matches_everything(tmp_path: Path) -> None:
    """A few 5xx, then deferrals; then the proven generation, with the bad file still in place; over a restart, too."""
    with Daemon(tmp_path, workers=WORKERS, soak="1s", soak_messages=0) as daemon:
        daemon.policy(policy(TAG))
        daemon.start()
        assert {"accept": SENDERS} == send(daemon, logins())
        prove(daemon)
        daemon.write_settings(soak="1h")
        daemon.stop()
        daemon.start()
        send(daemon, logins())
        ready(daemon, policy(TAG, STOP))
        total = the_few(daemon)
        for _ in range(40):
            total += send(daemon, logins())
            if "generation-quarantined" in daemon.alerts():
                break
        assert FEW <= total["550"] <= FEW + 4 * WORKERS
        assert total["451"] > 0
        until(lambda: "proven-serves" in daemon.alerts() and everywhere(daemon), "the proven one serves")
        assert {"accept": SENDERS} == send(daemon, logins())
        assert ["stop"] == [one["rule"] for one in daemon.status()["eased"]["holds"]] or not daemon.status()["eased"][
            "holds"
        ]
        daemon.stop()
        daemon.start()
        assert "generation-quarantined" in daemon.alerts()
        assert {"accept": SENDERS} == send(daemon, logins())
        ready(daemon, policy(TAG, STOP, "{id: more, when: {login: nobody}, do: {hold: {reason: look}}}"))
        total = send(daemon, logins())
        assert total["550"] <= FEW + 4 * WORKERS < total["451"]


def test_beside_a_canary(tmp_path: Path) -> None:
    """Of the few who meet the canary a few get a 5xx; then it defers, and is given up; nobody else notices anything."""
    with Daemon(tmp_path, workers=WORKERS, soak="1s", soak_messages=0, canary_share=50) as daemon:
        daemon.policy(policy(TAG))
        daemon.start()
        assert {"accept": SENDERS} == send(daemon, logins())
        daemon.policy(policy(TAG, STOP))
        until(lambda: daemon.status()["canary"]["runs"], "it is on trial")
        total = the_few(daemon)
        while daemon.status()["canary"]["runs"]:
            total += send(daemon, logins())
        assert FEW <= total["550"] <= FEW + 4 * WORKERS
        assert (total["451"] > 0, total["accept"] > 0) == (True, True)
        until(lambda: everywhere(daemon), "the other one is for all")
        assert {"accept": SENDERS} == send(daemon, logins())


def test_nothing_is_proven(tmp_path: Path) -> None:
    """Without a way back the rule is softened all the same, and TRIPPED; a person who lets it go is believed."""
    with Daemon(tmp_path, workers=WORKERS) as daemon:
        daemon.policy(policy())
        daemon.start()
        send(daemon, logins())
        ready(daemon, policy(STOP))
        total = the_few(daemon) + send(daemon, logins())
        assert FEW <= total["550"] <= FEW + 4 * WORKERS
        until(lambda: "tripped" == states(daemon)["rule stop"], "the rule is tripped")
        until(lambda: {"entry-tripped", "no-way-back"} <= daemon.alerts(), "both are told")
        assert {"451": SENDERS} == send(daemon, logins())
        assert daemon.ask(do="brake", on=False, names=["stop"], all=False)["released"]
        until(lambda: one_message(daemon, "user1").startswith("550"), "it refuses again")
        assert {"550": SENDERS} == send(daemon, logins())


def test_an_outbreak_that_an_old_rule_stops(tmp_path: Path) -> None:
    """A rule that was there before refuses whomever it refuses, whatever else is new."""
    with Daemon(tmp_path, workers=WORKERS, soak="1s", soak_messages=0) as daemon:
        daemon.policy(policy(SOME % ""))
        daemon.start()
        send(daemon, logins(10, first=20))
        prove(daemon)
        ready(daemon, policy(SOME % "", TAG))
        assert {"550": 11} == send(daemon, ["user1", *logins(10, first=10)])
        assert {"550": 11} == send(daemon, ["user1", *logins(10, first=10)])
        assert not daemon.alerts() & {"generation-quarantined", "entry-tripped"}


@pytest.mark.parametrize("more", ["", ", expect: {max_logins: 30, per: 1h}"], ids=["unsaid", "expected"])
def test_a_new_rule_that_stops_some(tmp_path: Path, more: str) -> None:
    """Where most senders pass a new block rule goes on; with `expect`, even where only those come whom it blocks."""
    with Daemon(tmp_path, workers=WORKERS) as daemon:
        daemon.policy(policy())
        daemon.start()
        send(daemon, logins())
        ready(daemon, policy(SOME % more))
        if not more:
            send(daemon, logins(40, first=20))
        assert {"550": 11} == send(daemon, ["user1", *logins(10, first=10)])
        assert not daemon.alerts() & {"generation-quarantined", "entry-tripped"}


def test_beyond_what_is_expected(tmp_path: Path) -> None:
    """The rule alone goes into shadow, with an alert; what it refuses until then is a deferral."""
    other = "{id: other, when: {login: user7}, do: {hold: {reason: look}}}"
    with Daemon(tmp_path, workers=WORKERS) as daemon:
        daemon.policy(policy())
        daemon.start()
        ready(daemon, policy(SOME % ", expect: {max_logins: 5, per: 1h}", other))
        total = send(daemon, ["user1", *logins(10, first=10)])
        assert (5, 11) == (total["550"], total["550"] + total["451"] + total["accept"])
        until(lambda: "tripped" == states(daemon)["rule some"], "the rule is tripped")
        until(lambda: one_message(daemon, "user11") == "accept", "it is in shadow")
        assert "active" == states(daemon)["rule other"]
        hold = daemon.status()["eased"]["holds"][0]
        assert ("shadow", "expect") == (hold["easing"], hold["by"])
        assert "and expects 5 at most" in hold["reason"]


def test_a_harmful_rule_that_defers(tmp_path: Path) -> None:
    """A deferral can't be softened: it is the way back that helps."""
    later = '{id: later, when: always, do: {defer: {code: "451 4.7.1", text: "later"}}}'
    with Daemon(tmp_path, workers=WORKERS, soak="1s", soak_messages=0) as daemon:
        daemon.policy(policy(TAG))
        daemon.start()
        send(daemon, logins())
        prove(daemon)
        ready(daemon, policy(TAG, later))
        send(daemon, logins())
        until(lambda: "generation-quarantined" in daemon.alerts(), "it is quarantined")
        until(lambda: one_message(daemon, "user1") == "accept", "the proven one serves")


def test_it_can_be_off(tmp_path: Path) -> None:
    """Where the settings say so, nothing is eased."""
    with Daemon(tmp_path, workers=WORKERS, brake='"off"') as daemon:
        daemon.policy(policy())
        daemon.start()
        send(daemon, logins())
        ready(daemon, policy(STOP))
        assert {"550": SENDERS} == send(daemon, logins())
        assert "off" == daemon.status()["brake"]["mode"]


def test_mail_that_is_sent_elsewhere(tmp_path: Path) -> None:
    """A new rule that redirects everybody: nothing of it can be softened, so the proven generation comes back."""
    with Daemon(tmp_path, workers=WORKERS, soak="1s", soak_messages=0) as daemon:
        daemon.policy(policy(TAG))
        daemon.start()
        send(daemon, logins())
        prove(daemon)
        ready(daemon, policy(TAG, "{id: move, when: always, do: {redirect: nowhere@example.org}}"))
        until(lambda: send(daemon, logins()) and "proven-serves" in daemon.alerts(), "the proven one serves")
        assert "move" in daemon.lines("generation does harm")[0]["reason"]


def test_a_rule_that_suspends_everybody(tmp_path: Path) -> None:
    """Its first mail goes on, so nothing is refused yet; the proven generation comes back even so, and the list, which
    a person has to look through, grows no more."""
    lists = "lists: {blocked: {type: login, redis: blocked}}"
    suspend = "{id: trap, when: always, do: {suspend: {list: blocked, for: 1h}}}"

    def with_list(*rules: str) -> str:
        return policy(*rules).replace("rules:", f"{lists}\nrules:", 1)

    with RedisServer() as server, Daemon(tmp_path, WORKERS, redis=server.url, soak="1s", soak_messages=0) as daemon:
        daemon.policy(with_list(TAG))
        daemon.start()
        until(lambda: send(daemon, logins()) == {"accept": SENDERS}, "the policy is in force")
        prove(daemon)
        ready(daemon, with_list(TAG, suspend))
        until(lambda: send(daemon, logins()) and "proven-serves" in daemon.alerts(), "the proven one serves")
        assert "trap" in daemon.lines("generation does harm")[0]["reason"]
