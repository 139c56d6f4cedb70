"""Postfix's own configuration: read through postconf(1), judged, and changed by one step that can be taken back.

Promises: main.cf and master.cf are read and written by Postfix's own program; a change is prepared in a copy, shown
before it is made, put into place whole, and undone byte for byte. Refuses: parsing those files ourselves, and changing
anything that was not asked for.
"""

from tidegate.postfix.checks import CODES, Ourselves, findings
from tidegate.postfix.instance import Instance, Service, UnreadableError, instances, read_instance
from tidegate.postfix.lists import MalformedError, Milter, parse_list

__all__ = [
    "CODES",
    "Instance",
    "MalformedError",
    "Milter",
    "Service",
    "Ourselves",
    "UnreadableError",
    "findings",
    "instances",
    "parse_list",
    "read_instance",
]
