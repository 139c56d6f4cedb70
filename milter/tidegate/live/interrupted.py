"""The record of a canary that runs: what is for all beside it, so that a restart in the middle forces nothing on all.

Promises: it stands there from the canary's begin to its end, and a daemon that ends meanwhile leaves it. Refuses: the
generation itself; that is on the proven record, or not (proven.py).
"""

from __future__ import annotations

import json
from pathlib import Path

from tidegate import records
from tidegate.live.recorded import ForeignError, recorded
from tidegate.model import Problem

NAME = "canary"
_FORMAT = 1


def read_interrupted(state: str) -> tuple[str, tuple[Problem, ...]]:
    """The digest of the image that was for all when a daemon ended in the middle of a canary; "": none did."""
    return recorded(Path(state) / NAME, "the record of a canary", _decode, "")


def write_interrupted(state: str, digest: str) -> None:
    """A canary runs beside the image of this digest; "": none runs. Raises OSError."""
    path = Path(state) / NAME
    if digest:
        records.write(path, json.dumps({"format": _FORMAT, "beside": digest}).encode())
    else:
        path.unlink(missing_ok=True)


def _decode(body: bytes) -> str:
    values = json.loads(body)
    if values["format"] != _FORMAT:
        raise ForeignError(values["format"])
    return str(values["beside"])
