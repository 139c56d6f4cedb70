"""`explain --live` predicts what the daemon then answers, in whatever state its entries are."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.builders.daemon import Daemon, until
from tests.builders.milterclient import MilterClient
from tidegate.cli import main
from tidegate.live.restraints import NO_HOLDS, By, Hold, write_holds
from tidegate.model import Easing


@dataclass(frozen=True, slots=True)
class Mail:
    """One message, as the milter client sends it and as the command line says it."""

    login: str = "alice@example.com"
    sender: str = "alice@example.com"
    recipients: tuple[str, ...] = ("bob@example.net",)
    subject: str = "hello"


MAILS = {
    "plain": Mail(),
    "suspended": Mail(login="mallory@example.com", sender="mallory@example.com"),
    "suspended and exempt": Mail(login="mallory@example.com", sender="mallory@example.com", subject="let me through"),
    "spam": Mail(subject="buy pills now"),
    "spam and more": Mail(subject="buy pills now", recipients=("bob@example.net", "carol@evil.example")),
    "refused at RCPT": Mail(recipients=("carol@evil.example",)),
    "one of two": Mail(recipients=("bob@example.net", "carol@evil.example")),
    "to hold": Mail(subject="please hold this"),
    "finance": Mail(login="cfo@finance.example.com", sender="cfo@finance.example.com"),
    "null sender": Mail(sender=""),
}

GOOD = """version: 1
lists:
  suspended: {type: login, items: [mallory@example.com]}
rules:
  - id: suspended-account
    when: {login: {in: suspended}}
    do: {reject: {code: "550 5.7.1", text: "Blocked ({ref})"}}
  - id: let-through
    when: {subject: {contains: let me through}}
    do: {exempt: [suspended-account]}
  - id: pills
    when: {subject: {contains: pills}}
    do: {reject: {code: "554 5.7.1", text: "No {rcpt.count} pills"}}
  - {id: evil, per_recipient: true, when: {rcpt.domain: evil.example}, do: {reject: {code: "550 5.7.1", text: evil}}}
  - {id: holds, when: {subject: {contains: hold}}, do: {hold: {reason: looked at}}}
  - {id: journal, when: {sender.domain: finance.example.com}, do: {bcc: journal@example.com}}
...
"""
NEVER = """version: 1
rules:
  - {id: skipped, when: {subject: {contains: hello}}, do: {reject: {code: "550 5.7.1"}}}
  - {id: waits, when: {sender.domain: finance.example.com}, do: {rejekt: 1}, on_invalid: defer}
