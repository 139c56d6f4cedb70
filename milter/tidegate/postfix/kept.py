"""What `enable` found, kept in the state directory so that `disable` can put it back byte for byte (records.py)."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from pathlib import Path

from tidegate import records
from tidegate.postfix.change import Change

PREFIX = "postfix-"


def _place(state: str, directory: str) -> Path:
    name = hashlib.sha256(os.fsencode(os.path.realpath(directory))).hexdigest()[:16]
    return Path(state, f"{PREFIX}{name}")


def keep(state: str, change: Change, before: Change | None) -> None:
    """Remember a change that is about to be made; `before`: what is kept of an earlier one. Raises OSError.

    After a second change the files of before the first one come back, unless somebody edited in between: then nobody
    knows what they would be, and `disable` takes out what is ours.
    """
    known = before is None or before.after == change.before
    files = change.before if before is None else before.before if known else {}
    had = {**change.had, **(before.had if before is not None else {})}
    body = json.dumps(
        {
            "directory": change.directory,
            "before": {name: base64.b64encode(data).decode() for name, data in files.items()},
            "after": {name: base64.b64encode(data).decode() for name, data in change.after.items()},
            "had": had,
        }
    )
    records.write(_place(state, change.directory), body.encode())


def recall(state: str, directory: str) -> Change | None:
    """What was kept of this instance; None where nothing is, or nothing that can be used."""
    try:
        values = json.loads(records.read(_place(state, directory)))
        sides = [
            {str(name): base64.b64decode(text) for name, text in values[side].items()} for side in ("before", "after")
        ]
        had = {str(key): None if text is None else str(text) for key, text in values["had"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return Change(directory, sides[0], sides[1], had)


def forget(state: str, directory: str) -> None:
    """It was undone. Raises OSError."""
    _place(state, directory).unlink(missing_ok=True)
