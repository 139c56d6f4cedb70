"""The demonstration's steps: each sends real mail, looks at what came of it, and says what was promised."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.demo.table import Row
from tests.e2e.harness.client import Outcome, a_message
from tests.e2e.harness.postfix import until
from tests.e2e.harness.sink import Arrival
from tests.e2e.harness.site import ALICE, BOB, Site

POLICIES = Path(__file__).resolve().parent / "policies"
QUEUED = r"^250 2\.0\.0 Ok: queued as \w+$"
_LIVE = """\
version: 1
rules:
  - id: stop-campaign
    description: The spring campaign was a mistake
    owner: postmaster
    when: {{header.x-campaign: spring}}
    do: {{{action}: {{code: "550 5.7.1", text: "The spring campaign is over ({{ref}})"}}}}
...
"""
DESCRIPTIONS = dict(
    re.findall(
        r"- id: (\S+)\n +description: (.+)\n",
        "".join([_LIVE, *(path.read_text() for path in sorted(POLICIES.glob("*.yaml")))]),
    )
)


def say(text: str) -> None:
    """Progress, for whoever waits."""
    print(f"demo: {text}", file=sys.stderr, flush=True)


class Demo:
    """The steps, on one site. Each method yields rows."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.marks: list[tuple[str, bool]] = []  # subject, and whether it may arrive
        self._count = 0

    def letter(
        self,
        title: str,
        promised: tuple[str, str, str],
        subject: str = "Hello",
        login: str = ALICE,
        to: str | Sequence[str] = BOB,
        **headers: str,
    ) -> Row:
        """Send one message, and make its row."""
        say(title)
        self._count += 1
        mark = f"demo-{self._count}."
        outcome = self.site.send(login=login, to=to, message=a_message(subject, x_demo=mark, **headers))
        return Row(title, self._reply(outcome), self._reason(outcome), self._arrived(outcome, mark, promised), promised)

    def _reply(self, outcome: Outcome) -> str:
        """The reply that decides; where one recipient was refused, that reply too."""
        final = outcome.replies[-1][1]
        refused = [str(reply) for _, reply in outcome.replies if not reply.good and reply is not final]
        return " / ".join([*refused, str(final)])

    def _reason(self, outcome: Outcome) -> str:
        """Out of the decision log: what ruled, on what, and what would have."""
        shown = re.search(r"\(([A-Z0-9]{10,})\)", str(outcome.final))
        key = outcome.queue_id or (shown[1] if shown else "")
        if not key:
            return "nobody decided: Postfix's own reply"
        reference = self.site.daemon.decision(key)["ref"]  # a refused recipient's line has the same one
        lines = [line for line in self.site.daemon.lines("decision") if line["ref"] == reference]
        return "; ".join(reason(line, DESCRIPTIONS) for line in sorted(lines, key=lambda line: line["timestamp"]))

    def _arrived(self, outcome: Outcome, mark: str, promised: tuple[str, str, str]) -> str:
        """What the next hop has, or where else the message is."""
        if not outcome.final.good and outcome.stage != "rcpt":
            return "nothing" if not self.site.sink.holding(mark) else "the message, though it was refused"
        held = self._held(outcome.queue_id)
        if held or "nothing" in promised[2]:
            until(lambda: not self._on_its_way(outcome.queue_id), "Postfix is done with it")
            found = self.site.sink.holding(mark)
            return "the message" if found else ("nothing; it is in the hold queue" if held else "nothing")
        return arrival_text(self.site.sink.wait_for(mark))

    def _held(self, queue_id: str) -> bool:
        return any(entry.queue_id == queue_id for entry in self.site.postfix.queued("hold"))

    def _on_its_way(self, queue_id: str) -> bool:
        return any(entry.queue_id == queue_id and entry.queue != "hold" for entry in self.site.postfix.queue())

    # ── the steps ────────────────────────────────────────────────────────────────────────────────────────────

    def verdicts(self) -> Iterator[Row]:
        """One message for each disposition."""
        yield self.letter("alice writes to bob", (QUEUED, "^no rule$", "^to bob@example.net$"))
        blocked = r"^550 5\.7\.1 Sending is blocked for this account, call the helpdesk \(\w+\)$"
        yield self.letter(
            "mallory, whose account is suspended",
            (blocked, "^suspended-account", "^nothing$"),
            login="mallory@example.com",
        )
        moving = r"^451 4\.7\.1 This partner is moving today, delivery will be tried again \(\w+\)$"
        yield self.letter(
            "to a partner that is moving", (moving, "^partner-moves", "^nothing$"), to="ops@partner.example.net"
        )
        script = "script@example.com"
        for number in (1, 2):
            self.site.send(f"report {number}", script)
        rated = r"^451 4\.7\.1 2 of 2 messages used, again in \d\d min \(\w+\)$"
        yield self.letter(
            "the third report of a script within an hour", (rated, "^rate-of-scripts", "^nothing$"), login=script
        )
        yield self.letter(
            "to an outsider, subject `Re: [Internal only] figures`",
            (QUEUED, "^internal-only", "^nothing; it is in the hold queue$"),
            subject="Re: [Internal only] figures",
        )
        yield self.letter(
            "a test alarm of the monitoring",
            (QUEUED, "^test-alarms", "^nothing$"),
            subject="[test alarm] disk full",
            login="monitor@example.com",
        )
        refused = rf"^550 5\.7\.1 We don't write to this company \(\w+\) / {QUEUED[1:]}"
        yield self.letter(
            "to bob, and to a competitor",
            (refused, "^competitor: .*; no rule$", "^to bob@example.net$"),
            to=[BOB, "sales@competitor.example"],
        )

    def edits(self) -> Iterator[Row]:
        """Headers and recipients."""
        yield self.letter(
            "from the laboratory, with X-Mailer",
            (QUEUED, "^label-lab", r"^to bob@example\.net; Subject: \[Lab\] Results; X-Department: laboratory$"),
            subject="Results",
            login="marie@lab.example.com",
            x_mailer="Penguin 1.0",
        )
        yield self.letter(
            "from finance",
            (QUEUED, "^journal-finance", r"^to bob@example\.net, journal@archive\.example\.com \(NOTIFY=NEVER\)$"),
            login="cfo@finance.example.com",
        )
        yield self.letter(
            "to bob, and to carol who left",
            (QUEUED, "^carol-left", r"^to bob@example\.net, dave@example\.org$"),
            to=[BOB, "carol@example.org"],
        )

    def shadow(self) -> Iterator[Row]:
        """A rule that is only tried."""
        yield self.letter(
            "a card number in the subject; that rule is in shadow",
            (QUEUED, "^would reject: card-number", "^to bob@example.net$"),
            subject="Pay with 4111 1111 1111 1111",
        )

    def broken(self) -> Iterator[Row]:
        """The broken entry that was there from the start."""
        yield self.alert("(the policy directory holds a broken entry)", r"50-broken\.yaml:7:12: .*subjekt", "lottery")
        yield self.letter(
            "what the broken rule meant to stop", (QUEUED, "^no rule$", "^to bob"), subject="You won the lottery"
        )
        answers = r"^550 5\.7\.1 Reply-To may not point to a free mailer \(\w+\)$"
        yield self.letter(
            "what its neighbour in that file stops",
            (answers, "^foreign-reply-to", "^nothing$"),
            reply_to="x@freemail.example",
        )

    def alert(self, title: str, promised: str, mark: str) -> Row:
        """A row about what `tidegate status` shows."""
        found = [alert for alert in self.site.daemon.status()["alerts"] if mark in json.dumps(alert)]
        text = "; ".join(f"alert: {alert['place']}: {alert['message']}" for alert in found)
        return Row(title, "", text, "", ("", promised, ""))

    def fault(self) -> Iterator[Row]:
        """The daemon is killed, and comes back."""
        say("kill -9 for the daemon and all its processes")
        self.site.daemon.kill()
        away = r"^451 4\.7\.1 Service unavailable - try again later$"
        yield self.letter("alice to bob, the daemon killed (-9)", (away, "^nobody decided", "^nothing$"))
        say("starting it again")
        self.site.daemon.start()
        yield self.letter("alice to bob, the daemon is back", (QUEUED, "^no rule$", "^to bob"))
        blocked = r"^550 5\.7\.1 Sending is blocked"
        yield self.letter("mallory again", (blocked, "^suspended-account", "^nothing$"), login="mallory@example.com")

    def live(self) -> Iterator[Row]:
        """Files are edited while it runs; nobody restarts or signals anything."""
        yield self.letter("X-Campaign: spring, no rule yet", (QUEUED, "^no rule$", "^to bob"), x_campaign="spring")
        say("saving 60-live.yaml; the daemon sees it by itself")
        number = self.site.daemon.generation
        self.site.daemon.policy("60-live.yaml", _LIVE.format(action="reject"))
        self.site.daemon.wait_for_generation(number + 1)
        over = r"^550 5\.7\.1 The spring campaign is over \(\w+\)$"
        ruled = (over, "^stop-campaign", "^nothing$")
        yield self.letter("the same, 60-live.yaml now there", ruled, x_campaign="spring")
        say("breaking 60-live.yaml")
        self.site.daemon.policy("60-live.yaml", _LIVE.format(action="rejekt"))
        until(lambda: "stop-campaign" in json.dumps(self.site.daemon.status()["alerts"]), "the alert")
        yield self.alert("(a typing error in 60-live.yaml)", r"60-live\.yaml:7:\d+: .*rejekt", "stop-campaign")
        yield self.letter("the same; the last valid version serves", ruled, x_campaign="spring")
        say("deleting 60-live.yaml")
        number = self.site.daemon.generation
        (self.site.daemon.policies / "60-live.yaml").unlink()
        self.site.daemon.wait_for_generation(number + 1)
        yield self.letter("the same, 60-live.yaml deleted", (QUEUED, "^no rule$", "^to bob"), x_campaign="spring")


