"""Problems over time: the codes (codes.py), and the book that says which alert stands since when (book.py).

Promises: state-based; a repair, a delete and a byte-identical revert all clear an alert. Refuses: clocks and I/O.
"""

from tidegate.alerts.book import Alert, Book, Change, Key, reconcile
from tidegate.alerts.codes import CODES, CONFIRM, problem

__all__ = ["CODES", "CONFIRM", "Alert", "Book", "Change", "Key", "problem", "reconcile"]
