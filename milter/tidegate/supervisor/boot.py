"""From a settings file to a locked daemon with an open socket, or to the reason why not.

The order matters: lock before socket (libmilter removes whatever lies at the path), socket before the account is
given up (its folder may be root's), everything before the first fork.
"""

from __future__ import annotations

import errno
import grp
import os
import time
from dataclasses import dataclass, replace

import structlog

from tidegate.alerts import problem
from tidegate.control import UnreachableError, ask
from tidegate.front import listener as front_listener
from tidegate.model import Place, Problem
from tidegate.observe.counters import Counters
from tidegate.observe.crowds import Crowds
from tidegate.observe.journal import Journal
from tidegate.observe.logs import Writer, configure
from tidegate.settings import ListenKind, Settings, recall
from tidegate.supervisor.places import (
    Account,
    Lock,
    SocketPlace,
    lock_holder,
    make_state,
    remove_leftovers,
    socket_group,
)
from tidegate.supervisor.reading import read_settings

EX_TEMPFAIL = 75
EX_CONFIG = 78
_PASSING = (errno.ENOLCK, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR, errno.EIO)  # not the settings' fault
_HANDOVER = 5.0  # seconds that an old daemon gets to let go of its lock

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Refusal:
    """The daemon does not start: its exit status, and the problems or words that say why."""

    status: int
    text: str
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Booted:
    """What the loop needs, all made before the first fork."""

    config: str
    settings: Settings
    last_good: bool
    problems: tuple[Problem, ...]  # of the settings
    counters: Counters
    journal: Journal
    crowds: Crowds
    writer: Writer
    listener: front_listener.Listener
    place: SocketPlace | None  # None: inet
    lock: Lock


def boot(config: str, takeover: bool) -> Booted | Refusal:
    """Do all of it. What is wrong with the settings is a Refusal only where none were ever good."""
    wanted, state = read_settings(config)
    recorded = recall(config, (state,))
    if isinstance(wanted, Settings):
        first = _start(config, wanted, takeover, (), last_good=False)
        if isinstance(first, Booted) or first.status == EX_TEMPFAIL:
            return first
        problems = first.problems
        if recorded is None or recorded.settings == wanted:
            return replace(first, status=EX_TEMPFAIL) if recorded else first
    else:
        problems = wanted
        if recorded is None:
            passing = next((one for one in problems if one.code == "no-resources"), None)
            if passing:  # who starts us tries again
                return Refusal(EX_TEMPFAIL, passing.message, problems)
            return Refusal(EX_CONFIG, "the settings can't be used, and none were ever good", problems)
    date = time.strftime("%Y-%m-%d %H:%M", time.localtime(recorded.written))
    stale = problem("settings-last-good", f"the settings of {date} run", Place(config, 0, 0))
    return _start(config, recorded.settings, takeover, (*problems, stale), last_good=True)


def _start(
    config: str, settings: Settings, takeover: bool, problems: tuple[Problem, ...], last_good: bool
) -> Booted | Refusal:
    try:
        account = Account.named(settings.user, settings.group)
        if settings.socket_group:
            grp.getgrnam(settings.socket_group)
    except KeyError as error:  # last good settings are older than somebody's userdel
        text = f"an account or a group that the settings name is gone: {error.args[0]}"
        return Refusal(EX_CONFIG, text, (problem("settings-value", text, Place(config, 0, 0)),))
    try:
        make_state(settings.state, account)
        lock = Lock(settings.state, account)
        locked = lock.take() or (takeover and _ask_for_lock(settings.state) and lock.take(_HANDOVER))
    except OSError as error:
        text = f"the state directory {settings.state} can't be used: {error.strerror}"
        status = EX_TEMPFAIL if error.errno in _PASSING else EX_CONFIG
        return Refusal(status, text, (problem("settings-value", text, Place(config, 0, 0)),))
    if not locked:
        lock.close_in_child()
        text = f"another daemon (process {lock_holder(settings.state)}) runs on {settings.state}"
        cure = "it did not let go" if takeover else "stop it, or start this one with --takeover"
        return Refusal(EX_TEMPFAIL, f"{text}: {cure}")
    try:
        listener, place = _listen(settings, account)
    except OSError as error:
        lock.close_in_child()
        text = f"{settings.listen.for_libmilter()} can't be opened: {error.strerror or error}"
        status = EX_TEMPFAIL if error.errno == errno.EADDRINUSE else EX_CONFIG
        return Refusal(status, text, (problem("listen-failed", text, Place(config, 0, 0)),))
    writer = configure(settings.log, settings.format)
    if account:
        writer.hand_to(account.user, account.group)
        if place and not account.may_write(os.path.dirname(place.path)):
            # It could not be renamed later: clients then wait in the backlog until the first policies are there.
            place.publish()
        account.become()
    slots = 2 * settings.workers  # a worker that leaves and its successor count apart
    counters, journal = Counters(slots), Journal(slots)
    return Booted(config, settings, last_good, problems, counters, journal, Crowds(), writer, listener, place, lock)


def _ask_for_lock(state: str) -> bool:
    try:
        return bool(ask(state, {"do": "takeover"}).get("done"))
    except UnreachableError as error:
        _log.warning("takeover refused", reason=str(error))
        return False


def _listen(settings: Settings, account: Account | None) -> tuple[front_listener.Listener, SocketPlace | None]:
    """Open the socket, under a temporary name where it has one. Raises OSError."""
    listen = settings.listen
    if listen.kind is not ListenKind.UNIX:
        return front_listener.open_listener(listen.for_libmilter()), None
    temporary = f"{listen.path}.{os.getpid()}.new"
    remove_leftovers(listen.path)
    before = os.umask(0o177)  # nobody may connect before it has its mode
    try:
        opened = front_listener.open_listener(f"unix:{temporary}")
    finally:
        os.umask(before)
    place = SocketPlace(listen.path, temporary, account)
    try:
        group = _group(settings, account, os.path.dirname(listen.path))
        if account or group >= 0:
            os.chown(temporary, account.user if account else -1, group)
        os.chmod(temporary, settings.socket_mode)
    except OSError:
        place.withdraw()
        raise
    return opened, place


def _group(settings: Settings, account: Account | None, folder: str) -> int:
    return grp.getgrnam(settings.socket_group).gr_gid if settings.socket_group else socket_group(account, folder)
