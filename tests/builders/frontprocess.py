"""The front alone on the real libmilter, in a process of its own: no supervisor, no policy files.

    python -m tests.builders.frontprocess SOCKET LOG [STAGE FAULT]

With STAGE and FAULT the handler of that callback fails the first time: FAULT is the name of an exception, or `deep` for
a real RecursionError, or `true` for a return value that libmilter would take for REJECT.
"""

from __future__ import annotations

import builtins
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def running(folder: Path, stage: str = "", fault: str = "") -> Iterator[Path]:
    """Start it; gives its socket. It has to be alive at the end."""
    place, log = folder / "front.sock", folder / "front.log"
    command = [sys.executable, "-m", "tests.builders.frontprocess", str(place), str(log), stage, fault]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'milter'}:{ROOT}"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        end = time.monotonic() + 15
        while not place.exists():
            assert process.poll() is None, "the front ended"
            assert time.monotonic() < end, "the front did not start"
            time.sleep(0.02)
        yield place
        assert process.poll() is None, "the front died"
    finally:
        process.kill()
        process.wait()


def main(place: str, log: str, stage: str, fault: str) -> None:
    """Serve until killed."""
    from tests.builders.transactions import FakePolicies
    from tests.builders.verdicts import closed_recipient, holding, labelling, on_subject, rejecting
    from tidegate import front
    from tidegate.front import callbacks, listener
    from tidegate.front.callbacks import Step
    from tidegate.live import Live
    from tidegate.observe.counters import Counters
    from tidegate.observe.logs import configure

    def deeper() -> int:
        return deeper() + 1

    failed = []

    def broken(*arguments: Any) -> Any:
        if failed:
            return step.handler(*arguments)
        failed.append(True)
        if fault == "deep":
            return deeper()
        if fault == "true":
            return True
        raise getattr(builtins, fault)("secret@example.com")

    if stage:
        step = callbacks.STEPS[stage]
        callbacks.STEPS[stage] = Step(broken, step.quiet, step.allowed)
    writer = configure(log, "json")
    rules = [
        on_subject("stop", rejecting(text="100% no ({ref})")),
        on_subject("look", holding()),
        on_subject("mark", labelling()),
        closed_recipient(),
    ]
    live = Live()
    live.current = FakePolicies(rules)  # type: ignore[assignment]
    temporary = f"{place}.new"
    listener.open_listener(f"unix:{temporary}")
    desk = front.Desk(live, Counters(1).tally(0), 8.0, True, writer)
    front.install(desk)
    Path(temporary).rename(place)
    front.run()


if __name__ == "__main__":
    main(*sys.argv[1:5])
