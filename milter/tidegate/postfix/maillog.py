"""What Postfix's log says went on: queue ids, the service that took them, and the login. Pure, over lines.

A message went on if the queue manager took it up (`qmgr`), or if cleanup put it on hold; one that was refused or given
up never gets there. Postfix writes those lines after its milters have answered, so whatever stands here was judged
before, or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_LINE = re.compile(
    r"\b(?P<service>[\w.+/-]*?postfix[\w.+/-]*)/(?P<program>smtpd|pickup|qmgr|cleanup|bounce)\[\d+\]: "
    r"(?P<id>[0-9A-F]{6,}|[0-9A-Za-z]{10,20}): (?P<text>.*)"
)
_LOGIN = re.compile(r"\bsasl_username=([^,\s]+)")


@dataclass(frozen=True, slots=True)
class Passage:
    """One message that went on."""

    queue_id: str
    service: str  # as its syslog_name has it: `postfix/submission`, `postfix`; `pickup` for sendmail(1)
    login: str
    line: str


def passages(lines: Iterable[str]) -> tuple[Passage, ...]:
    """The messages that clients or sendmail(1) handed in and that went on, in the order in which they did."""
    taken: dict[str, Passage] = {}
    gone: dict[str, Passage] = {}
    for line in lines:
        found = _LINE.search(line)
        if found is None:
            continue
        name, text = found["id"], found["text"]
        match found["program"]:
            case "smtpd" if text.startswith("client="):
                login = _LOGIN.search(text)
                taken[name] = Passage(name, found["service"], login[1] if login else "", line.strip())
            case "pickup":
                taken[name] = Passage(name, "pickup", "", line.strip())
            case "qmgr" if text.startswith("from=") and name in taken:
                gone.setdefault(name, taken[name])
            case "cleanup" if "milter-hold" in text and name in taken:
                gone.setdefault(name, taken[name])
    return tuple(gone.values())


def unjudged(gone: Iterable[Passage], judged: frozenset[str]) -> tuple[Passage, ...]:
    """Those that no decision line knows, from the first message on that one does: before it, the log is of a time of
    which the decisions are not known. Where none is known, all of them."""
    gone = tuple(gone)
    first = next((at for at, one in enumerate(gone) if one.queue_id in judged), 0)
    return tuple(one for one in gone[first:] if one.queue_id not in judged)
