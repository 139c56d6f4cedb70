"""`tidegate policy rollback REVISION --local`: this host alone goes back, from its own records, with no Redis at all.

Promises: what comes back is what this host had fetched and verified, whole; nothing of Redis up to the revision that is
given up takes its place, until a newer one comes or a person says so. Refuses: the other hosts; they are told by
`rollback` without --local, once Redis is there.
"""

from __future__ import annotations

from tidegate.cli.confirm import load_and_tell
from tidegate.cli.output import UnableError
from tidegate.cli.policy.session import Asked, settings_of
from tidegate.cli.reach import find_daemon
from tidegate.live import snapshot


def go_back_here(number: int, asked: Asked) -> None:
    """Have the daemon do it, wait, and leave with what came of it. Raises UnableError."""
    settings = settings_of(Asked(asked.config))
    if asked.environment not in ("", settings.environment):
        raise UnableError(f"the daemon of {asked.config} runs {settings.environment}, not {asked.environment}")
    state = find_daemon(asked.config, "").state
    kept = list(snapshot.readable(state, settings.environment))
    if not kept:
        raise UnableError(f"{state} holds no record of a revision of {settings.environment} that can be read")
    known = list(dict.fromkeys(one.number for one in kept))
    if number == known[0]:
        raise UnableError(f"revision {number} is what this host has now")
    if number and number not in known:
        others = ", ".join(map(str, known[1:])) or "none before it"
        raise UnableError(f"this host has no record of revision {number}; it has {others}, and 0 is the files alone")
    wanted = next((one for one in kept if one.number == number), None)
    doubt = settings.trust.doubt(wanted.revision) if settings.trust and wanted and wanted.revision else None
    if doubt is not None:
        raise UnableError(f"revision {number} is not to be trusted: {doubt.why}")
    load_and_tell({"do": "revision-back", "number": number}, asked.config, "", asked.as_json)
