"""Which generations the workers have to have: the one for all, and at most one on trial beside it.

Promises: a new generation reaches one worker after the other, so that not all of them pause at once; one that was on
trial becomes the one for all without being mapped again; a worker that starts meanwhile gets both at once (worker.py).
The descriptors of an offer are closed when no worker can need them any more.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

from tidegate.channel import Packet
from tidegate.supervisor.crew import Child, Crew, whole
from tidegate.worker import Offer, Trial

_TURN = 2.0  # seconds that one worker may keep the next one waiting for a new generation


@dataclass(slots=True)
class Handover:
    """What is handed out, and who was told."""

    crew: Crew
    offer: Offer | None = None
    trial: Trial | None = None
    _asked: dict[int, tuple[str, int, float]] = field(default_factory=dict)  # process: what, which, when (monotonic)

    def propose(self, offer: Offer) -> None:
        """This one is for all from now on; the first worker opens it while the supervisor draws its picture."""
        self._drop_trial()
        self._replace(offer)

    def try_(self, trial: Trial) -> None:
        """This one is on trial from now on, in place of another one."""
        self._drop_trial()
        self.trial = trial
        self._asked.clear()
        self.tick(time.monotonic())

    def promote(self) -> None:
        """The one on trial is for all."""
        if self.trial is not None:
            offer = self.trial.offer
            os.close(self.trial.plan)
            self.trial = None
            self._replace(offer)

    def abandon(self) -> None:
        """The one on trial is given up."""
        self._drop_trial()
        self._asked.clear()
        self.tick(time.monotonic())

    def heard(self, child: Child, packet: Packet) -> None:
        """A worker says what it has now."""
        number = whole(packet, "number")
        match packet.word:
            case "ready":
                child.ready = True
                child.generation, child.canary = number, whole(packet, "canary")
            case "active":
                child.generation, child.canary = number, 0
            case "trying":
                child.canary = number
        self.tick(time.monotonic())

    def _replace(self, offer: Offer) -> None:
        before, self.offer = self.offer, offer
        self._asked.clear()
        self.tick(time.monotonic())
        if before is not None:
            _close(before)

    def _drop_trial(self) -> None:
        trial, self.trial = self.trial, None
        if trial is not None:
            _close(trial.offer)
            os.close(trial.plan)

    def tick(self, now: float) -> None:
        """Tell the next worker what it lacks, once the one before has answered or had its turn."""
        if self.offer is None:
            return
        for child in self.crew.alive:
            word, number = self._lacks(child)
            if not word or child.channel is None or child.leaving:
                continue
            what, which, asked = self._asked.get(child.pid, ("", 0, 0.0))
            if (what, which) != (word, number):
                if self._send(child, word, number):
                    self._asked[child.pid] = (word, number, now)
                return
            if now - asked < _TURN:
                return

    def _lacks(self, child: Child) -> tuple[str, int]:
        """The packet that this worker needs next, and for which generation; "" where it has what it has to have."""
        assert self.offer is not None
        if child.generation != self.offer.number:
            return ("promote" if child.canary == self.offer.number else "generation"), self.offer.number
        wanted = self.trial.offer.number if self.trial is not None else 0
        if child.canary == wanted:
            return "", 0
        return ("canary", wanted) if wanted else ("abandon", self.offer.number)

    def _send(self, child: Child, word: str, number: int) -> bool:
        assert child.channel is not None
        assert self.offer is not None
        if word == "generation":
            offer = self.offer
            return child.channel.send_with((offer.image, offer.columns), word, number=number, digest=offer.digest)
        if word == "canary" and self.trial is not None:
            trial = self.trial
            files = (trial.offer.image, trial.offer.columns, trial.plan)
            return child.channel.send_with(files, word, number=number, share=trial.share, bank=trial.bank)
        return child.channel.send(word, number=number)


def _close(offer: Offer) -> None:
    os.close(offer.image)
    os.close(offer.columns)
