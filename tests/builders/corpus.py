"""The messages of tests/mutation: each as a case for the engine and as a dialogue for a milter, with one way to show
what it got, so that both can be compared word for word.

Promises: `ask` speaks to a running daemon, `judged` to the engine in this process; a reference in a reply is left out,
a deferral over a doubt is DOUBT. Refuses to know what a message should get: tests/builders/golden.py does.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.builders.milterclient import CONTINUE, SILENT, Edit, MilterClient, Outcome
from tidegate.engine.reply import temporary
from tidegate.front.edits import plan
from tidegate.model import Conventions, Disposition, Place, PolicySet, Transaction, Verdict
from tidegate.policy.examples import Case
from tidegate.policy.scenarios import Expectation, Scenario
from tidegate.trial.cases import transaction_of
from tidegate.trial.scenarios import run_scenario

CONVENTIONS = Conventions(default_realm="example.com")
BASE: dict[str, Any] = {
    "login": "alice@example.com",
    "auth_type": "PLAIN",
    "sender": "alice@example.com",
    "rcpt": ["bob@example.net"],
    "client": "192.0.2.1",
    "client_name": "client.example.com",
    "helo": "client.example.com",
    "daemon": "ORIGINATING",
    "tls": "",
    "tls_cipher": "",
    "subject": "hello",
    "headers": {},
    "size": None,
}
_REFERENCE = re.compile(r" ?\([^()]*\)\Z")
_BLOCK = 60_000  # bytes; a packet of the protocol holds 65,535
DOUBT = _REFERENCE.sub("", str(temporary("x")))
"""How the answer to a message is shown whose fate is in doubt."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One message of the corpus. `about` is the entry that decides its fate, or `nobody`."""

    name: str
    about: str
    case: Case


def corpus(path: Path) -> tuple[Letter, ...]:
    """All messages of the file."""
    found: list[Letter] = []
    for about, written in yaml.safe_load(path.read_text()).items():
        for number, one in enumerate(written if isinstance(written, list) else [written], 1):
            found.append(Letter(f"{about} #{number}", about, _case(BASE | one)))
    return tuple(found)


def _case(keys: dict[str, Any]) -> Case:
    headers = {"From": keys["sender"] or "alice@example.com", "To": "undisclosed-recipients:;"} | keys["headers"]
    rows = [(name, text) for name, texts in headers.items() for text in (texts if isinstance(texts, list) else [texts])]
    return Case(
        sender=keys["sender"],
        recipients=tuple(keys["rcpt"]),
        login=keys["login"],
        auth_type=keys["auth_type"] if keys["login"] else "",
        client=keys["client"],
        client_name=keys["client_name"],
        helo=keys["helo"],
        daemon=keys["daemon"],
        tls=keys["tls"],
        tls_cipher=keys["tls_cipher"],
        headers=(*rows, ("Subject", keys["subject"])),
        size=keys["size"],
    )


# ── the engine ───────────────────────────────────────────────────────────────────────────────────────────────────────


def judged(letters: Sequence[Letter], policies: PolicySet) -> tuple[str, ...]:
    """What the engine says of each, in this process."""
    now = time.time()
    return tuple(_judged(letter.case, policies, now) for letter in letters)


def _judged(case: Case, policies: PolicySet, now: float) -> str:
    outcome = run_scenario(Scenario("", case, Expectation(), "", Place("", 0, 0)), policies, now)
    at_rcpt = [f"<{address}> {_reply(str(verdict.reply))}" for address, verdict in outcome.refused]
    if not outcome.accepted:
        return "; ".join(at_rcpt)
    whole = transaction_of(case, CONVENTIONS)
    return "; ".join([*at_rcpt, _verdict(outcome.verdict, whole, outcome.accepted)])


