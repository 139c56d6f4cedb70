"""The daemon's settings: where it listens, what it reads, how it runs.

Promises: all mistakes at once, each with its place and its cure, as values and never as exceptions; the settings
that last ran are kept beside the daemon's state, so that a broken edit doesn't keep the next start from serving.
Refuses: defaults that weaken safety, environment variables that change behaviour, reading in the daemon's own
process (a hostile file can kill the YAML parser: the supervisor calls this in a confined child).
"""

from tidegate.settings.read import check_settings, load_settings, state_of
from tidegate.settings.record import Recorded, recall, remember
from tidegate.settings.values import Listen, ListenKind, Settings, from_json, to_json, to_show

__all__ = [
    "Listen",
    "ListenKind",
    "Recorded",
    "Settings",
    "check_settings",
    "from_json",
    "load_settings",
    "recall",
    "remember",
    "state_of",
    "to_json",
    "to_show",
]
