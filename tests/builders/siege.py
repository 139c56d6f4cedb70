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
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from tests.builders.milterclient import MilterClient
from tests.builders.mutations import Mutation
from tests.builders.scenes import RULES, Probe, Scene
from tests.e2e.harness.daemon import Daemon, current

ANSWERS_WITHIN = 10.0  # seconds; promise P1
LOADED_WITHIN = 90.0  # a load may lose its child several times

_STANDS = ("active", "shadow", "off", "expired")  # written, and valid
_VICTIM = "50-victim.yaml"
_TAIL = 32_768  # bytes of the log that hold the last lines


class Siege:
    """A daemon with a steady file and a victim."""

    def __init__(self, scene: Scene = RULES) -> None:
        self.good = scene.victim.encode()
        self.probes = scene.probes
        self.daemon = Daemon({"10-steady.yaml": scene.steady, _VICTIM: self.good}, poll="1h")
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
        if got == probe.expected or (edited and (not probe.steady or code[:1] == probe.expected[:1])):
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
        root = yaml.load(data, Loader=yaml.BaseLoader)  # the one in Python, for which all scalars are texts
    except (yaml.YAMLError, ValueError, RecursionError, AttributeError):
        return None
    if not isinstance(root, dict):
        return None
    maps = [root.get(section) for section in ("lists", "conditions")]
    rules = root.get("rules")
    named = {str(name) for one in maps if isinstance(one, dict) for name in one}
    return named | {str(one.get("id")) for one in (rules if isinstance(rules, list) else ()) if isinstance(one, dict)}
