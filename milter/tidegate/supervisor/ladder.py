"""The ladder: which generation serves where the policies on disk can't, or must not.

Rungs: the candidate (what is on disk; broken entries as they last were) → the newest proven generation that this
machine can use, or, without any, what was for all when a canary began → the packaged baseline, if every configured
source was read → none, and all mail is deferred.

Promises: a rung below the first raises an alert that names it, and the next load that comes to something climbs back to
the first. A generation in quarantine never goes live. Nothing here blocks: images are read in a child.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

import structlog

import tidegate
from tidegate import live, patterns
from tidegate.alerts import problem
from tidegate.channel import content
from tidegate.live import proven
from tidegate.loader.confine import Confined, Death
from tidegate.loader.report import Report, decode_record, encode, problem_from, problem_json
from tidegate.model import Place, Problem, Severity
from tidegate.supervisor.conditions import Conditions
from tidegate.supervisor.errands import Errands
from tidegate.supervisor.generations import Generations
from tidegate.supervisor.loads import Loads, Outcome
from tidegate.supervisor.picture import Standing

_RECALL = "recall"
_BESIDE = "beside"

_log = structlog.get_logger()


class Rung(str, Enum):
    """Where what is in force comes from."""

    CANDIDATE = "candidate"
    PROVEN = "proven"
    BASELINE = "baseline"
    NONE = "none"


@dataclass(slots=True)
class Ladder:
    """One daemon's."""

    state: str
    generations: Generations
    conditions: Conditions
    errands: Errands
    baseline: Loads | None = None  # how it is loaded; None: the settings switch it off
    rung: Rung = Rung.NONE
    why: str = ""  # what is in force is not what is on disk
    known: tuple[proven.Proven, ...] = ()
    beside: proven.Proven | None = None  # what was for all when a canary began, not proven
    quarantine_: live.Quarantine = field(default_factory=live.Quarantine)
    _candidate: str = ""  # digest of what the last load came to
    _rolled_back: bool = False  # what serves is proven because what was on disk did harm, or was on trial
    _only: str = ""  # digest of the one that may be recalled: a canary ran beside it when a daemon ended
    _soaked: bool = True  # is what serves from the record proven?
    _unsaved: bool = False
    _hurried: bool = False  # what is proven was looked for during the first load
    _skip: frozenset[str] = frozenset()  # files that killed a child
    _passed: tuple[Problem, ...] = ()  # what was wrong with proven generations that were passed over

    def start(self) -> None:
        """Read what an earlier daemon left; `known` is what it proved. What a canary ran beside serves at once."""
        self.quarantine_, problems = live.read_quarantine(self.state)
        self.known, self.beside = proven.known(self.state), proven.beside(self.state)
        self.generations.canaries.begun = self._keep_beside
        self.generations.highest = max((one.number for one in self._all()), default=0)
        self._only, damaged = live.read_interrupted(self.state)
        self.conditions.records((*problems, *damaged))
        if any(one.digest == self._only for one in self._all()):
            self._recall()
        else:
            self._only = ""

    def _all(self) -> tuple[proven.Proven, ...]:
        return self.known if self.beside is None else (*self.known, self.beside)

    @property
    def busy(self) -> bool:
        """Is a rung being looked for?"""
        return self.errands.busy(_RECALL) or (self.baseline is not None and self.baseline.busy)

    # ── loads ────────────────────────────────────────────────────────────────────────────────────────────────

    def loaded(self, outcome: Outcome) -> tuple[Problem, ...]:
        """A load ended. Returns the problems of the policies that stand now."""
        report = outcome.report
        if self._unsaved:
            self._save()
        if report is None or not report.image:
            problems = self.generations.failed(outcome)
            self._without("the policies can't be loaded")
            return problems
        barred = self.quarantine_.find(report.digest, report.sources_digest, tidegate.__version__)
        if barred:
            problems = self.generations.refused(outcome)
            self._tell(barred)
            self._without("the policies on disk are in quarantine")
            return problems
        self.conditions.settle("generation-quarantined")
        self.conditions.settle("no-way-back")
        # What serves because nothing else could is no generation that a canary had to be compared with.
        at_once = self.rung is not Rung.CANDIDATE and not self._rolled_back
        problems = self.generations.arrived(outcome, at_once)
        self._candidate = report.digest
        self.stand()
        return problems

    def _without(self, why: str) -> None:
        """The load brought nothing that can serve."""
        if self.rung is Rung.CANDIDATE:
            return  # the last generation stays
        self.why = why
        if self.rung is Rung.NONE:
            self._recall()
        self._judge()

    def meanwhile(self) -> None:
        """The first load takes long: what is proven serves until it is done."""
        if self.rung is Rung.NONE and self._all() and not self._hurried:
            self._hurried = True
            self._recall()

    # ── the brake's way back ─────────────────────────────────────────────────────────────────────────────────

    def quarantine(self, digest: str, why: str) -> None:
        """This generation must not go live again until its content changes or a person says so."""
        picture, trial = self.generations.picture, self.generations.picture.trial
        sources, number = "", 0
        if trial is not None and trial.digest == digest:
            sources, number = trial.sources_digest, picture.trial_number
        elif picture.report.digest == digest:
            sources, number = picture.report.sources_digest, picture.number
        barred = live.Barred(
            digest,
            sources,
            number,
            tidegate.__version__,
            why,
            time.time(),
        )
        self.quarantine_ = self.quarantine_.with_(barred)
        self._save()
        self._tell(barred)
        _log.error("generation quarantined", generation=barred.number, digest=digest[:16], reason=why)

    def lift(self) -> None:
        """A person says that what is in quarantine is meant; the next load may take it."""
        self.quarantine_ = live.Quarantine()
        self._save()
        self.conditions.settle("generation-quarantined")
        _log.warning("quarantine lifted")

    def roll_back(self, why: str = "") -> None:
        """The newest proven generation but the one in force comes back; an alert tells where there is none.

        `why`: "": for the reason of the newest quarantine.
        """
        newest = self.quarantine_.barred[-1:]
        self._recall(why or (newest[0].why if newest else "it was rolled back"))

    def _tell(self, barred: live.Barred) -> None:
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(barred.since))
        name = f"generation {barred.number}" if barred.number else f"the generation {barred.digest[:16]}"
        self.conditions.raise_("generation-quarantined", f"{name} is in quarantine since {since}: {barred.why}")

    def _save(self) -> None:
        try:
            live.write_quarantine(self.state, self.quarantine_)
        except OSError as error:
            self._unsaved = True
            text = f"the quarantine can't be recorded, and ends with this daemon: {error.strerror}"
            self.conditions.raise_("quarantine-unwritable", text)
        else:
            self._unsaved = False
            self.conditions.settle("quarantine-unwritable")

    # ── what is proven ───────────────────────────────────────────────────────────────────────────────────────

    def _recall(self, back: str = "") -> None:
        """Fetch the newest proven generation that may serve. `back`: why the one in force has to leave for it."""
        if self.busy:
            return
        barred = self.quarantine_.digests | {self.generations.picture.report.digest}
        if self._only:
            barred |= {one.digest for one in self._all() if one.digest != self._only}
        state, skip = self.state, self._skip
        try:
            self.errands.start(
                _RECALL,
                lambda child: recall(child, state, barred, skip, bool(back)),
                lambda child, death: self._recalled(child, death, back),
            )
        except OSError as error:
            self._nothing(back, f"no process is to be had to read it: {error.strerror}")

    def _recalled(self, child: Confined, death: Death | None, back: str) -> None:
        if death is not None:
            self._died(death, back)
            return
        head, report, problems = answer(child)
        if head is None or report is None:
            self._nothing(back, "none is on record that can serve here")
        elif back or self.rung is Rung.NONE:  # else the candidate came meanwhile
            self._take(head, report, child.extra, back)
        self.conditions.records((*self._passed, *problems))
        self._passed = ()

    def _died(self, death: Death, back: str) -> None:
        """A file killed the child that read it: the next one."""
        name = death.culprit
        _log.error("recall died", reason=death.text, file=name)
        text = f"reading a proven generation failed: {death.text}"
        self._passed = (*self._passed, problem("proven-unusable", text, Place(name, 0, 0), Severity.WARNING))
        if name and name not in self._skip:
            self._skip |= {name}
            self._recall(back)
        else:
            self._nothing(back, text)

    def _take(self, head: proven.Proven, report: Report, image: int, back: str) -> None:
        self.rung, self._rolled_back, self._soaked = Rung.PROVEN, bool(back or self._only), head.proven > 0
        self._only = ""
        self.why = back or self.why
        self._candidate = ""
        if back and not self.generations.loads.busy:  # else what lies there is that load's
            self.generations.canaries.acceptance.loaded(replace(report, recorded=True))
        self.generations.take(replace(report, problems=(), number=head.number), image)
        self.generations.announce()
        self.conditions.settle("no-way-back")
        self._judge()
        _log.warning("proven generation serves", generation=head.number, digest=head.digest[:16], reason=self.why)

    def _nothing(self, back: str, why: str) -> None:
        self._only = ""
        if back:
            self.conditions.raise_("no-way-back", f"there is no proven generation to go back to: {why}")
        elif self.why and self.rung is Rung.NONE and self.baseline:
            self.baseline.ask()
        elif self.why:
            self._judge()

    def baseline_loaded(self, outcome: Outcome) -> None:
        """The last rung that serves was loaded, or may not serve."""
        if self.rung is not Rung.NONE:
            return  # the candidate came meanwhile
        report = outcome.report
        if report is None or not report.image:
            found = (*outcome.problems, *(report.problems if report else ()))
            _log.error("baseline refused", reasons=[one.message for one in found][:5])
            self._judge(f" (the baseline may not: {found[-1].message})" if found else "")
            return
        self.rung = Rung.BASELINE
        self.generations.take(replace(report, problems=()), outcome.image)
        self.generations.announce()
        self._judge()
        self.conditions.entries_changed()
        _log.error("baseline serves", generation=self.generations.picture.number, reason=self.why)

    def _judge(self, more: str = "") -> None:
        """The alerts of the rung that serves. `more`: why not even the baseline does."""
        number = self.generations.picture.number
        name = f"proven generation {number} serves"
        if not self._soaked:
            name = f"generation {number} serves, which was for all before, and is not proven"
        texts = {
            Rung.PROVEN: ("proven-serves", f"{self.why}: {name}"),
            Rung.BASELINE: ("baseline-serves", f"{self.why}, and none is proven: the packaged baseline serves"),
            Rung.NONE: ("no-generation", f"{self.why}, and nothing else can serve{more}: all mail is deferred"),
        }
        for rung, (code, text) in texts.items():
            self.conditions.judge(code, text if self.why and rung is self.rung and not self.busy else "")

    # ── beside a canary ──────────────────────────────────────────────────────────────────────────────────────

    def _keep_beside(self) -> None:
        """A canary begins: what is for all stays at hand, or a restart would force what is on trial on all senders."""
        picture, offer = self.generations.picture, self.generations.handover.offer
        report = picture.report
        if offer is None or any(one.digest == report.digest for one in self._all()) or self.errands.busy(_BESIDE):
            return
        head = proven.Proven(
            picture.number,
            report.digest,
            report.sources_digest,
            "",
            tidegate.__version__,
            patterns.version(),
            picture.since,
            0.0,
        )
        state, image = self.state, os.dup(offer.image)

        def work(_child: Confined) -> None:
            proven.keep_beside(state, head, encode(replace(report, problems=())), content(image))

        def done(_child: Confined, death: Death | None) -> None:
            self.beside = proven.beside(state)
            if death:
                _log.error("canary not recorded", generation=head.number, reason=death.text)

        try:
            self.errands.start(_BESIDE, work, done, spare=3 * os.fstat(image).st_size)
        except OSError as error:
            _log.error("canary not recorded", generation=head.number, reason=error.strerror)
        finally:
            os.close(image)

    def _tidy_beside(self) -> None:
        """Another one is for all by now."""
        picture = self.generations.picture
        if self.beside is None or not picture.number or picture.report.digest == self.beside.digest:
            return
        self.beside = None
        try:
            proven.drop_beside(self.state)
        except OSError as error:
            _log.error("canary not recorded", file=proven.NAME, reason=error.strerror)

    def stand(self) -> None:
        """Has the candidate come into force, at once or after its trial? And into the picture, for the metrics."""
        self._tidy_beside()
        if self.rung is not Rung.CANDIDATE and self._candidate == self.generations.picture.report.digest != "":
            self.rung, self.why, self._rolled_back = Rung.CANDIDATE, "", False
            self._judge()
        newest = max((one.proven for one in self.known), default=0.0)
        self.generations.picture.standing = Standing(
            self.rung.value, len(self.known), newest, len(self.quarantine_.barred)
        )

    def document(self) -> dict[str, Any]:
        """For the status."""
        return {
            "rung": self.rung.value,
            "why": self.why,
            "proven": [one.document() for one in self.known],
            "quarantine": [one.document() for one in self.quarantine_.barred],
        }


