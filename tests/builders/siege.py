"""One live daemon under damaged policies: what it must still do, whatever lies in its directory.

    with Siege() as siege:
        assert [] == siege.endure(Mutation("empty", b""))

Promises: a complaint for everything that breaks a promise (P1, P2, P4, P5, P6, P8, P9), in words; the directory is as
before after each call. Refuses: to predict what a *valid* edit does; it only asks that a verdict which changed has such
an edit behind it, or is a 451 that a doubt allows.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from tests.builders.milterclient import MilterClient
from tests.builders.mutations import Mutation
from tests.e2e.harness.daemon import Daemon, current

ANSWERS_WITHIN = 10.0  # seconds; promise P1
LOADED_WITHIN = 90.0  # a load may lose its child several times

STEADY = """\
version: 1
lists:
  relay-networks: {type: ip, items: [10.20.0.0/16]}
  own-domains: {type: domain, items: [example.com, .example.com]}
rules:
  - id: steady
    when: {subject: {prefix: steady}}
    do: {reject: {code: "550 5.7.1", text: "{rule} says no ({ref})"}}
...
"""
VICTIM = """\
# A bit of everything.
version: 1
lists:
  suspended: {type: login, items: [mallory, "eve@example.com"]}
  partners:
    type: domain
    items:
      - partner.example.net   # one
      - .partner.example.net
conditions:
  leaves-us: {any_rcpt: {external: true}}
  secret: {subject: {contains: [secret, confidential]}}
rules:
  - id: alpha
    description: a plain one
    priority: 20
    when: {subject: {prefix: alpha}}
    do: {reject: {code: "550 5.7.1", text: "{rule} says no ({ref})"}}
  - id: beta
    description: |
      Quotes another rule, which must never be in force:
        - id: quoted
          when: always
          do: {reject: {code: "554 5.7.1", text: "{rule} says no"}}
    tags: [account]
    when:
      all:
        - login: {in: suspended}
        - use: leaves-us
    do:
      reject: {code: "550 5.7.1", text: "{rule} says no ({ref})"}
    examples:
      match: [{login: mallory, rcpt: [a@example.net]}]
  - {id: gamma, when: {subject: {matches: 'gam{1,3}a\\b'}}, do: {hold: {reason: "look"}}}
  - id: delta
    when: {use: secret, not: {any_rcpt: {domain: {in: partners}}}}
    do: {reject: {code: "553 5.7.1", text: "{rule} says no ({ref})"}}
    on_invalid: defer
    scope: {directions: [outbound]}
  - id: epsilon
    when: {localpart: nobody}
    per_recipient: true
    do: {reject: {code: "550 5.1.1", text: "{rule} says no ({ref})"}}
  - id: zeta
    when: {sender.address: chief@example.com}
    do: {exempt: [alpha]}
  - id: eta
    when: {header.x-late: {exists: true}}
    do: {defer: {code: "451 4.7.1", text: "{rule} says later ({ref})"}}
  - id: theta
    when: {header.x-label: {glob: "a*z"}}
    do: {add_header: {X-Labelled: "by {rule}"}, prefix_subject: "[label] "}
  - id: iota
    mode: shadow
    when: always
    do: {reject: {code: "550 5.7.1", text: "{rule} says no ({ref})"}}
