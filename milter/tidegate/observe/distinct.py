"""Linear counting: how many different senders left a mark in a map (Whang, Vander-Zanden and Taylor, 1990)."""

from __future__ import annotations

from math import log


def distinct(size: int, taken: int) -> int:
    """How many there were, where `taken` of `size` places have a mark: some percent off, up to twice the size.

    Of a full map nobody knows; it says a little more than one with a single free place.
    """
    free = size - taken
    return round(size * log(size / free)) if free else round(size * log(size)) + 1
