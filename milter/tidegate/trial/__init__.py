"""Policies on trial: an admin's cases against the engine that judges real mail.

cases      a case as a transaction, and the lists that it brings
messages   the header block of a message file, as Postfix would show it
examples   each rule's own examples, against that rule alone
scenarios  whole policies: what comes of a case, and where that is not what was expected

Promises: nothing here judges; it prepares, asks the engine, and compares. Refuses: clocks and files (both are
arguments), and a second opinion on what a rule means.
"""

from __future__ import annotations

from tidegate.trial.cases import BadCaseError, transaction_of
from tidegate.trial.examples import progress_name, prove
from tidegate.trial.messages import read_message
from tidegate.trial.scenarios import Difference, Outcome, differences, judged, run_scenario

__all__ = [
    "BadCaseError",
    "Difference",
    "Outcome",
    "differences",
    "judged",
    "progress_name",
    "prove",
    "read_message",
    "run_scenario",
    "transaction_of",
]
