"""`make soak`: mail for a long time, while policies change under it; every answer has to be the right one.

    make soak SOAK=600      seconds (default 300)

It prints a line for each round of edits, and exits with 1 where an answer was not the one that was promised.
"""

from __future__ import annotations

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


def main() -> int:
    """One site under steady mail."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 300.0
    end, number, wrong, sent = time.monotonic() + seconds, 0, 0, 0
    with Site({"10.yaml": _POLICY.format(number=0)}) as site:
        while time.monotonic() < end:
            number += 1
            site.daemon.load(("10.yaml", _POLICY.format(number=number)))
            for subject, code in (("go on", 250), ("stop it", 550)) * 20:
                with site.client() as client:
                    sent += 1
                    wrong += client.send(ALICE, [BOB], a_message(subject)).final.code != code
            assert site.daemon.process is not None
            site.daemon.process.send_signal(signal.SIGHUP)
            print(f"soak: round {number}, {sent} messages, {wrong} wrong answers", file=sys.stderr, flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