...
"""


@dataclass(frozen=True, slots=True)
class Probe:
    """One message and what it gets under the sound policies: `550 alpha`, `continue`, `hold`, `continue+addheader`."""

    name: str
    expected: str
    subject: str = "hello"
    login: str = "alice"
    sender: str = "alice@example.com"
    to: str = "bob@example.net"
    header: tuple[str, str] = ("X-None", "x")
    may_wait: bool = False  # what a broken edit allowed, or may have allowed, is in doubt
    steady: bool = False  # its rule stands in another file


PROBES = (
    Probe("nothing to say", "continue"),
    Probe("steady", "550 steady", subject="steady", steady=True),
    Probe("alpha", "550 alpha", subject="alpha", may_wait=True),  # `zeta` may exempt it
    Probe("beta", "550 beta", login="mallory"),
    Probe("beta within", "continue", login="mallory", to="carol@example.com", may_wait=True),
    Probe("gamma", "hold", subject="a gamma ray"),
    Probe("delta", "553 delta", subject="our secret", may_wait=True),
    Probe("delta to a partner", "continue", subject="our secret", to="x@a.partner.example.net", may_wait=True),
    Probe("epsilon", "550 epsilon", to="nobody@example.net"),
    Probe("zeta", "continue", subject="alpha", sender="chief@example.com", may_wait=True),
    Probe("eta", "451 eta", header=("X-Late", "x")),
    Probe("theta", "continue+addheader+chgheader", header=("X-Label", "abz")),
)
_STANDS = ("active", "shadow", "off", "expired")  # written, and valid
_VICTIM = "50-victim.yaml"
_TAIL = 32_768  # bytes of the log that hold the last lines


class Siege:
    """A daemon with a steady file and a victim."""

    def __init__(self, victim: str = VICTIM, probes: tuple[Probe, ...] = PROBES) -> None:
        self.good = victim.encode()
        self.probes = probes
        self.daemon = Daemon({"10-steady.yaml": STEADY, _VICTIM: self.good}, poll="1h")
        self._before: dict[str, tuple[str, str]] = {}
        self._processes: list[int] = []

    def __enter__(self) -> Self:
        self.daemon.__enter__()
        self.daemon.wait_for_generation(1)
        wrong = [*self._as_before()]
        assert not wrong, (wrong, self.daemon.status()["alerts"])
        self._before = self._entries(self.daemon.status())
        self._processes = self.daemon.workers()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.daemon.__exit__(kind, error, trace)

    @property
    def victim(self) -> Path:
        """The file under attack."""
        return self.daemon.policies / _VICTIM

    def emptied(self) -> Path:
        """Its place, with nothing there."""
        self.victim.unlink()
        return self.victim

    # ── one attack ───────────────────────────────────────────────────────────────────────────────────────────

    def endure(self, mutation: Mutation) -> list[str]:
        """Put it there, look, take it back, look again; what is wrong."""
        self.daemon.policy(_VICTIM, mutation.data)
        found = [*self.look(mutation.data)]
        self.daemon.policy(_VICTIM, self.good)
        found += self.restored()
        return [f"{mutation.name}: {complaint}" for complaint in found]

    def look(self, data: bytes | None = None) -> Iterator[str]:
        """Load what lies there, and judge the daemon. `data` is what the victim holds, None where it can't be read."""
        status = self.load()
        now = self._entries(status)
        changed = {key for key in self._before.keys() | now.keys() if self._before.get(key) != now.get(key)}
        valid = {key for key in changed if now.get(key, ("",))[0] in _STANDS}
        gone = {key for key in changed if key not in now}
        ids = _ids(data) if data is not None else None
        for key in sorted(gone):
            if ids is None or key.partition(" ")[2] in ids:
                yield f"{key} is gone, and the file does not say so"
        for probe in self.probes:
            got, reference, seconds = self.ask(probe)
            if seconds > ANSWERS_WITHIN:
                yield f"{probe.name}: {seconds:.1f} s for an answer"
            if got.startswith("451") and "deferring" in {now[key][0] for key in changed & now.keys()}:
                continue  # a new entry asks for that, by `on_invalid: defer`
            yield from self._weigh(probe, got, reference, now, bool(valid | gone))
        broken = changed - valid - gone
        places = [alert["place"] for alert in status["alerts"]]
        if broken and not any(_names_a_place(place) for place in places):
            yield f"{sorted(broken)} changed, and no alert names a place: {places}"
        if self.daemon.workers() != self._processes:
            yield f"the workers were {self._processes}, they are {self.daemon.workers()}"

    def _weigh(
        self, probe: Probe, got: str, reference: str, now: dict[str, tuple[str, str]], edited: bool
    ) -> Iterator[str]:
        code = got.partition(" ")[0]
        if code.startswith("5"):
            rule = self._rule_behind(reference)
            if now.get(f"rule {rule}", ("",))[0] not in ("active", "stale"):
                yield f"{probe.name}: {got} by the rule {rule!r}, which is not in force"
        if got == probe.expected or (edited and (not probe.steady or code == probe.expected[:3])):
            return
        if not (probe.may_wait and code == "451"):
            yield f"{probe.name}: {got} instead of {probe.expected}"

    def restored(self) -> Iterator[str]:
        """The good file is back: all is as it was, and no alert is left."""
        status = self.load()
        if status["alerts"]:
            yield f"after the revert there is still {[alert['message'] for alert in status['alerts']]}"
        if self._entries(status) != self._before:
            yield "after the revert other entries are in force"
        yield from self._as_before()

    def _as_before(self) -> Iterator[str]:
        for probe in self.probes:
            got, _, _ = self.ask(probe)
            if got != probe.expected:
                yield f"{probe.name} under sound policies: {got} instead of {probe.expected}"

    # ── the daemon ───────────────────────────────────────────────────────────────────────────────────────────

    def load(self) -> dict[str, Any]:
        """HUP, and the status once the load is over and every worker has its generation."""
        before = int(self.daemon.status()["load"]["count"])
        self.daemon.signal(signal.SIGHUP)
        end = time.monotonic() + LOADED_WITHIN
        while time.monotonic() < end:
            assert not self.daemon.ended, self.daemon.said()
            status = self.daemon.status()
            if int(status["load"]["count"]) > before and not status["load"]["busy"] and current(status):
                return status
            time.sleep(0.01)
        raise TimeoutError(f"not loaded within {LOADED_WITHIN} s\n{self.daemon.said()}")

    def ask(self, probe: Probe) -> tuple[str, str, float]:
        """(what the message got, the reference in the reply, seconds)."""
        began = time.monotonic()
        with MilterClient(self.daemon.socket, timeout=2 * ANSWERS_WITHIN) as client:
            client.greet()
            outcome = client.message(
                [("From", probe.sender), ("Subject", probe.subject), probe.header],
                sender=probe.sender,
                recipients=(probe.to,),
                login=probe.login,
            )
        text = outcome.answer.text
        reference = text.rpartition("(")[2].partition(")")[0]
        return _shown(text, [edit.call for edit in outcome.edits]), reference, time.monotonic() - began

    def _rule_behind(self, reference: str) -> str:
        """The rule that the decision line names: that of a refusal is written before the refusal is given."""
        tail = self.daemon.log.read_bytes()[-_TAIL:].decode("utf-8", "replace").split("\n")
        rows = [json.loads(line) for line in tail[1:] if f'"{reference}"' in line]
        return next((str(row["rule"]) for row in rows if "rule" in row), "")

    def _entries(self, status: dict[str, Any]) -> dict[str, tuple[str, str]]:
        return {str(entry["key"]): (str(entry["state"]), str(entry["digest"])) for entry in status["entries"]}


def _shown(answer: str, edits: list[str]) -> str:
    if answer[:3].isdigit():
        code, _, text = answer.split(" ", 2)
        return f"{code} {text.split(' ')[0]}"
    return "hold" if "quarantine" in edits else "+".join([answer, *sorted(edits)])


def _names_a_place(place: str) -> bool:
    name, *numbers = place.rsplit(":", 2)
    return bool(name) and len(numbers) == 2 and all(number.isdigit() and int(number) for number in numbers)


def _ids(data: bytes) -> set[str] | None:
    """All names in the file, by another YAML reader than Tidegate's; None where that can't read it."""
    try:
        root = yaml.load(data, Loader=yaml.SafeLoader)  # the one in Python
    except (yaml.YAMLError, ValueError, RecursionError, AttributeError):
        return None
    if not isinstance(root, dict):
        return None
    names = {str(name) for section in ("lists", "conditions") for name in root.get(section) or ()}
    rules = root.get("rules")
    return names | {str(one.get("id")) for one in rules or () if isinstance(one, dict)}