def reason(line: dict[str, Any], descriptions: Mapping[str, str]) -> str:
    """One decision line as a person would say it: which rule, and what that rule is for."""
    names = [line["rule"]] if line.get("rule") else line.get("rules", [])
    parts = [f"{name}: {descriptions.get(name, '')}" for name in names] or ["no rule"]
    if line.get("would"):
        parts = [f"would {line['would']}: {', '.join(line.get('would_rules', []))}"]
    if line.get("stage") == "rcpt":
        parts.append(f"(for {line['rcpt']})")
    return " ".join(parts)


def arrival_text(arrival: Arrival) -> str:
    """Recipients, and of the headers those that the policies change."""
    recipients = ", ".join(
        recipient.address + (f" (NOTIFY={recipient.notify})" if recipient.notify else "")
        for recipient in sorted(arrival.recipients, key=lambda one: one.address)
    )
    subject = arrival.headers("subject")[0].decode()
    parts = [f"to {recipients}"]
    parts += [f"Subject: {subject}"] if subject.startswith("[") else []
    for name in ("X-Department", "X-Mailer"):
        parts += [f"{name}: {value.decode()}" for value in arrival.headers(name)]
    return "; ".join(parts)


def policies() -> dict[str, bytes]:
    """The policy files that the demonstration starts with."""
    return {
        str(path.relative_to(POLICIES)): path.read_bytes() for path in sorted(POLICIES.rglob("*")) if path.is_file()
    }
