"""One part of an installation, as `tidegate doctor` tells it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Grade(str, Enum):
    """How a part is."""

    FINE = "fine"
    LOOK = "look"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the installation."""

    name: str
    grade: Grade
    text: str
    cure: str = ""
