"""The clerk as a process: its signals, its wait, its end."""

from __future__ import annotations

import os
import random
import select
import signal
import time
from collections.abc import Mapping
from typing import Any

import structlog

from tidegate.channel import Channel, ClosedError
from tidegate.clerk.desk import Clerk
from tidegate.clerk.follow import Follower
from tidegate.clerk.poller import TIMEOUT, Poller
from tidegate.observe.counters import Counters
from tidegate.observe.logs import Writer
from tidegate.settings import Settings
from tidegate.store.connection import open_store
from tidegate.store.revisions import Revisions

_log = structlog.get_logger()


def run_clerk(
    channel: Channel, settings: Settings, counters: Counters, writer: Writer, known: Mapping[str, Any]
) -> None:
    """The clerk's whole life, in its own process; it ends when the supervisor does. Never returns."""
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    status = 70
    try:
        os.setpgid(0, 0)
        clerk = Clerk(channel, settings, counters, writer)
        clerk.learn(known)
        clerk.teller.news(known["alerts"])
        clerk.teller.start()
        if clerk.list_keeper is not None:
            clerk.list_keeper.start()
        _follow(clerk)
        _serve(clerk)
        status = 0
    except BaseException as error:  # noqa: BLE001 - the process boundary: logged here, replaced by the supervisor
        _log.error("clerk fault", exc_info=error)
    finally:
        os._exit(status)


def _follow(clerk: Clerk) -> None:
    """Look after the policy in Redis from now on, where one is configured."""
    settings = clerk.settings
    if not settings.redis:
        return
    link = open_store(settings, TIMEOUT)
    allow = settings.redis_unreviewed == "allow"
    follower = Follower(Revisions(link), settings.state, allow=allow, trust=settings.trust)
    clerk.poller = Poller(follower, link, settings.redis_poll, random.random)
    clerk.poller.start()


def _serve(clerk: Clerk) -> None:
    due = time.monotonic()
    while True:
        now = time.monotonic()
        if now >= due:
            poll = clerk.settings.poll
            # The second look at a change comes soon: what is still being written changes within a second.
            due = now + (poll if clerk.look(now) else min(poll, 1.0))
        waiting: list[Any] = [clerk.channel, *([clerk.poller.wakeup] if clerk.poller else [])]
        ready, _, _ = select.select(waiting, [], [], max(0.0, due - time.monotonic()))
        if clerk.poller and clerk.poller.wakeup in ready:
            os.read(clerk.poller.wakeup, 1 << 12)
            clerk.hear_redis(time.monotonic())
        if clerk.channel in ready:
            try:
                packet = clerk.channel.receive()
            except ClosedError:
                return  # the supervisor is gone
            if packet:
                clerk.hear(packet)