def _verdict(verdict: Verdict, whole: Transaction, accepted: Sequence[str]) -> str:
    if verdict.disposition in (Disposition.REJECT, Disposition.DEFER):
        return _reply(str(verdict.reply))
    if verdict.disposition is Disposition.DISCARD:
        return "discard"
    recipients = tuple(one for one in whole.envelope.recipients if one.address in accepted)
    here = Transaction(
        whole.connection,
        type(whole.envelope)(whole.envelope.sender, recipients, whole.envelope.login, whole.envelope.auth_type),
        whole.message,
        whole.reference,
    )
    calls = [(one.call, tuple(str(part) for part in one.arguments)) for one in plan(verdict.changes, here)]
    if verdict.disposition is Disposition.HOLD:
        calls.append(("quarantine", (verdict.reason,)))
    return _goes_on(calls)


# ── a milter ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def ask(letters: Sequence[Letter], socket: str | Path, timeout: float = 30.0) -> tuple[str, ...]:
    """What the daemon at this socket says to each; a connection for all that come from the same client."""
    found: dict[str, str] = {}
    clients: dict[tuple[str, ...], list[Letter]] = {}
    for letter in letters:
        one = letter.case
        clients.setdefault((one.client, one.client_name, one.helo, one.daemon, one.tls, one.tls_cipher), []).append(
            letter
        )
    for group in clients.values():
        with MilterClient(socket, timeout=timeout) as client:
            _greet(client, group[0].case)
            for letter in group:
                found[letter.name] = _asked(client, letter.case)
    return tuple(found[letter.name] for letter in letters)


def _greet(client: MilterClient, case: Case) -> None:
    six = ":" in case.client
    client.connect(
        case.client_name,
        f"IPv6:{case.client}" if six else case.client,
        family="6" if six else "4",
        macros={"j": "mx.example.com", "{daemon_name}": case.daemon, "v": "Postfix 3.7.11"},
    )
    if case.helo:
        client.helo(case.helo, (case.tls, case.tls_cipher) if case.tls else None)


def _asked(client: MilterClient, case: Case) -> str:
    at_mail = client.mail(
        case.sender or "",
        login=case.login,
        macros=_macros(case),
    )
    if at_mail not in (SILENT, CONTINUE):
        return f"MAIL {at_mail.text}"
    answers = [(one, client.rcpt(one)) for one in case.recipients]
    refused = [f"<{one}> {_reply(answer.text)}" for one, answer in answers if answer not in (SILENT, CONTINUE)]
    if len(refused) == len(answers):
        client.abort()
        return "; ".join(refused)
    return "; ".join([*refused, _outcome(_content(client, case))])


def _content(client: MilterClient, case: Case) -> Outcome:
    """From DATA to the dot, with a body that makes the message at least as large as the case says."""
    answers = [client.data(), *(client.header(name, value) for name, value in case.headers), client.end_of_headers()]
    answers += [client.body(b"x" * _BLOCK) for _ in range(-(-(case.size or 0) // _BLOCK))]
    early = [one for one in answers if one not in (SILENT, CONTINUE)]
    return Outcome(early[0]) if early else client.end_of_message()


def _macros(case: Case) -> dict[str, str | bytes]:
    who: dict[str, str | bytes] = {"{auth_type}": case.auth_type, "{auth_authen}": case.login} if case.login else {}
    return {"i": "", **who, "{mail_addr}": case.sender or "", "{mail_host}": "", "{mail_mailer}": "smtp"}


def _outcome(outcome: Outcome) -> str:
    if outcome.answer.code:
        return _reply(outcome.answer.text)
    if outcome.answer != CONTINUE:
        return outcome.answer.text
    return _goes_on([_call(edit) for edit in outcome.edits])


def _call(edit: Edit) -> tuple[str, tuple[str, ...]]:
    if edit.call == "chgheader":  # the packet has the index first
        return edit.call, (edit.arguments[1], edit.arguments[0], *edit.arguments[2:])
    return edit.call, edit.arguments


# ── both ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _reply(text: str) -> str:
    return _REFERENCE.sub("", text)


def _goes_on(calls: Sequence[tuple[str, tuple[str, ...]]]) -> str:
    return " ".join(["goes on", *sorted(f"{call}{list(arguments)}" for call, arguments in calls)])
