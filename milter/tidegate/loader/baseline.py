"""The packaged baseline: loaded in place of policies that were read and can't be in force.

Promises: it is refused where one configured source was not read. What nobody has read may hold a rule that stops mail,
so then all mail waits (DESIGN section 5). Refuses: the record of accepted entries, which is the site's.
"""

from __future__ import annotations

import time

from tidegate import live
from tidegate.loader import sources as directory
from tidegate.loader.revision import over
from tidegate.signing import Trust


def unread(policies: str, state: str, environment: str = "", trust: Trust | None = None) -> str:
    """Why the configured sources were not read completely; "" where they were. `environment`: of the revisions in
    Redis, where that is configured."""
    found = directory.read_directory(policies)
    if found.error:
        return found.error
    known, _ = live.read_known(state)  # the load that failed before has told what is wrong with it
    sources, lost = live.guard(found.sources, "", known.accepted)
    if lost:
        return lost[0].message
    if found.ignored:
        name, why = found.ignored[0]
        return f"{name}: {why}"
    wrong = next((f"{source.name}: {source.error}" for source in sources if source.error), "")
    return wrong or over(state, environment, known.accepted, time.time(), trust).unread
