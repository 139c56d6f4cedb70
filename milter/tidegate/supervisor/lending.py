"""What is in force, lent to a command: the sealed image that the workers map, and what else decides a verdict.

Promises: who holds the image judges as a worker does, with the same bytes; nothing that a command does with it reaches
the daemon (the memory is sealed). Refuses: anybody who may not use the control socket.
"""

from __future__ import annotations

import json
import os

from tidegate.control import Parcel
from tidegate.live import encode_restraint
from tidegate.model import Restraint
from tidegate.supervisor.handover import Handover
from tidegate.supervisor.picture import Picture


def lend(handover: Handover, picture: Picture, restraint: Restraint, stage: str) -> Parcel:
    """The generation in force (number 0, and no image, where there is none), and what is taken from its rules."""
    offer = handover.offer
    document = {
        "stage": stage,
        "number": offer.number if offer else 0,
        "digest": offer.digest if offer else "",
        "restraint": encode_restraint(restraint).decode(),
        "current": all(child.generation == picture.number for child in handover.crew.alive),
    }
    return Parcel(json.dumps(document), (os.dup(offer.image),) if offer else ())
