"""Replay: mail of the last days, judged once more by what is in force and by a candidate, and where the two differ.

    message    what is kept of a message, and its JSON text
    sealing    blocks, encrypted and authenticated
    store      the files that the workers append to
    reading    the same files read, kept within their bounds, and purged
    keeping    what the clerk does with them
    folder     messages in files, with their envelopes, instead of the store
    compare    two policies over the same messages: which verdicts change, and how much slower they are made
    limiting   the counters of limits, simulated over the messages in their order
    gate       how much of that may be

Promises: off until it is switched on; what is kept leaves the machine nowhere, is encrypted at rest, and is only what
rules read. Refuses: opinion. What is not known of a message is UNKNOWN to the rules that ask for it, and told.
"""

from tidegate.ledger import BusyError
from tidegate.replay.keeping import Keeper
from tidegate.replay.message import Kept, Verdicted, keep_headers
from tidegate.replay.reading import Reading, forget, purge, read_messages, tend
from tidegate.replay.sealing import UnavailableError
from tidegate.replay.store import FOLDER, Quill, make_key, segments

__all__ = [
    "FOLDER",
    "BusyError",
    "Keeper",
    "Kept",
    "Quill",
    "Reading",
    "UnavailableError",
    "Verdicted",
    "forget",
    "keep_headers",
    "make_key",
    "purge",
    "read_messages",
    "segments",
    "tend",
]
