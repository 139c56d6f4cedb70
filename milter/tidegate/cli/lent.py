"""What the running daemon judges by, borrowed over its control socket: the image that its workers map.

Promises: the same bytes and the same engine as the daemon's, so the same answer, whatever became of the files since:
an entry that is STALE is judged as it serves, one that is SKIPPED is not, and one that is eased as far as it is left.
Refuses: changing anything.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tidegate import image
from tidegate.cli.output import UnableError
from tidegate.cli.reach import Daemon, find_daemon
from tidegate.engine.reply import temporary
from tidegate.image.replica import Replicas
from tidegate.live import decode_restraint
from tidegate.live.canary import chosen, number_of, sender_of
from tidegate.model import Disposition, Restraint, Transaction, Verdict
from tidegate.replicas.held import Copy, Holding

NO_POLICY = "no policy was ever loaded"


@dataclass(frozen=True, slots=True)
class OnTrial:
    """A generation that a share of the senders gets."""

    generation: image.Generation
    number: int
    digest: str
    share: float
    key: bytes

    def takes(self, transaction: Transaction) -> bool:
        """Is this sender one of them?"""
        envelope = transaction.envelope
        sender = sender_of(envelope.login, envelope.sender, transaction.connection.client_ip)
        return chosen(number_of(sender, self.key), self.share)


@dataclass(frozen=True, slots=True)
class Lent:
    """What a daemon judges by at this moment; `generation` None: nothing was ever loaded, all mail is deferred."""

    generation: image.Generation | None
    number: int
    digest: str
    restraint: Restraint
    trial: OnTrial | None
    current: bool  # do all workers have this generation?
    replicas: Replicas  # of lists in Redis
    suspects: int  # senders and messages that killed workers: their mail is judged by less, which is not known here

    def of(self, transaction: Transaction) -> Lent:
        """What this sender's mail is judged by: that, or what is on trial."""
        trial = self.trial
        if trial is None or not trial.takes(transaction):
            return self
        return replace(self, generation=trial.generation, number=trial.number, digest=trial.digest)


def borrow(config: str, state: str) -> Lent:
    """Ask the daemon of these settings, or of this state directory. Raises UnableError."""
    daemon = find_daemon(config, state)
    answer, files = daemon.ask_for_files({"do": "lend"})
    try:
        trial, replicas = answer["trial"], _replicas(daemon)
        return Lent(
            _opened(files[0], replicas) if files else None,
            int(answer["number"]),
            str(answer["digest"]),
            decode_restraint(str(answer["restraint"]).encode()),
            _on_trial(trial, files[1], replicas) if trial else None,
            bool(answer["current"]),
            replicas,
            int(answer["suspects"]),
        )
    except (image.BadImage, OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise UnableError(f"{daemon.state}: what the daemon lends can't be read: {error}") from error
    finally:
        for descriptor in files:
            os.close(descriptor)


def _on_trial(told: Mapping[str, Any], descriptor: int, replicas: Replicas) -> OnTrial:
    key = bytes.fromhex(str(told["key"]))
    return OnTrial(_opened(descriptor, replicas), int(told["number"]), str(told["digest"]), float(told["share"]), key)


def _replicas(daemon: Daemon) -> Replicas:
    """The lists in Redis as its workers have them."""
    holding, place, count = Holding(), 0, 1
    while place < count:
        told, files = daemon.ask_for_files({"do": "lend-list", "place": place})
        try:
            count = int(told["count"])
            if files:
                base, changes = files
                holding.take(Copy(str(told["name"]), str(told["form"]), base, changes, bool(told["overdue"])))
        finally:
            for descriptor in files:
                os.close(descriptor)
        place += 1
    return holding.replicas


def _opened(descriptor: int, replicas: Replicas) -> image.Generation:
    # Private as in a worker: before Linux 6.7 a shared map of a write-sealed memfd is refused.
    mapped = mmap.mmap(descriptor, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
    return image.Generation(mapped).with_replicas(replicas)


def without_policy(reference: str) -> Verdict:
    """What the daemon answers at end of message while nothing was ever loaded."""
    return Verdict(Disposition.DEFER, temporary(reference), NO_POLICY, certain=False)
