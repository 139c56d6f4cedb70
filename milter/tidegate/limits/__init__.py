"""Limits: what a rule's limit wants counted for a message, what the count says, and the interface of who counts.

Promises: plain values and pure functions; who counts is handed in, as the watch of a judgement is. Refuses: clocks,
I/O, and knowing what a rule or a message is.

    charge     the words that cross between the engine and a store
    identity   which message this is, so that a retry is not charged again
    stated     a count that somebody states, for trials
"""

from tidegate.limits.charge import Charge, Ledger, OnStoreDown, Usage
from tidegate.limits.identity import identity
from tidegate.limits.stated import Stated

__all__ = ["Charge", "Ledger", "OnStoreDown", "Stated", "Usage", "identity"]
