"""The packaged baseline: loaded in place of policies that were read and can't be in force.

Promises: it is refused where one configured source was not read. What nobody has read may hold a rule that stops mail,
so then all mail waits (DESIGN section 5). Refuses: the record of accepted entries, which is the site's.
"""

from __future__ import annotations

from tidegate import live
from tidegate.loader import sources as directory


def unread(policies: str, state: str) -> str:
    """Why the configured sources were not read completely; "" where they were."""
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
    return next((f"{source.name}: {source.error}" for source in sources if source.error), "")
