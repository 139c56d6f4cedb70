"""The record of who is suspected of what, and which rules are tripped: pessimistic, so it is kept over a restart."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tidegate import records
from tidegate.live.breaker import Trip, trip_document, trips_from
from tidegate.live.culprits import Suspect

NAME = "culprits"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Deaths:
    """What is remembered."""

    suspects: tuple[Suspect, ...] = ()
    trips: Mapping[str, Trip] = field(default_factory=dict)


def write_deaths(state: str, deaths: Deaths) -> bool:
    """Write the record where it changed; True if it did. Raises OSError."""
    body = {
        "format": _FORMAT,
        "suspects": [
            [one.death, one.at, one.rule, one.who, one.shape, one.sender, one.print, one.text]
            for one in deaths.suspects
        ],
        "trips": [trip_document(trip) for trip in deaths.trips.values()],
    }
    return records.write(Path(state) / NAME, json.dumps(body).encode())


def read_deaths(state: str) -> tuple[Deaths, str]:
    """The record, and what is wrong with it: a damaged one is set aside, and nobody is suspected.

    `who` is forgotten: another daemon has written it, whose numbers mean nothing to this one.
    """
    path = Path(state) / NAME
    try:
        body = json.loads(records.read(path))
        if body["format"] != _FORMAT:
            raise ValueError(f"it has the format {body['format']}")
        return Deaths(tuple(map(_suspect, body["suspects"])), trips_from(body["trips"])), ""
    except FileNotFoundError:
        return Deaths(), ""
    except OSError as error:
        return Deaths(), f"{path} can't be read: {error.strerror}"
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        try:
            records.set_aside(path)
        except OSError as stuck:
            return Deaths(), f"{path} is damaged ({error}), and can't be set aside: {stuck.strerror}"
        return Deaths(), f"{path} is damaged: {error}"


def _suspect(values: list[Any]) -> Suspect:
    death, at, rule, who, shape, sender, print_, *text = values  # a record without texts is read, too
    found = Suspect(int(death), float(at), str(rule), int(who), int(shape), int(sender), int(print_), *map(str, text))
    return replace(found, who=0)
