"""The clerk: looks at the policy sources every few seconds, tells of alerts, serves the metrics. It may block, or die.

Promises: a change is announced when two looks in a row see the same digests that differ from what was loaded, and
again every minute while they still differ, so that a lost announcement heals. Refuses: reading policies (the loader
does), deciding anything.
"""

from tidegate.clerk.process import run_clerk

__all__ = ["run_clerk"]
