"""Where in its life the daemon is, and how long what ends is given."""

from __future__ import annotations

from enum import Enum

QUICK = 2.0  # seconds that idle sessions get on TERM
KIND = 30.0  # and where a successor serves already
UPLOAD = 600.0  # seconds that messages in flight get where a successor serves
SLACK = 4.0  # seconds between a worker's own limit and its end by force
RETIRE = 30.0  # seconds in which a successor that took the lock has to take the socket


class Stage(str, Enum):
    """STARTING: first load, nothing published. RETIRING: a successor has our lock and will take the socket.
    SUCCEEDED: it has, drain kindly. STOPPING: TERM, drain quickly."""

    STARTING = "starting"
    SERVING = "serving"
    RETIRING = "retiring"
    SUCCEEDED = "succeeded"
    STOPPING = "stopping"
