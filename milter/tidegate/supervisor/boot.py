"""From a settings file to a locked daemon with an open socket, or to the reason why not.

The order matters: lock before socket (libmilter removes whatever lies at the path), socket before the account is
given up (its folder may be root's), everything before the first fork.
"""

from __future__ import annotations

import errno
import grp
import json
import os
import time
from dataclasses import dataclass, replace

import structlog

from tidegate.alerts import problem
from tidegate.channel import content
from tidegate.control import UnreachableError, ask
from tidegate.front import listener as front_listener
from tidegate.loader.confine import Confined
from tidegate.loader.report import problem_from, problem_json
from tidegate.model import Place, Problem
from tidegate.observe.counters import Counters
from tidegate.observe.logs import Writer, configure
from tidegate.settings import ListenKind, Settings, from_json, load_settings, recall, state_of, to_json
from tidegate.supervisor.places import Account, Lock, SocketPlace, make_state, remove_leftovers

EX_TEMPFAIL = 75
EX_CONFIG = 78
READING = 10.0  # seconds that reading the settings may take
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
    writer: Writer
    listener: front_listener.Listener
    place: SocketPlace | None  # None: inet
    lock: Lock
    account: Account | None


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
            return Refusal(EX_CONFIG, "the settings can't be used, and none were ever good", problems)
    date = time.strftime("%Y-%m-%d %H:%M", time.localtime(recorded.written))
    stale = problem("settings-last-good", f"the settings of {date} run", Place(config, 0, 0))
    return _start(config, recorded.settings, takeover, (*problems, stale), last_good=True)


def read_settings(config: str) -> tuple[Settings | tuple[Problem, ...], str]:
    """Read the settings in a confined child: settings or problems, and the state directory they name."""
    child = Confined("settings")
    child.start(lambda own: read_in_child(own, config), lambda: None, READING)
    result = settings_result(child, _wait(child), config)
    child.close()
    return result


def settings_result(child: Confined, status: int, config: str) -> tuple[Settings | tuple[Problem, ...], str]:
    """What a child left behind that ran read_in_child and ended with this wait status."""
    death = child.ended(status)
    if death:
        died = problem("settings-died", f"reading the settings failed: {death.text}", Place(config, 0, 0))
        return (died,), ""
    values = json.loads(content(child.result))
    if values["settings"]:
        return from_json(values["settings"]), str(values["state"])
    return tuple(problem_from(one) for one in values["problems"]), str(values["state"])


def read_in_child(child: Confined, config: str) -> None:
    """In the confined child: read and check, and leave the answer as JSON."""
    result = load_settings(config)
    settings = result if isinstance(result, Settings) else None
    state = settings.state if settings else ""
    if settings is None:
        try:
            with open(os.open(config, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
                state = state_of(file.read(1 << 18) or b"", config)
        except OSError:
            state = ""  # `result` already says that the file can't be read
    values = {
        "settings": to_json(settings) if settings else "",
        "state": state,
        "problems": [] if isinstance(result, Settings) else [problem_json(one) for one in result],
    }
    os.pwrite(child.result, json.dumps(values).encode(), 0)


def _wait(child: Confined) -> int:
    while True:
        pid, status = os.waitpid(child.pid, os.WNOHANG)
        if pid:
            return status
        child.overdue(time.monotonic())
        time.sleep(0.005)


def _start(
    config: str, settings: Settings, takeover: bool, problems: tuple[Problem, ...], last_good: bool
) -> Booted | Refusal:
    account = Account.named(settings.user, settings.group)
    try:
        make_state(settings.state, account)
        lock = Lock(settings.state, account)
    except OSError as error:
        text = f"the state directory {settings.state} can't be used: {error.strerror}"
        return Refusal(EX_CONFIG, text, (problem("settings-value", text, Place(config, 0, 0)),))
    if not lock.take() and not (takeover and _ask_for_lock(settings.state) and lock.take(_HANDOVER)):
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
    counters = Counters(2 * settings.workers)  # a worker that leaves and its successor count apart
    return Booted(config, settings, last_good, problems, counters, writer, listener, place, lock, account)


def lock_holder(state: str) -> str:
    """The process that a lock file names."""
    try:
        with open(os.path.join(state, "lock")) as file:
            return file.read(32).strip() or "unknown"
    except (OSError, ValueError):
        return "unknown"


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
        group = _group(settings, account)
        if account or group >= 0:
            os.chown(temporary, account.user if account else -1, group)
        os.chmod(temporary, settings.socket_mode)
    except OSError:
        place.withdraw()
        raise
    return opened, place


def _group(settings: Settings, account: Account | None) -> int:
    if settings.socket_group:
        return grp.getgrnam(settings.socket_group).gr_gid
    return account.group if account else -1
