"""The brake by hand: what `tidegate brake` asks for, and what the brake file says.

Promises: every brake has an end, at most seven days ahead; nothing is eased where one of the names is not known; rules
with `brake: keep` stay where all rules, or those of a tag, are eased. Refuses: easing by itself (automatic.py does).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.channel import Packet
from tidegate.live.brakefile import EVERYTHING, LONGEST, Found, Line, read_lines
from tidegate.live.restraints import By, Hold
from tidegate.loader.report import Report
from tidegate.model import Easing
from tidegate.policy.suggest import nearest
from tidegate.supervisor.automatic import Automatic
from tidegate.supervisor.boot import Booted
from tidegate.supervisor.conditions import Conditions
from tidegate.supervisor.generations import Generations
from tidegate.supervisor.ladder import Ladder
from tidegate.supervisor.restrainer import Restrainer

SHORTEST = 60.0  # seconds
_NAMES = 500  # in one request
_TOLD = 5  # holds that an alert names
_OFF = (By.HAND, By.AUTOMATIC, By.EXPECT)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What names come to: rules, those of them that stay, and names that nobody has, each with the nearest one."""

    rules: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    unknown: Mapping[str, str] | None = None


class Brake:
    """Answers `tidegate brake` and reads what the clerk found in the file."""

    def __init__(
        self,
        booted: Booted,
        generations: Generations,
        restrainer: Restrainer,
        conditions: Conditions,
        ladder: Ladder,
    ) -> None:
        self._automatic = Automatic(booted, generations, restrainer, conditions, ladder)
        self._restrainer = restrainer
        self._picture = generations.picture
        self._conditions = conditions
        self._file: Found | None = None
        self._read_for: Report | None = None

    def choose(self, names: Sequence[str]) -> Chosen:
        """Ids, or tags, as rules."""
        report = self._picture.report
        tags, known = report.hints.tags, frozenset(report.rules)
        rules: dict[str, None] = {}
        kept: dict[str, None] = {}
        unknown: dict[str, str] = {}
        for name in names:
            if name in known:
                rules[name] = None
            elif name in tags:
                for rule in tags[name]:
                    (kept if rule in report.hints.kept else rules)[rule] = None
            else:
                unknown[name] = nearest(name, (*report.rules, *tags))
        return Chosen(tuple(rules), tuple(one for one in kept if one not in rules), unknown)

    def answer(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """One request of `tidegate brake on` or `off`."""
        names = request.get("names")
        if not isinstance(names, list) or len(names) > _NAMES or not all(isinstance(one, str) for one in names):
            return {"error": f"names are a list of at most {_NAMES} texts"}
        everything = request.get("all") is True
        chosen = self.choose(names)
        if chosen.unknown:
            return {"error": _unknown(chosen.unknown)}
        if not everything and not names:
            return {"error": "name rules or tags, or say --all"}
        return self._on(request, chosen, everything) if request.get("on") is True else self._off(chosen, everything)

    def _on(self, request: Mapping[str, Any], chosen: Chosen, everything: bool) -> Mapping[str, Any]:
        seconds = request.get("seconds")
        if not isinstance(seconds, int | float) or not SHORTEST <= seconds <= LONGEST:
            return {"error": "a brake lasts from one minute to seven days"}
        now = time.time()
        easing = Easing.SOFT if request.get("soft") is True else Easing.SHADOW
        reason = str(request.get("reason") or "")[:200]
        rules = ("", *chosen.rules) if everything else chosen.rules
        holds = [Hold(rule, easing, By.HAND, reason, now, now + seconds) for rule in rules]
        self._restrainer.ease(holds, self._conditions)
        hints = self._picture.report.hints
        return {
            "done": True,
            "all": everything,
            "easing": easing.value,
            "rules": list(chosen.rules),
            "kept": sorted(hints.kept - {*chosen.rules}) if everything else list(chosen.kept),
            "only_exempt": sorted(hints.exempting & {*chosen.rules}),
            "until": now + seconds,
        }

    def _off(self, chosen: Chosen, everything: bool) -> Mapping[str, Any]:
        wanted = frozenset(chosen.rules) | frozenset(chosen.kept)
        gone = [one for one in self._restrainer.holds.of(*_OFF) if everything or one.rule in wanted]
        self._restrainer.release(gone, self._conditions)
        self._automatic.pardon(one.rule for one in gone if one.rule and one.by is not By.HAND)
        left = [one for one in self._restrainer.holds.all.values() if everything or one.rule in wanted or not one.rule]
        return {
            "done": True,
            "released": [one.document() for one in gone],
            "left": [one.document() for one in left],
        }

    def heard(self, packet: Packet) -> None:
        """What the clerk says of the file."""
        text, written, error = (packet.values.get(name) for name in ("text", "written", "error"))
        if isinstance(text, str) and isinstance(written, float | int) and isinstance(error, str):
            self.file(Found(text, float(written), error))

    def file(self, found: Found) -> None:
        """The brake file as the clerk found it."""
        self._file, self._read_for = found, None
        self._look_at_the_file()

    def start(self) -> None:
        """The daemon begins."""
        self._automatic.start()
        self._picture.parts["brake"] = self._automatic.document

    def tick(self, now: float) -> None:
        """End what is over, look at who is hit, and tell what people eased; `now` in POSIX seconds."""
        self._restrainer.tick(now, self._conditions)
        self._look_at_the_file()
        self._automatic.tick(now)
        told = self._restrainer.holds.of(By.HAND, By.FILE)
        self._conditions.judge("brake-on", _summary(told) if told else "")

    def _look_at_the_file(self) -> None:
        """Read it, or read it anew for another generation: names may be rules now."""
        report = self._picture.report
        if self._file is not None and self._picture.number and self._read_for is not report:
            self._read_for = report
            self._read(self._file)

    def _read(self, file: Found) -> None:
        if file.error:
            self._conditions.raise_("brake-file", f"the brake file can't be read: {file.error}; what it eased stays so")
            return
        lines, problems = read_lines(file.text, file.written)
        wanted: dict[str, Hold] = {}
        unknown: dict[str, str] = {}
        for line in lines:
            for hold in self._holds(line, file.written, unknown):
                wanted[hold.rule] = hold
        if unknown:
            problems = (*problems, _unknown(unknown))
        self._conditions.judge("brake-file", "; ".join(problems[:_TOLD]))
        now = time.time()
        standing = {one.rule: one for one in self._restrainer.holds.of(By.FILE)}
        fresh = [one for one in wanted.values() if now < one.until and standing.get(one.rule) != one]
        self._restrainer.release([one for one in standing.values() if one.rule not in wanted], self._conditions)
        self._restrainer.ease(fresh, self._conditions)

    def _holds(self, line: Line, written: float, unknown: dict[str, str]) -> Iterable[Hold]:
        if line.what == EVERYTHING:
            return (Hold("", line.easing, By.FILE, line.reason, written, line.until),)
        chosen = self.choose((line.what,))
        unknown.update(chosen.unknown or {})
        return (Hold(rule, line.easing, By.FILE, line.reason, written, line.until) for rule in chosen.rules)


def _unknown(names: Mapping[str, str]) -> str:
    each = [f"`{name}`" + (f" (did you mean `{near}`?)" if near else "") for name, near in list(names.items())[:_TOLD]]
    more = f", and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
    return f"no rule and no tag is called {', '.join(each)}{more}"


def _summary(holds: Sequence[Hold]) -> str:
    """What is eased by people, in one line."""
    every = sorted(holds, key=lambda one: (one.rule != "", one.rule))
    said = [
        f"{one.rule or 'all rules'}: {one.easing.value} {_end(one.until)}" + (f" ({one.reason})" if one.reason else "")
        for one in every[:_TOLD]
    ]
    more = [f"and {len(every) - _TOLD} more"] if len(every) > _TOLD else []
    return f"the brake is on: {'; '.join([*said, *more])}"


def _end(moment: float) -> str:
    """When it ends; a hold of a record that some other hand wrote may have no end."""
    if not math.isfinite(moment):
        return "without an end"
    return f"until {time.strftime('%Y-%m-%d %H:%MZ', time.gmtime(moment))}"
