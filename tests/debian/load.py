"""`python3 -m tests.debian.load SOCKET`: messages without a pause until standard input ends; then what became of them.

Half of them are those of mallory, whom the policy refuses; the others pass. `right` got the answer that is due; `wrong`
another 5xx, or an accept that is not due; `deferred` a 4xx, the 421 of a daemon that leaves included; `broken` lost its
connection, `refused` got none. What is deferred, broken or refused, Postfix answers with a 4xx: the client comes again.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter

from tests.builders.daemon import Session

CLIENTS = 4


def main(path: str) -> None:
    """Runs the clients until standard input ends."""
    over = threading.Event()
    counts = [Counter[str]() for _ in range(CLIENTS)]
    clients = [threading.Thread(target=client, args=(path, over, count)) for count in counts]
    for one in clients:
        one.start()
    print("begun", flush=True)
    sys.stdin.read()
    over.set()
    for one in clients:
        one.join()
    total = sum(counts, Counter[str]())
    print(json.dumps({name: total[name] for name in ("right", "wrong", "deferred", "broken", "refused")}))


def client(path: str, over: threading.Event, counts: Counter[str]) -> None:
    """Sessions of a few messages each, one after the other."""
    while not over.is_set():
        try:
            session = Session(path)
            session.greet()
        except (FileNotFoundError, ConnectionRefusedError):
            counts["refused"] += 1
            over.wait(0.05)
            continue
        except OSError:
            counts["broken"] += 1
            continue
        with_session(session, over, counts)
        session.close()


def with_session(session: Session, over: threading.Event, counts: Counter[str]) -> None:
    """Up to ten messages, until one is not answered."""
    for turn in range(10):
        login = ("alice", "mallory")[turn % 2]
        try:
            said = session.message(login)
        except OSError:
            counts["broken"] += 1
            return
        due = said == "accept" if login == "alice" else said.startswith("550 ")
        counts["right" if due else "deferred" if said.startswith(("4", "tempfail")) else "wrong"] += 1
        if over.is_set() or said.startswith("421"):
            return
        over.wait(0.002)


if __name__ == "__main__":
    main(sys.argv[1])
