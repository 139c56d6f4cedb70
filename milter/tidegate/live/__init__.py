"""What is in force, and the record of what was accepted: the memory that outlives an edit, a process and a reboot.

Promises: activation is one assignment (force.py); a record is whole or not there, and a damaged one is a problem,
never a crash (accepted.py, proven.py, quarantine.py, restraints.py); a generation is proven by a soak (soak.py); what
is eased, why and until when is a record as well (restraints.py); a source that is
empty, cut, unreadable or gone takes nothing out of force (absence.py).
Refuses: reading policy text; deciding what a broken entry becomes (policy/load.py does, from the texts kept here).
"""

from tidegate.live.absence import digest_of, guard, mass_vanish, returned, vanished
from tidegate.live.acceptance import Known, read_known, record_next, settle_next, settle_trial
from tidegate.live.accepted import (
    NAME,
    NO_OVERLAY,
    Accepted,
    File,
    Overlay,
    accept,
    has_end_mark,
    next_number,
    read_accepted,
    write_accepted,
)
from tidegate.live.canary import Canary, Part, sender_of
from tidegate.live.force import Live
from tidegate.live.interrupted import read_interrupted, write_interrupted
from tidegate.live.quarantine import Barred, Quarantine, read_quarantine, write_quarantine
from tidegate.live.released import HEADER, Pass, known_key, read_pass
from tidegate.live.restraints import By, Hold, Holds
from tidegate.live.restraints import decode as decode_restraint
from tidegate.live.restraints import encode as encode_restraint
from tidegate.live.watchlist import Watchlist, watchlist_from

__all__ = [
    "HEADER",
    "NAME",
    "Pass",
    "Accepted",
    "Known",
    "Canary",
    "By",
    "Barred",
    "File",
    "Hold",
    "Holds",
    "Live",
    "NO_OVERLAY",
    "Overlay",
    "Quarantine",
    "Watchlist",
    "Part",
    "accept",
    "decode_restraint",
    "encode_restraint",
    "digest_of",
    "guard",
    "has_end_mark",
    "known_key",
    "read_pass",
    "mass_vanish",
    "next_number",
    "read_accepted",
    "read_known",
    "record_next",
    "settle_next",
    "settle_trial",
    "read_interrupted",
    "write_interrupted",
    "read_quarantine",
    "returned",
    "sender_of",
    "vanished",
    "watchlist_from",
    "write_accepted",
    "write_quarantine",
]