def recall(child: Confined, state: str, barred: frozenset[str], skip: frozenset[str], back: bool = False) -> None:
    """In a child: leave the newest usable image in `extra`, and what is known of it in `result`.

    `back`: what was in force did harm, so its texts must not serve again either: those of this one take their place.
    """
    opened, problems = proven.newest(state, barred, skip, child.progress, decode_record)
    if back and opened is not None:
        problems = (*problems, *proven.recall_texts_of(state, opened.head))
    told = json.dumps([problem_json(one) for one in problems]).encode()
    parts = (b"", b"", told) if opened is None else (json.dumps(opened.head.document()).encode(), opened.report, told)
    _fill(child.result, b"\n".join(parts))
    if opened is not None:
        _fill(child.extra, opened.image)


def answer(child: Confined) -> tuple[proven.Proven | None, Report | None, tuple[Problem, ...]]:
    """What a child left that has ended well. Raises ValueError and its like where it is no answer."""
    head, report, told = content(child.result).split(b"\n")
    problems = tuple(problem_from(one) for one in json.loads(told))
    if not head:
        return None, None, problems
    return proven.Proven(**json.loads(head)), decode_record(report), problems


def _fill(descriptor: int, data: bytes) -> None:
    with open(descriptor, "wb", closefd=False) as file:
        file.write(data)
