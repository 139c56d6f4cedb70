"""What is wrong with the daemon itself, beside its policies, and the alerts of both.

State-based: each second the daemon's condition is looked at anew, so an alert clears when its reason is gone.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from tidegate import alerts
from tidegate.channel import Packet
from tidegate.loader.confine import Confined
from tidegate.model import Place, Problem, Severity
from tidegate.observe.counters import ErrorKind
from tidegate.store.ledger import TROUBLES
from tidegate.supervisor.boot import Booted
from tidegate.supervisor.crew import Crew
from tidegate.supervisor.episodes import Episodes
from tidegate.supervisor.picture import Picture
from tidegate.supervisor.reading import READING, read_in_child, settings_result, unread

_RECENT = 10.0  # seconds for which a line that a worker lost is trouble
_DYING = 5  # deaths in a row that are no accident any more

_log = structlog.get_logger()


class Conditions:
    """Collects problems by origin, reconciles the alert book whenever one of them changed."""

    def __init__(
        self, booted: Booted, picture: Picture, workers: Crew, clerk: Crew, prepare: Callable[[], None]
    ) -> None:
        self._prepare = prepare  # in a child: close what isn't its business
        self._booted = booted
        self._picture = picture
        self._workers = workers
        self._clerk = clerk
        self._settings: tuple[Problem, ...] = ()
        self._policies: tuple[Problem, ...] = ()
        self._records: tuple[Problem, ...] = ()
        self._own: dict[str, Problem] = {}
        self._reader: Confined | None = None
        self._looked = 0.0
        self._lost, self._lost_at = 0, 0.0  # decision lines, and when there were last more of them
        self.episodes = Episodes(picture, booted.counters, clerk)

    def update(self, settings: tuple[Problem, ...]) -> None:
        """The settings have these problems now."""
        self._settings = settings
        self._reconcile()

    def policy_problems(self, problems: tuple[Problem, ...]) -> None:
        """The policies have these problems now (and the picture's entries may be new)."""
        self._policies = problems
        self.episodes.loaded()
        self._reconcile()

    def entries_changed(self) -> None:
        """Rules are eased that were not before, or the other way round."""
        self._reconcile()

    def records(self, problems: tuple[Problem, ...]) -> None:
        """The records in the state directory had these problems when they were last read."""
        self._records = problems
        self._reconcile()

    def raise_(self, code: str, text: str, severity: Severity = Severity.ERROR) -> None:
        """One of alerts.CODES is the case, until settle() says otherwise."""
        before = self._own.get(code)
        if before is None or before.message != text:
            self._own[code] = alerts.problem(code, text, Place("tidegate", 0, 0), severity)
            self._reconcile()

    def settle(self, code: str) -> None:
        """It isn't the case any more."""
        if self._own.pop(code, None):
            self._reconcile()

    def judge(self, code: str, text: str, severity: Severity = Severity.ERROR) -> None:
        """Raise it where there is a text, settle it where there is none."""
        if text:
            self.raise_(code, text, severity)
        else:
            self.settle(code)

    def heard_clerk(self, packet: Packet) -> None:
        """What the clerk says of the metrics' address, of the replay store, and of the channels of notifications."""
        values = packet.values
        if packet.word == "metrics":
            self.judge("metrics-unavailable", str(values.get("error", "")))
            return
        if packet.word == "replay":
            self.judge("replay-unavailable", str(values.get("error", "")))
            return
        self.episodes.heard(values)
        self.judge("channel-failing", str(values.get("failing", "")))
        self.judge("alerts-unrecorded", str(values.get("unrecorded", "")))

    def tick(self, now: float) -> None:
        """Look at log, workers and clerk."""
        if self._reader:
            self._reader.overdue(now)
        deferred = self.episodes.tick(now)
        if deferred is not None:
            self.judge("mail-deferred", deferred)
        if now - self._looked < 1.0:
            return
        self._looked = now
        self.judge("log-unwritable", self._log_trouble(now))
        dying = [child.name for child in self._workers.children if child.deaths >= _DYING]
        self.judge("workers-dying", f"{', '.join(dying)} die again and again" if dying else "")
        for code in TROUBLES:
            told = sorted(child.troubles[code] for child in self._workers.alive if code in child.troubles)
            self.judge(code, told[0] if told else "")
        stuck = any(child.deaths >= _DYING for child in self._clerk.children)
        self.judge("clerk-dying", "the clerk dies again and again" if stuck else "")
        if all(child.generation == self._picture.number for child in self._workers.alive):
            self.settle("worker-refused")

    def _log_trouble(self, now: float) -> str:
        """What is wrong with the log: ours, or a worker's, which counts what it could not write."""
        writer, lost = self._booted.writer, self._booted.counters.error_total(ErrorKind.LOG)
        if writer.unwritten:
            _log.error("log lines were lost", lost=writer.lost, decisions=lost)  # the first that arrives again
        if lost != self._lost:
            self._lost, self._lost_at = lost, now
        if writer.error or not lost or now - self._lost_at > _RECENT:
            return writer.error
        return "workers could not write decision lines; the metrics count them"

    def recheck_settings(self) -> None:
        """HUP: are the settings on disk good, and those in force? A child reads them; reaped() has the answer."""
        if self._reader is None:
            config = self._booted.config
            try:
                reader = Confined("settings")
                reader.start(lambda own: read_in_child(own, config), self._prepare, READING)
            except OSError as error:
                self.update((unread(config, error.strerror or str(error)),))
            else:
                self._reader = reader

    def reaped(self, pid: int, status: int) -> bool:
        """A process ended; True if it was the settings' reader."""
        reader = self._reader
        if reader is None or reader.pid != pid:
            return False
        self._reader = None
        wanted, _state = settings_result(reader, status, self._booted.config)
        reader.close()
        if isinstance(wanted, tuple):
            self.update(wanted)
            return True
        changed = wanted != self._booted.settings
        self._picture.settings_last_good = self._picture.settings_last_good and changed
        text = "the settings on disk differ from those in force; restart to use them" if changed else ""
        place = Place(self._booted.config, 0, 0)
        self.update((alerts.problem("settings-changed", text, place, Severity.WARNING),) if changed else ())
        return True

    def _reconcile(self) -> None:
        self._picture.problems = (*self._settings, *self._records, *self._own.values(), *self._policies)
        self.episodes.reconcile()
