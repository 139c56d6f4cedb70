"""Everything that one daemon is made of, constructed in one place; what is told to whom is wired here.

Refuses: doing anything. The loop (daemon.py) ticks the parts, reaps their children and hears what they say.
"""

from __future__ import annotations

import selectors
from collections.abc import Callable
from typing import Any

from tidegate.channel import Channel
from tidegate.loader.child import Request
from tidegate.model import Conventions
from tidegate.supervisor.answers import Answers, Reception
from tidegate.supervisor.books import Books
from tidegate.supervisor.boot import Booted
from tidegate.supervisor.brake import Brake
from tidegate.supervisor.canary import Canaries
from tidegate.supervisor.children import Children
from tidegate.supervisor.conditions import Conditions
from tidegate.supervisor.crew import Child, Crew, Heard
from tidegate.supervisor.fleet import Fleet
from tidegate.supervisor.generations import Generations
from tidegate.supervisor.handover import Handover
from tidegate.supervisor.laggards import Laggards
from tidegate.supervisor.lists import Lists
from tidegate.supervisor.loads import Loads, Outcome
from tidegate.supervisor.orders import Orders
from tidegate.supervisor.picture import Picture
from tidegate.supervisor.poison import Poison
from tidegate.supervisor.restrainer import Restrainer
from tidegate.supervisor.rungs import Rungs
from tidegate.supervisor.successor import Successor


class Parts:
    """The rooms of one daemon, each knowing those that it needs."""

    def __init__(
        self,
        booted: Booted,
        selector: selectors.BaseSelector,
        wakeup: tuple[int, int],
        picture: Picture,
        stage: Callable[[], str],
        loaded: Callable[[Outcome], None],
        heard_worker: Heard,
        heard_clerk: Heard,
    ) -> None:
        """`stage` names where in its life the daemon is; `loaded` is told how a load ended."""
        settings = booted.settings
        self.booted, self.picture = booted, picture
        self.answers = Answers(stage)
        self.reception = Reception(settings.state, selector, self.answers)
        self.children = Children(booted, selector, wakeup, self.reception)
        self.workers = Crew("worker", selector, self._work, heard_worker)
        self.clerk = Crew("clerk", selector, self._clerical_work, heard_clerk)
        self.children.crews = (self.workers, self.clerk)
        self.handover = Handover(self.workers)
        self.restrainer = Restrainer(settings.state, self.workers, picture)
        self.children.restrainer = self.restrainer
        become_reader = self.children.become_reader
        self.loads = Loads(self._request, loaded, become_reader)
        self.conditions = Conditions(booted, picture, self.workers, self.clerk, become_reader)
        self.fleet = Fleet(picture, self.workers, self.clerk, self.conditions)
        self.canaries = Canaries(settings, booted.counters.sides, picture, self.handover, self.conditions)
        self.generations = Generations(
            booted.counters, picture, self.handover, self.clerk, self.loads, stage, self.canaries
        )
        self.books = Books(settings, self.generations)
        self.poison = Poison(booted, self.workers, picture, self.restrainer, self.conditions)
        self.children.poison = self.poison
        self.lists = Lists(picture, self.workers, self.clerk, self.conditions, booted.counters)
        self.children.lists = self.lists
        self.fleet.lists = self.lists.versions
        self.laggards = Laggards(self.workers, self.handover, self.conditions)
        self.successor = Successor(self.conditions, selector, become_reader)
        eased = self._eased
        self.rungs = Rungs(picture, self.generations, self.conditions, self.workers, become_reader, eased)
        self.conditions.episodes.listen(self.answers.on)
        self.canaries.quarantine = self.rungs.ladder.quarantine
        self.brake = Brake(booted, self.generations, self.restrainer, self.conditions, self.rungs.ladder)
        self._listen_to_orders()

    def _listen_to_orders(self) -> None:
        orders = Orders(self.loads, self.rungs.ladder, self.fleet, self.conditions)
        self.answers.on("finding", orders.finding)
        self.answers.on("reload", orders.reload)
        self.answers.on("confirm", orders.confirm)
        self.answers.on("revision-back", orders.back)
        self.answers.on("confirm-list", self.lists.confirm)
        self.answers.on("lend-list", self.lists.lend)
        self.answers.on("brake", self.brake.answer)

    def _eased(self) -> bool:
        return bool(self.restrainer.restraint)

    def _request(self) -> Request:
        settings = self.booted.settings
        conventions = Conventions(settings.default_realm, settings.recipient_delimiter)
        before = self.handover.offer.image if self.handover.offer else -1
        number = self.generations.highest + 1
        return Request(
            settings.policies,
            settings.state,
            conventions,
            number,
            before=before,
            redis=bool(settings.redis),
            environment=settings.environment if settings.redis else "",
            trust=settings.trust,
        )

    def _work(self, child: Child, channel: Channel) -> None:
        self.children.become_worker(child, channel, self.handover)

    def _clerical_work(self, _child: Child, channel: Channel) -> None:
        self.children.become_clerk(channel, self.generations, self.conditions.episodes)

    def loading(self) -> dict[str, Any]:
        """How loads went, for the status."""
        loads = self.loads
        return {"attempted": loads.attempted, "busy": loads.busy, "count": loads.count, "failed": loads.failed}