...
"""
STATES: dict[str, tuple[dict[str, str], ...]] = {
    "as written": ({"10": GOOD},),
    "never valid": ({"10": GOOD, "20": NEVER},),
    "a broken rule": ({"10": GOOD}, {"10": GOOD.replace('code: "554 5.7.1"', 'kode: "554 5.7.1"')}),
    "a broken exempt": ({"10": GOOD}, {"10": GOOD.replace("contains: let me through", "contanes: let me through")}),
    "a broken list": ({"10": GOOD}, {"10": GOOD.replace("type: login", "type: logon")}),
    "an emptied file": ({"10": GOOD}, {"10": ""}),
    "no policy": ({},),
}


HELD: dict[str, dict[str, Easing]] = {
    "one refuses nothing for good": {"pills": Easing.SOFT},
    "one in shadow": {"suspended-account": Easing.SHADOW},
    "one not asked": {"pills": Easing.SKIP, "evil": Easing.SKIP},
    "one deferring": {"journal": Easing.DEFER},
    "an exempt not asked": {"let-through": Easing.SKIP},
    "all of them": {"": Easing.SOFT},
}


@pytest.mark.parametrize("easings", HELD.values(), ids=HELD)
def test_the_prediction_knows_what_is_eased(easings: dict[str, Easing], tmp_path: Path) -> None:
    """The same while something has been taken back from the rules."""
    with Daemon(tmp_path) as daemon:
        daemon.policy(GOOD)
        daemon.state.mkdir()
        holds = [Hold(rule, easing, By.HAND, until=4e9) for rule, easing in easings.items()]
        write_holds(str(daemon.state), NO_HOLDS.plus(holds))
        daemon.start()
        found = {name: (predicted(daemon, mail), happened(daemon, mail)) for name, mail in MAILS.items()}
    assert {name: pair[0] for name, pair in found.items()} == {name: pair[1] for name, pair in found.items()}


@pytest.mark.parametrize("edits", STATES.values(), ids=STATES)
def test_the_prediction_is_what_happens(edits: tuple[dict[str, str], ...], tmp_path: Path) -> None:
    """For every message of the table, in this state: the reply, to the recipients and at the end, and the edits."""
    with Daemon(tmp_path) as daemon:
        if not edits[0]:
            daemon.policies.rmdir()
        for name, text in edits[0].items():
            daemon.policy(text, f"{name}.yaml")
        daemon.start()
        for edit in edits[1:]:
            before = daemon.status()["load"]["count"]
            for name, text in edit.items():
                daemon.policy(text, f"{name}.yaml")
            until(lambda before=before: daemon.status()["load"]["count"] > before and daemon.alerts(), "it is loaded")
            until(lambda: daemon.generation() == daemon.status()["generation"]["number"], "the worker has it")
        found = {name: (predicted(daemon, mail), happened(daemon, mail)) for name, mail in MAILS.items()}
    assert {name: pair[0] for name, pair in found.items()} == {name: pair[1] for name, pair in found.items()}


def test_it_is_what_is_in_force_not_what_is_written(tmp_path: Path) -> None:
    """The answer names the generation; with the files alone the broken rule would count for nothing."""
    with Daemon(tmp_path) as daemon:
        daemon.policy(GOOD)
        daemon.start()
        daemon.policy(GOOD.replace('code: "554 5.7.1"', 'kode: "554 5.7.1"'))
        until(daemon.alerts, "the edit is loaded")
        live = explain(daemon, MAILS["spam"])
        status = daemon.status()
    rule = next(one for one in live["rules"] if one["rule"] == "pills")
    assert ("yes", "stale") == (rule["truth"], rule["state"])
    assert "554 5.7.1 No 1 pills (trial)" == live["verdict"]["reply"]
    assert (status["generation"]["number"], status["generation"]["digest"]) == (live["generation"], live["digest"])


def test_the_prediction_knows_who_is_on_trial(tmp_path: Path) -> None:
    """A share of the senders gets the new generation: each of them is told so, and nobody else."""
    with Daemon(tmp_path, canary_share="50%", canary_time="1h", canary_longest="1h", brake="off") as daemon:
        daemon.policy(GOOD)
        daemon.start()
        daemon.policy(GOOD.replace("554 5.7.1", "450 4.7.1").replace('reject: {code: "450', 'defer: {code: "450'))
        until(lambda: daemon.status()["canary"]["runs"], "it is on trial")
        number = daemon.status()["canary"]["number"]
        until(lambda: {one["canary"] for one in daemon.status()["workers"]} == {number}, "the worker has it")
        mails = [Mail(f"u{n}@example.com", f"u{n}@example.com", subject="buy pills now") for n in range(12)]
        found = [(predicted(daemon, mail), happened(daemon, mail)) for mail in mails]
        told = {explain(daemon, mail)["generation"] for mail in mails}
    assert [pair[0] for pair in found] == [pair[1] for pair in found]
    assert {"450", "554"} == {pair[1][1][:3] for pair in found}
    assert {number, number - 1} == told


def explain(daemon: Daemon, mail: Mail) -> dict:
    message = daemon.folder / "message.eml"
    message.write_text(f"Subject: {mail.subject}\n\ntext\n")
    command = [
        "explain", str(message), "--live", "--state", str(daemon.state), "--json", "--login", mail.login,
        "--sender", mail.sender or "<>", "--auth-type", "PLAIN", "--client", "192.0.2.7",
        "--client-name", "client.example.com", "--helo", "client.example.com", "--daemon", "ORIGINATING",
        *(word for one in mail.recipients for word in ("--rcpt", one)),
    ]  # fmt: skip
    done = CliRunner().invoke(main, command, catch_exceptions=False)
    assert 0 == done.exit_code, done.output
    return dict(json.loads(done.stdout))


def predicted(daemon: Daemon, mail: Mail) -> tuple[dict[str, str], str, list[str]]:
    """Replies at RCPT, the reply at the end, and the calls that change the message."""
    found = explain(daemon, mail)
    refused = {one["recipient"]: plain(one["reply"]) for one in found["at_rcpt"] if one["reply"]}
    if len(refused) == len(mail.recipients):
        return refused, "", []
    verdict = found["verdict"]
    edits = [f"addrcpt <{one}>" for one in (*verdict["add_recipients"], *verdict["bcc"])]
    edits += [f"quarantine {verdict['reason']}"] if verdict["disposition"] == "hold" else []
    return refused, plain(verdict["reply"]) or "continue", edits


def happened(daemon: Daemon, mail: Mail) -> tuple[dict[str, str], str, list[str]]:
    """The same of a real message."""
    with MilterClient(daemon.socket) as client:
        client.greet()
        client.mail(mail.sender, login=mail.login)
        answers = {one: client.rcpt(one).text for one in mail.recipients}
        refused = {one: plain(text) for one, text in answers.items() if text[:1] in "45"}
        if len(refused) == len(mail.recipients):
            return refused, "", []
        outcome = client.content([("Subject", mail.subject)])
    edits = [f"{edit.call} {edit.arguments[0]}" for edit in outcome.edits]
    return refused, plain(outcome.answer.text), edits


def plain(reply: str) -> str:
    """Without the reference, which is another one each time."""
    return re.sub(r"\((?:trial|[0-9A-Z]{10})\)", "(REF)", reply)
