"""What a fresh fork does first: close what is the supervisor's, then become a worker, a clerk or a reader.

All of it runs in the child; nothing here is called in the supervisor itself.
"""

from __future__ import annotations

import os
import selectors
import signal
from dataclasses import dataclass

from tidegate.channel import Channel
from tidegate.clerk import run_clerk
from tidegate.model import NO_RESTRAINT
from tidegate.supervisor.answers import Reception
from tidegate.supervisor.boot import Booted
from tidegate.supervisor.crew import Child, Crew
from tidegate.supervisor.episodes import Episodes
from tidegate.supervisor.generations import Generations
from tidegate.supervisor.handover import Handover
from tidegate.supervisor.lists import Lists
from tidegate.supervisor.poison import Poison
from tidegate.supervisor.restrainer import Restrainer
from tidegate.worker import Assignment, run_worker


@dataclass(slots=True)
class Children:
    """What a child needs to know of the supervisor that it is a copy of."""

    booted: Booted
    selector: selectors.BaseSelector
    wakeup: tuple[int, int]
    reception: Reception
    crews: tuple[Crew, ...] = ()
    restrainer: Restrainer | None = None
    poison: Poison | None = None
    lists: Lists | None = None

    def _close(self, keep: Channel | None = None) -> None:
        reader, writer = self.wakeup
        signal.set_wakeup_fd(-1)
        os.close(reader)
        os.close(writer)
        self.selector.close()
        self.reception.close_in_child()
        self.booted.lock.close_in_child()
        if self.booted.place:
            self.booted.place.close_in_child()
        for crew in self.crews:
            crew.close_in_child(keep)

    def become_reader(self) -> None:
        """A reader may outlive us by a minute: it must not keep a socket open on which nobody accepts."""
        self._close()
        self.booted.listener.close_in_child()

    def become_worker(self, child: Child, channel: Channel, handover: Handover) -> None:
        """Never returns."""
        self._close(channel)
        run_worker(
            Assignment(
                slot=child.slot,
                channel=channel,
                listener=self.booted.listener,
                settings=self.booted.settings,
                tally=self.booted.counters.tally(child.slot),
                crowds=self.booted.crowds,
                writer=self.booted.writer,
                offer=handover.offer,
                page=self.booted.journal.page(child.slot),
                watchlist=self.poison.watchlist if self.poison else None,
                sides=self.booted.counters.sides.tally(child.slot),
                trial=handover.trial,
                restraint=self.restrainer.restraint if self.restrainer else NO_RESTRAINT,
                lists=self.lists.handed() if self.lists else (),
            )
        )

    def become_clerk(self, channel: Channel, generations: Generations, episodes: Episodes) -> None:
        """Never returns."""
        self._close(channel)
        self.booted.listener.close_in_child()
        booted = self.booted
        known = {**generations.watch(), "alerts": episodes.values()}
        run_clerk(channel, booted.settings, booted.counters, booted.writer, known)
