"""`make soak`: mail for a long time, while policies change and processes die under it.

    make soak SOAK=600      seconds (default 300)

Every message is accounted for exactly once: what got 250 arrives once, what got 4xx or 5xx never does. In quiet rounds
every answer has to be the right one; in the others (a worker killed, everything killed and started anew, a log on a
full disk) it may be a 4xx instead. It prints a line for each round, and exits with 1 where that does not hold.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from tests.e2e.harness.client import a_message
from tests.e2e.harness.site import ALICE, BOB, Site

_POLICY = """version: 1
rules:
  - id: round
    description: Round {number}
    when: {{subject: {{prefix: stop}}}}
    do: {{reject: {{code: "550 5.7.1", text: "Round {number}"}}}}
...
"""
_FAULTS = ("none", "worker killed", "none", "all killed", "none", "log full", "none")


def main() -> int:
    """One site under steady mail."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 300.0
    end, number, wrong = time.monotonic() + seconds, 0, 0
    answers: dict[str, int] = {}
    with Site({"10.yaml": _POLICY.format(number=0)}) as site:
        while time.monotonic() < end:
            number += 1
            fault = _FAULTS[number % len(_FAULTS)]
            site.daemon.load(("10.yaml", _POLICY.format(number=number)))
            for one in range(40):
                if one == 20:
                    _break(site, fault)
                mark, code = (f"stop {number}-{one}.", 550) if one % 2 else (f"go {number}-{one}.", 250)
                answers[mark] = _sent(site, mark)
                right = answers[mark] == code or (fault != "none" and 400 <= answers[mark] < 500)
                wrong += not right
            _mend(site, fault)
            print(
                f"soak: round {number} ({fault}), {len(answers)} messages, {wrong} wrong", file=sys.stderr, flush=True
            )
        lost = _lost(site, answers)
    print(f"soak: {len(answers)} messages, {wrong} wrong answers, {lost} lost, doubled or let through", file=sys.stderr)
    return 1 if wrong or lost else 0


def _sent(site: Site, mark: str) -> int:
    with site.client() as client:
        return client.send(ALICE, [BOB], a_message(mark)).final.code


def _break(site: Site, fault: str) -> None:
    if fault == "worker killed":
        os.kill(site.daemon.workers()[0], signal.SIGKILL)
    elif fault == "all killed":
        site.daemon.kill()
        site.daemon.start(wait=False)
    elif fault == "log full":
        site.daemon.log.rename(site.daemon.log.with_suffix(".full"))
        site.daemon.log.symlink_to("/dev/full")
        site.daemon.signal(signal.SIGUSR1)


def _mend(site: Site, fault: str) -> None:
    if fault == "log full":
        site.daemon.log.unlink()
        site.daemon.signal(signal.SIGUSR1)
    site.daemon.wait_until_serving()
    site.daemon.wait_for_generation(1)


def _lost(site: Site, answers: dict[str, int]) -> int:
    """How many did not arrive exactly once where they were accepted, or arrived where they were not."""
    for mark, code in answers.items():
        if code == 250:
            site.sink.wait_for(mark)
    return sum(len(site.sink.holding(mark)) != (code == 250) for mark, code in answers.items())


if __name__ == "__main__":
    sys.exit(main())
