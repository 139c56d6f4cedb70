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


def lend(handover: Handover, picture: Picture, restraint: Restraint, key: bytes, stage: str) -> Parcel:
    """The generation in force (number 0, and no image, where there is none), what is taken from its rules, and the one
    on trial beside it, with the key by which a sender is given a side."""
    offer, trial = handover.offer, handover.trial
    document = {
        "stage": stage,
        "number": offer.number if offer else 0,
        "digest": offer.digest if offer else "",
        "restraint": encode_restraint(restraint).decode(),
        "trial": None,
        "current": all(child.generation == picture.number for child in handover.crew.alive),
    }
    poison = picture.parts["poison"]() if "poison" in picture.parts else {}
    document["suspects"] = int(poison.get("messages", 0)) + int(poison.get("senders", 0))
    images = [offer.image] if offer else []
    if offer and trial:
        document["trial"] = {
            "number": trial.offer.number,
            "digest": trial.offer.digest,
            "share": trial.share,
            "key": key.hex(),
        }
        images.append(trial.offer.image)
    return Parcel(json.dumps(document), tuple(map(os.dup, images)))
